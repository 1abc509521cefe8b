"""A wrong --device or --accelerator is refused with the right code, before any work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qtlplat.cli import _run

SMALL = ["run", "--dry-run", "--dataset", "steel-synth[per_class=12,images_per_kind=4]", "--head", "dressed[qubits=2]"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--device", "default.qubit[shots"], 2, "cannot be read"),
        (["--accelerator", "abacus"], 2, "'abacus' is not one of 'cpu', 'cuda'"),
        (["--device", "compiled[shots=10]"], 3, "device.shots: there is no such option"),
        (["--device", "default.mixed[noise=loud]", "--seed", "-1"], 3, "2 options are wrong"),
    ],
)
def test_what_is_wrong_in_itself_is_refused_without_reading_data(
    flags: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["run", "--dry-run", "--dataset", "neu-det", "-S", "dataset.root=/nowhere/at/all", *flags]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("default.qbit", "did you mean: default.qubit"),
        ("lightning.qubit[colour=red]", "unexpected keyword argument 'colour'"),
        ("default.qubit[noise=bitflip]", "default.mixed"),
    ],
)
def test_what_the_device_refuses_is_refused_before_any_work(
    device: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run([*SMALL, "--device", device, "--store", str(tmp_path / "s.db")]) == 3
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert not (tmp_path / "s.db").exists()


def test_a_dry_run_shows_the_device_in_canonical_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run([*SMALL, "--device", "default.qubit[seed=1, shots=20]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "default.qubit[seed=1,shots=20]"
