"""Opens a stored run again: its plan and its data, through the plugins that it names, with the options it stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.controls import find_controls
from qtlplat.catalog.options import validate
from qtlplat.catalog.plan import ComponentChoice, PretrainingPlan, RunPlan
from qtlplat.catalog.plugin_calls import guarded, load_images, source_files, written_options
from qtlplat.catalog.provider import Component
from qtlplat.catalog.references import Given, parse_sets
from qtlplat.catalog.resolve import Resolved, RunComponents
from qtlplat.contracts import ROLES, ImageSet, Options, Role
from qtlplat.errors import ConfigError, DataError, Problem, safe_repr
from qtlplat.specs import DatasetSpec


def stored_images(plan: Mapping[str, Any], digest: str, catalog: Catalog, sets: Sequence[str] = ()) -> ImageSet:
    """Read the dataset of a stored plan.

    plan: as stored; digest: of the data that the run saw; sets: ``dataset.option=value``, for data that was moved.

    Raises
    ------
    UsageError, PluginError: the dataset's plugin is missing or broken.
    ConfigError: the plugin does not take the stored options any more.
    DataError: the data cannot be read, or is not what the run saw; both digests are named.
    """
    choice, component, options = _dataset(plan, catalog, sets)
    where = f"dataset {choice.component} of {choice.provider}"
    images = load_images(component.spec, options, component.provider.distribution)
    if images.digest != digest:
        raise DataError(
            f"the dataset has changed: its digest is {images.digest}, the run saw {digest}",
            where=f"{where}, version {component.provider.version}; the run used {choice.version}",
            fix="pass -S dataset.OPTION=VALUE if the data has moved, or start a new run on the present data",
        )
    return images


def stored_files(
    plan: Mapping[str, Any], sources: Sequence[str], catalog: Catalog, sets: Sequence[str] = ()
) -> Mapping[str, str]:
    """Where the files of sources lie, by source, as far as the dataset of a stored plan knows; nothing is decoded.

    sets: as above. Raises UsageError, PluginError and ConfigError as `stored_images`, and what the dataset raises.
    """
    _, component, options = _dataset(plan, catalog, sets)
    return source_files(component.spec, options, component.provider.distribution, sources)


def _dataset(
    plan: Mapping[str, Any], catalog: Catalog, sets: Sequence[str]
) -> tuple[ComponentChoice, Component[DatasetSpec], Options]:
    choice = _validated(ComponentChoice, plan.get("dataset"))
    component, options, _ = _reopened("dataset", choice, catalog, sets)
    return choice, component, options


def stored_run(plan: Mapping[str, Any], catalog: Catalog, sets: Sequence[str] = ()) -> Resolved:
    """The stored plan of a run of heads, to be carried out again or further; not yet bound to data.

    Its components are those of today: what has changed about them since stands in their version and digest. sets: as
    above. Raises UsageError, PluginError and ConfigError as `stored_images`.
    """
    stored = _validated(RunPlan, plan)
    found = {role: _reopened(role, getattr(stored, role), catalog, sets) for role in ROLES}
    today: dict[str, Any] = {role: choice for role, (_, _, choice) in found.items()}
    missing: list[Problem] = []
    controls = find_controls(stored.controls, catalog, missing)
    if missing:
        fix = "install the plugin that offers them"
        raise ConfigError("controls of the run are not available", problems=missing, fix=fix)
    today["control_code"] = {name: component.digest for name, component in controls.items()}
    return Resolved(
        stored.model_copy(update={**today, "dataset_digest": ""}),
        RunComponents(
            dataset=found["dataset"][0],
            backbone=found["backbone"][0],
            head=found["head"][0],
            evaluator=found["evaluator"][0],
        ),
        {role: options for role, (_, options, _) in found.items()},
        (),
        controls,
    )


def stored_pretraining(
    plan: Mapping[str, Any], catalog: Catalog, sets: Sequence[str] = ()
) -> tuple[PretrainingPlan, dict[Role, Component[Any]], dict[Role, Options]]:
    """The stored plan of a pretraining with its components and options by role. sets: as above. Raises likewise."""
    stored = _validated(PretrainingPlan, plan)
    roles: tuple[Role, ...] = ("dataset", "backbone")
    found = {role: _reopened(role, getattr(stored, role), catalog, sets) for role in roles}
    return (
        stored.model_copy(update={role: choice for role, (_, _, choice) in found.items()}),
        {role: component for role, (component, _, _) in found.items()},
        {role: options for role, (_, options, _) in found.items()},
    )


P = TypeVar("P", RunPlan, PretrainingPlan, ComponentChoice)


def _validated(kind: type[P], plan: Any) -> P:
    try:
        return kind.model_validate(plan)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(
            f"the stored plan is not one of this version of qtlplat: {first['msg']}",
            where=".".join(str(part) for part in first["loc"]),
            fix="run it again, or with the version of qtlplat that stored it",
        ) from error


def _reopened(
    role: Role, choice: ComponentChoice, catalog: Catalog, sets: Sequence[str]
) -> tuple[Component[Any], Options, ComponentChoice]:
    """A stored component: as it is today, its options, and what a plan keeps of both."""
    component = catalog.component(role, f"{choice.provider}:{choice.component}")
    given = {name: Given(value, source="the stored plan") for name, value in choice.options.items()}
    if role == "dataset":
        given |= parse_sets(sets, ("dataset",))["dataset"]
    provider = component.provider.distribution
    options, problems = guarded(
        lambda: validate(component.spec.options, given, role), provider, f"validating the options of {choice.component}"
    )
    if options is None or problems:
        raise ConfigError(
            f"the {role} does not take the stored options",
            problems=problems,
            where=f"{role} {choice.component} of {choice.provider}",
            fix="correct or leave out -S"
            if role == "dataset" and sets
            else f"install the version of {choice.provider} that the run was made with: {safe_repr(choice.version)}",
        )
    now = {
        "version": component.provider.version,
        "digest": component.digest,
        "code": component.code,
        "options": written_options(options, provider),
    }
    return component, options, choice.model_copy(update=now)
