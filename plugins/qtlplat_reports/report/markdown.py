"""A document as Markdown (CommonMark with pipe tables); what has a meaning there is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from qtlplat.analysis.markup import markdown_text, plain
from qtlplat_reports.report.document import Block, Commands, Document, Picture, Table, Text

_FENCE = re.compile(r"`+")


def markdown(document: Document) -> str:
    """The whole report; figures are named with the commands that draw them."""
    parts = [f"# {escaped(document.title)}"]
    for section in document.sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [text for block in section.blocks for text in _block(block)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text on one line that stands for itself, in a paragraph as well as in a cell of a table."""
    return re.sub(r"^(\s*)([-+=]|\d+[.)])", _no_list, markdown_text(plain(text)))


def _no_list(match: re.Match[str]) -> str:
    """What would begin a list, a rule or a heading at the start of a line; a number alone begins nothing."""
    mark = match[2]
    return f"{match[1]}{mark[:-1]}\\{mark[-1]}"


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Text):
        yield escaped(block.words)
    elif isinstance(block, Table):
        yield f"**{escaped(block.caption)}**"
        yield _table(block)
        if block.notes:
            yield "\n".join(f"- {escaped(note)}" for note in block.notes)
    elif isinstance(block, Picture):
        yield escaped(f"{block.caption}:")
        yield _code([block.command])
    else:
        yield from _commands(block)


def _table(table: Table) -> str:
    head = [escaped(column.title) for column in table.columns]
    rule = ["---:" if column.sort == "number" else "---" for column in table.columns]
    rows = [[_cell(text) for text in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _cell(text: str) -> str:
    """In a cell nothing begins a list, so numbers keep their signs."""
    return markdown_text(plain(text))


def _commands(block: Commands) -> Iterator[str]:
    for run, what, command in block.lines:
        yield _code([f"# {run}: {what}", command])


def _code(lines: list[str]) -> str:
    """A block of code, in a fence longer than any in it."""
    body = "\n".join(map(plain, lines))
    fence = "`" * max(3, 1 + max((len(found) for found in _FENCE.findall(body)), default=0))
    return f"{fence}sh\n{body}\n{fence}"
