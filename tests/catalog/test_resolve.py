"""Requests become plans: precedence, defaults, and all option errors at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_plugins import Install

from qtlplat.catalog import plugin_calls
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import load_plugins
from qtlplat.catalog.plan import PretrainingOptions, TrainingOptions
from qtlplat.catalog.registry import Registry, load_registry, shipped_registry
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import Known, Resolved, resolve, resolve_component
from qtlplat.catalog.verify import spec_problem
from qtlplat.errors import ConfigError, PluginError, UsageError
from qtlplat.specs import DatasetSpec

DATASETS = """
from pathlib import Path
from pydantic import Field
from qtlplat import DatasetSpec, Options, hookimpl
qtlplat_api_version = (1, 0)

class Here(Options):
    root: Path = Field(Path("nowhere"), description="directory of the data", json_schema_extra={"location": True})
    size: int = Field(8, ge=1, description="pixels")

class Always(Options):
    size: int = Field(8, ge=1, description="pixels")

def load(options):
    raise AssertionError("resolving reads no data")

def broken(options):
    raise RuntimeError("no")

@hookimpl
def qtlplat_datasets():
    return [
        DatasetSpec(name="real", summary="real data", load=load, options=Here, is_available=lambda o: o.root.exists()),
        DatasetSpec(name="unsure", summary="cannot tell", load=load, is_available=broken),
        DatasetSpec(name="made-up", summary="synthetic data", load=load, options=Always),
    ]
"""


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(load_plugins())


@pytest.fixture
def registry() -> Registry:
    return load_registry(str(shipped_registry()))


def plan(registry: Registry, catalog: Catalog, **request: object) -> Resolved:
    return resolve(Request(**{"dataset": "steel-synth", **request}), registry, catalog)  # type: ignore[arg-type]


def refusal(registry: Registry, catalog: Catalog, **request: object) -> str:
    with pytest.raises(ConfigError) as caught:
        plan(registry, catalog, **request)
    return caught.value.what


def test_the_defaults_are_the_papers_first_experiment(registry: Registry, catalog: Catalog) -> None:
    resolved = plan(registry, catalog)
    p = resolved.plan
    assert (p.backbone.name, p.backbone.component, p.backbone.options["architecture"]) == ("lenet2", "lenet", "model-2")
    assert (p.head.name, p.head.component, p.head.provider) == ("dressed5x3", "dressed", "qtlplat")
    assert (p.head.options["qubits"], p.head.options["layers"]) == (5, 3)
    assert p.evaluator.options == {"folds": 6, "shuffle": True, "grouped": False}
    assert (p.replace, p.seed, p.seeds, p.device, p.accelerator) == ("all", 0, 1, "auto", "cpu")
    assert p.training == TrainingOptions(epochs=40, learning_rate=8e-4, batch_size=64)
    assert len(p.head.digest) == 64
    assert resolved.options["head"].model_dump()["qubits"] == 5
    assert resolved.specs["evaluator"].spec.name == "kfold"
    assert resolved.notes == []


def test_component_default_then_preset_then_brackets_then_set(registry: Registry, catalog: Catalog) -> None:
    def head(ref: str, *sets: str) -> tuple[int, int]:
        options = plan(registry, catalog, head=ref, sets=sets).plan.head.options
        return options["qubits"], options["layers"]

    assert head("dressed") == (5, 3)
    assert head("dressed4x2") == (4, 2)
    assert head("dressed4x2[layers=6]") == (4, 6)
    assert head("dressed4x2[layers=6]", "head.layers=7") == (4, 7)
    assert head("qtlplat:dressed[qubits=2]") == (2, 3)


def test_protocol_then_set_then_flags(registry: Registry, catalog: Catalog) -> None:
    sets = ("pretraining.epochs=9", "pretraining.n_init=3", "training.batch_size=32", "training.epochs=8")
    paper = plan(registry, catalog, protocol="paper").plan.pretraining
    assert (paper.epochs, paper.n_init, paper.monitor, paper.patience) == (120, 5, "test", 0)
    p = plan(registry, catalog, protocol="paper", sets=sets).plan
    assert (p.pretraining.epochs, p.pretraining.n_init) == (9, 3)
    assert (p.training.batch_size, p.training.epochs) == (32, 8)
    p = plan(registry, catalog, protocol="paper", sets=sets, epochs=2, pretrain_epochs=4, n_init=1).plan
    assert (p.training.epochs, p.pretraining.epochs, p.pretraining.n_init) == (2, 4, 1)


def test_all_option_errors_come_at_once(registry: Registry, catalog: Catalog) -> None:
    text = refusal(
        registry,
        catalog,
        dataset="steel-synth[per_class=0]",
        head="dressed5x3[qubits=99,colour=red]",
        evaluator="kfold[folds=1]",
        sets=("training.batch_size=0", "pretraining.patience=-1", "backbone.architectur=x"),
        epochs=0,
        seed=-1,
        seeds=0,
        device="compiled[shots=5]",
        accelerator="abacus",
    )
    first, *rest = text.splitlines()
    assert first == "12 options are wrong"
    assert len(rest) == 12
    for expected in (
        "dataset.per_class: 0:",
        "backbone.architectur: there is no such option (-S); did you mean architecture?",
        "head.qubits: 99: input should be less than or equal to 24",
        "head.colour: there is no such option",
        "evaluator.folds: 1:",
        "training.batch_size: 0: input should be greater than or equal to 1 (-S)",
        "training.epochs: 0: input should be greater than or equal to 1 (--epochs)",
        "pretraining.patience: -1:",
        "--seed: -1:",
        "--n-seeds: 0:",
        "device.shots: there is no such option; known: precision",
        "--accelerator: 'abacus': input should be 'cpu' or 'cuda'",
    ):
        assert expected in text


def test_a_rule_over_two_options_is_told(registry: Registry, catalog: Catalog) -> None:
    text = refusal(registry, catalog, sets=("pretraining.monitor=validation",))
    assert "monitor = 'validation' needs a val_size above 0" in text


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"head": "dresed5x3"}, "did you mean: dressed5x3"),
        ({"backbone": "resnet"}, "unknown backbone 'resnet'"),
        ({"protocol": "papr"}, "did you mean: paper"),
        ({"sets": ("hed.layers=2",)}, "did you mean: head"),
        ({"replace": "some"}, "'some' is not a number of dense layers"),
        ({"replace": "0"}, "'0' is not a number of dense layers"),
        ({"replace": "9" * 5000}, "is not a number of dense layers"),
        ({"device": "default.qubit[shots"}, "device 'default.qubit\\[shots' cannot be read"),
    ],
)
def test_what_cannot_be_understood_is_a_usage_error(
    request_: dict[str, object], message: str, registry: Registry, catalog: Catalog
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(registry, catalog, **request_)


def test_replace_takes_a_number(registry: Registry, catalog: Catalog) -> None:
    assert plan(registry, catalog, replace="3").plan.replace == 3


def test_the_device_is_kept_in_canonical_form(registry: Registry, catalog: Catalog) -> None:
    def device(text: str) -> str:
        return plan(registry, catalog, device=text).plan.device

    assert device("default.mixed[strength=0.010,noise=bitflip]") == "default.mixed[noise=bitflip]"
    assert device(" compiled[precision=single]") == "compiled"
    assert plan(registry, catalog, accelerator="cuda").plan.accelerator == "cuda"


def test_a_preset_of_a_missing_component_names_its_file(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[heads.gone]\ncomponent = "vanished"\n')
    with pytest.raises(ConfigError, match="unknown head 'vanished'") as caught:
        resolve_component("head", "gone", load_registry(str(path)), catalog)
    assert str(path) in caught.value.where


def test_a_wrong_value_in_a_preset_names_its_file(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[heads.bad]\ncomponent = "dressed"\noptions = { layers = 0 }\n')
    with pytest.raises(ConfigError, match="r.toml") as caught:  # noqa: RUF043
        resolve_component("head", "bad", load_registry(str(path)), catalog)
    assert "head.layers: 0:" in caught.value.what


def test_without_a_default_the_flag_is_asked_for(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("")
    with pytest.raises(UsageError, match="no backbone was given") as caught:
        plan(load_registry(str(path)), catalog)
    assert caught.value.fix == "add --backbone NAME"


class TestDefaultDataset:
    @pytest.fixture
    def chosen(self, install: Install, tmp_path: Path) -> object:
        install("acme-data", "acme_datasets", DATASETS, entry="data")
        path = tmp_path / "r.toml"
        path.write_text(
            '[defaults]\ndataset = ["gone", "real", "unsure", "made-up"]\nbackbone = "lenet"\nhead = "linear"\n'
            'evaluator = "kfold"\n'
        )
        registry, catalog = load_registry(str(path)), Catalog(load_plugins())
        return lambda *sets: resolve(Request(sets=sets), registry, catalog)

    def test_the_first_one_at_hand_wins_and_the_note_says_so(self, chosen) -> None:  # type: ignore[no-untyped-def]
        resolved = chosen()
        assert resolved.plan.dataset.name == "made-up"
        (note,) = resolved.notes
        assert note == ("real and unsure not found; using made-up. To use real pass -S dataset.root=PATH.")

    def test_neu_det_not_found_says_what_is_used_and_how_to_get_it(
        self, registry: Registry, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("QTLPLAT_NEU_DET", raising=False)
        assert resolve(Request(), registry, catalog).notes == [
            "NEU-DET not found; using the synthetic dataset steel-synth. Scores on it say nothing about real steel. "
            "To use NEU-DET set QTLPLAT_NEU_DET or pass -S dataset.root=PATH."
        ]

    @pytest.mark.parametrize("field", ["title", "notice"])
    @pytest.mark.parametrize("line", ["two\nlines", "\x1b[2J", None, "a " * 1000])
    def test_what_the_note_is_made_of_is_one_line_of_text(self, field: str, line: object) -> None:
        spec = replace(DatasetSpec(name="d", summary="s", load=lambda _: None), **{field: line})  # type: ignore[arg-type,return-value]
        assert f"{field} of d must be one line of text" in spec_problem(spec, "dataset")

    def test_data_at_hand_needs_no_note(self, chosen, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        resolved = chosen(f"dataset.root={tmp_path}")
        assert resolved.plan.dataset.name == "real"
        assert resolved.notes == []

    def test_a_root_that_does_not_exist_is_left_to_the_dataset_that_has_one(self, chosen) -> None:  # type: ignore[no-untyped-def]
        assert chosen("dataset.root=/does/not/exist").plan.dataset.name == "real"

    def test_a_wrong_option_is_told(self, chosen) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(ConfigError, match="dataset.size: 0"):  # noqa: RUF043
            chosen("dataset.size=0")


def test_paths_are_text_and_locations_leave_the_fingerprint(
    registry: Registry, catalog: Catalog, tmp_path: Path
) -> None:
    (tmp_path / "copy").mkdir()
    plans = [
        plan(registry, catalog, dataset="neu-det", sets=(f"dataset.root={root}",)).plan.bind("d" * 64)
        for root in (tmp_path, tmp_path / "copy")
    ]
    assert plans[0].dataset.options["root"] == str(tmp_path)
    assert plans[0].dataset.locations == ("root",)
    assert plans[0].fingerprint == plans[1].fingerprint


def test_a_name_offered_twice_is_refused_where_it_is_named(install: Install, registry: Registry) -> None:
    from fake_plugins import HEAD

    install("acme-heads", "clash_in_resolve", HEAD.format(name="linear"), entry="clash")
    both = Catalog(load_plugins())
    with pytest.raises(PluginError, match="acme-heads"):
        plan(registry, both, head="linear")
    assert plan(registry, both, head="acme-heads:linear").plan.head.provider == "acme-heads"
    assert plan(registry, both, head="mlp").plan.head.provider == "qtlplat"


def test_a_component_alone_comes_with_its_options_and_choice(registry: Registry, catalog: Catalog) -> None:
    component, options, choice = resolve_component("evaluator", "kfold6", registry, catalog, ["evaluator.folds=3"])
    assert component.spec.name == "kfold"
    assert options.model_dump()["folds"] == 3
    assert (choice.name, choice.component, choice.options["folds"]) == ("kfold6", "kfold", 3)
    assert PretrainingOptions() == PretrainingOptions(epochs=120)


def test_requests_that_share_choices_get_the_plans_that_they_get_alone(
    registry: Registry, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = [
        Request(head=f"dressed[qubits={qubits}]", seed=seed, sets=(f"training.epochs={epochs}", "head.layers=2"))
        for qubits in (2, 3)
        for seed in range(4)
        for epochs in (1, 2)
    ]
    alone = [resolve(request, registry, catalog) for request in requests]
    calls: list[str] = []

    def guarded(work: object, provider: str, doing: str) -> object:
        calls.append(doing)
        return plugin_calls.guarded(work, provider, doing)  # type: ignore[arg-type]

    monkeypatch.setattr("qtlplat.catalog.resolve.guarded", guarded)
    known = Known()
    together = [resolve(request, registry, catalog, known) for request in requests]
    assert [one.plan for one in together] == [one.plan for one in alone]
    assert [list(one.notes) for one in together] == [list(one.notes) for one in alone]
    validated = [doing for doing in calls if doing.startswith("validating the options of dressed")]
    assert len(validated) == 2  # for 16 requests
