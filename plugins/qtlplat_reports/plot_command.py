"""Plot stored runs, or a sweep, in the terminal, or with -o as PNG, SVG or PDF.

The command `qtlplat plot`. No SQL here, no torch, no drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.files import output_options, refuse, tell_written, write_output
from qtlplat.cli.render.output import Listing, emit, where_option
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import UsageError
from qtlplat_reports.figures import ACROSS, AGAINST, KINDS, NEEDS_PREDICTIONS, OF_A_METRIC, OF_A_SWEEP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtlplat.contracts import ImageSet
    from qtlplat.store.read.queries import Reader
    from qtlplat_reports.figures.stored import StoredRun


@click.command("plot")
@click.argument("references", metavar="[RUN]..", nargs=-1)
@where_option
@click.option("--sweep", metavar="NAME", help="Plot the members of this sweep, by its name or id.")
@click.option(
    "--kind",
    type=click.Choice((*KINDS, *OF_A_SWEEP)),
    help="Loss and accuracy by epoch; a metric against parameters; a metric of every cell; confusion matrices; paired "
    "differences of a metric; a metric by number of training samples; the samples that a run gets wrong; mean ranks "
    "over datasets with their critical difference. Of a sweep only: a metric over two axes; over an axis of numbers, "
    f"with intervals; over all axes. Default: {KINDS[0]}; of a sweep, what its axes allow.",
)
@click.option(
    "--metric",
    metavar="NAME",
    help=f"The metric of {', '.join((*OF_A_METRIC, *OF_A_SWEEP))}; f1 unless it is given.",
)
@click.option(
    "--axes",
    metavar="A,B",
    help="Down and across of a heat map; the axis of lines, and the one that tells them apart; those of parallel.",
)
@click.option("--across", metavar="A,B", help="The fields that ranks are over. Default: dataset.")
@click.option(
    "--against",
    type=click.Choice(AGAINST),
    help="What pareto is against: parameters of the whole model (default), trained ones, or seconds a cell.",
)
@output_options("File to write, PNG, SVG or PDF by its name. Left out, the same numbers are drawn in the terminal.")
@sets_option
@click.option("--json", "as_json", is_flag=True, help="Print the figure's numbers as strict JSON with stable keys.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the figure's numbers as CSV.")
@pass_settings
def plot_command(
    settings: Settings,
    references: Sequence[str],
    where: str | None,
    sweep: str | None,
    kind: str | None,
    metric: str | None,
    axes: str | None,
    across: str | None,
    against: str | None,
    output: Path | None,
    force: bool,
    sets: Sequence[str],
    as_json: bool,
    as_csv: bool,
) -> None:
    """Plot stored runs, or a sweep, in the terminal, or with -o as PNG, SVG or PDF.

    RUN is the beginning of an id, @last, @-2 for the one before the last, @best:f1 or @tag:NAME; without RUN,
    --where selects runs, or --sweep the finished members of a sweep. Several runs are plotted side by side; for
    differences the first one is the baseline, and a single run is compared with its controls.
    """
    from qtlplat.store.read.filters.names import listed, unquoted

    asked = _Asked(sweep, kind or ("" if sweep else KINDS[0]), unquoted(metric or "f1"), against or AGAINST[0],
                   tuple(map(unquoted, listed(axes or ""))),
                   ACROSS if across is None else tuple(map(unquoted, listed(across))))  # fmt: skip
    if as_json + as_csv + (output is not None) > 1:
        raise UsageError("--json, --csv and --output are several answers", fix="choose one: numbers or a figure")
    if sweep and (references or where):
        raise UsageError("--sweep names the runs, and so do RUN and --where", fix="leave one out")
    if sets and (kind != "errors" or output is None):
        raise UsageError("-S needs --kind errors and -o: nothing else reads images", fix="leave -S out")
    _check(asked, {"--metric": metric, "--axes": axes, "--across": across, "--against": against})
    fmt = ""
    if output is not None:
        from qtlplat_reports.figures.files import format_of
        from qtlplat_reports.figures.style import require_matplotlib

        fmt = format_of(output)
        refuse(output, force)
        require_matplotlib()
    form = "json" if as_json else "csv" if as_csv else ""
    if sweep and asked.kind in ("", *OF_A_SWEEP):
        figure = _of_sweep(settings, asked, form, drawn=output is not None)
    else:
        figure = _of_runs(settings, asked, (references, where, sets), form, drawn=output is not None)
    if output is not None and figure is not None:
        from qtlplat_reports.figures.files import encoded

        data = encoded(figure, fmt)
        write_output(output, data, force)
        tell_written(output, data)


@dataclass(frozen=True)
class _Asked:
    """What is plotted. kind: '' for the usual one of a sweep."""

    sweep: str | None
    kind: str
    metric: str
    against: str
    axes: tuple[str, ...]
    across: tuple[str, ...]


def _check(asked: _Asked, typed: dict[str, str | None]) -> None:
    """Refuse options that a kind of figure has not."""
    if asked.kind in OF_A_SWEEP and asked.sweep is None:
        raise UsageError(f"a figure of {asked.kind} is of a sweep", fix="name it: --sweep NAME")
    belong = {
        "--metric": ("", *OF_A_METRIC, *OF_A_SWEEP), "--axes": ("", *OF_A_SWEEP), "--across": ("ranks",),
        "--against": ("pareto",),
    }  # fmt: skip
    for option, kinds in belong.items():
        if typed[option] is not None and asked.kind not in kinds:
            shown = asked.kind or "a whole sweep"
            what = f"a figure of {shown} shows no metric of choice" if option == "--metric" else (
                f"{option} is of {' and '.join(filter(None, kinds))} only")  # fmt: skip
            fix = f"leave it out, or choose --kind {' or '.join(filter(None, kinds))}"
            raise UsageError(what, where=option, fix=fix)


def _of_sweep(settings: Settings, asked: _Asked, form: str, *, drawn: bool) -> Figure | None:
    """Print a figure of a whole sweep, or draw it."""
    from qtlplat_reports.figures import of_sweeps
    from qtlplat_reports.figures.sweeps import read_sweep, with_cells

    reader = opened(settings)
    stored = reader.past_damage(lambda: read_sweep(reader, asked.sweep or "", asked.metric))
    kind = asked.kind or of_sweeps.usual_kind(stored)
    if kind == "lines":
        stored = reader.past_damage(lambda: with_cells(reader, stored))
    found = of_sweeps.made(kind, stored, asked.axes)
    if drawn:
        return of_sweeps.draw(found)
    if form:
        _print(of_sweeps.form(kind, found), form)
    else:
        from qtlplat_reports.plot_sweep_text import print_figure

        print_figure(found)
    return None


def _of_runs(
    settings: Settings,
    asked: _Asked,
    named: tuple[Sequence[str], str | None, Sequence[str]],
    form: str,
    *,
    drawn: bool,
) -> Figure | None:
    """Print a figure of runs, or draw it. named: references, filter, and options of the dataset."""
    from qtlplat_reports.figures.pareto import Against

    references, where, sets = named
    reader = opened(settings)
    ids, alike = _members(reader, asked.sweep) if asked.sweep else (None, {})
    runs = _read(reader, references, where, asked.kind, ids)
    options: dict[str, Any] = {
        "metric": asked.metric, "across": asked.across, "against": Against(asked.against, alike)
    }  # fmt: skip
    if drawn:
        from qtlplat_reports.figures import draw

        images = _images(settings, runs[0], sets) if asked.kind == "errors" else None
        return draw(asked.kind, runs, images, **options)
    if form:
        from qtlplat_reports.figures.forms import form as form_of

        _print(form_of(asked.kind, runs, **options), form)
    else:
        from qtlplat_reports.plot_text import print_kind

        print_kind(asked.kind, runs, **options)
    return None


def _print(form: dict[str, Any], fmt: str) -> None:
    """The numbers of a figure, as JSON or as CSV."""
    if fmt == "json":
        write_json(form)
        return
    from qtlplat_reports.figures.flat import flat

    rows, names = flat(form["rows"])
    emit(rows, [Column(name, name) for name in names], Listing(fmt="csv"))


def _members(reader: Reader, name: str) -> tuple[list[str], dict[str, str]]:
    """The finished runs of a sweep, and their points without the seed, in words."""
    from qtlplat_reports.figures.sweeps import read_sweep

    sweep = read_sweep(reader, name)
    sweep.scored()
    words = {row["run"]: sweep.point_words(point) or sweep.name for point, rows in sweep.without_seed() for row in rows}
    return list(sweep.runs), {run: words[run] for run in sweep.runs}


def _read(
    reader: Reader, references: Sequence[str], where: str | None, kind: str, members: Sequence[str] | None
) -> list[StoredRun]:
    """The runs that are meant, each once: in the order in which they were named, or those that a filter selects.

    members: of a sweep, which are meant then.
    """
    from qtlplat.store.read.chosen import chosen
    from qtlplat.store.read.conditions import conditions, mixture
    from qtlplat_reports.figures.stored import read

    def read_all() -> list[StoredRun]:
        ids = chosen(reader, references, where) if members is None else members
        if kind == "errors" and len(ids) > 1:
            raise UsageError(f"a figure of errors shows one run, not {len(ids)}", fix="name one run")
        return [read(reader, run_id, predictions=kind in NEEDS_PREDICTIONS) for run_id in ids]

    runs = reader.past_damage(read_all)
    for stored in runs:
        if stored.run.status != "finished":
            note(f"run {stored.id} is {stored.run.status}: what is drawn of it is not all")
    if kind in ("pareto", "box") and (words := mixture(conditions(reader, [stored.run.id for stored in runs]))):
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
