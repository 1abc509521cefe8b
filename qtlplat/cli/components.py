"""Registry and catalog as a command opens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtlplat.catalog.catalog import Catalog, open_catalog
from qtlplat.catalog.registry import Registry
from qtlplat.cli.render.terminal import note
from qtlplat.cli.settings import Settings

if TYPE_CHECKING:
    pass


def open_components(settings: Settings) -> tuple[Registry, Catalog]:
    """Registry and catalog for a command, with one line on stderr for each plugin that is broken."""
    registry, catalog = open_catalog(settings.registry)
    if settings.verbosity >= 0:
        for line in catalog.host.warnings():
            note(line)
    return registry, catalog
