from dataclasses import replace
from typing import Any

import pytest
from figure_runs import cell, component, record

from qtlplat.analysis.agreement import agreement, in_words
from qtlplat.analysis.explain_difference import KINDS, differing, moved_cells
from qtlplat.conventions import numeric_facts
from qtlplat.store.core.records import ComponentRow, OwnerRow
from qtlplat.store.read.loaded import Gathered


def gathered(environment: dict[str, str] | None = None, **changes: Any) -> Gathered:
    parts = {name: changes.pop(name) for name in ("owners", "weights", "backbones") if name in changes}
    cells = tuple(changes.pop("cells", (cell(0, 0.5), cell(1, 0.75))))
    values = {"owners": (), "weights": (), "backbones": (), **parts}
    return Gathered(record("0" * 16, **changes), cells, environment or {}, **values)


def told(*runs: Gathered) -> dict[tuple[str, str], tuple[Any, ...]]:
    return {(one.kind, one.what): one.values for one in differing(runs)}


def with_head(**changes: Any) -> dict[str, ComponentRow]:
    parts = record("0" * 16).components
    return {**parts, "head": replace(parts["head"], **changes)}


def test_equal_runs_differ_in_nothing() -> None:
    assert told(gathered(), gathered(), gathered()) == {}


def test_a_dataset_by_another_name_with_the_same_data_reaches_no_number() -> None:
    mine = replace(component("dataset", "mine"), component="mine")
    other = {**record("0" * 16).components, "dataset": mine}
    assert told(gathered(), gathered(components=other)) == {("place", "dataset"): ("steel-synth", "mine")}
    found = told(gathered(), gathered(components=other, dataset_digest="b" * 64))
    assert set(found) == {("data", "data digest"), ("data", "dataset")}


def test_a_preset_and_its_component_with_the_same_options_are_the_same_head() -> None:
    found = told(gathered(), gathered(components=with_head(name="dressed[qubits=5]")))
    assert found == {("place", "head"): ("dressed5x3", "dressed[qubits=5]")}


def test_vector_units_and_numeric_settings_are_named() -> None:
    known = {"oneDNN": "v3.12.0", "vector instructions": "AVX512", "BLAS of torch": "MKL"}
    other = {
        **known, "vector instructions": "AVX2", "oneDNN enabled": "no", "variable ONEDNN_MAX_CPU_ISA": "AVX2",
        "variable MKL_CBWR": "AVX2",
    }  # fmt: skip
    assert told(gathered(known), gathered(other)) == {
        ("hardware", "vector instructions"): ("AVX512", "AVX2"),
        ("hardware", "oneDNN enabled"): (None, "no"),
        ("hardware", "variable ONEDNN_MAX_CPU_ISA"): (None, "AVX2"),
        ("hardware", "variable MKL_CBWR"): (None, "AVX2"),
    }
    # a run from before they were stored says nothing of them
    assert told(gathered({"vector instructions": "AVX512"}), gathered(other)) == {
        ("hardware", "vector instructions"): ("AVX512", "AVX2")
    }
    assert numeric_facts(known, {}) == []


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_who_set_the_number_of_threads_is_named_only_if_the_number_differs(name: str) -> None:
    known = {"oneDNN": "v3.12.0", "threads": "2"}
    asked = {**known, f"variable {name}": "2"}
    assert told(gathered(known), gathered(asked)) == {}
    assert numeric_facts(known, asked) == ["oneDNN"]
    asked |= {"threads": "1", f"variable {name}": "1"}
    assert told(gathered(known), gathered(asked)) == {
        ("hardware", "threads"): ("2", "1"),
        ("hardware", f"variable {name}"): (None, "1"),
    }


def test_options_are_told_by_path_and_places_are_none() -> None:
    chosen = {"head": {"locations": ["file"]}}
    first, other = (
        gathered(
            components=with_head(options={"layers": n, "inside": {"deep": n, "same": 1}, "file": f"/{n}"}), plan=chosen
        )
        for n in (2, 3)
    )
    assert told(first, other) == {
        ("head", "head.layers"): (2, 3),
        ("head", "head.inside.deep"): (2, 3),
        ("place", "head.file"): ("/2", "/3"),
    }


def test_code_of_the_same_component_is_a_cause_and_that_of_another_one_follows() -> None:
    assert told(gathered(), gathered(components=with_head(digest="e" * 64))) == {
        ("code", "head code"): ("d" * 64, "e" * 64)
    }
    other = gathered(components=with_head(name="mlp", component="mlp", digest="e" * 64))
    assert told(gathered(), other) == {("head", "head"): ("dressed5x3", "mlp")}
    third = gathered(components=with_head(version="0.2"))
    assert told(gathered(), third) == {("code", "version of qtlplat"): ("0.1", "0.2")}


def test_components_of_one_name_from_two_providers_are_told_apart() -> None:
    found = told(gathered(), gathered(components=with_head(provider="other-lab")))
    assert found["head", "head"] == ("qtlplat:head", "other-lab:head")


def test_other_weights_of_the_same_pretraining_are_a_cause() -> None:
    first, same, other = (gathered(backbones=names) for names in (("a", "b"), ("a", "b"), ("a", "c")))
    assert told(first, same) == {}
    assert set(told(first, other)) == {("backbone", "backbone weights")}


def test_what_an_owner_took_up_although_it_had_changed_is_told() -> None:
    owners = [OwnerRow(1, "2026", "a", 1), OwnerRow(2, "2026", "a", 2, {"threads": ("2", "4")})]
    assert told(gathered(owners=(owners[0],)), gathered(owners=tuple(owners))) == {
        ("interruption", "times taken up again"): (0, 1),
        ("interruption", "changed meanwhile: threads"): (None, "2 -> 4"),
    }


def test_the_environment_is_sorted_by_what_it_can_do() -> None:
    surroundings = {
        "git commit": "a", "engine": "compiled", "version of torch": "2.1", "threads": "2", "host": "h",
    }  # fmt: skip
    other = {name: f"{value}!" for name, value in surroundings.items()}
    found = list(told(gathered(surroundings), gathered(other)))
    assert found == [
        ("code", "git commit"),
        ("device", "engine"),
        ("packages", "version of torch"),
        ("hardware", "threads"),
        ("place", "host"),
    ]
    # a classical head has no engine: that follows from the head
    assert told(gathered(), gathered({"engine": "compiled"})) == {}


def test_a_plan_is_told_by_path() -> None:
    plan = {"training": {"epochs": 40, "rate": 0.1}, "pretraining": {"epochs": 3}, "seed": 0, "replace": "all"}
    other = {
        "training": {"epochs": 50, "rate": 0.1},
        "pretraining": {"epochs": 4},
        "seed": 0,
        "replace": 1,
        "controls": [],
    }
    assert told(gathered(plan=plan), gathered(plan=other)) == {
        ("backbone", "pretraining.epochs"): (3, 4),
        ("head", "replace"): ("all", 1),
        ("training", "training.epochs"): (40, 50),
        ("place", "controls"): (None, []),
    }


def test_the_weights_never_rise_again_towards_the_end() -> None:
    weights = ["decisive", "strong", "possible", "chance", "rounding", "consequence", "none"]
    order = [weights.index(kind.weight) for kind in KINDS]
    assert order == sorted(order)


def test_cells_with_other_samples_are_counted_over_folds_and_seeds() -> None:
    first = [cell(0, 0.5), cell(1, 0.5), cell(2, 0.5, variant="mlp")]
    second = [cell(0, 0.5, test_hash="x"), cell(1, 0.5), cell(7, 0.5)]
    assert moved_cells(first, second, "test") == (1, 2)
    assert moved_cells(first, second, "train") == (0, 2)


@pytest.mark.parametrize(("weights", "words"), [(("a",), "the same file"), (("b",), "other files"), ((), "")])
def test_weights_are_told_and_decide_nothing(weights: tuple[str, ...], words: str) -> None:
    found = agreement(gathered(weights=("a",)), gathered(weights=weights))
    assert found.verdict == "bitwise"
    assert in_words(found).endswith(words or "pairs of cells)")


def test_a_metric_that_one_side_lacks_is_never_equal() -> None:
    lacking = [replace(one, metrics={**one.metrics, "own": 1.0}) for one in (cell(0, 0.5), cell(1, 0.75))]
    found = agreement(gathered(), gathered(cells=lacking))
    assert (found.verdict, [one.metric for one in found.metrics]) == ("different", ["f1"])


def test_metrics_of_every_cell_that_an_older_version_did_not_store_are_no_difference() -> None:
    newer = [replace(one, metrics={**one.metrics, "roc_auc": 1.0}) for one in (cell(0, 0.5), cell(1, 0.75))]
    assert agreement(gathered(), gathered(cells=newer)).verdict == "bitwise"
