"""The order of a report: material -> document."""

from __future__ import annotations

from qtlplat.analysis.report import overview, surroundings
from qtlplat.analysis.report.claims import claims
from qtlplat.analysis.report.controls import controls
from qtlplat.analysis.report.document import Document
from qtlplat.analysis.report.material import Material
from qtlplat.analysis.report.mistakes import mistakes
from qtlplat.analysis.report.models import models
from qtlplat.analysis.report.pictures import pictures
from qtlplat.analysis.report.side_by_side import leakage
from qtlplat.conventions import short


def document(material: Material, *, drawn: bool = True) -> Document:
    """The whole report. drawn: whether its figures are drawn, or only named with their commands."""
    record = material.reproduction
    sections = [
        overview.headline(material),
        *([claims(record, material.publication)] if record is not None else []),
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
    return Document(about, tuple(sections), tuple(short(stored.run.id) for stored in material.runs))
