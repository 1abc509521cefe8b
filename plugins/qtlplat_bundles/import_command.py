"""Import the runs of a bundle, with their files.

The command `qtlplat import`. No SQL here, no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qtlplat.cli.render.columns import Column, json_text, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import asked_store, name_store
from qtlplat.conventions import counted
from qtlplat.errors import UsageError, safe_repr

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader


@click.command("import")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Verify the bundle and list what would be imported; change nothing.")
@click.option("--partly", is_flag=True, help="Leave out runs that conflict with the store, and import the rest.")
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def import_command(settings: Settings, bundle: Path, dry_run: bool, partly: bool, as_json: bool) -> None:
    """Import the runs of a bundle, with their files.

    All files are verified first, by size and sha256; an invalid bundle is refused, and nothing changes. Runs are
    compared by content: identical runs are skipped. If a run has other content in the store, nothing is imported.
    """
    from qtlplat_bundles.importing import import_bundle

    if not bundle.is_file():
        raise UsageError(f"{safe_repr(str(bundle))} is no file", where="BUNDLE", fix="qtlplat export RUN -o bundle.zip")
    location = asked_store(settings)
    imported = import_bundle(location, bundle, _look, partly=partly, dry_run=dry_run)
    if not dry_run:
        name_store(location)
    done, manifest = imported.done, imported.manifest
    if as_json:
        write_json(
            {
                "store": location.name,
                "bundle": str(bundle),
                "made_by": manifest.qtlplat,
                "dry_run": dry_run,
                "runs": done.runs,
                "same": done.same,
                "left_out": done.left_out,
                "built_upon": manifest.built_upon,
                "files": done.files,
            }
        )
        return
    became = dict.fromkeys(done.runs, "would be imported" if dry_run else "imported")
    became |= dict.fromkeys(done.same, "was here already")
    became |= {run: f"left out: {why}" for run, why in done.left_out.items()}
    rows = [{"run": run, "became": what} for run, what in became.items()]
    emit(rows, [Column("run", "run"), Column("became", "result")])
    if dry_run:
        note(f"{bundle} is valid; nothing was changed")
    else:
        note(f"{counted(len(done.runs), 'run')} with {counted(done.files, 'file')} imported into {location.name}")


def _look(reader: Reader) -> None:
    """Render the runs in all listings and pages, because their author is not trusted."""
    from qtlplat.cli.commands.show import read_run
    from qtlplat.cli.render.run_columns import row
    from qtlplat.store.read.serialize import short_form

    for record in reader.runs():
        json_text(row(short_form(record)))
        json_text(read_run(reader, record.id))
        reader.predictions(record.id)
