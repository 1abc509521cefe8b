"""`qtlplat data`: inspect, check, audit and preview a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from qtlplat.catalog.plan import ComponentChoice
from qtlplat.catalog.plugin_calls import checked_dataset, load_images
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.files import output_options, refuse, tell_written, write_output
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.progress import make_progress
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.contracts import ImageSet
from qtlplat.errors import refused_data
from qtlplat.specs import DatasetSpec

_argument = click.argument("dataset", required=False)


@click.group("data")
def data_command() -> None:
    """Inspect a dataset: info, check, audit, preview.

    DATASET is a component, a preset or 'component[option=value]'. Default: the dataset that `run` would use.
    """


@data_command.command("info")
@_argument
@sets_option
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def info(settings: Settings, dataset: str | None, sets: Sequence[str], as_json: bool) -> None:
    """Show sizes, classes, sources, pixel statistics, digest and preparation."""
    images, choice = _load(settings, dataset, sets)
    pixels = images.images
    facts: dict[str, Any] = {
        "dataset": choice.public(),
        "samples": len(images),
        "shape": list(images.shape),
        "classes": {
            class_name: int((images.labels == label).sum()) for label, class_name in enumerate(images.class_names)
        },
        "groups": len(set(images.groups)),
        "pixel_mean": float(pixels.mean(dtype="float64")),
        "pixel_std": float(pixels.std(dtype="float64")),
        "megabytes": pixels.nbytes / 1e6,
        "digest": images.digest,
        "notes": dict(images.notes),
    }
    if as_json:
        write_json(facts)
        return
    facts["dataset"] = f"{choice.name} ({choice.component} of {choice.provider} {choice.version})"
    rows = [{"what": key.replace("_", " "), "value": value} for key, value in facts.items() if key != "notes"]
    rows += [{"what": key, "value": value} for key, value in images.notes.items()]
    emit(rows, [Column("what", "what"), Column("value", "value")])


@data_command.command("check")
@_argument
@sets_option
@listing_options
@pass_settings
def check(settings: Settings, dataset: str | None, sets: Sequence[str], listing: Listing) -> int:
    """Read all files and list all problems; exit with 3, or with 8 for hostile files. Nothing is modified.

    Without problems, the dataset's notes describe unusual properties and the preparation.
    """
    spec, options, choice = _find(settings, dataset, sets)
    with make_progress(settings.verbosity).stage(f"checking {choice.name}", 1) as stage:
        problems, images = checked_dataset(spec, options, choice.provider)
        stage.advance()
    rows = [{"where": p.where, "field": p.field, "problem": p.what} for p in problems]
    columns = [Column("where", "where"), Column("field", "field"), Column("problem", "problem")]
    emit(rows, columns, listing, empty=f"{choice.name}: no problems found")
    if rows:
        note(f"{choice.name}: {len(rows)} problem{'s' if len(rows) > 1 else ''} found")
    if images is not None and settings.verbosity >= 0:
        for line in (*images.remarks(), *(f"{name}: {text}" for name, text in images.notes.items())):
            note(line)
    return refused_data("", problems=problems).exit_code if problems else 0


@data_command.command("audit")
@_argument
@sets_option
@click.option("--limit", type=click.IntRange(0), help="The most sets of duplicates to list (20, in JSON all).")
@click.option(
    "--min-similarity",
    type=click.FloatRange(0.3, 1),
    help="Least similarity of near duplicates that are listed (default: 0.6, which also joins groups).",
)
@output_options("PNG file for a contact sheet of the listed duplicates. Left out, none is written.")
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def audit(
    settings: Settings,
    dataset: str | None,
    sets: Sequence[str],
    limit: int | None,
    min_similarity: float | None,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Report duplicates, sources shared between folds, class balance and shortcuts.

    Duplicates are identical, copies or near. Shortcuts are trivial numbers (sharpness, mean, spread, resize factor)
    that separate the classes without any shape: each alone and all together are tested with grouped folds.
    """
    from qtlplat.analysis.audit import audit as audit_images
    from qtlplat.analysis.duplicates import LEAST_SIMILARITY
    from qtlplat.cli.commands.data_audit import default_folds, limited, print_audit, write_sheet

    if output is not None:
        refuse(output, force)
    evaluator, divide = default_folds(settings)
    images, choice = _load(settings, dataset, sets)
    least = LEAST_SIMILARITY if min_similarity is None else min_similarity
    with make_progress(settings.verbosity).stage(f"auditing {choice.name}", 1) as stage:
        facts = audit_images(images, evaluator, lambda groups: divide(images.labels, groups), least=least)
        stage.advance()
    if output is not None:
        write_sheet(images, facts, output, force, 20 if limit is None else limit)
    if as_json:
        write_json({"dataset": choice.public(), **limited(facts, limit)})
    else:
        print_audit(facts, 20 if limit is None else limit)


@data_command.command("preview")
@_argument
@sets_option
@output_options("PNG file to write. Left out, it is called after the dataset.")
@click.option("-n", "per_class", type=click.IntRange(1, 64), default=8, show_default=True, help="Samples per class.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed for drawing the samples.")
@pass_settings
def preview(
    settings: Settings,
    dataset: str | None,
    sets: Sequence[str],
    output: Path | None,
    per_class: int,
    seed: int,
    force: bool,
) -> None:
    """Write a contact sheet (PNG): a row of samples for each class."""
    from qtlplat.analysis.contact_sheet import contact_sheet, png

    output = output or Path(f"{_find(settings, dataset, sets)[2].component}-preview.png")
    refuse(output, force)
    images, _ = _load(settings, dataset, sets)
    sheet = contact_sheet(images, per_class, seed)
    data = png(sheet)
    write_output(output, data, force)
    tell_written(output, data, size=f"{sheet.width}x{sheet.height}")


def _find(settings: Settings, dataset: str | None, sets: Sequence[str]) -> tuple[DatasetSpec, Any, ComponentChoice]:
    component, options, choice = resolve_component("dataset", dataset, *open_components(settings), sets)
    return component.spec, options, choice


def _load(settings: Settings, dataset: str | None, sets: Sequence[str]) -> tuple[ImageSet, ComponentChoice]:
    spec, options, choice = _find(settings, dataset, sets)
    with make_progress(settings.verbosity).stage(f"reading {choice.name}", 1) as stage:
        images = load_images(spec, options, choice.provider)
        stage.advance()
    return images, choice


for _command in (data_command, *data_command.commands.values()):
    add_common_options(_command)
