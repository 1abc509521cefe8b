"""A document as one HTML file that needs nothing else: no script, no remote reference, a content security policy."""

from __future__ import annotations

from importlib import resources
from typing import Any

from qtlplat.analysis.markup import plain
from qtlplat_reports.report.document import Block, Document

# nothing may be loaded or run; styles stand in the page, pictures in data URLs
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)  # fmt: skip


def html(document: Document) -> str:
    """The whole page; every text in it is escaped, figures are SVG elements made by `figures.files.inline_svg`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def inert(value: Any) -> Any:
        return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=inert, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = Markup  # the one thing that is not escaped: made by our own drawing
    environment.tests["in_report"] = lambda run: run in document.runs
    source = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    return environment.from_string(source).render(document=document, policy=POLICY, sort_of=_sort_of) + "\n"


def _sort_of(block: Block) -> str:
    """What a block is, for the template."""
    return type(block).__name__.lower()
