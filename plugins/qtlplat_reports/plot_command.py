"""Plot stored runs in the terminal, or with -o as PNG, SVG or PDF.

The command `qtlplat plot`. No SQL here, no torch, no drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import write_json
from qtlplat.cli.render.files import output_options, refuse, tell_written, write_output
from qtlplat.cli.render.output import where_option
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import UsageError
from qtlplat_reports.figures import ACROSS, KINDS, NEEDS_PREDICTIONS, OF_A_METRIC

if TYPE_CHECKING:
    from qtlplat.contracts import ImageSet
    from qtlplat_reports.figures.stored import StoredRun


@click.command("plot")
@click.argument("references", metavar="[RUN]..", nargs=-1)
@where_option
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    show_default=True,
    help="Loss and accuracy by epoch; a metric against parameters; a metric of every cell; confusion matrices; paired "
    "differences of a metric; a metric by number of training samples; the samples that a run gets wrong; mean ranks "
    "over datasets with their critical difference.",
)
@click.option("--metric", metavar="NAME", help=f"The metric of {', '.join(OF_A_METRIC)}; f1 unless it is given.")
@click.option("--across", metavar="A,B", help="The fields that ranks are over. Default: dataset.")
@output_options("File to write, PNG, SVG or PDF by its name. Left out, the same numbers are drawn in the terminal.")
@sets_option
@click.option("--json", "as_json", is_flag=True, help="Print the figure's numbers as strict JSON with stable keys.")
@pass_settings
def plot_command(
    settings: Settings,
    references: Sequence[str],
    where: str | None,
    kind: str,
    metric: str | None,
    across: str | None,
    output: Path | None,
    force: bool,
    sets: Sequence[str],
    as_json: bool,
) -> None:
    """Plot stored runs in the terminal, or with -o as PNG, SVG or PDF.

    RUN is the beginning of an id, @last, @-2 for the one before the last, @best:f1 or @tag:NAME; without RUN,
    --where selects runs. Several runs are plotted side by side; for differences the first one is the baseline, and a
    single run is compared with its controls.
    """
    if as_json and output is not None:
        raise UsageError("--json and --output are two answers", fix="choose one: numbers or a figure")
    if sets and (kind != "errors" or output is None):
        raise UsageError("-S needs --kind errors and -o: nothing else reads images", fix="leave -S out")
    if metric is not None and kind not in OF_A_METRIC:
        fix = f"leave it out, or choose --kind {' or '.join(OF_A_METRIC)}"
        raise UsageError(f"a figure of {kind} shows no metric of choice", where="--metric", fix=fix)
    if across is not None and kind != "ranks":
        raise UsageError("--across is of ranks only", fix="leave it out, or choose --kind ranks")
    fmt = ""
    if output is not None:
        from qtlplat_reports.figures.files import format_of
        from qtlplat_reports.figures.style import require_matplotlib

        fmt = format_of(output)
        refuse(output, force)
        require_matplotlib()
    from qtlplat.store.read.filters.names import listed, unquoted

    fields = ACROSS if across is None else tuple(unquoted(field) for field in listed(across))
    runs, name = _read(settings, references, where, kind), unquoted(metric or "f1")
    if as_json:
        from qtlplat_reports.figures.forms import form

        write_json(form(kind, runs, name, fields))
        return
    if output is None:
        from qtlplat_reports.plot_text import print_kind

        print_kind(kind, runs, name, fields)
        return
    from qtlplat_reports.figures import draw
    from qtlplat_reports.figures.files import encoded

    images = _images(settings, runs[0], sets) if kind == "errors" else None
    data = encoded(draw(kind, runs, images, name, fields), fmt)
    write_output(output, data, force)
    tell_written(output, data)


def _read(settings: Settings, references: Sequence[str], where: str | None, kind: str) -> list[StoredRun]:
    """The runs that are meant, each once: in the order in which they were named, or those that a filter selects."""
    from qtlplat.store.read.chosen import chosen
    from qtlplat.store.read.conditions import conditions, mixture
    from qtlplat_reports.figures.stored import read

    reader = opened(settings)

    def read_all() -> list[StoredRun]:
        ids = chosen(reader, references, where)
        if kind == "errors" and len(ids) > 1:
            raise UsageError(f"a figure of errors shows one run, not {len(ids)}", fix="name one run")
        return [read(reader, run_id, predictions=kind in NEEDS_PREDICTIONS) for run_id in ids]

    runs = reader.past_damage(read_all)
    for stored in runs:
        if stored.run.status != "finished":
            note(f"run {stored.id} is {stored.run.status}: what is drawn of it is not all")
    if kind in ("pareto", "box") and (
        words := mixture(set(conditions(reader, [stored.run.id for stored in runs]).values()))
    ):
        note(f"these runs use {words}: their scores are not comparable")
    return runs


def _images(settings: Settings, stored: StoredRun, sets: Sequence[str]) -> ImageSet:
    from qtlplat.catalog.reopen import stored_images
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress

    _, catalog = open_components(settings)
    record = stored.run
    with make_progress(settings.verbosity).stage("reading the images", 1) as stage:
        images = stored_images(record.plan, record.dataset_digest, catalog, sets)
        stage.advance()
    return images
