"""`qtlplat export RUN..`: runs as a bundle, or in the format of an exporter that a plugin offers. No SQL, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtlplat.catalog.contained import contained
from qtlplat.catalog.references import Given
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.render.columns import Column, print_tsv, write_json
from qtlplat.cli.render.files import exists, refuse, write_output
from qtlplat.cli.render.output import emit, where_option
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import UsageError
from qtlplat.specs import Export, ExporterSpec

if TYPE_CHECKING:
    from qtlplat.catalog.catalog import Catalog

# options of exporters that have a flag of their own
FLAGS = {
    "cell": "--cell", "inputs": "--input", "image": "--image", "weights": "--with-weights", "report": "--with-report",
}  # fmt: skip
AFTER_TO = "qtlplat.after_to"
BUNDLE = "qtlplat:bundle"


class _ExportCommand(click.Command):
    """Takes `--to mlflow DIR` for `--to mlflow -o DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; remembers the argument that follows a format's name, which may be the directory for it."""
        for i, word in enumerate(args[:-1]):
            if (word.startswith("--to=") or (i and args[i - 1] == "--to")) and not args[i + 1].startswith("-"):
                ctx.meta[AFTER_TO] = args[i + 1]
        return super().parse_args(ctx, args)


@click.command("export", cls=_ExportCommand)
@click.argument("references", metavar="RUN..", nargs=-1)
@where_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The bundle to write, a .zip file; with --to, the directory or file.",
)
@click.option("--force", is_flag=True, help="Overwrite the file of --output.")
@click.option(
    "--to",
    metavar="FORMAT",
    default=BUNDLE,
    help="Write another format instead of a bundle: mlflow or tensorboard into a directory, --to mlflow DIR; one run's "
    "model as onnx, its circuit as qasm or qasm3 (OpenQASM 2.0 or 3.0), into a file. `qtlplat ls exporters` lists all.",
)
@click.option(
    "--cell",
    type=click.IntRange(0),
    metavar="N",
    help="With --to onnx: this cell, not all. With --to qasm, qasm3: not the first.",
)
@click.option(
    "--input", "inputs", metavar="X,Y,..", help="With --to qasm, qasm3: the circuit's inputs. Default: all zero."
)
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --to qasm, qasm3: compute the circuit's inputs from this image.",
)
@click.option(
    "-S",
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --to: exporter.OPTION=VALUE; for models, dataset.OPTION=VALUE, for data that was moved.",
)
@click.option("--with-report", is_flag=True, help="Add a report on the runs (HTML) to the bundle.")
@click.option("--with-weights", is_flag=True, help="With --to mlflow: export the runs' files, too. Bundles have them.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as strict JSON with stable keys.")
@pass_settings
def export_command(
    settings: Settings,
    /,
    references: Sequence[str],
    where: str | None,
    output: Path | None,
    force: bool,
    to: str,
    sets: tuple[str, ...],
    as_json: bool,
    **flags: Any,
) -> None:
    """Export runs (bundle, MLflow, TensorBoard) or models (ONNX, QASM).

    RUN is the beginning of an id, @last, @-2 (the one before the last), @best:f1 or @tag:paper; --where selects runs.
    A bundle for `qtlplat import` holds rows, files, splits and environment of the runs, and their pretrainings.
    Trackers get parameters, metrics by cell and epoch, tags and notes; exporting a run again updates it. An exported
    model is compared with torch, an exported circuit is read back and compared. Plugins may offer further formats.
    """
    from qtlplat.store.read.chosen import chosen

    flags |= {"weights": flags.pop("with_weights") or None, "report": flags.pop("with_report") or None}
    given = {name: Given(value, str(value), FLAGS[name]) for name, value in flags.items() if value is not None}
    registry, catalog = open_components(settings)
    own = [text for text in sets if text.partition(".")[0].strip() == "exporter"]
    flagged = _fitting(to, given, catalog)
    component, options, _ = resolve_component("exporter", to, registry, catalog, own, flagged)
    spec: ExporterSpec = component.spec
    after = click.get_current_context().meta.get(AFTER_TO, "")
    if output is None and spec.target == "directory" and after in references:
        at = references.index(after)
        references, output = (*references[:at], *references[at + 1 :]), Path(after)
    if output is None:
        to = "" if to == BUNDLE else f"--to {to} "
        place = {"directory": "DIR", "archive": "-o bundle.zip", "file": f"-o model.{spec.name}"}[spec.target]
        raise UsageError("export where to?", where="--output", fix=f"for example: qtlplat export @last {to}{place}")
    export = partial(
        Export,
        reader=(reader := opened(settings)),
        catalog=catalog,
        output=output,
        options=options,
        sets=[text for text in sets if text not in own],
        save=partial(_save, output, force),
        note=note if settings.verbosity >= 0 else lambda _line: None,
    )
    if spec.target != "directory":
        refuse(output, force)
    spec.require()
    facts: dict[str, Any] = {"to": spec.name}
    if spec.target == "file":
        runs = chosen(reader, references, where)
        if len(runs) != 1:
            raise UsageError(f"{len(runs)} runs are named, a file holds the model of one", fix="name one of them")
        facts["run"] = runs[0]
        written = _write(spec, export(runs=runs))
    else:
        written = reader.past_damage(lambda: _write(spec, export(runs=chosen(reader, references, where))))
    if spec.target == "directory":
        rows: list[dict[str, Any]] = [{"run": run, "written": str(place)} for run, place in written.items()]
        if as_json:
            write_json({**facts, "directory": str(output), "rows": rows})
        else:
            emit(rows, [Column("run", "run"), Column("written", "written")])
        return
    facts |= {"file": str(output), **written}
    if as_json:
        write_json(facts)
    else:
        print_tsv([facts], [Column(name, name.replace("_", " ")) for name in facts])


def _fitting(to: str, given: Mapping[str, Given], catalog: Catalog) -> Mapping[str, Given]:
    """What flags give; raises UsageError for one that the format has no option for."""
    spec: ExporterSpec = catalog.component("exporter", to.partition("[")[0].strip()).spec
    for name in given:
        if name not in spec.options.model_fields:
            others = [c.spec.name for c in catalog.components("exporter") if name in c.spec.options.model_fields]
            fix = f"leave it out, or add --to {' or '.join(others)}"
            raise UsageError(f"{FLAGS[name]} does not fit --to {spec.name}", where=FLAGS[name], fix=fix)
    return given


def _write(spec: ExporterSpec, export: Export) -> Mapping[str, Any]:
    with contained():
        return spec.write(export)


def _save(output: Path, force: bool, data: bytes | Path) -> None:
    """Write a file completely or not at all. data: its content, or a finished file."""
    if isinstance(data, bytes):
        write_output(output, data, force)
        return
    from qtlplat.store.core.artifacts import copy_file, sha256_of

    try:
        copy_file(data, output, sha256_of(data), new=not force)
    except FileExistsError as error:
        raise exists(output) from error


add_common_options(export_command)
