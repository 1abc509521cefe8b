"""Writes a stored run's model with an exporter, as `qtlplat export --to` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtlplat.catalog.references import Given
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.render.files import refuse, write_output
from qtlplat.cli.settings import Settings
from qtlplat.specs import Export

FORMATS = ("onnx", "qasm", "qasm3")


def export(trained: Any, to: str, output: Path, *, force: bool = False, **options: Any) -> dict[str, Any]:
    """Facts about the file."""
    registry, catalog = open_components(Settings())
    given = {name: Given(value, str(value)) for name, value in options.items() if value is not None}
    component, chosen, _ = resolve_component("exporter", to, registry, catalog, flags=given)
    refuse(output, force)
    component.spec.require()
    asked = Export(
        reader=trained.reader,
        catalog=catalog,
        runs=[trained.id],
        output=output,
        options=chosen,
        sets=(),
        save=lambda data: write_output(output, data, force),
        note=lambda _line: None,
    )
    return {"to": to, "run": trained.id, "file": str(output), **component.spec.write(asked)}
