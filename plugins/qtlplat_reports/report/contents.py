"""The order of a report: material -> document."""

from __future__ import annotations

from qtlplat.conventions import short
from qtlplat_reports.report import overview, surroundings
from qtlplat_reports.report.claims import claims
from qtlplat_reports.report.controls import controls
from qtlplat_reports.report.document import Document, Section
from qtlplat_reports.report.material import Material
from qtlplat_reports.report.mistakes import mistakes
from qtlplat_reports.report.models import models
from qtlplat_reports.report.pictures import pictures
from qtlplat_reports.report.side_by_side import leakage
from qtlplat_reports.report.sweep import sweep_section


def document(material: Material, *, drawn: bool = True) -> Document:
    """The whole report. drawn: whether its figures are drawn, or only named with their commands."""
    record = material.reproduction
    sections = [
        overview.headline(material),
        *([claims(record, material.publication)] if record is not None else []),
        *([_of_sweep(material, drawn=drawn)] if material.sweep is not None else []),
        models(material),
        leakage(material),
        controls(material),
        mistakes(material),
        overview.picking(material),
        surroundings.data(material),
        pictures(material, drawn=drawn),
        surroundings.environment(material),
        surroundings.rerun(material),
    ]
    about = f"Reproduction of {record.content.recipe}" if record is not None else "Report on stored runs"
    about = f"Report on the sweep {material.sweep.name}" if material.sweep is not None else about
    return Document(about, tuple(sections), tuple(short(stored.run.id) for stored in material.runs))


def _of_sweep(material: Material, *, drawn: bool) -> Section:
    assert material.sweep is not None
    return sweep_section(material.sweep, material.picked, len(material.heads), drawn=drawn)
