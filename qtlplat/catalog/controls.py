"""Controls by name: those that plugins offer, among those that a plan asks for. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.plan import (
    ABLATIONS,
    AUTO_CONTROLS,
    CONTROLS,
)
from qtlplat.catalog.provider import Component
from qtlplat.control_specs import AnyControlSpec
from qtlplat.errors import Problem, safe_repr

SHIPPED = "qtlplat"  # the distribution whose controls `auto` means


def find_controls(
    names: Sequence[str], catalog: Catalog, problems: list[Problem]
) -> dict[str, Component[AnyControlSpec]]:
    """The controls that plugins offer, by name; of `auto`, those that are shipped. Problems are added to the list."""
    found: dict[str, Component[AnyControlSpec]] = {}
    for name in CONTROLS if AUTO_CONTROLS in names else names:
        automatic = AUTO_CONTROLS in names
        matches = catalog.matches("control", f"{SHIPPED}:{name}" if automatic else name)
        if matches:
            found[name] = matches[0] if automatic else catalog.component("control", name)
        elif name not in ABLATIONS and not automatic:
            known = (AUTO_CONTROLS, *ABLATIONS, *(c.spec.name for c in catalog.components("control")))
            what = f"no such control: {safe_repr(name)}; there are {', '.join(known)}"
            problems.append(Problem("--controls", "", what))
    return found
