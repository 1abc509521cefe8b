"""Members and their scores as rows: one for each, or a table of two axes. Nothing is trained or resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.sweep_points import Row, averaged, finished_runs, member_rows, value_text
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.run_columns import short_on_terminals
from qtlplat.conventions import counted

if TYPE_CHECKING:
    from qtlplat.store.core.sweep_records import MemberState
    from qtlplat.store.read.queries import Reader


def stored_rows(reader: Reader, states: Sequence[MemberState], metric: str = "f1") -> list[Row]:
    """As `member_rows`; reads the finished runs."""
    return member_rows(states, reader.several(finished_runs(states)), metric)


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
    values = {_key(value): value for value in (row["point"].get(across) for row in found)}
    table: dict[str, Row] = {}
    for row in found:
        at = row["point"].get(down)
        line = table.setdefault(_key(at), {down: "without" if at is None else at})
        line[_key(row["point"].get(across))] = _cell(row, metric)
    shown = [Column(down, down), *(Column(key, _title(across, value), right=True) for key, value in values.items())]
    over = f", mean over {' and '.join(others)}" if others else ""
    n = max((row[metric]["n"] for row in found), default=0)
    told = f"{metric}{over}; {'± sd over them' if others and n > 1 else counted(len(rows), 'member')}"
    return list(table.values()), shown, told


def _key(value: Any) -> str:
    return f"value {value!r}"


def _title(axis: str, value: Any) -> str:
    return f"without {axis}" if value is None else f"{axis}={value_text(value)}"


def _cell(row: Row, metric: str) -> str:
    mean, std, n = (row[metric][key] for key in ("mean", "std", "n"))
    score = "" if mean is None else f"{mean:.4f}" if std is None or n < 2 else f"{mean:.4f} ± {std:.4f}"
    absent = [f"{row[state]} {state}" for state in ("failed", "missing") if row[state]]
    return " ".join(filter(None, [score, f"({', '.join(absent)})" if absent else ""]))
