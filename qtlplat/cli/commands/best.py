"""`qtlplat best`: the best run of every group, and how many it is the best of. No SQL here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.directions import direction_options
from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column, text
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.run_columns import short_on_terminals
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.conventions import counted, mean_std, percent, short
from qtlplat.errors import UsageError
from qtlplat.store.read.filters.names import listed, unquoted

if TYPE_CHECKING:
    from qtlplat.analysis.best import Best
    from qtlplat.api.picking import Picked
    from qtlplat.api.ranking import Ranking
    from qtlplat.catalog.catalog import Catalog
    from qtlplat.store.core.records import RunRecord

PICKED = ("picked", "honest", "method", "interval", "pooled", "why")
TUNING = (
    "--tune chose learning rates and epochs within the training parts, which needs no correction; the honest score "
    "corrects the choice between runs"
)
LEAST_NEEDED = ("parameters", "cells", "leakage", "std", "interval", "median")


@click.command("best")
@click.option(
    "--metric", default="f1", metavar="NAME", show_default=True, help="The metric to rank by, a mean over cells."
)
@click.option(
    "--by",
    metavar="A,B",
    help="The fields that define a group. Default: backbone,head, of runs with the same data and evaluator.",
)
@click.option("--sweep", metavar="NAME", help="Choose among the members of this sweep, by its name or id.")
@click.option(
    "--honest/--no-honest",
    default=None,
    help="Read the predictions of all candidates for the honest score, or of none. Default: 60,000 of 200 runs.",
)
@direction_options
@listing_options
@pass_settings
def best_command(
    settings: Settings,
    metric: str,
    by: str | None,
    sweep: str | None,
    honest: bool | None,
    higher_is_better: bool | None,
    listing: Listing,
) -> None:
    """Show the best finished run of every group, and what to expect of it.

    A metric is a mean over the cells of the head, ± their sample standard deviation. The run's evaluator
    declares whether higher or lower is better; otherwise use --minimize or --maximize. Fields are those of --where.
    Scores on other data, or of another evaluator, are not comparable: such runs are in separate groups unless --by is
    given.

    The mean of the best of several runs was picked on its own folds, and is too good. The honest score is that of the
    same choice on samples that it was not made on (BBC-CV: bootstrap over the stored predictions), with its 95 %
    interval; the last line has it for the choice among all runs.
    """
    from qtlplat.api.ranking import best_runs

    groups = None if by is None else list(dict.fromkeys(listed(by)))
    if groups == []:
        raise UsageError("no field makes a group", where="--by", fix="--by backbone,head")
    reader = opened(settings)

    def read() -> tuple[Ranking, list[RunRecord]]:
        ranking = best_runs(
            reader, metric, groups, listing.where or "", sweep=sweep, higher_is_better=higher_is_better,
            honest=honest, catalog=partial(_catalog, settings),
        )  # fmt: skip
        return ranking, reader.several([one.run for one in ranking.found])

    ranking, records = reader.past_damage(read)
    choice = ranking.choice
    forms = [
        {**_form(one, record, metric), **picked.form()}
        for one, record, picked in zip(ranking.found, records, choice.groups, strict=True)
    ]
    shown = [{**form, **{f"by {name}": value for name, value in form["group"].items()}} for form in forms]
    columns = _columns(ranking.by, metric, several=any(one.candidates > 1 for one in choice.groups))
    if sys.stdout.isatty() and not listing.fmt and not listing.cols:
        empty = {key for key in ("honest", "interval") if all(row.get(key) is None for row in shown)}
        columns = [column for column in columns if column.key not in empty]
        columns = fitting(shown, columns, shutil.get_terminal_size().columns, LEAST_NEEDED)
    frame = {
        "metric": metric,
        "by": list(ranking.by),
        "lower_is_better": ranking.lower_is_better,
        "left_out": ranking.left_out,
        **ranking.facts,
        **_overall(choice.overall),
    }
    emit(
        shown,
        columns,
        replace(listing, where=None),
        json_rows=forms,
        json_frame=frame,
        empty=f"no finished run has {metric}",
    )
    if listing.fmt != "json":
        _remarks(ranking, metric)
        if any(record.plan.get("tuning") for record in records):
            note(TUNING)


add_common_options(best_command)


def _catalog(settings: Settings) -> Catalog:
    """The components, for an evaluator of a plugin with a metric of its own; opening them takes longer than a query."""
    from qtlplat.cli.components import open_components

    return open_components(settings)[1]


def _form(best: Best, record: RunRecord, metric: str) -> dict[str, Any]:
    values = record.metrics.get(unquoted(metric), ())
    return {
        "group": dict(best.group),
        "run": record.id,
        "mean": best.value,
        "std": mean_std(values)[1],  # of a plain metric: anything else is no mean over cells
        "cells": max(map(len, record.metrics.values()), default=0),
        "runs": best.runs,
        "median": best.median,
        "leakage": record.leakage,
        "parameters": record.parameters.get("model_total"),
    }


def _overall(picked: Picked | None) -> dict[str, Any]:
    """The best of all runs, for programs."""
    if picked is None:
        return {"run": None, "candidates": 0, **dict.fromkeys(PICKED)}
    return {"run": picked.run, "candidates": picked.candidates, **picked.form()}


def _columns(groups: Sequence[str], metric: str, *, several: bool) -> list[Column]:
    return [
        *(Column(f"by {name}", name) for name in groups),
        Column("run", "run", show=short_on_terminals),
        Column("mean", f"{metric} (picked)" if several else metric, right=True, show="{:.4f}".format),
        Column("std", "± sd", right=True, show="{:.4f}".format),
        Column("honest", "honest", right=True, show="{:.4f}".format),
        Column("interval", "95 %", right=True, show=_interval),
        Column("cells", "cells", right=True),
        Column("runs", "best of", right=True),
        Column("median", "median", right=True, show="{:.4f}".format),
        Column("leakage", "leakage", right=True, show=percent),
        Column("parameters", "parameters", right=True),
    ]


def _interval(value: Sequence[float]) -> str:
    return f"{value[0]:.4f} to {value[1]:.4f}"


def _remarks(ranking: Ranking, metric: str) -> None:
    if ranking.remark:
        note(ranking.remark)
    for words, groups in _reasons(ranking.choice.groups).items():
        note(f"no honest score of {', '.join(map(short, groups))}: {words}")
    overall = ranking.choice.overall
    if overall and overall.candidates > 1:
        note(f"best of {overall.candidates} runs: {short(overall.run)}, {metric} {_in_words(overall)}")
    most = max((one.runs for one in ranking.found), default=0)
    if most > 1:
        note(
            f"the best of up to {most} runs is partly lucky: expect the honest score on new data, and test differences "
            "with qtlplat compare"
        )
    if ranking.left_out:
        one = ranking.left_out == 1
        note(f"{text(ranking.left_out)} finished {'run has' if one else 'runs have'} no {metric}")


def _reasons(groups: Sequence[Picked]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for one in groups:
        if one.why:
            reasons.setdefault(one.why, []).append(one.run)
    return reasons


def _in_words(overall: Picked) -> str:
    picked = f"{overall.picked:.4f} picked on these folds"
    if overall.honest is None or overall.interval is None:
        return f"{picked}; no honest score: {overall.why}"
    tested = f"{overall.samples} samples of {counted(overall.groups or 0, 'source image')}"
    return (
        f"{picked}; honest {overall.honest:.4f}, 95 % interval {_interval(overall.interval)} "
        f"({overall.method} over {tested})"
    )
