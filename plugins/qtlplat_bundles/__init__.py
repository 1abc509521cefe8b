"""Bundles: runs as one file to send, which another store imports.

The exporter `bundle` (`qtlplat export` without `--to`) and the command `qtlplat import`. What comes from outside is
verified before anything of it is used. It is released together with qtlplat and imports modules that are no part of the
plugin API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from qtlplat import CommandSpec, Export, ExporterSpec, Options, hookimpl

if TYPE_CHECKING:
    import click

qtlplat_api_version = (1, 0)


class BundleOptions(Options):
    """Options of `bundle`."""

    report: bool = Field(False, description="add a report on the runs, as report.html")


def _export(export: Export) -> Mapping[str, Any]:
    from qtlplat_bundles.to_bundle import to_bundle

    return to_bundle(export)


def _import() -> click.Command:
    from qtlplat_bundles.import_command import import_command

    return import_command


@hookimpl
def qtlplat_exporters() -> list[ExporterSpec]:
    """The format without `--to`."""
    summary = "a .zip file for qtlplat import: rows, files and splits of the runs, and their pretrainings"
    spec = ExporterSpec(name="bundle", summary=summary, write=_export, target="archive", options=BundleOptions)
    return [spec]


@hookimpl
def qtlplat_commands() -> list[CommandSpec]:
    """The way back."""
    return [CommandSpec(name="import", summary="Import the runs of a bundle, with their files.", load=_import)]
