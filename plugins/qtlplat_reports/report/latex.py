"""The tables of a document as LaTeX (booktabs), for a paper to read in; every character of a text stands for itself."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

from qtlplat.analysis.markup import latex_number, latex_row, latex_text, plain
from qtlplat_reports.report.document import Column, Commands, Document, Section, Table

_HEAD = """% Tables of a report by qtlplat, for \\input; the preamble needs: \\usepackage{booktabs,graphicx}
% Tables wider than a line are made smaller until they fit; on a landscape page they are larger."""
_FIT = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}"
_NOTE_LETTERS = 110  # on a line
_HEADER_LETTERS = 10  # of a column's title, until it goes on on the next line
_TIED = "\N{NO-BREAK SPACE}%"  # a unit stays with its word
_PAGE_LINES = 48  # of a table
_MOST_HELD = 40  # tables; TeX gives up where it must hold back more than 52 of them until a page has room
_WORD_LETTERS, _PIECE = 20, 8  # a longer word may end a line after so many letters


@dataclass(frozen=True)
class _Sentences:
    """How a column of sentences is set. kind: of the column; font: of its text; letters: on a line."""

    kind: str
    font: str
    letters: int


_WORDS = _Sentences("p{5cm}", "", 36)
_COMMANDS = _Sentences(r"p{0.78\linewidth}", r"\scriptsize\ttfamily", 85)


def latex(document: Document) -> str:
    """All tables of the report, and the commands as one more."""
    parts = [_HEAD]
    for number, table in enumerate(text for section in document.sections for text in _section(section)):
        parts += [r"\clearpage", table] if number and number % _MOST_HELD == 0 else [table]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text in which no character has a meaning to TeX; letters that its fonts lack become their code points."""
    return latex_text(plain(text))


def _section(section: Section) -> Iterator[str]:
    tables = [block for block in section.blocks if isinstance(block, Table)]
    for position, table in enumerate(tables):
        label = f"tab:{section.name}" + (f"-{position + 1}" if position else "")
        yield from _tables(table, label)
    for block in section.blocks:
        if isinstance(block, Commands) and block.lines:
            yield from _tables(_as_table(block), f"tab:{section.name}-commands", _COMMANDS)


def _as_table(block: Commands) -> Table:
    """Commands as rows of a table: run; what it is and the command."""
    rows = tuple((run, f"{what}: {command}") for run, what, command in block.lines)
    columns = (Column("run", "runs"), Column("command", "sentence"))
    return Table("The commands that make every number again", columns, rows)


def _tables(table: Table, label: str, sentences: _Sentences = _WORDS) -> Iterator[str]:
    """A table, or several where it is longer than a page."""
    parts = _pages(table, sentences.letters)
    for number, rows in enumerate(parts):
        caption = table.caption + (" (continued)" if number else "")
        notes = table.notes if number == len(parts) - 1 else ()
        yield _table(replace(table, caption=caption, rows=rows, notes=notes), label + "-continued" * number, sentences)


def _pages(table: Table, letters: int) -> list[tuple[tuple[str, ...], ...]]:
    """The rows in portions that fit a page, with the notes below the last one."""
    broken = [column.sort == "sentence" for column in table.columns]
    notes = sum(-(-len(note) // _NOTE_LETTERS) for note in table.notes)
    pages: list[list[tuple[str, ...]]] = [[]]
    taken = 0
    for i, row in enumerate(table.rows):
        lines = max([1, *(-(-len(text) // letters) for text, breaks in zip(row, broken, strict=True) if breaks)])
        needed = lines + (notes if i == len(table.rows) - 1 else 0)
        if pages[-1] and taken + needed > _PAGE_LINES:
            pages.append([])
            taken = 0
        pages[-1].append(row)
        taken += lines
    return [tuple(rows) for rows in pages]


def _table(table: Table, label: str, sentences: _Sentences) -> str:
    kinds = {"number": "r", "sentence": sentences.kind}
    columns = "".join(kinds.get(column.sort, "l") for column in table.columns)
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{{label}}}",
        rf"{_FIT}{{\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        latex_row([_title(column) for column in table.columns]),
        r"\midrule",
        *(latex_row(list(_cells(table, row, sentences.font))) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}",
        *(rf"\par\smallskip{{\raggedright {escaped(note)}\par}}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _title(column: Column) -> str:
    """A column's title, on several lines where it is long."""
    joined = plain(column.title).replace(" %", _TIED)
    lines = [line.replace(_TIED, " %") for line in textwrap.wrap(joined, _HEADER_LETTERS, break_long_words=False)]
    if len(lines) < 2 or column.sort not in ("number", "text"):
        return escaped(column.title)
    stacked = r"\\ ".join(map(escaped, lines))
    return rf"\shortstack[{'r' if column.sort == 'number' else 'l'}]{{{stacked}}}"


def _cells(table: Table, row: tuple[str, ...], font: str) -> Iterator[str]:
    for column, text in zip(table.columns, row, strict=True):
        if column.sort == "number":
            yield latex_number(plain(text))
        elif column.sort == "runs":
            yield rf"\texttt{{{escaped(text)}}}" if text else ""
        elif column.sort == "sentence" and text:
            yield rf"\raggedright{font} " + " ".join(map(_word, plain(text).split(" ")))
        else:
            yield escaped(text)


def _word(word: str) -> str:
    """A word of a sentence; a long one (a command's option, a digest) may end a line within."""
    if len(word) <= _WORD_LETTERS:
        return escaped(word)
    pieces = [word[i : i + _PIECE] for i in range(0, len(word), _PIECE)]
    return r"\allowbreak{}".join(map(escaped, pieces))
