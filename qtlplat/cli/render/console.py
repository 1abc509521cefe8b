"""A rich console that prints no control character but its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from qtlplat.errors import escape_control


class InertConsole(Console):
    """Spells out control characters in every text, whatever it is part of; those of rich itself are no text."""

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As rich does, with every text made inert."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                text = "\n".join(map(escape_control, segment.text.split("\n")))
                yield Segment(text, segment.style)
