"""The command line's front door: which command lives where, and what every command does with errors and signals.

Commands are imported when they are called, so that `--help` costs nothing. No SQL and no torch here.
"""

from __future__ import annotations

import gc
import io
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from qtlplat.cli import renamed
from qtlplat.cli.ending import leave
from qtlplat.cli.plugin_commands import load_command, plugin_commands
from qtlplat.cli.render.log_lines import telling
from qtlplat.cli.render.terminal import complain, guarded_streams
from qtlplat.cli.settings import Settings, add_common_options
from qtlplat.cli.stores import edited_behind, forget_stores
from qtlplat.errors import (
    MAX_VALUE,
    QtlplatError,
    StoreError,
    Terminated,
    UsageError,
    cut,
    describe_exception,
    escape_control,
    safe_repr,
    without_passwords,
)

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name -> (module below qtlplat.cli.commands, one line of help), by group; the command object has the command's name.
# None: the place of a command that a plugin offers.
GROUPS: dict[str, dict[str, tuple[str, str] | None]] = {
    "Train": {
        "run": ("run", "Train a head on a frozen backbone and store the result."),
        "sweep": None,
        "resume": ("resume", "Resume an interrupted run, bit for bit."),
        "reproduce": None,
        "replay": ("replay", "Repeat a stored run and check that the results match."),
    },
    "Look": {
        "runs": ("runs", "List the stored runs, newest first."),
        "show": ("show", "Show one run: cells, curves, parameters, plan, environment."),
        "plot": None,
        "errors": None,
        "predict": ("predict", "Classify images with the weights of a stored run."),
        "sql": ("sql", "Query the store with SQL, read-only."),
    },
    "Compare": {
        "compare": ("compare", "Compare runs, or a run with its controls: difference, p, verdict."),
        "best": ("best", "Show the best finished run of every group, and what to expect of it."),
        "pareto": ("pareto", "List the Pareto-optimal runs for the given fields."),
        "diff": ("diff", "Rank possible causes of a difference between two runs."),
    },
    "Share": {
        "report": None,
        "export": (
            "export",
            "Export runs (bundle, MLflow, TensorBoard) or models (ONNX, QASM).",
        ),
        "import": None,
    },
    "Components": {
        "ls": ("components", "List datasets, backbones, heads, evaluators and recipes."),
        "info": ("components", "Describe a component or preset: options, provider, circuit."),
        "data": ("data", "Inspect a dataset: info, check, audit, preview."),
        "plugins": ("plugins", "List plugins, or diagnose them."),
    },
    "Store": {
        "tag": ("annotations", "Add tags to runs, or remove them; without RUN, list all tags."),
        "note": ("annotations", "Write a note on a run, or print it."),
        "rm": ("annotations", "Move runs to the trash, or restore them; nothing is deleted."),
        "store": ("store", "Manage the store: path, check, backup, upgrade, recover, merge, gc."),
    },
}
COMMANDS = {name: one for group in GROUPS.values() for name, one in group.items() if one}


class ReaderLeft(Exception):  # noqa: N818 -- it is no error
    """The reader of stdout has closed it, as `| head` does."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of their groups."""
        return [name for name, _ in _lines()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return the command, or None if there is no such name."""
        if cmd_name in renamed.COMMANDS:
            if not ctx.resilient_parsing:
                renamed.tell(f"qtlplat {cmd_name}", f"qtlplat {renamed.COMMANDS[cmd_name]}")
            cmd_name = renamed.COMMANDS[cmd_name]
        if cmd_name in COMMANDS:
            module = import_module(f"qtlplat.cli.commands.{COMMANDS[cmd_name][0]}")
            command: click.Command = getattr(module, f"{cmd_name}_command")
        elif cmd_name in plugin_commands():
            command = load_command(cmd_name, ctx.find_object(Settings) or Settings())
        else:
            return None
        if ctx.resilient_parsing:  # a shell asks for completions
            from qtlplat.cli.completion import offer_names

            for one in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
                offer_names(one)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, from the table, and options: nothing is imported."""
        from click.shell_completion import CompletionItem

        fit = [CompletionItem(name, help=line) for name, line in _lines() if name.startswith(incomplete)]
        return [*fit, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the near names for an unknown command."""
        own = COMMANDS.keys() | renamed.COMMANDS.keys()
        if args and not args[0].startswith("-") and args[0] not in own and args[0] not in plugin_commands():
            from difflib import get_close_matches

            known = self.list_commands(ctx)
            near = get_close_matches(args[0], known, n=3)
            hint = f" Did you mean {', '.join(near)}?" if near else f" Known: {', '.join(known)}."
            ctx.fail(f"No such command {safe_repr(args[0])}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; click would end the program with code 1 where the reader of our output left."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by group; none is imported."""
        width = max(map(len, self.list_commands(ctx)))
        for title, commands in _groups().items():
            if commands:
                with formatter.section(title):
                    formatter.write_dl([(name.ljust(width), line) for name, line in commands])


def _groups() -> dict[str, list[tuple[str, str]]]:
    """Every command with its line of help, by group; nothing of a plugin is imported."""
    lines = {name: command.summary for name, command in plugin_commands().items()}
    lines |= {name: line for name, (_, line) in COMMANDS.items()}
    groups = {title: [(name, lines.pop(name)) for name in group if name in lines] for title, group in GROUPS.items()}
    return {**groups, "Plugins": list(lines.items())}


def _lines() -> Iterator[tuple[str, str]]:
    """Every command with its line of help, in the order of the groups."""
    return (line for group in _groups().values() for line in group)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="qtlplat", prog_name="qtlplat")
def cli() -> None:
    """Does replacing the dense layers of my network by a quantum circuit help?

    Freeze a pretrained backbone, replace its last dense layers by a head (dressed quantum circuits, or
    classical ones to compare with), train by cross-validation, and keep every cell, epoch and prediction in
    a store.

    Start with:  qtlplat run --backbone lenet2 --head dressed5x3
    """


add_common_options(cli)


def _terminate(_signum: int, _frame: Any) -> NoReturn:
    raise Terminated


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code (see `qtlplat.errors`).

    arguments: those of this process if None, which ends with the command then.
    """
    signal.signal(signal.SIGTERM, _terminate)
    # Objects of imported modules stay: looking through them again and again is a fifth of the time that torch and
    # PennyLane take to load.
    gc.set_threshold(200_000, 10, 10)
    _open_streams()
    try:
        code = _run(arguments)
    except KeyboardInterrupt:  # one more signal, while the end that the first one led to was being told
        code = 130
    except Terminated:
        code = 143
    if arguments is None:
        leave(code)
    sys.exit(code)


def _open_streams() -> None:
    """Where one of our streams was closed before we began (``>&-``), let what goes there vanish.

    Otherwise the next file that is opened, a database perhaps, would get its number, and what is written to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file != number:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115


def _run(arguments: Sequence[str] | None) -> int:
    settings = Settings()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding has no letter for is spelled out
            stream.reconfigure(errors="backslashreplace")
    with guarded_streams():
        return _run_guarded(arguments, settings)


def _run_guarded(arguments: Sequence[str] | None, settings: Settings) -> int:
    code = 1
    forget_stores()
    try:
        with telling():
            if asked := os.environ.get("_QTLPLAT_COMPLETE"):
                from qtlplat.cli.completion import complete

                complete(cli, asked)
                result = 0
            else:
                result = cli.main(args=arguments, prog_name="qtlplat", standalone_mode=False, obj=settings)
        sys.stdout.flush()
        code = result if isinstance(result, int) else 0  # click returns the code of --help and --version
    except click.exceptions.NoArgsIsHelpError as error:  # a group without a command: its help, as of --help
        complain(error.format_message().splitlines())
        code = UsageError.exit_code
    except click.ClickException as error:
        code = _fail(_usage_error(error), settings)
    except QtlplatError as error:
        code = _fail(edited_behind(error) or error, settings)
    except (click.Abort, KeyboardInterrupt):
        complain(["interrupted"])
        code = 130
    except Terminated:
        complain(["terminated"])
        code = 143
    except (BrokenPipeError, ReaderLeft):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        what = f"a file or the disk cannot be used: {error.strerror or type(error).__name__}"
        where = safe_repr(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else ""
        fix = "check that path, its permissions and the disk"
        if not where and _is_nowhere():
            what, fix = "the current directory has been deleted", "cd to an existing directory"
        code = _fail(StoreError(what, where=where, fix=fix), settings)
    except BaseException as error:  # noqa: BLE001 -- the edge: a bug of ours must not look like a user's mistake
        code = _fail(edited_behind(error) or _unforeseen(error), settings)
    return code


def _is_nowhere() -> bool:
    """Whether the directory that the command was called in is gone."""
    try:
        Path.cwd()
    except OSError:
        return True
    return False


def _unforeseen(error: BaseException) -> QtlplatError:
    """Convert an uncaught exception: an error of a plugin that raised it, else a bug in qtlplat."""
    from qtlplat.catalog.plugin_calls import blame

    fix = "look for damage with qtlplat store check; if there is none, report what the command prints with --debug"
    plugin = blame(error)
    if plugin is not None and plugin.where != "qtlplat":
        return plugin
    return QtlplatError(f"a bug in qtlplat: {describe_exception(error, 80)}", fix=fix)


def _fail(error: QtlplatError, settings: Settings) -> int:
    """Print an error, behind the traceback of what is being handled if asked for; returns its exit code."""
    if settings.debug:
        complain([escape_control(without_passwords(line)) for line in traceback.format_exc().splitlines()])
    complain(error.lines(settings.complete))
    return error.exit_code


# a value in a message of click: in quotes, in brackets (arguments that are too many), or one word
_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?<=argument )\(.*\)|(?<=arguments )\(.*\)|\S+")


def _usage_error(error: click.ClickException) -> UsageError:
    """What click says about a command line, in the form of all our messages; values are cut."""
    message = _VALUE.sub(lambda value: cut(value[0], MAX_VALUE), " ".join(error.format_message().split()))
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "qtlplat"
    return UsageError(message[:1].lower() + message[1:], where=command, fix=f"{command} --help")
