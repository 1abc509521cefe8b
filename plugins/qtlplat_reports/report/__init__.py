"""A report on stored runs: records -> a document (`contents.py` and what it calls) -> HTML, Markdown or LaTeX.

`material.py` reads the data of a report from the store, the other modules make sections of it, and a renderer writes
them. Every number is a stored row, or is computed from stored rows by a function of `analysis`, and names its run.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from qtlplat.errors import UsageError, safe_repr

if TYPE_CHECKING:
    from qtlplat_reports.report.document import Document

FORMATS = (".html", ".md", ".tex")


def format_of(name: PurePath) -> str:
    """The form that a file's name asks for, one of `FORMATS`. Raises UsageError if it is none of them."""
    ending = name.suffix.lower()
    if ending not in FORMATS:
        raise UsageError(
            f"{safe_repr(str(name))} is no .html, .md or .tex file", where="--output", fix="for example: -o report.html"
        )
    return ending


def rendered(document: Document, fmt: str) -> str:
    """The document in one of the `FORMATS`."""
    if fmt == ".html":
        from qtlplat_reports.report.html import html

        return html(document)
    if fmt == ".tex":
        from qtlplat_reports.report.latex import latex

        return latex(document)
    from qtlplat_reports.report.markdown import markdown

    return markdown(document)
