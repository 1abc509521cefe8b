"""What is known of a device's values: whether they are means of shots, how many, how exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qtlplat.conventions import SHOTS, SHOTS_REPEAT

DOUBLE, SINGLE = 1e-15, 1e-6  # rounding errors of values, where they cannot be measured


@dataclass(frozen=True)
class DeviceTraits:
    """What was seen of a device and a circuit.

    draws: whether values are means of random shots; shots: how many, None if there are none or they cannot be told;
    own: whether the device chose that itself; repeats: whether the same seed gives the same values;
    precision: the largest rounding error of a value, in what values are measured in.
    """

    draws: bool = False
    shots: int | None = None
    own: bool = False
    repeats: bool = True
    precision: float = DOUBLE

    def facts(self) -> dict[str, str]:
        """What the store keeps of it, by name; nothing where values are exact."""
        return {SHOTS: self.told_shots, SHOTS_REPEAT: "yes" if self.repeats else "no"} if self.draws else {}

    def form(self) -> dict[str, Any] | None:
        """The shots as JSON, None where values are exact."""
        if not self.draws:
            return None
        return {"number": self.shots, "chosen_by_device": self.own, "repeatable": self.repeats}

    @property
    def told_shots(self) -> str:
        """The shots in words: '1000', '1024, chosen by the device', 'none'."""
        if not self.draws:
            return "none"
        number = "an unknown number" if self.shots is None else str(self.shots)
        return f"{number}, chosen by the device" if self.own else number


EXACT = DeviceTraits()
