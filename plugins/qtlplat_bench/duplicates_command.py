"""`qtlplat bench duplicates`: how well the duplicate search of `data audit` works. No scipy when imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from qtlplat.catalog.plugin_calls import load_images
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import say as say_out
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat_bench.command_options import SIZE, json_flag, notes


def _columns(first: Sequence[Column], thresholds: Sequence[float], last: Sequence[Column]) -> list[Column]:
    of = [Column(f"at {least:g}", f"{'≥ ' if number == 0 else ''}{least:g}", right=True)
          for number, least in enumerate(thresholds)]  # fmt: skip
    grades = [Column(name, name, right=True) for name in ("identical", "copy", "near")]
    return [*first, *of, *grades, *last]


@click.command("duplicates")
@click.argument("dataset", required=False)
@sets_option
@click.option("--copies", type=SIZE, default=100, show_default=True, metavar="N", help="Samples to copy.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N", help="Of their choice and of noise."
)
@json_flag
@pass_settings
def duplicates(
    settings: Settings, /, dataset: str | None, sets: Sequence[str], copies: int, seed: int, as_json: bool
) -> None:
    """Measure what the duplicate search of `data audit` misses, and what it takes for duplicates by mistake.

    DATASET is a component, a preset or 'component[option=value]'. Default: the dataset that `run` would use. Copies of
    --copies samples are added to it, changed in a known way, one way after the other. Numbers are counts of copies, or
    of pairs, at each least similarity and by grade.
    """
    component, options, choice = resolve_component("dataset", dataset, *open_components(settings), sets)
    say = notes(settings)
    say(f"reading {choice.name}")
    images = load_images(component.spec, options, choice.provider)
    from qtlplat_bench.duplicates import bench_duplicates

    found = bench_duplicates(images, copies, seed, say)
    if as_json:
        write_json({"dataset": choice.public(), "seed": seed, **found})
        return
    thresholds = found["thresholds"]
    say_out(f"copies that are found, of {found['copies']}")
    more = [Column("missed", "missed", right=True), Column("median", "median", right=True, show="{:.2f}".format)]
    rows = [_wide(row, thresholds) for row in found["changes"]]
    emit(rows, _columns([Column("change", "change")], thresholds, more))
    say_out("", "pairs of other pictures")
    others = [
        {"what": "changed copies and other pictures: false", **found["false"]},
        {"what": "pictures of different sources: true or false", **found["own"]},
    ]
    first = [Column("what", "pairs of"), Column("pairs", "pairs", right=True)]
    last = [Column("different_classes", "of different classes", right=True)]
    emit([_wide(row, thresholds) for row in others], _columns(first, thresholds, last))


def _wide(row: dict[str, Any], thresholds: Sequence[float]) -> dict[str, Any]:
    """A row with a value for each threshold."""
    return {**row, **{f"at {least:g}": n for least, n in zip(thresholds, row["found"], strict=True)}}
