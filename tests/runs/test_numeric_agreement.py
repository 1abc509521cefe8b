"""What two stored runs are to each other, by numbers that were put there by hand."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from qtlplat.runs.numeric_agreement import compare_runs, largest, verdict, why
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ArtifactRow, EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def stored(
    store: Path,
    losses: Sequence[float],
    f1: float = 0.5,
    p: float = 0.25,
    weights: str = "a",
    seconds: float = 1.0,
    **metrics: float,
) -> str:
    """A run of one cell with these numbers."""
    with Writer(find_store(str(store))) as writer:
        run = writer.start_run(NewRun("run", "f" * 64, 7, {}, [], "a" * 64, {}))
        writer.add_cells(run, [NewCell(0, 0, 7, 10, 5, "1" * 64, "2" * 64)])
        rows = [EpochRow(0, epoch, seconds, {"test_loss": loss}) for epoch, loss in enumerate(losses, start=1)]
        writer.add_epochs(run, rows)
        writer.add_predictions(run, [PredictionRow(0, "x", "x", 0, 0, [p, 1 - p])])
        writer.add_artifact(run, ArtifactRow("weights", f"weights/{weights}", weights * 64, 12))
        writer.finish_cell(run, 0, {"f1": f1, **metrics}, seconds)
        writer.finish_run(run, "finished", {})
    return run


def outcome(store: Path, first: str, second: str, tolerance: float = 1e-3) -> tuple[str, float | None]:
    parts = compare_runs(Reader(find_store(str(store))), first, second)
    return verdict(parts, tolerance), largest(parts)


def test_equal_numbers_are_bitwise_whatever_the_time(store: Path) -> None:
    first = stored(store, [1.0, math.nan, math.inf])
    second = stored(store, [1.0, math.nan, math.inf], seconds=9.0)
    assert outcome(store, first, second) == ("bitwise", 0.0)


@pytest.mark.parametrize("changed", [{"losses": [1.0, 0.5 + 1e-4]}, {"f1": 0.5001}, {"p": 0.2501}])
def test_the_largest_difference_of_any_part_decides(store: Path, changed: dict[str, float]) -> None:
    first, second = stored(store, [1.0, 0.5]), stored(store, **{"losses": [1.0, 0.5], **changed})  # type: ignore[arg-type]
    found, difference = outcome(store, first, second)
    assert (found, difference) == ("tolerance", pytest.approx(1e-4, rel=1e-6))
    assert outcome(store, first, second, tolerance=9e-5)[0] == "different"


def test_metrics_of_every_cell_that_an_older_version_did_not_store_are_no_difference(store: Path) -> None:
    first, second = stored(store, [1.0]), stored(store, [1.0], roc_auc=0.7)
    assert outcome(store, first, second) == outcome(store, second, first) == ("bitwise", 0.0)
    assert outcome(store, first, stored(store, [1.0], cost=0.7)) == ("different", math.inf)


def test_other_weights_that_lead_to_the_same_numbers_are_not_bitwise(store: Path) -> None:
    first, second = stored(store, [1.0]), stored(store, [1.0], weights="b")
    assert outcome(store, first, second) == ("tolerance", 0.0)
    parts = compare_runs(Reader(find_store(str(store))), first, second)
    assert [part.name for part in parts if part.unequal] == ["weights"]


@pytest.mark.parametrize("losses", [[1.0], [1.0, 0.5, 0.25], [1.0, math.nan], [1.0, -math.inf]])
def test_what_is_missing_or_not_finite_is_different_at_any_tolerance(store: Path, losses: list[float]) -> None:
    first, second = stored(store, [1.0, 0.5]), stored(store, losses)
    assert outcome(store, first, second, tolerance=1e9) == ("different", math.inf)


def test_the_reason_names_changes_and_the_place_of_the_largest_difference(store: Path) -> None:
    first, second = stored(store, [1.0, 0.5]), stored(store, [1.0, 0.6])
    parts = compare_runs(Reader(find_store(str(store))), first, second)
    assert why(parts, {"threads": ("1", "2"), "engine": ("", "compiled")}) == (
        "threads: 1 -> 2; engine: unknown -> compiled; largest in epochs: test_loss of cell 0 after epoch 2"
    )
    assert why(parts, {}).startswith("no stored setting has changed")
    same = compare_runs(Reader(find_store(str(store))), first, first)
    assert why(same, {"threads": ("1", "2")}) == "despite changed settings: threads: 1 -> 2"
