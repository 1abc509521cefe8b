"""Opens a stored run again: its plan and its data, through the plugins that it names, with the options it stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.controls import find_controls
from qtlplat.catalog.plan import ComponentChoice, PretrainingPlan, RunPlan
from qtlplat.catalog.plugin_calls import load_images, source_files
from qtlplat.catalog.provider import Component
from qtlplat.catalog.references import Given, parse_sets
from qtlplat.catalog.resolve import Choice, Resolved, assembled, chosen_options
from qtlplat.contracts import ROLES, ImageSet, Role
from qtlplat.errors import ConfigError, DataError, Problem, StoreError, safe_repr


def stored_images(plan: Mapping[str, Any], digest: str, catalog: Catalog, sets: Sequence[str] = ()) -> ImageSet:
    """Read the dataset of a stored plan.

    Args:
        plan: as stored.
        digest: of the data that the run saw.
        catalog: the components.
        sets: ``dataset.option=value``, for data that was moved.

    Raises:
        UsageError, PluginError: the dataset's plugin is missing or broken.
        ConfigError: the plugin does not take the stored options any more.
        StoreError: the plan is not one of this version of qtlplat.
        DataError: the data cannot be read, or is not what the run saw; both digests are named.
    """
    stored, now = _dataset(plan, catalog, sets)
    provider = now.component.provider
    images = load_images(now.component.spec, now.options, provider.distribution)
    if images.digest != digest:
        where = f"dataset {stored.component} of {stored.provider}"
        raise DataError(
            f"the dataset has changed: its digest is {images.digest}, the run saw {digest}",
            where=f"{where}, version {provider.version}; the run used {stored.version}",
            fix="pass -S dataset.OPTION=VALUE if the data has moved, or start a new run on the present data",
        )
    return images


def stored_files(
    plan: Mapping[str, Any], sources: Sequence[str], catalog: Catalog, sets: Sequence[str] = ()
) -> Mapping[str, str]:
    """Where the files of sources lie, by source, as far as the dataset of a stored plan knows; nothing is decoded.

    sets: as above. Raises UsageError, PluginError, ConfigError and StoreError as `stored_images`, and what the dataset
    raises.
    """
    _, now = _dataset(plan, catalog, sets)
    return source_files(now.component.spec, now.options, now.component.provider.distribution, sources)


def _dataset(plan: Mapping[str, Any], catalog: Catalog, sets: Sequence[str]) -> tuple[ComponentChoice, Choice]:
    stored = _validated(ComponentChoice, plan.get("dataset"))
    return stored, _reopened("dataset", stored, catalog, sets)


def stored_run(plan: Mapping[str, Any], catalog: Catalog, sets: Sequence[str] = ()) -> Resolved:
    """The stored plan of a run of heads, to be carried out again or further; not yet bound to data.

    Its components are those of today: what has changed about them since stands in their version and digest. sets: as
    above. Raises UsageError, PluginError, ConfigError and StoreError as `stored_images`.
    """
    stored = _validated(RunPlan, plan)
    found = {role: _reopened(role, getattr(stored, role), catalog, sets) for role in ROLES}
    missing: list[Problem] = []
    controls = find_controls(stored.controls, catalog, missing)
    if missing:
        fix = "install the plugin that offers them"
        raise ConfigError("controls of the run are not available", problems=missing, fix=fix)
    today: dict[str, Any] = {
        **{role: choice.public() for role, choice in found.items()},
        "control_code": {name: component.digest for name, component in controls.items()},
        "dataset_digest": "",
    }
    return assembled(stored.model_copy(update=today), found, (), controls)


def stored_pretraining(
    plan: Mapping[str, Any], catalog: Catalog, sets: Sequence[str] = ()
) -> tuple[PretrainingPlan, dict[Role, Component[Any]], dict[Role, Any]]:
    """The stored plan of a pretraining with its components and options by role. sets: as above. Raises likewise."""
    stored = _validated(PretrainingPlan, plan)
    roles: tuple[Role, ...] = ("dataset", "backbone")
    found = {role: _reopened(role, getattr(stored, role), catalog, sets) for role in roles}
    return (
        stored.model_copy(update={role: choice.public() for role, choice in found.items()}),
        {role: choice.component for role, choice in found.items()},
        {role: choice.options for role, choice in found.items()},
    )


P = TypeVar("P", RunPlan, PretrainingPlan, ComponentChoice)


def _validated(kind: type[P], plan: Any) -> P:
    try:
        return kind.model_validate(plan)
    except ValidationError as error:
        first = error.errors()[0]
        raise StoreError(
            f"the stored plan is not one of this version of qtlplat: {first['msg']}",
            where=".".join(str(part) for part in first["loc"]),
            fix="look for damage: qtlplat store check; if there is none, use the version of qtlplat that stored it",
        ) from error


def _reopened(role: Role, stored: ComponentChoice, catalog: Catalog, sets: Sequence[str]) -> Choice:
    """A stored component as it is today, with the options that were stored."""
    component = catalog.component(role, f"{stored.provider}:{stored.component}")
    given = {name: Given(value, source="the stored plan") for name, value in stored.options.items()}
    moved = parse_sets(sets, ("dataset",))["dataset"] if role == "dataset" else {}
    choice = chosen_options(role, stored.name, component, given | moved)
    if choice.problems:
        raise ConfigError(
            f"the {role} does not take the stored options",
            problems=choice.problems,
            where=f"{role} {stored.component} of {stored.provider}",
            fix="correct or leave out -S"
            if moved
            else f"install the version of {stored.provider} that the run was made with: {safe_repr(stored.version)}",
        )
    return choice
