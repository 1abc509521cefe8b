"""Turns what was asked for into a plan: request + registry + catalog -> plan. Pure: no torch, no data read.

Later ones win: an option's default, the preset, the brackets of a reference, ``-S``; for how things are trained:
the protocol, ``-S``, the flags ``--epochs``, ``--pretrain-epochs`` and ``--n-init``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict, cast

from pydantic import ValidationError

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.command import FLAGS
from qtlplat.catalog.controls import find_controls
from qtlplat.catalog.device import read_device
from qtlplat.catalog.options import locations, validate
from qtlplat.catalog.plan import ComponentChoice, RunPlan
from qtlplat.catalog.plugin_calls import guarded, written_options
from qtlplat.catalog.provider import Component
from qtlplat.catalog.references import Given, parse_reference, parse_sets
from qtlplat.catalog.registry import Registry
from qtlplat.catalog.request import Request
from qtlplat.catalog.training_options import replaced_layers, training_parts
from qtlplat.contracts import ROLES, Kind, Options, Role
from qtlplat.control_specs import AnyControlSpec
from qtlplat.errors import ConfigError, Problem, QtlplatError, UsageError, safe_repr
from qtlplat.specs import AnyHeadSpec, BackboneSpec, DatasetSpec, EvaluatorSpec

SETTABLE = (*ROLES, "training", "pretraining", "tuning")  # what the key of -S may begin with
OWN = ("seed", "seeds", "backbones", "accelerator", "controls")  # the plan's own fields, as a request has them


class RunComponents(TypedDict):
    """The components of a run by role."""

    dataset: Component[DatasetSpec]
    backbone: Component[BackboneSpec]
    head: Component[AnyHeadSpec]
    evaluator: Component[EvaluatorSpec]


@dataclass(frozen=True)
class Resolved:
    """A plan with what it needs to be carried out.

    specs: the component by role; options: its validated options by role; notes: what a user should be told; controls:
    those of the run that plugins offer, by name.
    """

    plan: RunPlan
    specs: RunComponents
    options: Mapping[Role, Options]
    notes: Sequence[str]
    controls: Mapping[str, Component[AnyControlSpec]] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """A component, and its options validated as far as they go. name: as requested; problems: with the options."""

    name: str
    component: Component[Any]
    options: Options | None
    problems: Sequence[Problem]

    def public(self) -> ComponentChoice:
        """What a plan keeps of it."""
        assert self.options is not None
        provider = self.component.provider
        return ComponentChoice(
            name=self.name,
            component=self.component.spec.name,
            provider=provider.distribution,
            version=provider.version,
            digest=self.component.digest,
            code=self.component.code,
            options=written_options(self.options, provider.distribution),
            locations=locations(type(self.options)),
        )


def chosen_options(kind: Kind, name: str, component: Component[Any], given: Mapping[str, Given]) -> Choice:
    """A component with these options; raises PluginError if its own validation fails at them."""
    spec, provider = component.spec, component.provider.distribution
    options, problems = guarded(
        lambda: validate(spec.options, given, kind), provider, f"validating the options of {spec.name}"
    )
    return Choice(name, component, options, problems)


def assembled(
    plan: RunPlan,
    chosen: Mapping[Role, Choice],
    notes: Sequence[str],
    controls: Mapping[str, Component[AnyControlSpec]],
) -> Resolved:
    """A plan with the components and options that were chosen for it."""
    components = cast("RunComponents", {role: choice.component for role, choice in chosen.items()})
    options = {role: choice.options for role, choice in chosen.items() if choice.options is not None}
    return Resolved(plan, components, options, notes, controls)


class Known:
    """Choices that requests of one registry and catalog share, each made once: a plugin validates its options then."""

    def __init__(self) -> None:
        self._made: dict[tuple[Role, str], tuple[Choice, list[str], ComponentChoice | None]] = {}

    def choose(
        self, role: Role, asked: str | None, registry: Registry, catalog: Catalog, sets: Mapping[str, Given]
    ) -> tuple[Choice, list[str], ComponentChoice | None]:
        """As `_choose`: the choice, what a user should be told, and what a plan keeps if its options are right."""
        key = role, repr((asked, sorted(sets.items())))
        if key not in self._made:
            notes: list[str] = []
            choice = _choose(role, asked, registry, catalog, sets, notes)
            self._made[key] = choice, notes, None if choice.options is None else choice.public()
        return self._made[key]


def resolve(request: Request, registry: Registry, catalog: Catalog, known: Known | None = None) -> Resolved:
    """The plan for a request.

    Args:
        request: what a user asked for.
        registry: presets, protocols and defaults.
        catalog: the components.
        known: choices of earlier requests.

    Raises:
        UsageError: an unknown name, or a reference, device or ``-S`` text that cannot be read.
        PluginError: a component is ambiguous, or its plugin failed to load.
        ConfigError: options are wrong; all of them at once.
    """
    sets = parse_sets(request.sets, SETTABLE)
    known = known or Known()
    made = {role: known.choose(role, getattr(request, role), registry, catalog, sets[role]) for role in ROLES}
    chosen: dict[Role, Choice] = {role: choice for role, (choice, _, _) in made.items()}
    notes = [line for _, told, _ in made.values() for line in told]
    problems = [p for choice in chosen.values() for p in choice.problems]
    parts: dict[str, Any] = dict(training_parts(request, registry, sets, problems))
    parts["replace"] = replaced_layers(request.replace)
    if request.device is not None:
        device, found = read_device(request.device)
        problems += found
        if device is not None:
            parts["device"] = device.text
    parts |= {name: getattr(request, name) for name in OWN if getattr(request, name) is not None}
    if request.controls is not None:
        names = [name.strip() for name in request.controls.split(",")]
        parts["controls"] = () if names == ["none"] else tuple(names)
    if request.train_sizes is not None:
        parts["train_sizes"] = tuple(size.strip() for size in request.train_sizes.split(","))
    controls = find_controls(parts.get("controls", ()), catalog, problems)
    parts["control_code"] = {name: component.digest for name, component in controls.items()}
    blank = ComponentChoice(name="", component="", provider="", version="", digest="", options={})
    parts |= {role: public or blank for role, (_, _, public) in made.items()}
    try:
        plan = RunPlan(**parts)
    except ValidationError as error:
        _refuse(problems + [_plan_problem(one) for one in error.errors()])
        raise
    _refuse(problems)
    return assembled(plan, chosen, notes, controls)


def resolve_component(
    kind: Kind,
    ref: str | None,
    registry: Registry,
    catalog: Catalog,
    sets: Sequence[str] = (),
    flags: Mapping[str, Given] | None = None,
) -> tuple[Component[Any], Options, ComponentChoice]:
    """One component by reference (None: the default), with its validated options.

    sets: ``kind.option=value``; flags: options that have a flag of their own, by name.

    Raises as `resolve`.
    """
    choice = _choose(kind, ref, registry, catalog, parse_sets(sets, (kind,))[kind] | dict(flags or {}), [])
    _refuse(choice.problems)
    assert choice.options is not None
    return choice.component, choice.options, choice.public()


def _choose(
    kind: Kind,
    asked: str | None,
    registry: Registry,
    catalog: Catalog,
    sets: Mapping[str, Given],
    notes: list[str],
) -> Choice:
    """What was asked for, else the registry's default; notes: what a user should be told is added."""
    refs = (asked,) if asked is not None else registry.defaults.get(kind, ())
    if not refs:
        raise UsageError(f"no {kind} was given, and the registry has no default", fix=f"add --{kind} NAME")
    if kind == "dataset" and len(refs) > 1:
        return _first_at_hand(refs, registry, catalog, sets, notes)
    return _look_up(kind, refs[0], registry, catalog, sets)


def _look_up(kind: Kind, text: str, registry: Registry, catalog: Catalog, sets: Mapping[str, Given]) -> Choice:
    reference = parse_reference(text, kind)
    presets = registry.presets_of(kind)
    preset = presets.get(reference.name)
    given: dict[str, Given] = {}
    if preset is not None:
        source = f"preset {preset.name} in {preset.source}"
        component = _of_preset(kind, preset.component, catalog, source)
        given |= {key: Given(value, source=source) for key, value in preset.options.items()}
    else:
        component = catalog.component(kind, reference.name, also_known=presets)
    return chosen_options(kind, reference.text, component, {**given, **reference.options, **sets})


def _of_preset(kind: Kind, name: str, catalog: Catalog, where: str) -> Component[Any]:
    try:
        return catalog.component(kind, name)
    except UsageError as error:
        # The name was not typed but read from a file: the file is what must be mended.
        raise ConfigError(error.what, where=where, fix=error.fix) from error


def _first_at_hand(
    refs: Sequence[str], registry: Registry, catalog: Catalog, sets: Mapping[str, Given], notes: list[str]
) -> Choice:
    """The first default dataset whose data is here; where none is, the first one that could be used."""
    failures: list[QtlplatError] = []
    choices: list[Choice] = []
    for ref in refs:
        try:
            choices.append(_look_up("dataset", ref, registry, catalog, sets))
        except QtlplatError as error:
            failures.append(error)
    # An option of one dataset (-S dataset.root=...) rules out those that have no such option.
    fitting = [choice for choice in choices if not choice.problems]
    here = next((choice for choice in fitting if _is_available(choice)), None)
    chosen = here or next(iter([*fitting, *choices]), None)
    if chosen is None:
        raise failures[0]
    left_out = choices[: choices.index(chosen)] if here else []
    if here and left_out:
        notes.append(" ".join([_replaced(left_out, chosen), *filter(None, map(_how_to_use, left_out))]))
    return chosen


def _is_available(choice: Choice) -> bool:
    spec: DatasetSpec = choice.component.spec
    try:
        return guarded(
            lambda: bool(spec.is_available(choice.options)), choice.component.provider.distribution, "looking"
        )
    except QtlplatError:  # the plugin's code, and nobody named it: it is not at hand
        return False


def _title(choice: Choice) -> str:
    spec: DatasetSpec = choice.component.spec
    return spec.title or choice.name


def _replaced(missing: Sequence[Choice], used: Choice) -> str:
    spec: DatasetSpec = used.component.spec
    first = f"{' and '.join(map(_title, missing))} not found; using {_title(used)}."
    return f"{first} {spec.notice}" if spec.notice else first


def _how_to_use(missing: Choice) -> str:
    """How to say where the data of a dataset are; "" if it has no option for that."""
    ways = []
    for name in locations(model := missing.component.spec.options):
        extra = model.model_fields[name].json_schema_extra
        assert isinstance(extra, dict)
        ways += [f"set {extra['variable']}"] if "variable" in extra else []
        ways.append(f"pass -S dataset.{name}=PATH")
    return f"To use {_title(missing)} {' or '.join(ways)}." if ways else ""


def _plan_problem(error: Any) -> Problem:
    """What is wrong with one of the plan's own fields (seed, seeds, accelerator, controls)."""
    name, message = str(error["loc"][0]), error["msg"]
    return Problem(f"--{FLAGS.get(name, name)}", "", f"{safe_repr(error['input'])}: {message[:1].lower()}{message[1:]}")


def _refuse(problems: Sequence[Problem]) -> None:
    if not problems:
        return
    count = "an option is" if len(problems) == 1 else f"{len(problems)} options are"
    raise ConfigError(
        f"{count} wrong",
        problems=problems,
        fix="qtlplat info NAME lists the options of a component",
    )
