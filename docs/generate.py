"""Writes the generated pages of docs/reference from the code: commands, components, hooks, tables.

``python docs/generate.py`` writes them; ``--check`` writes nothing and exits with 1, naming the pages that differ. What
it prints depends on the code and the shipped registry only, never on the machine, the terminal or other plugins.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from runpy import run_path
from typing import Any

import click

from qtlplat import contracts, errors, hookspecs, metrics, recipes, specs, testing
from qtlplat.catalog import verify
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.host import Host, load_plugins
from qtlplat.catalog.options import describe, locations
from qtlplat.catalog.plan import PretrainingOptions, TrainingOptions
from qtlplat.catalog.registry import Registry, load_registry, shipped_registry
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.app import COMMANDS, cli
from qtlplat.cli.plugin_commands import plugin_commands
from qtlplat.contracts import KINDS, Kind, Options

REFERENCE = Path(__file__).resolve().parent / "reference"
TABLES = REFERENCE.with_name("describe_tables.py")
API = REFERENCE.with_name("describe_api.py")
PROJECT = tomllib.loads((REFERENCE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
NOTICE = "<!-- Written by docs/generate.py. Change the code or the generator, not this page. -->\n"
OURS = "qtlplat"  # the distribution whose components are described

SPECS = tuple(sort for sorts in verify.SPECS.values() for sort in sorts)
RECIPE_PARTS = (recipes.RecipeModel, recipes.Claim, recipes.Budget)
PASSED = (contracts.ImageSet, contracts.Cell, metrics.Metric, contracts.Backbone, contracts.Circuit, errors.Problem)
OPTIONS = (contracts.Options, contracts.NoOptions)


def pages() -> dict[str, str]:
    """The text of every generated page, by file name."""
    return {
        "cli.md": _cli(),
        "components.md": _components(),
        "hooks.md": _hooks(),
        "tables.md": f"{NOTICE}\n{run_path(str(TABLES))['page']()}",
    }


def differing(directory: Path = REFERENCE) -> list[str]:
    """Names of the pages whose file is missing or is not what would be written now."""
    return [name for name, text in pages().items() if _read(directory / name) != text]


def write(directory: Path = REFERENCE) -> None:
    """Write every page."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (directory / name).write_text(text, encoding="utf-8")


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _page(title: str, opening: str, parts: Sequence[str]) -> str:
    return "\n".join([NOTICE, f"# {title}\n", f"{opening}\n", *(f"{part.rstrip()}\n" for part in parts)])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def _code(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in "-_ ")
    return kept.replace(" ", "-")


# --- commands


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Every command and subcommand as (path, command, context), groups before their members."""
    root = _root()
    others = {name for name, one in plugin_commands().items() if one.distribution != OURS} - COMMANDS.keys()
    for name in (one for one in cli.list_commands(root) if one not in others):
        command = cli.get_command(root, name)
        assert command is not None
        yield from _with_members(f"qtlplat {name}", command, click.Context(command, info_name=name, parent=root))


def _with_members(
    path: str, command: click.Command, ctx: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield path, command, ctx
    if isinstance(command, click.Group):
        for name, member in command.commands.items():
            yield from _with_members(f"{path} {name}", member, click.Context(member, info_name=name, parent=ctx))


def _cli() -> str:
    root = _root()
    found = list(commands())
    # What the first command shares with the front door, every command takes.
    shared = {name for option in _own_options(*found[0][1:]) for name in option.opts}
    shared &= {name for option in _own_options(cli, root) for name in option.opts}
    # By any of its names: a command that was called on its own before knows --help, but not -h.
    common = [option for option in _own_options(cli, root) if shared.intersection(option.opts)]
    contents = "\n".join(f"- [`{path}`](#{_anchor(path)}): {first_line(command)}" for path, command, _ in found)
    parts = [
        contents,
        "## Options of every command\n\nThey may stand before or after a command's name; `qtlplat --version` stands"
        " alone. Notes and progress go to stderr, results to stdout.\n\n" + _options(common, root),
    ]
    for path, command, ctx in found:
        own = [option for option in _own_options(command, ctx) if not shared.intersection(option.opts)]
        usage = " ".join([path, *command.collect_usage_pieces(ctx)])
        parts.append(f"## {path}\n\n{_code(usage)}\n\n{_paragraphs(command)}")
        if own:
            parts.append(_options(own, ctx))
    return _page("Commands", "Every command, with its options. `qtlplat COMMAND --help` prints the same.", parts)


def first_line(command: click.Command) -> str:
    """The first line of a command's help, '' if it has none."""
    return _paragraphs(command).split("\n")[0]


def _root() -> click.Context:
    return click.Context(cli, info_name="qtlplat", **cli.context_settings)


def _own_options(command: click.Command, ctx: click.Context) -> list[click.Option]:
    return [p for p in command.get_params(ctx) if isinstance(p, click.Option)]


def _paragraphs(command: click.Command) -> str:
    blocks = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def _options(options: Sequence[click.Option], ctx: click.Context) -> str:
    rows = []
    for option in options:
        names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
        value = "" if option.is_flag or option.count else f" `{option.make_metavar(ctx)}`"
        default = f" Default: `{option.default}`." if option.show_default else ""
        variable = f" Environment: `{option.envvar}`." if option.envvar else ""
        rows.append([names + value, f"{option.help or ''}{default}{variable}"])
    return _table(["option", "meaning"], rows)


# --- components


def _components() -> str:
    registry, catalog = _built_in()
    parts = [
        "A component is named in `--dataset`, `--backbone`, `--head` or `--evaluator`, by its own name or by that of a"
        " preset, with options in brackets where they differ: `'dressed[qubits=4,layers=2]'`. `-S head.layers=2` sets"
        " an option, too. `qtlplat info NAME` shows the same for whatever is installed.",
        f"## Defaults\n\n{_defaults(registry)}",
    ]
    for kind in KINDS:
        parts.append(f"## {kind.capitalize()}s")
        for component in catalog.components(kind):
            spec = component.spec
            quantum = " A quantum head." if isinstance(spec, specs.QuantumHeadSpec) else ""
            parts.append(f"### {spec.name}\n\n{_sentence(spec.summary)}{quantum}")
            if kind == "recipe":
                parts.append(f"{_recipe_text(spec)}\n\nSee [Reproduce a publication](../how-to/reproduce.md).")
            elif kind != "command":
                parts.append(_option_table(spec.options))
        presets = _presets(kind, registry, catalog)
        if presets:
            parts.append(f"### Presets of {kind}s\n\n{presets}")
    parts.append(f"## Protocols\n\n{_protocols(registry)}")
    opening = "The built-in datasets, backbones, heads, evaluators and recipes, their options, and the shipped presets."
    return _page("Components and presets", opening, parts)


def _built_in() -> tuple[Registry, Catalog]:
    host = load_plugins()
    loaded = {p.name for p in host.plugins if p.state == "loaded" and p.provider.distribution == OURS}
    if missing := PROJECT["project"]["entry-points"]["qtlplat"].keys() - loaded:
        raise errors.PluginError(f"not loaded: {', '.join(sorted(missing))}", fix="install this checkout again")
    ours = tuple(c for c in host.components if c.provider.distribution == OURS)
    return load_registry(str(shipped_registry())), Catalog(Host(ours, host.plugins))


def _defaults(registry: Registry) -> str:
    rows = [[role, ", else ".join(f"`{name}`" for name in names)] for role, names in registry.defaults.items()]
    return _table(["role", "used where nothing is said"], rows)


def _option_table(model: type[Any]) -> str:
    rows = describe(model)
    if not rows:
        return "No options."
    places = locations(model)
    table = []
    for row in rows:
        # The default of a place may come from the reader's environment.
        default = "" if row["name"] in places else _value(row["default"])
        table.append([f"`{row['name']}`", row["type"], default, row["bounds"], row["description"]])
    return _table(["option", "type", "default", "bounds", "meaning"], table)


def _recipe_text(spec: Any) -> str:
    """What a recipe carries out, in a sentence."""
    budgets = ", ".join(f"`{budget.name}` ({budget.summary})" for budget in spec.budgets)
    return f"{spec.citation}. {len(spec.models)} models, {len(spec.claims)} claims; budgets: {budgets}."


def _presets(kind: Kind, registry: Registry, catalog: Catalog) -> str:
    rows = []
    for preset in registry.presets_of(kind).values():
        component, options, _ = resolve_component(kind, preset.name, registry, catalog)
        rows.append([f"`{preset.name}`", f"`{component.spec.name}`", _changed(options, preset.options), preset.summary])
    return _table(["preset", "component", "options", "summary"], rows) if rows else ""


def _changed(options: Options, named: Any) -> str:
    values = options.model_dump(mode="json")
    return ", ".join(f"`{name} = {values[name]}`" for name in named)


def _protocols(registry: Registry) -> str:
    parts = [
        "A protocol says how backbones are pretrained and heads are trained (`--protocol NAME`). Each option can also"
        " be set alone: `-S training.batch_size=32`, `-S pretraining.epochs=20`."
    ]
    for role, model in (("training", TrainingOptions), ("pretraining", PretrainingOptions)):
        names = list(registry.protocols)
        rows = []
        for row in describe(model):
            values = [_value(getattr(getattr(registry.protocols[name], role), row["name"])) for name in names]
            rows.append([f"`{role}.{row['name']}`", row["type"], *values, row["bounds"], row["description"]])
        parts.append(_table(["option", "type", *(f"`{name}`" for name in names), "bounds", "meaning"], rows))
    return "\n\n".join(parts)


def _value(value: Any) -> str:
    return f"`{', '.join(map(str, value)) if isinstance(value, list | tuple) else value}`"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


# --- hooks


def _hooks() -> str:
    parts = [inspect.cleandoc(hookspecs.__doc__ or "").split("\n\n", 1)[1]]
    parts += [run_path(str(API))["TEXT"], "## Hooks"]
    for hook in hookspecs.HOOKS.values():
        function = getattr(hookspecs, hook)
        parts.append(f"### {hook}\n\n{_code(_signature(function), 'python')}\n\n{inspect.getdoc(function)}")
    for title, classes in (("Specs", SPECS), ("What a recipe holds", RECIPE_PARTS), ("What passes between", PASSED)):
        parts.append(f"## {title}")
        parts += [f"### {c.__name__}\n\n{_code(_fields(c), 'python')}\n\n{_code(_doc(c))}" for c in classes]
    parts.append("## Options")
    parts += [f"### {c.__name__}\n\n{_code(f'class {c.__name__}({_base(c)})', 'python')}\n\n{_doc(c)}" for c in OPTIONS]
    parts.append("## Conformance tests\n\nFrom `qtlplat.testing`: subclass one in your tests and set its attributes.")
    for name in testing.__all__:
        suite = getattr(testing, name)
        tests = [f"- `{test}`: {_doc(getattr(suite, test))}" for test in dir(suite) if test.startswith("test_")]
        parts.append("\n".join([f"### {name}\n\n{_code(_doc(suite))}\n", *tests]))
    opening = (
        "What a plugin implements and what it returns. All names are imported from `qtlplat`. To begin, read "
        "[Write a plugin](../how-to/write-a-plugin.md)."
    )
    return _page("Hooks and contracts", opening, parts)


def _signature(function: Callable[..., Any]) -> str:
    # Annotations are text in our modules: printed as written, without the quotes that inspect puts around them.
    signature = inspect.signature(function)
    words = []
    for p in signature.parameters.values():
        if p.kind is p.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        default = "" if p.default is p.empty else f" = {p.default!r}"
        words.append(f"{p.name}: {p.annotation}{default}")
    line = f"def {function.__name__}({', '.join(words)}) -> {signature.return_annotation}"
    if len(line) <= 100:
        return line
    body = "".join(f"    {word},\n" for word in words)
    return f"def {function.__name__}(\n{body}) -> {signature.return_annotation}"


def _fields(cls: type[Any]) -> str:
    lines = [f"class {cls.__name__}:"]
    for f in dataclasses.fields(cls):
        if not f.init:
            continue
        default = ""
        if f.default is not dataclasses.MISSING:
            default = f" = {_default(f.default)}"
        elif f.default_factory is not dataclasses.MISSING:
            default = f" = {_default(f.default_factory)}()"
        # Annotations that were taken apart come back with single quotes, and so does a text's repr.
        lines.append(f"    {f.name}: {f.type}{default}".replace("'", '"'))
    return "\n".join(lines)


def _default(value: Any) -> str:
    if inspect.isclass(value):
        return value.__name__
    return "..." if callable(value) else repr(value)


def _base(cls: type[Any]) -> str:
    return cls.__mro__[1].__name__


def _doc(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` name those that differ."""
    if list(arguments) == ["--check"]:
        stale = differing()
        for name in stale:
            click.echo(f"docs/reference/{name} differs: run python docs/generate.py", err=True)
        return 1 if stale else 0
    if arguments:
        click.echo("usage: python docs/generate.py [--check]", err=True)
        return 2
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
