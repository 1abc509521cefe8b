"""`qtlplat export RUN..`: runs as a bundle, for another tracker, or a model as a file. No SQL here, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.commands.export_model import MODELS, ModelOptions
from qtlplat.cli.render.columns import Column, print_tsv, write_json
from qtlplat.cli.render.files import exists, refuse
from qtlplat.cli.render.output import emit, where_option
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened
from qtlplat.errors import UsageError, safe_repr

if TYPE_CHECKING:
    from qtlplat.exchange.bundle import Bundled
    from qtlplat.store.read.queries import Reader

TRACKERS = ("mlflow", "tensorboard")


class _ExportCommand(click.Command):
    """Takes `--to mlflow DIR` for `--to mlflow -o DIR`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what follows a tracker's name is the directory for it, unless -o names one."""
        named = any(word.startswith(("-o", "--output")) for word in args)
        for i, word in enumerate(args[:-1]):
            name = word.removeprefix("--to=") if word.startswith("--to=") else word if args[i - 1] == "--to" else ""
            if name in TRACKERS and not named and not args[i + 1].startswith("-"):
                args = [*args[: i + 1], "-o", *args[i + 1 :]]
                break
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
    type=click.Choice((*TRACKERS, *MODELS)),
    help="Instead of a bundle: an MLflow store or TensorBoard event files in a directory, --to mlflow DIR; or one "
    "run's model as ONNX, its circuit as OpenQASM 2.0 or 3.0, in a file.",
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
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="With --to onnx, qasm, qasm3: dataset.OPTION=VALUE, for data that was moved.",
)
@click.option("--with-report", is_flag=True, help="Add a report on the runs (HTML) to the bundle.")
@click.option("--with-weights", is_flag=True, help="With --to mlflow: export the runs' files, too. Bundles have them.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as strict JSON with stable keys.")
@pass_settings
def export_command(
    settings: Settings,
    references: Sequence[str],
    where: str | None,
    output: Path | None,
    force: bool,
    to: str | None,
    cell: int | None,
    inputs: str | None,
    image: Path | None,
    sets: tuple[str, ...],
    with_report: bool,
    with_weights: bool,
    as_json: bool,
) -> None:
    """Export runs as a bundle, to MLflow or TensorBoard, or a trained model to ONNX or OpenQASM.

    RUN is the beginning of an id, @last, @-2 (the one before the last), @best:f1 or @tag:paper; --where selects runs.
    A bundle for `qtlplat import` holds rows, files, splits and environment of the runs, and their pretrainings.
    Trackers get parameters, metrics by cell and epoch, tags and notes; exporting a run again updates it. An exported
    model is compared with torch, an exported circuit is read back and compared.
    """
    from qtlplat.store.read.filters.references import chosen

    if output is None:
        place = f"-o model.{to}" if to in MODELS else "DIR"
        example = f"--to {to} {place}" if to else "-o bundle.zip"
        raise UsageError("export where to?", where="--output", fix=f"for example: qtlplat export @last {example}")
    if with_report and to:
        raise UsageError("--with-report is for bundles", fix="qtlplat report RUN.. -o report.html writes one")
    if with_weights and to != "mlflow":
        raise UsageError("--with-weights is for --to mlflow", fix="leave it out")
    options = ModelOptions(cell, inputs, image, sets, force)
    if to not in MODELS and options != ModelOptions(force=force):
        what = "--cell, --input, --image and -S are for models"
        raise UsageError(what, fix="leave them out, or add --to onnx, qasm or qasm3")
    reader = opened(settings)
    if to is not None and to in MODELS:
        _model(to, settings, reader, chosen(reader, references, where), output, options, as_json=as_json)
    elif to is None:
        _refuse_bundle(output, force)
        _bundle(reader, references, where, output, force=force, with_report=with_report, as_json=as_json)
    else:
        _require(to)
        written = reader.past_damage(
            lambda: _to_tracker(to, reader, chosen(reader, references, where), output, with_weights=with_weights)
        )
        _print_written(to, written, output, as_json=as_json)


def _model(
    to: str,
    settings: Settings,
    reader: Reader,
    ids: Sequence[str],
    output: Path,
    options: ModelOptions,
    *,
    as_json: bool,
) -> None:
    if len(ids) != 1:
        raise UsageError(f"{len(ids)} runs are named, a file holds the model of one", fix="name one of them")
    facts = MODELS[to](settings, reader, ids[0], output, options)
    if as_json:
        write_json(facts)
    else:
        print_tsv([facts], [Column(name, name.replace("_", " ")) for name in facts])


def _refuse_bundle(output: Path, force: bool) -> None:
    if output.suffix.lower() != ".zip":
        raise UsageError(
            f"{safe_repr(str(output))} is no .zip file", where="--output", fix="for example: -o bundle.zip"
        )
    refuse(output, force)


def _bundle(
    reader: Reader,
    references: Sequence[str],
    where: str | None,
    output: Path,
    *,
    force: bool,
    with_report: bool,
    as_json: bool,
) -> None:
    done = reader.past_damage(lambda: _bundled(reader, references, where, output, force, with_report))
    facts = {"file": str(output), "bytes": done.bytes, "runs": list(done.runs), "built_upon": list(done.built_upon)}
    if as_json:
        write_json({**facts, "files": done.files})
        return
    columns = [Column("file", "file"), Column("bytes", "bytes", right=True), Column("runs", "runs")]
    print_tsv([facts], [*columns, Column("built_upon", "built upon")])


def _bundled(
    reader: Reader, references: Sequence[str], where: str | None, output: Path, force: bool, with_report: bool
) -> Bundled:
    """Write the bundle, without damaged runs that were selected by a filter."""
    from qtlplat.exchange.bundle import export
    from qtlplat.store.maintenance.extract import NotWholeError, with_parents
    from qtlplat.store.read.filters.references import chosen

    while True:
        ids = chosen(reader, references, where)
        try:
            return export(reader.location, ids, output, _report(reader, ids) if with_report else None, overwrite=force)
        except FileExistsError as error:
            raise exists(output) from error
        except NotWholeError as error:
            bad = {run: "" for run in ids if error.runs.intersection(with_parents(reader, [run]))}
            if reader.named.intersection(bad) or not reader.leave_out(bad):
                raise


def _report(reader: Reader, ids: Sequence[str]) -> bytes:
    from qtlplat.analysis.report import rendered
    from qtlplat.analysis.report.contents import document
    from qtlplat.cli.commands.report import material_of

    return rendered(document(material_of(reader, ids), drawn=True), ".html").encode()


def _require(to: str) -> None:
    """Find out whether a tracker's library is there before anything is read."""
    if to == "mlflow":
        from qtlplat.exchange.to_mlflow import require_mlflow

        require_mlflow()
    else:
        from qtlplat.exchange.to_tensorboard import require_tensorboard

        require_tensorboard()


def _to_tracker(
    to: str, reader: Reader, ids: Sequence[str], output: Path, *, with_weights: bool
) -> Mapping[str, object]:
    """Where each run was written, by id."""
    if to == "mlflow":
        from qtlplat.exchange.to_mlflow import to_mlflow

        return to_mlflow(reader, ids, output, weights=with_weights)
    from qtlplat.exchange.to_tensorboard import to_tensorboard

    return to_tensorboard(reader, ids, output)


def _print_written(to: str, written: Mapping[str, object], output: Path, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [{"run": run, "written": str(place)} for run, place in written.items()]
    if as_json:
        write_json({"to": to, "directory": str(output), "rows": rows})
    else:
        emit(rows, [Column("run", "run"), Column("written", "written")])


add_common_options(export_command)
