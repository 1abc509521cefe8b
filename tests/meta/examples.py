"""Examples in the documentation: a block of code, and the block of text below it that it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """language: as the block says; expected: what it prints, None where the page does not tell; line: of the page."""

    language: str
    code: str
    expected: str | None
    line: int


def examples(page: Path, language: str) -> list[Example]:
    """Blocks of one language, in their order; a block of `text` right below one is its output."""
    text = page.read_text(encoding="utf-8")
    found: list[Example] = []
    end = -1
    for block in _BLOCK.finditer(text):
        if block[1] == "text" and found and not text[end : block.start()].strip():
            last = found.pop()
            found.append(Example(last.language, last.code, block[2], last.line))
        elif block[1] == language:
            found.append(Example(language, block[2], None, text.count("\n", 0, block.start()) + 1))
            end = block.end()
    return found
