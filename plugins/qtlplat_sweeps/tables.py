"""Members and their scores as rows: one for each, or a table of two axes. Nothing is trained or resolved."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.run_columns import short_on_terminals
from qtlplat.conventions import counted, mean_std
from qtlplat.errors import UsageError, unknown_name
from qtlplat.store.core.sweep_records import MemberState
from qtlplat.store.read.queries import Reader

Row = dict[str, Any]


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


def member_rows(reader: Reader, states: Sequence[MemberState], metric: str = "f1") -> list[Row]:
    """A row for each member: its point, run, state and the metric over the cells of its head.

    Raises UsageError if no member has such a metric, and others.
    """
    finished = [one.run for one in states if one.state == "finished" and one.run is not None]
    runs = {run.id: run for run in reader.several(list(dict.fromkeys(finished)))}
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


def flat(rows: Sequence[Row], axes: Sequence[str], metric: str) -> list[Row]:
    """The same for tables and CSV: each axis has a column of its own."""
    return [
        {
            **{axis: row["point"].get(axis) for axis in axes},
            "member": row["member"],
            "state": row["state"],
            metric: row[metric]["mean"],
            "sd": row[metric]["std"],
            "n": row[metric]["n"] or None,
            "run": row["run"],
        }
        for row in rows
    ]


def columns(axes: Sequence[str], metric: str) -> list[Column]:
    """Of `flat` rows."""
    return [
        *(Column(axis, axis) for axis in axes),
        Column("state", "state"),
        Column(metric, metric, right=True, show="{:.4f}".format),
        Column("sd", "± sd", right=True, show="{:.4f}".format),
        Column("n", "n", right=True),
        Column("run", "run", show=short_on_terminals),
    ]


def averaged(rows: Sequence[Row], over: Sequence[str], metric: str) -> list[Row]:
    """Rows of points without some axes: the mean over the means of their members, and their deviation.

    Args:
        rows: Of members.
        over: Axes that are averaged over, as `seed`.
        metric: The metric.

    Returns:
        A row for each remaining point: `members`, how many of them are finished, failed and missing; `std` is that of
        the members' means, and `n` their number.
    """
    groups: dict[tuple[tuple[str, Any], ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple((name, value) for name, value in row["point"].items() if name not in over)].append(row)
    found = []
    for point, members in groups.items():
        means = [row[metric]["mean"] for row in members if row[metric]["mean"] is not None]
        mean, std = mean_std(means)
        states = Counter(row["state"] for row in members)
        failed = states["failed"] + states["killed"]
        found.append(
            {
                "point": dict(point),
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


def flat_averages(rows: Sequence[Row], axes: Sequence[str], metric: str) -> list[Row]:
    """Rows of `averaged` for tables and CSV."""
    return [
        {
            **{axis: row["point"].get(axis) for axis in axes},
            metric: row[metric]["mean"],
            "sd": row[metric]["std"],
            **{key: row[key] for key in ("members", "finished", "failed", "missing")},
        }
        for row in rows
    ]


def average_columns(axes: Sequence[str], metric: str) -> list[Column]:
    """Of `flat_averages`."""
    return [
        *(Column(axis, axis) for axis in axes),
        Column(metric, metric, right=True, show="{:.4f}".format),
        Column("sd", "± sd of members", right=True, show="{:.4f}".format),
        *(Column(key, key, right=True) for key in ("finished", "failed", "missing")),
    ]


def pivot(rows: Sequence[Row], down: str, across: str, metric: str) -> tuple[list[Row], list[Column], str]:
    """A table of two axes: rows, columns, and a sentence on what each of its values is.

    A value is the mean over all members with these two values; it is followed by how many of them are missing.
    """
    others = dict.fromkeys(name for row in rows for name in row["point"] if name not in (down, across))
    found = averaged(rows, list(others), metric)
    values = list(dict.fromkeys(row["point"].get(across) for row in found))
    table: dict[Any, Row] = {}
    for row in found:
        at = row["point"].get(down)
        line = table.setdefault(at, {down: "without" if at is None else at})
        line[_key(row["point"].get(across))] = _cell(row, metric)
    shown = [Column(down, down), *(Column(_key(value), _title(across, value), right=True) for value in values)]
    over = f", mean over {' and '.join(others)}" if others else ""
    n = max((row[metric]["n"] for row in found), default=0)
    told = f"{metric}{over}; {'± sd over them' if others and n > 1 else counted(len(rows), 'member')}"
    return list(table.values()), shown, told


def _key(value: Any) -> str:
    return f"value {value!r}"


def _title(axis: str, value: Any) -> str:
    return f"without {axis}" if value is None else f"{axis}={_text(value)}"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _cell(row: Row, metric: str) -> str:
    mean, std, n = (row[metric][key] for key in ("mean", "std", "n"))
    score = "" if mean is None else f"{mean:.4f}" if std is None or n < 2 else f"{mean:.4f} ± {std:.4f}"
    absent = [f"{row[state]} {state}" for state in ("failed", "missing") if row[state]]
    return " ".join(filter(None, [score, f"({', '.join(absent)})" if absent else ""]))


def axes_of(definition: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """What varies, in the order of the definition."""
    there = {name for row in rows for name in row["point"]}
    return [axis for axis in definition.get("axes", {}) if axis in there]
