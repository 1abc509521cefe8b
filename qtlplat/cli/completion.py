"""Shell completion: what answers TAB in bash, zsh, fish and PowerShell. No torch here.

The shell asks by `_QTLPLAT_COMPLETE`, as click defines it. Whatever goes wrong while names are looked up, a prompt gets
nothing but the names that were found: no message, no exit code.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from qtlplat.cli.render.terminal import clean, write
from qtlplat.cli.settings import Settings
from qtlplat.conventions import ROLES, short
from qtlplat.errors import UsageError, safe_repr

VARIABLE = "_QTLPLAT_COMPLETE"
SHELLS = ("bash", "fish", "powershell", "zsh")
NEWEST = 200  # runs that are offered
DEVICES = ("auto", "compiled", "default.qubit", "lightning.qubit", "default.mixed")

Found = Iterable[tuple[str, str]]  # names, each with what it is


def complete(command: click.Command, instruction: str) -> None:
    """Print the script for a shell (`bash_source`), or the completions of a command line (`bash_complete`).

    Raises:
        UsageError: For another shell or instruction, and if the shell did not tell the command line.
    """
    shell, _, action = instruction.partition("_")
    kind = get_completion_class(shell) if shell in SHELLS else None
    if kind is None or action not in ("source", "complete"):
        known = ", ".join(f"{name}_source" for name in SHELLS)
        what = f"{safe_repr(instruction)} is no instruction for shell completion"
        raise UsageError(what, where=VARIABLE, fix=f"one of {known}")
    offer_names(command)
    asked = kind(command, {"obj": Settings()}, "qtlplat", VARIABLE)
    if action == "source":
        write(asked.source())
        return
    try:
        words, begun = asked.get_completion_args()
    except (KeyError, ValueError) as error:
        what = "the shell did not tell which command line to complete"
        fix = f'let it load the script: eval "$({VARIABLE}={shell}_source qtlplat)"'
        raise UsageError(what, where="COMP_WORDS, COMP_CWORD", fix=fix) from error
    lines = [asked.format_completion(item) for item in _quietly(lambda: asked.get_completions(words, begun))]
    write("".join(f"{line}\n" for line in lines))


def _quietly(look: Callable[[], list[CompletionItem]]) -> list[CompletionItem]:
    """What is found; nothing if that fails. What plugins print or warn of meanwhile is dropped."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return look()
        except Exception:  # noqa: BLE001 -- a damaged store or registry must not write into the prompt
            return []


class _Named(click.types.StringParamType):
    """A text of which the names that are known are offered."""

    def __init__(self, look: Callable[[Settings], Found]) -> None:
        self._look = look

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Names that begin so; those that a shell could not take as one word are left out."""
        found = dict(self._look(ctx.find_object(Settings) or Settings()))
        fit = [name for name in found if name.startswith(incomplete) and name.isprintable() and " " not in name]
        return [CompletionItem(name, help=clean(found[name])[:80] or None) for name in fit]


class _File(click.types.StringParamType):
    """A text that mostly is a file's name."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Left to the shell."""
        return [CompletionItem(incomplete, type="file")]


def offer_names(command: click.Command) -> None:
    """Let the shell complete the arguments and options of a command that name something, by what they are called."""
    for param in command.params:
        if type(param.type) is not click.types.StringParamType:
            continue
        if isinstance(param, click.Option):
            named = _OPTIONS.get(f"{command.name} {param.opts[0]}") or _OPTIONS.get(param.opts[0])
        elif param.name == "run" or "RUN" in (param.metavar or ""):
            named = _RUNS
        elif param.name == "name":
            named = _component(command.name) if command.name in ROLES else _ANYTHING
        else:
            named = _component(param.name) if param.name in (*ROLES, "recipe") else None
        param.type = named or param.type


def _runs(settings: Settings) -> Iterator[tuple[str, str]]:
    from qtlplat.cli.stores import opened
    from qtlplat.store.read.run_annotations import all_tags

    reader = opened(settings)
    newest = reader.runs(NEWEST)
    if newest:
        yield "@last", "the newest run of a head"
    for run in newest:
        names = " on ".join(run.components[role].name for role in ("head", "dataset") if role in run.components)
        yield short(run.id), f"{names}, {run.status}"
    for tag in all_tags(reader):
        yield f"@tag:{tag.tag}", "the newest run with this tag"


def _tags(settings: Settings) -> Iterator[tuple[str, str]]:
    from qtlplat.cli.stores import opened
    from qtlplat.store.read.run_annotations import all_tags

    return ((tag.tag, f"runs: {tag.runs}") for tag in all_tags(opened(settings)))


def _components(settings: Settings, *kinds: str) -> Iterator[tuple[str, str]]:
    from qtlplat.catalog.catalog import open_catalog
    from qtlplat.contracts import KINDS

    registry, catalog = open_catalog(settings.registry)
    for kind in KINDS:
        if not kinds or kind in kinds:
            yield from ((preset.name, preset.summary) for preset in registry.presets_of(kind).values())
            yield from ((found.spec.name, found.spec.summary) for found in catalog.components(kind))


def _protocols(settings: Settings) -> Iterator[tuple[str, str]]:
    from qtlplat.catalog.registry import load_registry

    return ((one.name, one.summary) for one in load_registry(settings.registry).protocols.values())


def _component(kind: str | None) -> _Named:
    return _Named(lambda settings: _components(settings, str(kind)))


_RUNS, _TAGS, _ANYTHING = _Named(_runs), _Named(_tags), _Named(_components)
_OPTIONS: dict[str, click.ParamType[Any]] = {
    **{f"--{kind}": _component(kind) for kind in (*ROLES, "recipe")},
    "export --to": _component("exporter"),
    "--protocol": _Named(_protocols),
    "--device": _Named(lambda _settings: ((name, "") for name in DEVICES)),
    **dict.fromkeys(("--baseline", "--only-by"), _RUNS),
    **dict.fromkeys(("--tag", "--add", "--remove"), _TAGS),
    **dict.fromkeys(("--store", "--registry", "--to"), _File()),
}
