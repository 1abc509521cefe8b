"""How a run is trained: options of training, pretraining and tuning out of a protocol, ``-S`` and flags."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pydantic import BaseModel

from qtlplat.catalog.command import TRAINING_FLAGS
from qtlplat.catalog.options import validate
from qtlplat.catalog.plan import PretrainingOptions, TrainingOptions, TuningOptions
from qtlplat.catalog.references import Given
from qtlplat.catalog.registry import Registry
from qtlplat.catalog.request import Request
from qtlplat.errors import Problem, UsageError, safe_repr, unknown_name

Sets = Mapping[str, Mapping[str, Given]]  # what ``-S`` gives, by the part of a plan


def training_parts(request: Request, registry: Registry, sets: Sets, problems: list[Problem]) -> dict[str, BaseModel]:
    """Options of training and pretraining (protocol < ``-S`` < flags) and of tuning, by part of the plan.

    Wrong ones are added to the problems. Raises UsageError for an unknown protocol, and for options that tuning
    chooses.
    """
    name = request.protocol
    if name is None:
        name = next(iter(registry.defaults.get("protocol", ())), None)
    if name is not None and name not in registry.protocols:
        fix = "choose a known one, or write [protocols.NAME] in .qtlplat/registry.toml"
        raise UsageError(unknown_name("protocol", name, registry.protocols), where="--protocol", fix=fix)
    protocol = None if name is None else registry.protocols[name]
    parts: dict[str, BaseModel] = {}
    for role, model in (("training", TrainingOptions), ("pretraining", PretrainingOptions)):
        given: dict[str, Given] = {}
        if protocol is not None:
            table: BaseModel = getattr(protocol, role)
            source = f"protocol {protocol.name} in {protocol.source}"
            given |= {key: Given(value, source=source) for key, value in table.model_dump(exclude_unset=True).items()}
        given |= sets[role]
        for (part, key), flag in TRAINING_FLAGS.items():
            value = getattr(request, flag.lstrip("-").replace("-", "_"))
            if part == role and value is not None:
                given[key] = Given(value, source=flag)
        made, found = validate(model, given, role)
        problems += found
        if made is not None:
            parts[role] = made
    if (request.tune or sets["tuning"]) and (tuning := _tuning(request, sets, problems)):
        parts["tuning"] = tuning
    return parts


def _tuning(request: Request, sets: Sets, problems: list[Problem]) -> BaseModel | None:
    """Options of tuning; problems are added to the list. Raises UsageError if what it chooses is given as well."""
    given = {"--epochs": request.epochs is not None}
    given |= {f"-S training.{name}": name in sets["training"] for name in ("epochs", "learning_rate")}
    if wrong := [name for name, there in given.items() if there]:
        raise UsageError(
            f"tuning chooses the learning rate and the epochs of heads, and {wrong[0]} sets one of them",
            where="--tune",
            fix=f"leave out {wrong[0]}, or set the grid: -S tuning.learning_rates=[8e-4,8e-3] -S tuning.epochs=120",
        )
    made, found = validate(TuningOptions, sets["tuning"], "tuning")
    problems += found
    return made


def replaced_layers(text: str | None) -> int | str:
    """The number of dense layers that a head replaces, or 'all'. Raises UsageError for another text."""
    if text is None or text == "all":
        return "all"
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise UsageError(
            f"{safe_repr(text)} is not a number of dense layers",
            where="--replace",
            fix="--replace all, or --replace K with K from 1",
        )
    return int(text)
