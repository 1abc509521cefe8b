"""`qtlplat best`: the best run of every group, and how many it is the best of. No SQL here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
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
from qtlplat.conventions import mean_std, percent
from qtlplat.errors import UsageError
from qtlplat.store.read.filters.names import listed, unquoted

if TYPE_CHECKING:
    from qtlplat.analysis.best import Best
    from qtlplat.api.ranking import Ranking
    from qtlplat.store.core.records import RunRecord

LEAST_NEEDED = ("parameters", "cells", "leakage", "median")


@click.command("best")
@click.option(
    "--metric", default="f1", metavar="NAME", show_default=True, help="The metric to rank by, a mean over cells."
)
@click.option(
    "--by",
    metavar="A,B",
    help="The fields that define a group. Default: backbone,head, of runs with the same data and evaluator.",
)
@direction_options
@listing_options
@pass_settings
def best_command(
    settings: Settings, metric: str, by: str | None, higher_is_better: bool | None, listing: Listing
) -> None:
    """Show the best finished run of every group.

    A metric is a mean over the cells of the head, ± their sample standard deviation. The run's evaluator
    declares whether higher or lower is better; otherwise use --minimize or --maximize. Fields are those of --where.
    Scores on other data, or of another evaluator, are not comparable: such runs are in separate groups unless --by is
    given. The best of many runs is partly lucky, more so the more runs there are: compare it with the median of the
    group.
    """
    from qtlplat.api.ranking import best_runs

    groups = None if by is None else list(dict.fromkeys(listed(by)))
    if groups == []:
        raise UsageError("no field makes a group", where="--by", fix="--by backbone,head")
    reader = opened(settings)

    def read() -> tuple[Ranking, list[RunRecord]]:
        ranking = best_runs(reader, metric, groups, listing.where or "", higher_is_better=higher_is_better)
        return ranking, reader.several([one.row["run"] for one in ranking.found])

    ranking, records = reader.past_damage(read)
    forms = [_form(one, record, metric) for one, record in zip(ranking.found, records, strict=True)]
    shown = [{**form, **{f"by {name}": value for name, value in form["group"].items()}} for form in forms]
    columns = _columns(ranking.by, metric)
    if sys.stdout.isatty() and not listing.fmt and not listing.cols:
        columns = fitting(shown, columns, shutil.get_terminal_size().columns, LEAST_NEEDED)
    frame = {
        "metric": metric,
        "by": list(ranking.by),
        "lower_is_better": ranking.lower_is_better,
        "left_out": ranking.left_out,
        **ranking.facts,
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


add_common_options(best_command)


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


def _columns(groups: Sequence[str], metric: str) -> list[Column]:
    return [
        *(Column(f"by {name}", name) for name in groups),
        Column("run", "run", show=short_on_terminals),
        Column("mean", metric, right=True, show="{:.4f}".format),
        Column("std", "± sd", right=True, show="{:.4f}".format),
        Column("cells", "cells", right=True),
        Column("runs", "best of", right=True),
        Column("median", "median", right=True, show="{:.4f}".format),
        Column("leakage", "leakage", right=True, show=percent),
        Column("parameters", "parameters", right=True),
    ]


def _remarks(ranking: Ranking, metric: str) -> None:
    if ranking.remark:
        note(ranking.remark)
    most = max((one.runs for one in ranking.found), default=0)
    if most > 1:
        note(
            f"the best of up to {most} runs is partly lucky: expect less on new data, see the median, "
            "and test differences with qtlplat compare"
        )
    if ranking.left_out:
        one = ranking.left_out == 1
        note(f"{text(ranking.left_out)} finished {'run has' if one else 'runs have'} no {metric}")
