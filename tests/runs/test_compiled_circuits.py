"""A compiled circuit is kept next to the store, and compiled again if anything that decides it has changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from qtlplat.catalog.catalog import open_catalog
from qtlplat.catalog.device import parse_device
from qtlplat.catalog.provider import Component
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import Resolved, resolve
from qtlplat.quantum.devices import engines
from qtlplat.quantum.devices.engine import Engine, example
from qtlplat.runs import compiled_circuits, engine_choice, replay
from qtlplat.runs.compiled_circuits import KeptCircuit
from qtlplat_dressed import circuit as dressed
from qtlplat_dressed.options import DressedOptions


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Component:
    _, catalog = open_catalog(None, tmp_path_factory.mktemp("no registry"))
    return catalog.component("head", "dressed")


class Heads:
    """Circuits of dressed heads. chosen: how often an engine was chosen."""

    def __init__(self, files: Path, component: Component) -> None:
        self.files, self.component, self.chosen = files, component, 0

    def kept(self, device: str = "auto", **options) -> KeptCircuit:
        given = DressedOptions(qubits=2, layers=1, **options)
        return KeptCircuit(self.files, self.component, given.model_dump(), dressed(given), parse_device(device))

    def engine(self, device: str = "auto", *, keep: bool = True, **options) -> Engine:
        kept = self.kept(device, **options)

        def choose() -> Engine:
            self.chosen += 1
            engine = engines.choose_engine(kept.circuit, kept.device.name, kept.device.options)
            return replace(engine, not_differentiated=("inputs",))  # as of a function that rounds them

        return kept.engine(choose, keep=keep)


@pytest.fixture
def heads(tmp_path: Path, component: Component) -> Heads:
    return Heads(tmp_path / "files", component)


def numbers(engine: Engine) -> list[torch.Tensor]:
    inputs, weights = example(engine.circuit, 3, 0, torch.float32)
    values = engine.run(inputs, weights)
    return [values.detach(), *torch.autograd.grad(values.sum(), [inputs, *weights.values()])]


def test_a_circuit_is_compiled_once_and_the_same_bits_come_next_time(heads: Heads) -> None:
    first, again = heads.engine(), heads.engine()
    assert heads.chosen == 1
    for one, other in zip(numbers(first), numbers(again), strict=True):
        assert torch.equal(one, other)
    for name in ("name", "why", "gradient", "why_not_stackable", "traits", "not_differentiated", "notes"):
        assert getattr(first, name) == getattr(again, name)


@pytest.mark.parametrize("what", ["_own_code", "library_versions", "numerics"])
def test_it_is_compiled_again_where_code_libraries_or_settings_have_changed(
    what: str, heads: Heads, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads.engine()
    monkeypatch.setattr(compiled_circuits, what, lambda *_: {"another": "one"})
    heads.engine()
    assert heads.chosen == 2


def test_it_is_compiled_again_for_other_options_another_precision_and_other_code_of_the_head(heads: Heads) -> None:
    heads.engine()
    heads.engine(axis="Y")
    heads.engine("auto[precision=double]")
    other = replace(heads.component)
    other.__dict__["code"] = {**heads.component.code, "qtlplat_dressed.head": "another"}
    Heads(heads.files, other)
    heads.component = other
    heads.engine()
    assert heads.chosen == 4
    assert len(list(heads.files.rglob("*.json"))) == 4


def cut(file: Path, other: Path) -> None:
    file.write_bytes(file.read_bytes()[:-9])


def flipped(file: Path, other: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


DAMAGE: dict[str, Callable[[Path, Path], object]] = {
    "empty": lambda file, other: file.write_bytes(b""),
    "cut": cut,
    "a bit flipped": flipped,
    "another circuit's": lambda file, other: shutil.copy(other, file),
    "a directory": lambda file, other: (file.unlink(), file.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_not_used(damage: str, heads: Heads) -> None:
    expected = numbers(heads.engine())
    heads.engine(axis="Y")
    DAMAGE[damage](heads.kept()._path, heads.kept(axis="Y")._path)
    found = numbers(heads.engine())
    assert heads.chosen == 3
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


def test_nothing_is_kept_of_devices_of_other_heads_or_where_nothing_may_be_written(heads: Heads) -> None:
    heads.engine(keep=False)
    heads.engine("default.qubit")
    heads.component = replace(heads.component, spec=replace(heads.component.spec, self_contained=False))
    for _ in range(2):
        heads.engine()
    assert heads.chosen == 4
    assert not heads.files.exists()


def test_what_has_to_be_measured_is_measured_for_every_run(heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_circuits, "CLEARLY_COMPILED", 1)
    assert not heads.kept().may_be_kept
    assert heads.kept("compiled").may_be_kept


def test_a_circuit_that_runs_as_it_was_traced_is_not_kept(heads: Heads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled_circuits, "packed", lambda program: None)
    for _ in range(2):
        heads.engine()
    assert heads.chosen == 2
    assert not heads.files.exists()


def test_a_replay_compiles_the_circuit_anew(
    tmp_path: Path, component: Component, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, catalog = open_catalog(None, tmp_path)
    resolved: Resolved = resolve(Request(head="dressed[qubits=2,layers=1]", dataset="steel-synth"), registry, catalog)
    asked = []
    monkeypatch.setattr(engine_choice, "choose", lambda circuit, plan: asked.append(circuit))
    monkeypatch.setattr(KeptCircuit, "engine", lambda self, choose, *, keep: "kept")
    assert engine_choice.kept_or_chosen(resolved, tmp_path, keep=True) == "kept"
    assert engine_choice.kept_or_chosen(resolved, None, keep=True) is None
    assert len(asked) == 1
    given = {}

    def prepare(resolved: object, files: Path, **options: object) -> None:
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(replay, "prepare", prepare)
    monkeypatch.setattr(replay, "stored_run", lambda *_: None)
    monkeypatch.setattr(replay, "refuse_replay", lambda *_, **__: None)
    monkeypatch.setattr(replay, "Reader", lambda location: None)
    record, location = type("Record", (), {"kind": "run", "plan": {}})(), type("Location", (), {"files": tmp_path})()
    with pytest.raises(KeyboardInterrupt):
        replay.replay(record, catalog, location, None)
    assert given == {"compile_anew": True}
