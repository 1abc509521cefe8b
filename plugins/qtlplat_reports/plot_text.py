"""The figures as text: bars and strips of characters where a drawing makes sense, tables where it does not.

The numbers are those of the figures, from the same functions; nothing is drawn with matplotlib here.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column, text
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.show_tables import sparkline
from qtlplat.cli.render.terminal import note, say
from qtlplat.conventions import short
from qtlplat_reports.figures import ACROSS
from qtlplat_reports.figures.stored import metric_of, notes

if TYPE_CHECKING:
    from qtlplat.metrics import Metric
    from qtlplat_reports.figures.pareto import Against
    from qtlplat_reports.figures.stored import StoredRun

WIDTH = 40  # characters of a drawing where there is no terminal
FOUR = "{:.4f}".format
SIGNED = "{:+.4f}".format


def print_kind(
    kind: str,
    runs: Sequence[StoredRun],
    metric: str = "f1",
    across: Sequence[str] = ACROSS,
    against: Against | None = None,
) -> None:
    """Print one kind of figure for the runs, with a metric if it is of one; raises as its numbers do.

    across, against: as of `figures.draw`.
    """
    printers: dict[str, Callable[[Sequence[StoredRun]], None]] = {
        "convergence": lambda runs: _convergence(runs, metric_of(runs, metric)),
        "pareto": lambda runs: _pareto(runs, metric_of(runs, metric), against),
        "box": lambda runs: _box(runs, metric_of(runs, metric)),
        "confusion": _confusion,
        "differences": lambda runs: _differences(runs, metric_of(runs, metric)),
        "learning": lambda runs: _learning(runs, metric_of(runs, metric)),
        "errors": _errors,
        "ranks": lambda runs: _ranks(runs, metric_of(runs, metric), across),
    }
    printers[kind](runs)
    for line in notes(runs):
        note(line)


def strip(width: int, low: float, high: float, marks: Sequence[tuple[float, float, str]]) -> str:
    """A line of characters from `low` to `high`; marks: (from, to, character), later ones on top of earlier ones."""
    line = [" "] * width
    span = high - low

    def place(value: float) -> int:
        return min(width - 1, max(0, round((value - low) / span * (width - 1)) if span > 0 else (width - 1) // 2))

    for start, end, character in marks:
        for i in range(place(start), place(end) + 1):
            line[i] = character
    return "".join(line)


def room(taken: int) -> int:
    """The width of a drawing in characters, if `taken` characters are used."""
    if not sys.stdout.isatty():
        return WIDTH
    return max(12, min(60, shutil.get_terminal_size().columns - taken))


def print_table(rows: Sequence[dict[str, Any]], columns: Sequence[Column], least_needed: Sequence[str] = ()) -> None:
    """Print a table; on a narrow terminal the columns that are least needed go first."""
    if sys.stdout.isatty():
        columns = fitting(rows, columns, shutil.get_terminal_size().columns, least_needed)
    emit(rows, columns)


def _heading(stored: StoredRun) -> None:
    say(f"{stored.name} ({stored.run.id})")


def _convergence(runs: Sequence[StoredRun], metric: Metric) -> None:
    """For each run and measure: the best fold's curve, and the band of all folds at its end."""
    from qtlplat_reports.figures.convergence import curves

    rows: list[dict[str, Any]] = []
    for stored in runs:
        run = curves(stored, metric)
        for measure, values in (("test loss", run.loss), ("test accuracy", run.accuracy)):
            best = [float(v) for v in values[run.best]]
            last = [float(v) for v in values[:, -1] if math.isfinite(v)]
            rows.append(
                {
                    "run": stored.id,
                    "measure": measure,
                    "best": run.best_name,
                    "first": best[0],
                    "shape": sparkline(best, room(90)),
                    "last": best[-1],
                    "band": f"{min(last):.4f} to {max(last):.4f}" if last else "",
                    "n": len(run.cells),
                    "epochs": len(run.epochs),
                }
            )
    columns = [
        Column("run", "run"),
        Column("measure", "measure"),
        Column("best", "best"),
        Column("first", "first", right=True, show=FOUR),
        Column("shape", "best, by epoch"),
        Column("last", "last", right=True, show=FOUR),
        Column("band", "all, last epoch"),
        Column("n", "n", right=True),
        Column("epochs", "epochs", right=True),
    ]
    print_table(rows, columns, ("epochs", "n", "first", "band"))


def _pareto(runs: Sequence[StoredRun], metric: Metric, against: Against | None) -> None:
    from qtlplat_reports.figures.pareto import AXES, front, points

    models = sorted(points(runs, metric, against), key=lambda p: p.x)
    cost = models[0].cost
    best = front(models)
    values = [value for p in models for value in p.values]
    low, high = min(values), max(values)
    rows = [
        {
            "model": p.name,
            "runs": ", ".join(map(short, p.runs)),
            "cost": p.x,
            "score": p.mean,
            "sd": p.sd,
            "n": len(p.values),
            "cells": strip(room(90), low, high, [*((v, v, "·") for v in p.values), (p.mean, p.mean, "◆")]),
            "front": "yes" if p in best else "",
        }
        for p in models
    ]
    columns = [
        Column("model", "model"),
        Column("runs", "run"),
        Column("cost", "parameters" if cost == "parameters" else AXES[cost], right=True),
        Column("score", metric.title, right=True, show=FOUR),
        Column("sd", "± sd", right=True, show=FOUR),
        Column("n", "n", right=True),
        Column("cells", f"{metric.title} from {text(low)} to {text(high)}, ◆ mean"),
        Column("front", "unbeaten"),
    ]
    print_table(rows, columns, ("sd", "runs", "front"))


def _box(runs: Sequence[StoredRun], metric: Metric) -> None:
    from qtlplat_reports.figures.box import groups

    found = groups(runs, metric)
    low, high = min(min(g.values) for g in found), max(max(g.values) for g in found)
    rows = []
    for group in found:
        least, first, median, third, greatest = group.summary
        marks = [(least, greatest, "─"), (first, third, "▒"), (median, median, "█")]
        rows.append(
            {
                "name": group.name,
                "run": group.stored.id,
                "n": len(group.values),
                "least": least,
                "first": first,
                "median": median,
                "third": third,
                "greatest": greatest,
                "mean": group.mean,
                "box": strip(room(80), low, high, marks),
            }
        )
    numbers = [("least", "least"), ("first", "1st quartile"), ("median", "median"), ("third", "3rd quartile")]
    numbers += [("greatest", "greatest"), ("mean", "mean")]
    columns = [
        Column("name", f"{metric.title} of"),
        Column("run", "run"),
        Column("n", "n", right=True),
        *(Column(key, title, right=True, show=FOUR) for key, title in numbers),
        Column("box", f"{metric.title} from {text(low)} to {text(high)}"),
    ]
    print_table(rows, columns, ("first", "third", "least", "greatest"))


def _confusion(runs: Sequence[StoredRun]) -> None:
    from qtlplat_reports.figures.confusion import pooled, samples_text

    for stored in runs:
        run = pooled(stored)
        shares, labels = run.shares, range(len(run.classes))
        _heading(stored)
        rows = [
            {
                "true": run.classes[label],
                "n": samples_text(run.counts[label].sum()),
                **{
                    f"{found}": f"{samples_text(run.counts[label, found])} ({100 * shares[label, found]:.1f} %)"
                    if math.isfinite(shares[label, found])
                    else "0"
                    for found in labels
                },
            }
            for label in labels
        ]
        predicted = [Column(f"{found}", f"predicted {run.classes[found]}", right=True) for found in labels]
        emit(rows, [Column("true", "true class"), Column("n", "n", right=True), *predicted])


def _differences(runs: Sequence[StoredRun], metric: Metric) -> None:
    from qtlplat_reports.figures.differences import paired

    found = paired(runs, metric)
    ends = [v for row in found for v in (*row.values, *row.interval, 0.0) if math.isfinite(v)]
    low, high = min(ends), max(ends)
    rows = []
    for row in found:
        least, greatest = row.interval
        known = math.isfinite(least)
        span = [(least, greatest, "─")] if known else []
        marks = [*span, (0.0, 0.0, "|"), *((v, v, "·") for v in row.values), (row.mean, row.mean, "◆")]
        rows.append(
            {
                "first": row.first,
                "second": row.second,
                "runs": " − ".join(dict.fromkeys(map(short, row.ids))),
                "n": row.test.n,
                "cells": len(row.values),
                "mean": row.mean,
                "low": least if known else None,
                "high": greatest if known else None,
                "strip": strip(room(115), low, high, marks),
            }
        )
    columns = [
        Column("first", f"{metric.title} of"),
        Column("second", f"minus {metric.title} of"),
        Column("runs", "runs"),
        Column("cells", "cells", right=True),
        Column("n", "n", right=True),
        Column("mean", "mean", right=True, show=SIGNED),
        Column("low", "95 % from", right=True, show=SIGNED),
        Column("high", "to", right=True, show=SIGNED),
        Column("strip", f"from {low:+.4f} to {high:+.4f}, | zero"),
    ]
    print_table(rows, columns, ("cells", "runs", "n"))


def _learning(runs: Sequence[StoredRun], metric: Metric) -> None:
    from qtlplat_reports.figures.learning import learning

    for stored in runs:
        run = learning(stored, metric)
        _heading(stored)
        values = [value for one in run.curves for ones in one.values for value in ones]
        low, high = min(values), max(values)
        rows = [
            {
                "variant": one.variant,
                "train": size,
                "mean": mean,
                "sd": std,
                "n": len(ones),
                "cells": strip(room(70), low, high, [*((v, v, "·") for v in ones), (mean, mean, "◆")]),
            }
            for one in run.curves
            for size, ones, (mean, std) in zip(one.sizes, one.values, one.spreads, strict=True)
        ]
        columns = [
            Column("variant", "variant"),
            Column("train", "train", right=True),
            Column("mean", metric.title, right=True, show=FOUR),
            Column("sd", "± sd", right=True, show=FOUR),
            Column("n", "n", right=True),
            Column("cells", f"{metric.title} from {text(low)} to {text(high)}, ◆ mean"),
        ]
        print_table(rows, columns, ("n", "sd"))
        for line in run.lines:
            say(line)


def _ranks(runs: Sequence[StoredRun], metric: Metric, fields: Sequence[str]) -> None:
    from qtlplat_reports.figures.ranks import across, rows as rank_rows

    found = across(runs, metric, fields)
    k, critical = len(found.rows), found.ranks.critical_difference
    rows = []
    for one in rank_rows(found):
        rank = one["rank"]
        marks = [(rank, min(float(k), rank + critical), "─"), (rank, rank, "◆")]
        alike = ", ".join(one["not_told_apart"])
        rows.append({**one, "strip": strip(room(90), 1.0, float(k), marks), "not_told_apart": alike})
    columns = [
        Column("label", "configuration"),
        Column("rank", f"mean rank of {metric.title}", right=True, show="{:.2f}".format),
        Column("n", "n", right=True),
        Column("strip", f"from 1 to {k}, ─ critical difference {critical:.2f}"),
        Column("not_told_apart", "not told apart from"),
    ]
    print_table(rows, columns, ("n",))
    for words in found.notes:
        note(words)


def _errors(runs: Sequence[StoredRun]) -> None:
    from qtlplat_reports.figures.errors import out_of_fold_errors

    found = out_of_fold_errors(runs[0])
    _heading(runs[0])
    rows = [{**vars(w), "on": f"{w.wrong_backbones} of {w.backbones}"} for w in found.wrong]
    columns = [
        Column("sample_id", "sample"),
        Column("group", "source"),
        Column("label", "true class", show=found.classes.__getitem__),
        Column("predicted", "predicted", show=found.classes.__getitem__),
        Column("wrong", "wrong", right=True),
        Column("tested", "of", right=True),
        *([Column("on", "on backbones", right=True)] if any(w.backbones > 1 for w in found.wrong) else []),
        Column("certainty", "probability", right=True, show="{:.3f}".format),
    ]
    emit(rows, columns, empty="no errors")
    votes = sum(2 * one.wrong > one.tested for one in found.wrong)
    once = f", {votes} by a vote of their predictions" if found.predictions > found.samples else ""
    note(f"{len(found.wrong)} of {found.samples} samples wrong out of fold{once}; -o errors.png shows their images")
