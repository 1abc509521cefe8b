"""`qtlplat compare RUN RUN..`: differences between runs, with intervals, tests and a verdict in words. No SQL here."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from qtlplat.analysis.explain_difference import differing
from qtlplat.cli.directions import direction_options
from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.differences import forms as difference_forms, list_differences, print_differences
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.run_columns import short_on_terminals
from qtlplat.cli.render.terminal import note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.conventions import percent, said_once, short
from qtlplat.errors import UsageError
from qtlplat.store.read.filters.names import listed, unquoted

if TYPE_CHECKING:
    from qtlplat.analysis.comparison import Asked
    from qtlplat.store.read.loaded import Gathered
    from qtlplat.store.read.queries import Reader


def _number(value: float) -> str:
    return f"{value:.4f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _interval(value: Sequence[float]) -> str:
    return f"{value[0]:+.4f} to {value[1]:+.4f}"


COLUMNS = (
    Column("run", "run", show=short_on_terminals),
    Column("label", "what"),
    Column("mean", "mean", right=True, show=_number),
    Column("std", "± sd", right=True, show=_number),
    Column("cells", "cells", right=True),
    Column("difference", "difference", right=True, show=_signed),
    Column("interval", "interval", right=True, show=_interval),
    Column("n", "n", right=True),
    Column("p", "p", right=True),
    Column("p_adjusted", "p (Holm)", right=True),
    Column("test", "test"),
    Column("verdict", "verdict"),
)
# shown by --csv, and by --cols where they are named
FURTHER = (
    Column("variant", "variant"),
    Column("leakage", "leakage", right=True, show=percent),
    Column("group_leakage", "group leakage", right=True, show=percent),
    Column("selection_leakage", "selection leakage", right=True, show=percent),
    Column("trainable", "trainable", right=True),
    Column("model_total", "model total", right=True),
    Column("bootstrap", "bootstrap", right=True, show=_interval),
    Column("mcnemar", "McNemar"),
    Column("unit", "unit"),
    Column("n_backbones", "backbones", right=True),
    Column("power", "power", right=True, show=lambda value: f"{value:.2f}"),
    Column("components", "components"),
    Column("rope", "ROPE"),
    Column("needed", "needed"),
    Column("not_converged", "not converged"),
    Column("by_metric", "by metric"),
    Column("disagreement", "disagreement"),
    Column("notes", "notes"),
)
# a sentence each: on a terminal they stand below the table
SENTENCES = ("test", "verdict")
# given up one after the other where a terminal is too narrow; n is told below the table as well
LEAST_NEEDED = ("cells", "std", "p_adjusted", "n", "p", "run")


def asked_for(reader: Reader, references: Sequence[str], baseline: str | None) -> list[Gathered]:
    """The runs that are meant with all that is stored of them, each once, the baseline first."""
    from qtlplat.store.read.loaded import gather

    ids = dict.fromkeys(reader.resolve(reference) for reference in references)
    first = reader.resolve(baseline) if baseline else next(iter(ids))
    return gather(reader, list(dict.fromkeys([first, *ids])), training=True)


@click.command("compare")
@click.argument("references", metavar="RUN...", nargs=-1, required=True)
@click.option("--metric", default="f1", metavar="NAME", show_default=True, help="The metric to compare, of every cell.")
@click.option("--baseline", metavar="RUN", help="Compare all others with this run. Default: the first.")
@click.option(
    "--rope",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    metavar="X",
    help="Region of practical equivalence: treat differences within ±X as negligible.",
)
@click.option(
    "--level",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    metavar="X",
    help="Confidence level of tests and intervals.",
)
@click.option(
    "--detect",
    type=click.FloatRange(min=0, min_open=True),
    default=0.01,
    show_default=True,
    metavar="X",
    help="Estimate the power to detect a difference of X, and the backbones and seeds that it takes.",
)
@click.option(
    "--across",
    metavar="A,B",
    help="Compare heads over datasets (dataset), backbones (backbone) or other fields: ranks, signed-rank tests.",
)
@click.option("--differences", "only_differences", is_flag=True, help="List only the differing settings of the runs.")
@direction_options
@listing_options
@pass_settings
def compare_command(
    settings: Settings,
    references: tuple[str, ...],
    metric: str,
    baseline: str | None,
    rope: float,
    level: float,
    detect: float,
    across: str | None,
    only_differences: bool,
    higher_is_better: bool | None,
    listing: Listing,
) -> None:
    """Compare runs, or a run with its controls: difference, p, verdict.

    On a terminal and in JSON, the differing settings of the runs come first.

    RUN is the beginning of an id, @last, @-2 (the one before the last), @best:f1 or @tag:paper. Differences are the
    others minus the first RUN. Cells of the same backbone, fold, seed and test samples are paired; a single RUN has its
    controls compared with its head. With one backbone the verdict is about it only (run --backbones). Several
    comparisons are one family: Holm's p decides. A verdict says which sides have not converged, and where F1, ROC-AUC
    and log-loss disagree.
    """
    runs = asked_for(opened(settings), references, baseline)
    ids = [gathered.run.id for gathered in runs]
    differences = [one for one in differing(runs) if one.kind != "place"]
    if only_differences:
        list_differences(differences, ids, listing)
        return
    from qtlplat.analysis.comparison import Asked
    from qtlplat.analysis.several_metrics import compare_by_metrics
    from qtlplat.analysis.sides import opposed

    if across is not None:
        _across(runs, across, Asked(unquoted(metric), level, rope, detect, higher_is_better), listing)
        return
    first, others = opposed(runs, twice=len(references) > 1 or baseline is not None)
    metric = unquoted(metric)  # as in filters, where names with spaces need the quotes
    asked = Asked(metric, level, rope, detect, higher_is_better)
    forms = [row.form() for row in compare_by_metrics(first, others, asked)]
    frame = {
        "metric": metric,
        "baseline": first.run.id,
        "level": level,
        "lower_is_better": asked.metric_of([first, *others]).lower_is_better,
        "differences": difference_forms(differences, ids),
    }
    names = _told_apart(forms)
    on_terminal = sys.stdout.isatty() and not listing.fmt
    columns: Sequence[Column] = (*COLUMNS, *FURTHER) if listing.cols or listing.for_programs else COLUMNS
    if on_terminal and not listing.cols:
        columns = [column for column in COLUMNS if column.key not in SENTENCES and _any(forms, column.key)]
        # a single run needs no telling apart; several are named by their ids above
        least = LEAST_NEEDED if len(runs) > 1 else ("cells", "std", "run", *LEAST_NEEDED)
        columns = fitting(forms, columns, shutil.get_terminal_size().columns, least)
    if on_terminal and len(runs) > 1:
        print_differences(differences, ids)
    emit(forms, columns, listing, json_rows=forms, json_frame=frame)
    if on_terminal and not listing.cols:
        for form in forms[1:]:
            words = f"{form['verdict']}  (n = {form['n']}, {form['test'] or 'no test'})"
            say(f"{names[form['run'], form['variant']]}: {words}")
    if listing.fmt != "json":
        for words in said_once((names[form["run"], form["variant"]], form["notes"]) for form in forms):
            note(words)


def _across(runs: Sequence[Gathered], across: str, asked: Asked, listing: Listing) -> None:
    from qtlplat.analysis.across import compare_across
    from qtlplat.analysis.sides import variants
    from qtlplat.cli.render.across import print_across
    from qtlplat.metrics import declared_metrics

    fields = list(dict.fromkeys(unquoted(field) for field in listed(across)))
    if not fields:
        raise UsageError("no field is named", where="--across", fix="--across dataset")
    heads = [variants(run.run, run.cells, declared=declared_metrics(run.environment))[0] for run in runs]
    found = compare_across(heads, fields, asked)
    frame = {"metric": asked.metric, "baseline": runs[0].run.id, "level": asked.level,
             "lower_is_better": found.lower_is_better}  # fmt: skip
    print_across(found, listing, frame)


def _told_apart(forms: Sequence[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """What each row is called below the table: its label, with the run's id where two runs have the same."""
    labels = Counter(label for label, _ in {(form["label"], form["run"]) for form in forms})
    return {
        (form["run"], form["variant"]): form["label"]
        if labels[form["label"]] == 1
        else f"{form['label']} ({short(form['run'])})"
        for form in forms
    }


def _any(forms: Sequence[dict[str, Any]], key: str) -> bool:
    return any(form[key] is not None for form in forms)


add_common_options(compare_command)
