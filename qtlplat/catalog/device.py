"""What runs the circuit: reads the text of ``--device``. No PennyLane: a device's existence shows when it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qtlplat.catalog.options import validate
from qtlplat.catalog.references import Given, parse_reference, reference_text
from qtlplat.errors import ConfigError, Problem, UsageError, safe_repr

AUTO, COMPILED = "auto", "compiled"
EXAMPLES = "auto, compiled, default.qubit, 'default.qubit[shots=1000]' or 'compiled[precision=double]'"

Noise = Literal["bitflip", "phaseflip", "depolarizing", "amplitude_damping", "phase_damping"]


class EngineOptions(BaseModel):
    """Options of `auto` and `compiled`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    precision: Literal["single", "double"] = Field("single", description="of the state: complex64 or complex128")


class DeviceOptions(BaseModel):
    """Options of a PennyLane device; all others are keywords of the device itself."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    shots: int | None = Field(None, ge=1, strict=True, description="measurements per value; left out: exact values")
    noise: Noise | None = Field(None, description="channel after every gate, on each of its wires")
    strength: float | None = Field(None, ge=0, le=1, description="probability or damping of the noise, 0.01 by default")

    @model_validator(mode="after")
    def _strength_is_of_a_noise(self) -> DeviceOptions:
        if self.strength is not None and self.noise is None:
            raise ValueError("strength needs a noise, for example noise=depolarizing")
        return self


DEFAULT_STRENGTH = 0.01


@dataclass(frozen=True)
class DeviceChoice:
    """What runs a circuit, taken apart.

    name: `auto`, `compiled` or the name of a PennyLane device.
    options: plain JSON values. For `auto` and `compiled` always `precision`; for a device `shots`, `noise` with
        `strength` where they were given, and keywords of the device itself.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The canonical form: equal choices have equal texts, and `parse_device` reads it back."""
        usual = {"precision": "single"} if self.name in (AUTO, COMPILED) else {"strength": DEFAULT_STRENGTH}
        said = {key: value for key, value in self.options.items() if key not in usual or usual[key] != value}
        return reference_text(self.name, dict(sorted(said.items())))


def parse_device(text: str) -> DeviceChoice:
    """Take the text of ``--device`` apart.

    Raises:
        UsageError: it cannot be read.
        ConfigError: options are wrong, as far as that can be told without the device; all of them at once.
    """
    choice, problems = read_device(text)
    if choice is None:
        raise ConfigError(
            f"wrong options of device {safe_repr(text)}",
            problems=problems,
            where="--device",
            fix=f"for example {EXAMPLES}",
        )
    return choice


def read_device(text: str) -> tuple[DeviceChoice | None, list[Problem]]:
    """As `parse_device`, but with the wrong options as a list, to be told together with others."""
    try:
        reference = parse_reference(text, "device")
    except UsageError as error:
        raise UsageError(error.what, where=error.where, fix=f"for example {EXAMPLES}") from None
    if reference.name in (AUTO, COMPILED):
        engine, problems = validate(EngineOptions, reference.options, "device")
        return (None, problems) if engine is None else (DeviceChoice(reference.name, engine.model_dump()), problems)
    return _read_options(reference.name, reference.options)


def _read_options(name: str, given: Mapping[str, Given]) -> tuple[DeviceChoice | None, list[Problem]]:
    made, problems = validate(DeviceOptions, given, "device")
    for key, one in given.items():
        if key == "wires":
            problems.append(Problem("device.wires", "", "cannot be chosen, the circuit says how many there are"))
        elif not key.isidentifier():
            problems.append(Problem(f"device.{safe_repr(key)}", "", "is no name of an option"))
        elif key not in DeviceOptions.model_fields and not _is_finite(one.value):
            problems.append(Problem(f"device.{key}", "", f"{safe_repr(one.value)}: must be finite"))
    if made is None or problems:
        return None, problems
    values = made.model_dump(include=set(DeviceOptions.model_fields))
    options = {key: value for key, value in values.items() if value is not None} | (made.model_extra or {})
    if made.noise:
        options.setdefault("strength", DEFAULT_STRENGTH)
    return DeviceChoice(name, options), []


def _is_finite(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
