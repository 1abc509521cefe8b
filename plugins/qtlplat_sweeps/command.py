"""`qtlplat sweep`: which members there are, and having them trained. No SQL, and no torch in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qtlplat.cli.components import open_components
from qtlplat.cli.renamed import sets_option
from qtlplat.cli.render.columns import write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.progress import make_progress
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings, pass_settings, store_patience
from qtlplat.cli.stores import asked_store
from qtlplat.conventions import counted
from qtlplat_sweeps.group import GroupWithDefault
from qtlplat_sweeps.look_commands import list_command, retry_command, rm_command, show_command, status_command
from qtlplat_sweeps.pace_options import pace_options

if TYPE_CHECKING:
    from qtlplat.store.core.sweep_records import NewSweep
    from qtlplat.store.read.queries import Reader

C = TypeVar("C", bound=Callable[..., Any])
_ABOUT = """An option of `qtlplat run` may have several values here. The same command, or the name alone, continues a
sweep that was stopped: finished members are found by content, also those that another command has trained. A member
that fails does not stop the others; the exit code is then 6."""
_VALUES = "Values are written a|b|c, 2..8, 2..8:2, 1e-4..1e-2*5 (logarithmic) or 0..1+5."


def _text(name: str, help_text: str, metavar: str = "V") -> Callable[[C], C]:
    return click.option(f"--{name}", metavar=metavar, help=help_text)


@click.command("start")
@click.argument("name", required=False)
@_text("dataset", "Datasets, with commas.", "A,B")
@_text("backbone", "Backbones, with commas.", "A,B")
@_text("head", "Heads, with commas; options in brackets may have several values: 'dressed[qubits=2..5],linear'.", "A,B")
@_text("evaluator", "Evaluators, with commas.", "A,B")
@_text("protocol", "Protocols, with commas.", "A,B")
@_text("device", "Devices, with commas.", "A,B")
@_text("replace", "How many trailing dense layers the head replaces, e.g. 1|2|all.")
@_text("seed", "The seed, e.g. 0..4.")
@click.option("--n-seeds", "seeds", metavar="V", help="Repeat all folds of every member with so many seeds.")
@_text("backbones", "Pretrain so many independent backbones for every member.")
@_text("epochs", "Epochs of the heads.")
@_text("pretrain-epochs", "At most so many epochs of the backbones.")
@_text("n-init", "Random initialisations of the backbones.")
@_text("accelerator", "Where torch computes: cpu or cuda.")
@click.option("--controls", metavar="none|auto|A,B", help="Baselines on the cells of every member.")
@click.option("--train-sizes", metavar="A,B", help="Also train every member on these shares of each training part.")
@click.option("--tune", is_flag=True, help="Choose learning rate and epochs of every member in its training parts.")
@sets_option
@click.option("--zip", "zipped", multiple=True, metavar="A,B", help="Let these advance together, instead of crossing.")
@click.option("--only", default="", metavar="FILTER", help="Only these combinations, e.g. 'qubits < 5 or layers = 1'.")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    metavar="F.toml",
    help="Read options from a TOML file; those of the command line win.",
)
@pace_options
@click.option("--stale", type=click.Choice(["keep", "redo"]),
              help="If code, data or defaults have changed since the sweep was stored: keep finished members, or train "
              "all again.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Show the members and what of them is missing; train and store nothing.")
@store_patience
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def start_command(
    settings: Settings,
    /,
    name: str | None,
    zipped: tuple[str, ...],
    only: str,
    path: Path | None,
    dry_run: bool,
    as_json: bool,
    stale: str | None,
    workers: int,
    threads: int,
    time_limit: float | None,
    memory_limit: float | None,
    **options: Any,
) -> int:
    """Train every combination of some settings, as one stored sweep.

    An option of `qtlplat run` may have several values here. The same command, or the name alone, continues a sweep that
    was stopped: finished members are found by content, also those that another command has trained. A member that fails
    does not stop the others; the exit code is then 6.
    """
    from qtlplat.store.read.queries import Reader
    from qtlplat_sweeps.asked import Asked, stored, wanted, with_file
    from qtlplat_sweeps.definition import Kitchen
    from qtlplat_sweeps.training import Limits, train

    limits = Limits(workers, threads, time_limit, memory_limit)
    limits.memory(1)  # refuses what is no limit before anything is stored
    location = asked_store(settings)
    asked = Asked(name, {key: value for key, value in options.items() if value not in (None, False, ())}, zipped, only)
    if path is not None:
        asked = with_file(path, asked)
    registry, catalog = open_components(settings)
    progress = make_progress(settings.verbosity)
    reader = Reader(location)
    reader.runs(limit=1)  # a store that cannot be used is refused before any work
    kitchen = Kitchen(registry, catalog, location, progress, keep=not dry_run)
    sweep = wanted(reader, asked, kitchen, stale)
    if dry_run:
        _print_dry_run(reader, sweep, as_json)
        return 0
    return train(settings, stored(reader, sweep), reader, limits, as_json)


def _print_dry_run(reader: Reader, sweep: NewSweep, as_json: bool) -> None:
    from qtlplat.analysis.sweep_points import axes_of, counts
    from qtlplat.store.read.sweeps import states_of
    from qtlplat_sweeps.tables import columns, flat, stored_rows

    states = states_of(reader, sweep.members)
    rows = stored_rows(reader, states)
    if as_json:
        write_json({"sweep": sweep.name, **counts(states), "rows": rows})
        return
    axes = axes_of(sweep.definition, rows)
    emit(flat(rows, axes, "f1"), columns(axes, "f1"))
    backbones = len({one.pretraining for one in sweep.members})
    finished = counts(states)["finished"]
    members = counted(len(states), "member")
    note(f"sweep {sweep.name}: {members} from {counted(backbones, 'backbone')}, {finished} finished")


sweep_command = GroupWithDefault(
    "sweep",
    default=start_command,
    help=f"Train a head on a grid of settings, as one stored sweep.\n\n{_ABOUT}\n\n{_VALUES}",
)
for _command in (status_command, show_command, list_command, retry_command, rm_command):
    sweep_command.add_command(_command)
