"""`qtlplat predict RUN IMAGE..`: classify images with the weights of a stored run. No SQL here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import UsageError

COLUMNS = (
    Column("image", "image"),
    Column("class", "class"),
    Column("probability", "probability", right=True, show="{:.4f}".format),
    Column("sd", "± sd", right=True, show="{:.4f}".format),
    Column("votes", "votes"),
)


@click.command("predict")
@click.argument("reference", metavar="RUN")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--cell", type=click.IntRange(0), metavar="N", help="Use only the head of this cell.")
@click.option("--ensemble", is_flag=True, help="Use the mean over the heads of all cells; the default.")
@click.option("--resize", is_flag=True, help="Resize images of another size in the way of the run's dataset.")
@sets_option
@listing_options
@pass_settings
def predict_command(
    settings: Settings,
    /,
    reference: str,
    images: tuple[Path, ...],
    cell: int | None,
    ensemble: bool,
    resize: bool,
    sets: tuple[str, ...],
    listing: Listing,
) -> None:
    """Classify images with the weights of a stored run.

    Probabilities are means over the heads of all cells, ± their sample standard deviation; votes counts the cells that
    predict that class. Images must be gray or coloured with 8 bits each, and of the size that the backbone was trained
    on. RUN is the beginning of its id, @last, @-2 (the one before the last), @best:f1 or @tag:paper.
    """
    from qtlplat.cli.components import open_components

    if ensemble and cell is not None:
        raise UsageError("--cell and --ensemble are both given", where="qtlplat predict", fix="leave one of them out")
    reader = opened(settings)
    record = reader.run(reader.resolve(reference))
    from qtlplat.models.image_files import read_pictures
    from qtlplat.models.trained_run import look_up

    _, catalog = open_components(settings)
    cells = () if cell is None else (cell,)
    known = look_up(reader, record, catalog, cells=cells, sets=sets)
    pixels, notes = read_pictures(images, known.shape, known.resample if resize else None)
    from qtlplat.models.loaded import open_trained  # torch, which takes seconds

    model = open_trained(reader, record, catalog, cells=cells, sets=sets)
    if model.draws_shots:
        notes.append("the circuit draws shots: another call gives other probabilities")
    for line in notes if settings.verbosity >= 0 else ():
        note(line)
    rows = _rows(images, model.probabilities(pixels), model.class_names)
    emit(
        [_shown(row) for row in rows],
        COLUMNS,
        listing,
        json_rows=rows,
        json_frame={
            "run": record.id,
            "cells": [one.position for one in model.cells],
            "class_names": list(model.class_names),
        },
    )


add_common_options(predict_command)


def _rows(images: Sequence[Path], probabilities: Any, names: Sequence[str]) -> list[dict[str, Any]]:
    """What `--json` prints for each image. probabilities: float64 (cells, N, K)."""
    cells = len(probabilities)
    means = probabilities.mean(0)
    spreads = probabilities.std(0, ddof=1) if cells > 1 else None
    rows = []
    for i, image in enumerate(images):
        predicted = int(means[i].argmax())
        choices = probabilities[:, i].argmax(-1).tolist()
        rows.append(
            {
                "image": str(image),
                "predicted": predicted,
                "class": names[predicted],
                "probabilities": means[i].tolist(),
                "std": None if spreads is None else spreads[i].tolist(),
                "votes": [choices.count(label) for label in range(len(names))],
            }
        )
    return rows


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as values by column."""
    label = row["predicted"]
    return {
        "image": row["image"],
        "class": row["class"],
        "probability": row["probabilities"][label],
        "sd": None if row["std"] is None else row["std"][label],
        "votes": f"{row['votes'][label]} of {sum(row['votes'])}",
    }
