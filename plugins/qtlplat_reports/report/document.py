"""What a report consists of: sections of texts, tables, pictures and commands. Pure data, plain text in every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# what stands in a column: words in a row, a number, sentences, ids of runs with spaces between them
Sort = Literal["text", "number", "sentence", "runs"]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    title: str
    sort: Sort = "text"


@dataclass(frozen=True)
class Table:
    """A table. rows: as many texts as there are columns, '' where there is nothing to say; notes: stand below it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True)
class Picture:
    """A figure. command: that makes it; svg: an element made by `figures.files.inline_svg`, '' if not drawn."""

    caption: str
    command: str
    svg: str = ""


@dataclass(frozen=True)
class Commands:
    """Lines to type, each with the id of the run that it belongs to and with what it does."""

    lines: tuple[tuple[str, str, str], ...]


Block = Table | Text | Picture | Commands


@dataclass(frozen=True)
class Section:
    """A part of the report. name: for links, lower-case letters."""

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report. runs: the short ids that it speaks of; ids in tables lead to them."""

    title: str
    sections: tuple[Section, ...]
    runs: tuple[str, ...] = ()
