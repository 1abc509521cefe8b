"""`qtlplat ls` and `qtlplat info`: what components and presets there are, and what one of them is. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.device import AUTO, parse_device
from qtlplat.catalog.options import describe
from qtlplat.catalog.plugin_calls import declared_circuit, guarded
from qtlplat.catalog.provider import Component
from qtlplat.catalog.references import parse_reference
from qtlplat.catalog.registry import Preset, Registry
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.render.backbone import backbone_facts, print_backbone
from qtlplat.cli.render.columns import Column, print_tsv, table, text, write_json
from qtlplat.cli.render.files import output_options, refuse, write_output
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.recipe import print_recipe, recipe_facts
from qtlplat.cli.render.terminal import clean, say, stdout_console
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.contracts import KINDS, ROLES, Circuit, Kind, Options
from qtlplat.errors import UsageError, safe_repr, unknown_name

MOST_QUBITS_TRIED = 20  # choosing an engine means running the circuit

_LIST_COLUMNS = (
    Column("kind", "kind"),
    Column("name", "name"),
    Column("preset_of", "preset of"),
    Column("provider", "provider"),
    Column("version", "version"),
    Column("summary", "summary"),
)
_OPTION_COLUMNS = (
    Column("name", "option"),
    Column("value", "value"),
    Column("default", "default"),
    Column("type", "type"),
    Column("bounds", "bounds"),
    Column("description", "description"),
)


@click.command("ls")
@click.argument("kinds", required=False, type=click.Choice([f"{kind}s" for kind in KINDS]), metavar="[KIND]")
@listing_options
@pass_settings
def ls_command(settings: Settings, kinds: str | None, listing: Listing) -> None:
    """List datasets, backbones, heads, evaluators and recipes.

    KIND is one of datasets, backbones, heads, evaluators, recipes, exporters, commands.
    """
    registry, catalog = open_components(settings)
    wanted = [kind for kind in KINDS if kinds in (None, f"{kind}s")]
    rows = [row for kind in wanted for row in _rows(kind, registry, catalog)]
    emit(rows, _LIST_COLUMNS, listing, json_rows=rows, empty="no components: see qtlplat plugins doctor")


add_common_options(ls_command)


@click.command("info")
@click.argument("name")
@click.option("--kind", type=click.Choice(get_args(Kind)), help="The kind, if several kinds have this name.")
@click.option("--device", metavar="DEV", default=AUTO, show_default=True, help="The device for a head's circuit.")
@output_options("Write a head's circuit to this SVG file, too.")
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@pass_settings
def info_command(
    settings: Settings, name: str, kind: Kind | None, device: str, output: Path | None, force: bool, as_json: bool
) -> None:
    """Describe a component or preset: options, provider, circuit.

    NAME may have options, as in 'dressed[qubits=4]'. For a quantum head, the output has the circuit, its gate counts
    and its engine, with the reason for that engine; for a backbone, the parameters of each layer.
    """
    if output is not None:
        _check_output(output, force)
    registry, catalog = open_components(settings)
    facts = component_facts(name, kind, registry, catalog, device)
    if output is not None:
        _write_picture(output, force, name, facts["kind"], registry, catalog)
    if as_json:
        write_json(facts)
    else:
        _print_facts(facts)


add_common_options(info_command)


def component_facts(
    name: str, kind: Kind | None, registry: Registry, catalog: Catalog, device: str = AUTO
) -> dict[str, Any]:
    """What `info` knows about a reference, JSON-able; kind: None searches all; device: what is to run a circuit.

    Raises UsageError for a name that is unknown or belongs to several kinds, else as `resolve_component`; ConfigError
    where the device cannot be had.
    """
    kind = kind or _kind_of(name, registry, catalog)
    component, options, choice = resolve_component(kind, name, registry, catalog)
    preset = registry.presets_of(kind).get(parse_reference(name, kind).name)
    return {
        "kind": kind,
        "name": choice.name,
        "component": choice.component,
        "preset": {"name": preset.name, "file": str(preset.source)} if preset else None,
        "summary": component.spec.summary,
        "provider": choice.provider,
        "version": choice.version,
        "module": component.provider.module,
        "digest": choice.digest,
        "options": guarded(
            lambda: describe(component.spec.options, choice.options),
            choice.provider,
            f"describing the options of {component.spec.name}",
        ),
        "circuit": _circuit_facts(component, options, device),
        "backbone": backbone_facts(component, options),
        "recipe": recipe_facts(component),
    }


def _rows(kind: Kind, registry: Registry, catalog: Catalog) -> Iterator[dict[str, Any]]:
    for c in catalog.components(kind):
        yield _row(kind, c.spec.name, None, c, c.spec.summary)
    for preset in registry.presets_of(kind).values():
        matches = catalog.matches(kind, preset.component)
        owner = matches[0] if len(matches) == 1 else None
        yield _row(kind, preset.name, preset.component, owner, _preset_summary(preset, owner is not None))


def _row(kind: Kind, name: str, preset_of: str | None, owner: Component[Any] | None, summary: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "preset_of": preset_of,
        "provider": owner.provider.distribution if owner else None,
        "version": owner.provider.version if owner else None,
        "summary": summary,
    }


def _preset_summary(preset: Preset, usable: bool) -> str:
    if not usable:
        return f"cannot be used: see qtlplat info {preset.name}"
    return preset.summary or text(preset.options)


def _kind_of(name: str, registry: Registry, catalog: Catalog) -> Kind:
    """The one kind that a name belongs to."""
    bare = parse_reference(name, "name").name
    kinds = [kind for kind in KINDS if bare in registry.presets_of(kind) or catalog.matches(kind, bare)]
    kinds = [kind for kind in kinds if kind in ROLES] or kinds  # `mlp` is a head, and a control too
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        raise UsageError(
            f"{safe_repr(name)} is a {' and a '.join(kinds)}", fix=" or ".join(f"--kind {kind}" for kind in kinds)
        )
    broken = catalog.failure(bare)
    if broken:
        raise broken
    known = {c.spec.name for c in catalog.components()}.union(*registry.presets.values())
    raise UsageError(unknown_name("component", name, known, notes=catalog.hints()), fix="qtlplat ls")


def _circuit(component: Component[Any], options: Options) -> Circuit | None:
    """What a quantum head declares, None for everything else."""
    spec = component.spec
    return declared_circuit(spec, options, _where(component)) if spec.kind == "head" else None


def _circuit_facts(component: Component[Any], options: Options, device: str) -> dict[str, Any] | None:
    choice = parse_device(device)
    circuit = _circuit(component, options)
    if circuit is None:
        return None
    from qtlplat.quantum.devices.engines import choose_engine
    from qtlplat.quantum.inspect.inspect import describe as describe_circuit, describe_engine

    # Whatever is raised here and is not ours comes out of the plugin's quantum function.
    facts = guarded(lambda: describe_circuit(circuit), _where(component), "running the circuit")
    if circuit.qubits > MOST_QUBITS_TRIED:
        return {**facts, "engine": None}
    engine = guarded(
        lambda: choose_engine(circuit, choice.name, choice.options), _where(component), "running the circuit"
    )
    return {**facts, "engine": describe_engine(engine)}


def _where(component: Component[Any]) -> str:
    return f"head {component.spec.name} of {component.provider.distribution}"


def _check_output(output: Path, force: bool) -> None:
    """Refuse a file that could not or must not be written, before any work."""
    if output.suffix.lower() != ".svg":
        raise UsageError(
            f"{safe_repr(str(output))} is no SVG file", where="--output", fix=f"-o {output.with_suffix('.svg')}"
        )
    refuse(output, force)


def _write_picture(output: Path, force: bool, name: str, kind: Kind, registry: Registry, catalog: Catalog) -> None:
    component, options, _ = resolve_component(kind, name, registry, catalog)
    circuit = _circuit(component, options)
    if circuit is None:
        raise UsageError(f"{kind} {component.spec.name} has no circuit to draw", where="--output")
    from qtlplat.quantum.inspect.inspect import picture

    drawn = guarded(lambda: picture(circuit), _where(component), "drawing the circuit")
    write_output(output, drawn.encode("utf-8"), force)


def _print_facts(facts: Mapping[str, Any]) -> None:
    preset = facts["preset"]
    lines = [
        f"{facts['kind']} {facts['name']}: {facts['summary']}",
        f"  component {facts['component']}" + (f", preset in {preset['file']}" if preset else ""),
        f"  provider  {facts['provider']} {facts['version']}, module {facts['module']}",
        f"  digest    {facts['digest']}",
    ]
    for line in lines:
        say(line)
    say()
    if not facts["options"]:
        say("no options")
    elif stdout_console().is_terminal:
        stdout_console().print(table(facts["options"], _OPTION_COLUMNS))
    else:
        print_tsv(facts["options"], _OPTION_COLUMNS)
    if facts["circuit"]:
        _print_circuit(facts["circuit"])
    if facts["backbone"]:
        print_backbone(facts["backbone"])
    if facts["recipe"]:
        print_recipe(facts["name"], facts["recipe"])


def _print_circuit(circuit: Mapping[str, Any]) -> None:
    say("", f"circuit: {circuit['qubits']} qubits, depth {circuit['depth']}")
    say(f"  gates       {clean(text(circuit['gates']))}")
    say(f"  parameters  {clean(text(circuit['parameters']))}")
    engine = circuit["engine"]
    if engine is None:
        say(f"  engine      not tried for more than {MOST_QUBITS_TRIED} qubits: it would take minutes")
    else:
        gradient = clean(engine["gradient"])
        say(f"  engine      {clean(engine['name'])}: {clean(engine['why'])}; gradients by {gradient}")
        if engine["shots"]:
            say(f"  shots       {_shots(engine['shots'])}")
        if engine["steps"]:
            say(f"  compiled    {_steps(engine['steps'])}")
    say()
    for line in str(circuit["drawing"]).splitlines():
        say(line.rstrip())


def _shots(shots: Mapping[str, Any]) -> str:
    """The shots of a device in words."""
    number = "an unknown number" if shots["number"] is None else str(shots["number"])
    own = ", chosen by the device" if shots["chosen_by_device"] else ""
    return f"{number}{own}, which {'follow' if shots['repeatable'] else 'do not follow'} the seed"


def _steps(steps: Mapping[str, Any]) -> str:
    """The compiler's description of a circuit."""
    words = {
        "layers": ("layer of single-qubit gates", "layers of single-qubit gates"),
        "permutations": ("permutation", "permutations"),
        "phases": ("step of phases", "steps of phases"),
        "matrices": ("matrix on several qubits", "matrices on several qubits"),
    }
    parts = ["a product state"] if steps["product_state"] else []
    parts += [f"{steps[key]} {words[key][steps[key] != 1]}" for key in words if steps[key]]
    return ", ".join(parts) or "nothing but the measurement"
