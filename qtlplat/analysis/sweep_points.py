"""The members of a sweep with their scores, one by one or averaged over some axes, as rows that can be printed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import mean_std
from qtlplat.errors import UsageError, safe_repr, unknown_name

if TYPE_CHECKING:
    from qtlplat.store.core.records import RunRecord
    from qtlplat.store.core.sweep_records import MemberState

Row = dict[str, Any]


def finished_runs(states: Sequence[MemberState]) -> list[str]:
    """The ids of the finished runs, each once."""
    found = [one.run for one in states if one.state == "finished" and one.run is not None]
    return list(dict.fromkeys(found))


def counts(states: Sequence[MemberState]) -> dict[str, int]:
    """How many members there are, and in which state."""
    found = Counter(one.state for one in states)
    failed = found["failed"] + found["killed"]
    return {
        "members": len(states),
        "finished": found["finished"],
        "failed": failed,
        "missing": len(states) - found["finished"] - failed,
    }


def member_rows(states: Sequence[MemberState], finished: Sequence[RunRecord], metric: str = "f1") -> list[Row]:
    """A row for each member: its point, run, state and the metric over the cells of its head.

    finished: the records of `finished_runs`. Raises UsageError if no member has such a metric, and others.
    """
    runs = {run.id: run for run in finished}
    known = list(dict.fromkeys(name for run in runs.values() for name in run.metrics))
    if known and metric not in known:
        raise UsageError(unknown_name("metric", metric, known), where="--metric")
    rows = []
    for one in states:
        values = runs[one.run].metrics.get(metric, ()) if one.run in runs else ()
        mean, std = mean_std(values)
        error = one.failures[-1] if one.state in ("failed", "killed") and one.failures else None
        rows.append(
            {
                "point": dict(one.member.point),
                "run": one.run,
                "state": one.state,
                metric: {"mean": mean, "std": std, "n": len(values)},
                "error": error.error if error else None,
                "log": error.log if error else None,
                "member": one.member.position,
            }
        )
    return rows


def averaged(rows: Sequence[Row], over: Collection[str], metric: str) -> list[Row]:
    """Rows of points without some axes: the mean over the means of their members, and their deviation.

    Args:
        rows: Of members.
        over: Axes that are averaged over, as `seed`.
        metric: The metric.

    Returns:
        A row for each remaining point: `members`, how many of them are finished, failed and missing; `std` is that of
        the members' means, and `n` their number.
    """
    found = []
    for point, members in by_point(rows, over):
        means = [row[metric]["mean"] for row in members if row[metric]["mean"] is not None]
        mean, std = mean_std(means)
        states = Counter(row["state"] for row in members)
        failed = states["failed"] + states["killed"]
        found.append(
            {
                "point": point,
                "state": "finished" if len(means) == len(members) else "incomplete",
                metric: {"mean": mean, "std": std, "n": len(means)},
                "runs": [row["run"] for row in members if row["run"] is not None],
                "members": len(members),
                "finished": len(means),
                "failed": failed,
                "missing": len(members) - states["finished"] - failed,
            }
        )
    return found


def by_point(rows: Sequence[Row], over: Collection[str]) -> list[tuple[dict[str, Any], list[Row]]]:
    """Points without some axes, and the rows of the members of each, in their order."""
    found: dict[str, tuple[dict[str, Any], list[Row]]] = {}
    for row in rows:
        point = {name: value for name, value in row["point"].items() if name not in over}
        found.setdefault(json.dumps(list(point.items())), (point, []))[1].append(row)
    return list(found.values())


def place(values: Sequence[Any], value: Any) -> int:
    """Where a value of an axis stands; values are compared as JSON, in which ``true`` is not 1."""
    return [json.dumps(one) for one in values].index(json.dumps(value))


def axes_of(definition: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """What varies, in the order of the definition."""
    there = {name for row in rows for name in row["point"]}
    return [axis for axis in definition.get("axes", {}) if axis in there]


def full_name(name: str, axes: Collection[str], where: str) -> str:
    """The axis that is meant by its name, or by its last part where that is of one axis only.

    Raises UsageError for any other.
    """
    found = [name] if name in axes else [axis for axis in axes if axis.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    what = f"{safe_repr(name)} varies in several places" if found else f"nothing called {safe_repr(name)} varies"
    known = ", ".join(found or axes) or "nothing, each option has one value"
    raise UsageError(what, where=where, fix=f"what varies: {known}")


def value_text(value: Any) -> str:
    """A value of an axis for people."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def point_text(point: Mapping[str, Any]) -> str:
    """The values of a point, for people: ``head.qubits=2, seed=1``."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in point.items())
