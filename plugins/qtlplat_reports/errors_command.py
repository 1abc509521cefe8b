"""List the samples that are misclassified most often.

The command `qtlplat errors`: a listing, or a contact sheet. No SQL here.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.files import tell_written, write_output
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import clean, note
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.conventions import counted
from qtlplat.errors import DataError, QtlplatError, UsageError

if TYPE_CHECKING:
    from PIL.Image import Image

    from qtlplat.contracts import ImageSet
    from qtlplat.store.read.misclassified import Mistake, Mistakes
    from qtlplat.store.read.queries import Reader

ON_TERMINAL = 20  # rows, where nothing was asked for
ON_SHEET, BESIDE = 24, 6  # tiles in all, and beside each other

COLUMNS = (
    Column("sample", "sample"),
    Column("class", "true class"),
    Column("given", "given"),
    Column("wrong", "wrong", right=True),
    Column("tested", "of cells", right=True),
    Column("wrong_backbones", "wrong", right=True),
    Column("backbones", "of backbones", right=True),
    Column("wrong_runs", "wrong", right=True),
    Column("runs", "of runs", right=True),
    Column("probability", "probability", right=True, show="{:.3f}".format),
    Column("by", "by heads", show=lambda by: ", ".join(f"{b['head']} {b['wrong']}/{b['tested']}" for b in by)),
    Column("source", "source"),
    Column("file", "file"),
)
# in CSV and Parquet, and by --cols where they are named
FURTHER = (
    Column("share", "share", right=True, show="{:.3f}".format),
    Column("wrong_heads", "wrong", right=True),
    Column("heads", "of heads", right=True),
    Column("given_all", "all given"),
    Column("dataset_digest", "dataset"),
)
# what a terminal has room for
NARROW = (
    *COLUMNS[:3],
    Column("of_cells", "in cells", right=True),
    Column("of_backbones", "on backbones", right=True),
    Column("of_runs", "in runs", right=True),
    Column("by_wrong", "by heads"),
    *(column for column in COLUMNS if column.key in ("probability", "source", "file")),
)
LEAST_NEEDED = ("file", "source", "probability", "of_backbones", "of_runs")


@click.command("errors")
@click.argument("references", metavar="RUN..", nargs=-1)
@click.option("--only-by", metavar="RUN", help="Only samples that this run gets wrong and all others get right.")
@sets_option
@partial(listing_options, picture="a contact sheet of the worst samples, 24 or those of -n")
@pass_settings
def errors_command(
    settings: Settings,
    references: Sequence[str],
    only_by: str | None,
    sets: Sequence[str],
    listing: Listing,
) -> None:
    """List the samples that are misclassified most often.

    Predictions of heads in finished cells count, those of controls do not. Samples are sorted by the share of their
    cells in which they are wrong, then by that number of cells, then by certainty. With several backbones, each says
    on how many of them most of its predictions are wrong. RUN is the beginning of an id, @last, @-2 (the one before the
    last), @best:f1 or @tag:paper; --where selects runs. Only the contact sheet requires the dataset.
    """
    from qtlplat.store.read.misclassified import mistakes

    sheet = listing.output if listing.fmt == "png" else None
    reader = opened(settings)
    on_terminal = sys.stdout.isatty() and not listing.fmt
    most = listing.limit or (ON_SHEET if sheet is not None else ON_TERMINAL if on_terminal else None)

    def read() -> tuple[list[str], str | None, Mistakes]:
        ids, mine = _chosen(reader, references, listing.where, only_by)
        # another order needs all of them
        return ids, mine, mistakes(reader, ids, limit=None if listing.sort else most, only_by=mine)

    ids, mine, found = reader.past_damage(read)
    if not found.predictions:
        raise DataError(
            "no predictions are stored of these runs", where="qtlplat errors", fix="list runs: qtlplat runs"
        )
    if sheet is not None:
        _write_sheet(settings, reader, found, sheet, listing.force, sets)
        return
    files = _files(settings, reader, found, sets)
    rows = [_row(one, files.get((one.dataset_digest, one.source))) for one in found.worst]
    columns: Sequence[Column] = (*COLUMNS, *FURTHER) if listing.cols or listing.for_programs else COLUMNS
    shown: Sequence[Mapping[str, Any]] = rows
    if on_terminal and not listing.cols:
        shown = [{**row, **_in_short(row)} for row in rows]
        columns = fitting(shown, _narrow(rows), shutil.get_terminal_size().columns, LEAST_NEEDED)
    frame = {
        "runs": ids,
        **{
            name: getattr(found, name)
            for name in (
                "samples",
                "wrong_samples",
                "wrong_votes",
                "tied_votes",
                "mean_wrong",
                "predictions",
                "wrong_predictions",
                "backbones",
            )
        },
    }
    asked = replace(listing, where=None, limit=most)
    emit(shown, columns, asked, json_rows=rows, json_frame=frame, empty="no sample is misclassified")
    if listing.fmt != "json":
        _summary(found, len(rows), mine)


def _chosen(
    reader: Reader, references: Sequence[str], where: str | None, only_by: str | None
) -> tuple[list[str], str | None]:
    """The ids of the runs that are meant, each once, and that of --only-by, which is one of them."""
    from qtlplat.store.read.chosen import chosen

    mine = reader.resolve(only_by) if only_by else None
    ids = chosen(reader, references, where) if references or where or not mine else []
    if mine and mine not in ids:
        ids.append(mine)
    if mine and len(ids) == 1:
        raise UsageError("--only-by requires other runs to compare with", fix="name them: qtlplat errors RUN RUN..")
    return ids, mine


def _row(one: Mistake, file: str | None) -> dict[str, Any]:
    return {
        "sample": one.sample_id,
        "class": one.name,
        "given": one.taken_for[0].name,
        "wrong": one.wrong,
        "tested": one.tested,
        "share": one.wrong / one.tested,
        "wrong_runs": one.wrong_runs,
        "runs": one.runs,
        "wrong_heads": one.wrong_heads,
        "heads": one.heads,
        "wrong_backbones": one.wrong_backbones,
        "backbones": one.backbones,
        "probability": one.certainty,
        "by": [vars(head) for head in one.by],
        "given_all": [{"class": t.name, "n": t.n, "probability": t.certainty} for t in one.taken_for],
        "source": one.source,
        "file": file,
        "dataset_digest": one.dataset_digest,
    }


def _in_short(row: Mapping[str, Any]) -> dict[str, str]:
    by = [f"{one['head']} {one['wrong']}/{one['tested']}" for one in row["by"] if one["wrong"]]
    return {
        "of_cells": f"{row['wrong']} of {row['tested']}",
        "of_runs": f"{row['wrong_runs']} of {row['runs']}",
        "of_backbones": f"{row['wrong_backbones']} of {row['backbones']}",
        "by_wrong": ", ".join(by),
    }


def _narrow(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns of a terminal that say anything: a single run needs no counting, sources may be the samples."""
    empty = {
        "by_wrong": all(row["heads"] == 1 for row in rows),
        "of_backbones": all(row["backbones"] == 1 for row in rows),
        "of_runs": all(row["runs"] == 1 for row in rows),
        "source": all(row["source"] == row["sample"] for row in rows),
        "file": not any(row["file"] for row in rows),
    }
    return [column for column in NARROW if not empty.get(column.key)]


def _summary(found: Mistakes, shown: int, only_by: str | None) -> None:
    by = f" by {only_by[:8]} alone" if only_by else ""
    rest = f"; the worst {shown} are shown, more with -n" if shown < found.wrong_samples else ""
    digests = len({one.dataset_digest for one in found.worst})
    data = f"; they are of {digests} datasets, told apart by dataset_digest" if digests > 1 else ""
    once = ""
    if found.predictions > found.samples:  # a sample that several cells test is still one sample
        tied = f" and {found.tied_votes} tied" if found.tied_votes else ""
        once = f"; each counted once: {found.wrong_votes} wrong{tied} by a vote of its predictions, "
        once += f"{found.mean_wrong:.1f} by their share"
    on = f" on {counted(found.backbones, 'backbone')}" if found.backbones > 1 else ""
    note(
        f"{found.wrong_samples} of {counted(found.samples, 'sample')} wrong{by}, in {found.wrong_predictions} of "
        f"{counted(found.predictions, 'prediction')}{on}{rest}{once}{data}"
    )


def _files(settings: Settings, reader: Reader, found: Mistakes, sets: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """Paths of the sources by digest of the data and source, as far as plugins provide them; notes missing ones."""
    from qtlplat.catalog.reopen import stored_files
    from qtlplat.cli.components import open_components

    _, catalog = open_components(settings)
    files: dict[tuple[str, str], str] = {}
    for digest in dict.fromkeys(one.dataset_digest for one in found.worst):
        sources = sorted({one.source for one in found.worst if one.dataset_digest == digest})
        try:
            plan = reader.run(found.seen_by[digest]).plan
            files |= {(digest, source): path for source, path in stored_files(plan, sources, catalog, sets).items()}
        except QtlplatError as error:
            note(f"no files are named, the dataset cannot be asked: {error.what}")
    return files


def _write_sheet(
    settings: Settings, reader: Reader, found: Mistakes, output: Path, force: bool, sets: Sequence[str]
) -> None:
    from qtlplat.analysis.contact_sheet import png
    from qtlplat.catalog.reopen import stored_images
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress

    digests = list(dict.fromkeys(one.dataset_digest for one in found.worst))
    if len(digests) != 1:
        what = "these runs saw several datasets" if digests else "no sample is misclassified"
        raise DataError(what, where="-o", fix="name runs of one dataset" if digests else "leave -o out")
    record = reader.run(found.seen_by[digests[0]])
    _, catalog = open_components(settings)
    with make_progress(settings.verbosity).stage("reading the images", 1) as stage:
        images = stored_images(record.plan, digests[0], catalog, sets)
        stage.advance()
    picture = _sheet(found.worst, images)
    data = png(picture)
    write_output(output, data, force)
    tell_written(output, data, size=f"{picture.width}x{picture.height}", samples=str(len(found.worst)))


def _sheet(worst: Sequence[Mistake], images: ImageSet) -> Image:
    """The samples in their order, with id, classes, how often they are wrong, and the probability given to that.

    Where there are several backbones, also on how many of them.
    """
    from qtlplat.analysis.contact_sheet import SheetRow, Tile, sheet

    places = {sample: i for i, sample in enumerate(images.sample_ids)}
    tiles = []
    for one in worst:
        if one.sample_id not in places:
            raise DataError(f"the dataset has no sample {one.sample_id!r}", fix="look at one run: qtlplat errors RUN")
        certainty = "" if one.certainty is None else f", p = {one.certainty:.2f}"
        captions = (one.sample_id, f"true: {one.name}", f"given: {one.taken_for[0].name}")
        often = f"{one.wrong} of {one.tested}{certainty}"
        on = [f"on {one.wrong_backbones} of {one.backbones} backbones"] if one.backbones > 1 else []
        tiles.append(Tile(images.images[places[one.sample_id]], tuple(map(clean, (*captions, often, *on)))))
    return sheet([SheetRow("", tiles[i : i + BESIDE]) for i in range(0, len(tiles), BESIDE)])
