"""Plot stored runs, report on them, and list what they get wrong.

The commands `qtlplat plot`, `report` and `errors`, and the exporter `report` that `qtlplat export --with-report` uses.
It is released together with qtlplat and imports modules that are no part of the plugin API. `figures` is for scripts
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qtlplat import CommandSpec, Export, ExporterSpec, hookimpl

if TYPE_CHECKING:
    import click

qtlplat_api_version = (1, 0)


def _plot() -> click.Command:
    from qtlplat_reports.plot_command import plot_command

    return plot_command


def _report() -> click.Command:
    from qtlplat_reports.report_command import report_command

    return report_command


def _errors() -> click.Command:
    from qtlplat_reports.errors_command import errors_command

    return errors_command


def _export(export: Export) -> Mapping[str, Any]:
    from qtlplat_reports.report_command import export_report

    return export_report(export.reader, export.runs, export.output)


@hookimpl
def qtlplat_commands() -> list[CommandSpec]:
    """Figures, reports and errors."""
    plot = "Plot stored runs, or a sweep, in the terminal, or with -o as PNG, SVG or PDF."
    report = "Write a report on stored runs: HTML, Markdown or LaTeX tables."
    return [
        CommandSpec(name="plot", summary=plot, load=_plot),
        CommandSpec(name="report", summary=report, load=_report),
        CommandSpec(name="errors", summary="List the samples that are misclassified most often.", load=_errors),
    ]


@hookimpl
def qtlplat_exporters() -> list[ExporterSpec]:
    """The report as a page in a directory, or in a bundle."""
    summary = "a report on the runs, report.html; also in bundles, with --with-report"
    return [ExporterSpec(name="report", summary=summary, write=_export, target="directory")]
