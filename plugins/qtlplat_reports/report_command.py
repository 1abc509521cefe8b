"""Write a report on stored runs: HTML, Markdown or LaTeX tables.

The command `qtlplat report`: one file to read, to send, or to put into a paper. No SQL here, no torch.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.files import output_options, refuse, tell_written, write_output
from qtlplat.cli.render.output import where_option
from qtlplat.cli.render.terminal import note, write
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import QtlplatError, UsageError, describe_exception, safe_repr

if TYPE_CHECKING:
    from qtlplat.store.core.records import ReproductionRecord, RunRecord
    from qtlplat.store.read.queries import Reader
    from qtlplat_reports.figures.sweeps import StoredSweep
    from qtlplat_reports.report.material import Audit, Material

MOST_MEMBERS = 50  # of a sweep in the sections on single runs


@click.command("report")
@click.argument("references", metavar="[RUN]..", nargs=-1)
@where_option
@click.option("--sweep", metavar="NAME", help="A sweep, by its name or id, with its finished members.")
@click.option("--recipe", metavar="R", help="The newest stored reproduction of a recipe, with its claims and runs.")
@click.option("--budget", metavar="B", help="With --recipe: the newest reproduction under this budget.")
@click.option(
    "--metric", default="f1", show_default=True, metavar="NAME", help="The metric of scores, differences and figures."
)
@output_options("File to write, .html, .md or .tex by its name. Left out, Markdown goes to stdout.")
@click.option("--audit", is_flag=True, help="Audit the data, too, if it is available.")
@sets_option
@pass_settings
def report_command(
    settings: Settings,
    references: Sequence[str],
    where: str | None,
    sweep: str | None,
    recipe: str | None,
    budget: str | None,
    metric: str,
    output: Path | None,
    force: bool,
    audit: bool,
    sets: Sequence[str],
) -> None:
    """Write a report on stored runs: HTML, Markdown or LaTeX tables.

    RUN is the beginning of an id, @last, @-2 for the one before the last, @best:f1 or @tag:NAME. Without RUN and
    --where, the report covers all runs; with --sweep, a sweep and its members. Backbones are included with the runs
    that use them. Nothing is trained; only the store is read (and the data, with --audit). The HTML is one file without
    scripts and external resources.
    """
    from qtlplat.store.read.filters.names import unquoted
    from qtlplat_reports.figures.stored import metric_of
    from qtlplat_reports.report import format_of, rendered
    from qtlplat_reports.report.contents import document

    if budget and not recipe:
        raise UsageError("--budget needs --recipe", fix="add --recipe NAME, or leave --budget out")
    if sweep and (references or where or recipe):
        raise UsageError("--sweep names the runs, and so do RUN, --where and --recipe", fix="leave one out")
    if sets and not audit:
        raise UsageError("-S needs --audit: nothing else reads data", fix="add --audit, or leave -S out")
    fmt = ".md" if output is None else format_of(output)
    if output is not None:
        refuse(output, force)
    reader = opened(settings)
    if sweep:
        material = _of_sweep(settings, reader, sweep, metric)
    else:
        material = reader.past_damage(lambda: _material(reader, references, where, recipe, budget))
        material = replace(material, metric=metric_of(material.heads, unquoted(metric)))
    if recipe:
        material = replace(material, publication=_publication(settings, recipe))
    if audit:
        material = replace(material, audits=_audits(settings, material, sets))
    text = rendered(document(material, drawn=fmt == ".html"), fmt)
    if output is None:
        write(text)
        return
    data = text.encode("utf-8")
    write_output(output, data, force)
    tell_written(output, data)


def _of_sweep(settings: Settings, reader: Reader, name: str, metric: str) -> Material:
    """A sweep with its best member, and its finished members, or the best ones where there are very many."""
    from qtlplat.api.ranking import best_runs
    from qtlplat.cli.components import open_components
    from qtlplat.store.read.filters.names import unquoted
    from qtlplat_reports.figures.sweeps import read_sweep, with_cells
    from qtlplat_reports.report.privacy import public_sweep

    def read() -> Material:
        stored = with_cells(reader, read_sweep(reader, name, unquoted(metric)))
        stored.scored()
        ranking = best_runs(
            reader, metric, sweep=name, higher_is_better=stored.metric.higher_is_better, honest=True,
            catalog=lambda: open_components(settings)[1],
        )  # fmt: skip
        material = material_of(reader, _told(stored))
        return replace(material, metric=stored.metric, sweep=public_sweep(stored), picked=ranking.choice.overall)

    return reader.past_damage(read)


def _told(sweep: StoredSweep) -> list[str]:
    """The finished runs that all sections tell of: the best ones of many."""
    sign = 1.0 if sweep.metric.lower_is_better else -1.0
    scored = {row["run"]: row[sweep.metric.name]["mean"] for row in sweep.rows if row["run"] in sweep.runs}
    known = [run for run, mean in scored.items() if mean is not None]
    best = sorted(known, key=lambda run: sign * scored[run])[:MOST_MEMBERS]
    return [run for run in scored if run in best] if len(scored) > MOST_MEMBERS else list(scored)


def _material(
    reader: Reader, references: Sequence[str], where: str | None, recipe: str | None, budget: str | None
) -> Material:
    """The runs that are meant, with the commands that make them again."""
    from qtlplat.store.read.chosen import chosen

    record = _reproduction(reader, recipe, budget) if recipe else None
    ids = chosen(reader, references, where) if references or where else []
    if record is not None:
        ids += _runs_of(record, reader)
    elif not references and not where:
        ids = [run.id for run in reader.runs()]
    if not ids and record is None:
        where = f"{reader.location.name} ({reader.location.why})"
        raise UsageError("there are no runs to report on", where=where, fix="make one: qtlplat run")
    return replace(material_of(reader, ids), reproduction=record)


def material_of(reader: Reader, ids: Sequence[str]) -> Material:
    """Runs by their full ids, with the commands that make them again."""
    from qtlplat.catalog.command import command_words
    from qtlplat.store.read.access import DamagedRunError
    from qtlplat_reports.report.material import collect

    material = collect(reader, ids)
    plans = {stored.run.id: stored.run.plan for stored in material.runs if "dataset" in stored.run.plan}
    for run, plan in plans.items():  # a pretraining's plan does not say where it was computed, its environment does
        plans[run] = {"accelerator": material.environments[run].get("accelerator", "cpu"), **plan}
    commands = {}
    for run, plan in plans.items():
        try:
            commands[run] = shlex.join(command_words(plan))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            why = f"runs.plan: no command follows from it: {describe_exception(error, 40)}"
            reader.leave_out({run: why})
            raise DamagedRunError(run, why, reader.location) from error
    return replace(material, commands=commands)


def export_report(reader: Reader, runs: Sequence[str], directory: Path) -> dict[str, Path]:
    """Write a page on runs, by their full ids, into a directory; returns where it is, for each of them."""
    from qtlplat.store.core.files import write_atomically
    from qtlplat_reports.report import rendered
    from qtlplat_reports.report.contents import document

    page = directory / "report.html"
    write_atomically(page, rendered(document(material_of(reader, runs), drawn=True), ".html").encode())
    return dict.fromkeys(runs, page)


def _reproduction(reader: Reader, recipe: str, budget: str | None) -> ReproductionRecord:
    """The newest stored reproduction, of a whole budget if there is one. Raises UsageError if there is none."""
    every = reader.reproductions(recipe)
    fitting = [record for record in every if budget in (None, record.content.budget)]
    found = next((record for record in fitting if "selection" not in record.content.cuts), next(iter(fitting), None))
    if found is None:
        there = ", ".join(dict.fromkeys(record.content.budget for record in every))
        under = f" under budget {safe_repr(budget)}" if budget else ""
        raise UsageError(
            f"no reproduction of recipe {safe_repr(recipe)}{under} is stored"
            + (f"; there is {there}" if there else ""),
            fix="qtlplat ls recipes lists recipes; qtlplat reproduce RECIPE --budget B makes one",
        )
    return found


def _publication(settings: Settings, recipe: str) -> tuple[str, ...]:
    """A recipe's notes on its publication; empty if its plugin is not installed."""
    from qtlplat.catalog.resolve import resolve_component
    from qtlplat.cli.components import open_components
    from qtlplat.recipes import RecipeSpec

    try:
        component, _, _ = resolve_component("recipe", recipe, *open_components(settings))
    except QtlplatError as error:
        note(f"no notes on the publication: {error.what.splitlines()[0]}")
        return ()
    spec: RecipeSpec = component.spec
    return (f"The publication: {spec.citation}", *spec.notes)


def _runs_of(record: ReproductionRecord, reader: Reader) -> list[str]:
    """The runs that claims lead to, and those of the same heads under other evaluators and on other data."""
    every = {run.id: run for run in reader.runs()}
    named = [run for claim in record.content.claims for run in claim.runs if run in every]
    heads = {_head_of(every[run]) for run in named if every[run].kind == "run"}
    others = [run.id for run in every.values() if run.status == "finished" and _head_of(run) in heads]
    return [*dict.fromkeys([*named, *others])]


def _head_of(run: RunRecord) -> str:
    """What a run's model is and how it was trained, whatever it was trained on and evaluated by, as a text."""
    parts = [run.components.get(role) for role in ("backbone", "head")]
    identity = [part and (part.component, part.provider, sorted(part.options.items())) for part in parts]
    own = [run.plan.get(name) for name in ("replace", "training", "pretraining", "seed")]
    return json.dumps((run.kind, identity, own), sort_keys=True, default=str)


def _audits(settings: Settings, material: Material, sets: Sequence[str]) -> tuple[Audit, ...]:
    """An audit of every dataset that runs used, or the reason why it is not available."""
    from qtlplat.analysis.audit import audit
    from qtlplat.catalog.reopen import stored_images
    from qtlplat.cli.commands.data_audit import default_folds
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress
    from qtlplat_reports.report.material import Audit
    from qtlplat_reports.report.privacy import without_paths

    _, catalog = open_components(settings)
    evaluator, divide = default_folds(settings)
    found: dict[str, Audit] = {}
    for stored in material.runs:
        digest, row = stored.run.dataset_digest, stored.run.components.get("dataset")
        if digest in found or row is None:
            continue
        facts: dict[str, Any] | None = None
        why = ""
        try:
            with make_progress(settings.verbosity).stage(f"auditing {row.name}", 1) as stage:
                images = stored_images(stored.run.plan, digest, catalog, sets)
                facts = audit(images, evaluator, partial(divide, images.labels))
                stage.advance()
        except QtlplatError as error:
            why = without_paths(error.what.splitlines()[0])
            note(f"{row.name} is not audited: {error.what}")
        found[digest] = Audit(row.name, digest, facts, why)
    return tuple(found.values())
