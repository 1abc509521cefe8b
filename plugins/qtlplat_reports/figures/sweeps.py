"""What a figure of a sweep is made of: its members with their scores, and which of its axes are drawn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.sweep_points import (
    Row,
    axes_of,
    by_point,
    counts,
    finished_runs,
    full_name,
    member_rows,
    value_text,
)
from qtlplat.command_hints import shell_word
from qtlplat.conventions import HEAD, LEAKAGES, leakage_line
from qtlplat.errors import DataError, UsageError
from qtlplat.metrics import SHIPPED, Metric, agreed, declared_metrics

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord, RunRecord
    from qtlplat.store.core.sweep_records import MemberState
    from qtlplat.store.read.queries import Reader

SEED = "seed"
WITHOUT = "without"  # an axis that a member does not have
LEAST_DECADE = 10.0  # times between two values that are on a logarithmic scale


@dataclass(frozen=True)
class StoredSweep:
    """A stored sweep.

    axes: what varies, with its values in order; rows: of `sweep_points.member_rows`; runs: the finished ones, by id;
    cells: the finished cells of their heads, where they were asked for; mixture: of
    datasets or evaluators, in words, '' if all runs were tested alike.
    """

    name: str
    definition: Mapping[str, Any]
    states: tuple[MemberState, ...]
    metric: Metric
    axes: Mapping[str, tuple[Any, ...]]
    rows: tuple[Row, ...]
    runs: Mapping[str, RunRecord]
    cells: Mapping[str, tuple[CellRecord, ...]] = field(default_factory=dict)
    mixture: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """As of `sweep_points.counts`."""
        return counts(self.states)

    def scored(self) -> None:
        """Raise DataError if no member has a score."""
        if all(row[self.metric.name]["mean"] is None for row in self.rows):
            raise DataError(
                f"sweep {self.name} has no finished member",
                where=", ".join(f"{number} {state}" for state, number in self.counts.items()),
                fix=f"continue it: qtlplat sweep {shell_word(self.name)}",
            )

    def chosen_axes(self, asked: Sequence[str], number: int) -> list[str]:
        """The axes that were asked for, as many as they should be; raises UsageError for others."""
        found = [full_name(name, list(self.axes), "--axes") for name in asked]
        if len(found) != number or len(set(found)) != number:
            some = ",".join([*self.axes][:number]) or "A,B"
            what = f"this figure has {number} axes" if number > 1 else "this figure has one axis"
            raise UsageError(what, where="--axes", fix=f"--axes {some}")
        return found

    def numeric(self, axis: str) -> bool:
        """Whether all values of an axis are numbers."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.axes[axis])

    def varied(self, rows: Sequence[Row]) -> list[str]:
        """Axes that have several values in some of the members, but for the seed; those of numbers first."""
        found = [a for a in self.axes if a != SEED and len({repr(row["point"].get(a)) for row in rows} - {"None"}) > 1]
        return sorted(found, key=lambda axis: not self.numeric(axis))

    def short(self, axis: str) -> str:
        """The last part of an axis's name, ``qubits`` of ``head.qubits``, if it is of this axis only; else the name."""
        last = axis.rpartition(".")[2]
        return last if sum(other.rpartition(".")[2] == last for other in self.axes) < 2 else axis

    def point_words(self, point: Mapping[str, Any]) -> str:
        """A point for people, in few words; '' for one of no axis."""
        return ", ".join(f"{self.short(axis)}={self.value(axis, value)}" for axis, value in point.items())

    def value(self, axis: str, value: Any) -> str:
        """A value of an axis, with three digits where these tell all of its values apart; None: `WITHOUT`."""
        if value is None:
            return WITHOUT
        if not isinstance(value, float):
            return value_text(value)
        short = [f"{one:.3g}" for one in self.axes[axis] if isinstance(one, float)]
        return f"{value:.3g}" if len(set(short)) == len(short) else value_text(value)

    def values_in(self, axis: str, rows: Sequence[Row], *, without_first: bool = False) -> tuple[Any, ...]:
        """The values of an axis that some of the points have, and None if a point lacks the axis."""
        there = {repr(row["point"].get(axis)) for row in rows}
        every = (None, *self.axes[axis]) if without_first else (*self.axes[axis], None)
        return tuple(value for value in every if repr(value) in there)

    def others(self, rows: Sequence[Row], drawn: Collection[str]) -> dict[str, int]:
        """Axes that are averaged over where only some are drawn, with the number of values that a mean is over."""
        rest = [axis for axis in self.axes if axis not in drawn]
        groups = [members for _, members in by_point(rows, rest)]
        numbers = {a: max(len({repr(row["point"].get(a)) for row in one}) for one in groups) for a in rest if groups}
        return {axis: number for axis, number in numbers.items() if number > 1}

    def over_words(self, over: Mapping[str, int]) -> str:
        """What is averaged over, for a caption; '' for nothing."""
        if not over:
            return ""
        *first, last = [f"{axis} ({number} values)" for axis, number in over.items()]
        return f"Averaged over {' and '.join(filter(None, [', '.join(first), last]))}."

    def without_seed(self) -> list[tuple[dict[str, Any], list[Row]]]:
        """Points without the seed, and the members of each."""
        return by_point(self.rows, (SEED,))

    def best(self, means: Sequence[float | None]) -> int | None:
        """The place of the best mean; None if there is none."""
        known = [i for i, mean in enumerate(means) if mean is not None and math.isfinite(mean)]
        sign = -1.0 if self.metric.lower_is_better else 1.0
        return max(known, key=lambda i: sign * float(means[i] or 0.0), default=None)


def read_sweep(reader: Reader, name: str, metric: str = "f1") -> StoredSweep:
    """A sweep by its name or the beginning of its id, without cells.

    Raises UsageError for an unknown sweep or metric, or one whose direction is not declared.
    """
    from qtlplat.store.read.conditions import conditions, mixture
    from qtlplat.store.read.sweeps import member_states, named_sweep

    sweep = named_sweep(reader, name)
    states = tuple(member_states(reader, sweep))
    ids = finished_runs(states)
    runs = reader.several(ids)
    rows = member_rows(states, runs, metric)
    known = sweep.content.definition.get("axes", {})
    return StoredSweep(
        sweep.content.name,
        sweep.content.definition,
        states,
        _metric(reader, ids, metric),
        {axis: _in_order(known[axis]) for axis in axes_of(sweep.content.definition, rows)},
        tuple(rows),
        {run.id: run for run in runs},
        mixture=mixture(conditions(reader, ids)),
    )


def with_cells(reader: Reader, sweep: StoredSweep) -> StoredSweep:
    """The same with the cells of its runs."""
    return replace(sweep, cells={run: tuple(_of_head(reader.cells(run))) for run in sweep.runs})


def _of_head(cells: Sequence[CellRecord]) -> list[CellRecord]:
    return [cell for cell in cells if cell.variant == HEAD and cell.status == "finished"]


def _metric(reader: Reader, ids: Sequence[str], name: str) -> Metric:
    if name in SHIPPED:
        return SHIPPED[name]
    declared = [(run, declared_metrics(reader.environment(run)).get(name)) for run in ids]
    return agreed(name, declared, "make a sweep of one evaluator")


def _in_order(values: Sequence[Any]) -> tuple[Any, ...]:
    """Numbers ascending, everything else as it was typed."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return tuple(sorted(values)) if numbers else tuple(values)


def on_a_log_scale(values: Sequence[float]) -> bool:
    """Whether numbers are spaced more evenly by their logarithms than by themselves; two of them, if a decade apart."""
    ordered = sorted(set(values))
    if len(ordered) < 2 or ordered[0] <= 0:
        return False
    if len(ordered) == 2:
        return ordered[1] >= LEAST_DECADE * ordered[0]
    logs = list(map(math.log, ordered))
    return _unevenness(logs) < _unevenness(ordered)


def _unevenness(ordered: Sequence[float]) -> float:
    steps = [b - a for a, b in itertools.pairwise(ordered)]
    return max(steps) / min(steps)


def closing_lines(sweep: StoredSweep, what: str) -> list[str]:
    """The end of a caption: that the best of many was picked, what tested the members, and what was seen of the tests.

    what: the best of many in the figure.
    """
    command = f"qtlplat best --sweep {shell_word(sweep.name)}"
    lines = [f"{what} was picked on the folds that it is scored on; {command} corrects that."]
    if sweep.mixture:
        lines.append(f"The members use {sweep.mixture}: their scores are not comparable.")
    runs = sweep.runs.values()
    tested = dict.fromkeys(run.components["evaluator"].name for run in runs if "evaluator" in run.components)
    lines += [f"Tested by {', '.join(tested)}."] if tested else []
    seen = {name: [float(getattr(run, name) or 0.0) for run in runs] for name in LEAKAGES}
    if words := leakage_line({name: max(shares, default=0.0) for name, shares in seen.items()}):
        most = ", at most" if any(len(set(shares)) > 1 for shares in seen.values()) else ""
        lines.append(f"Leakage{most}: {words.removeprefix('leakage: ')}.")
    return lines


def state_line(sweep: StoredSweep) -> str:
    """How many members there are, for a caption."""
    told = sweep.counts
    left = [f"{told[state]} {state}" for state in ("failed", "missing") if told[state]]
    return f"Sweep {sweep.name}: {told['finished']} of {told['members']} members finished" + (
        f", {', '.join(left)}." if left else "."
    )
