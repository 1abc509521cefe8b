"""The tables of a document as LaTeX (booktabs), for a paper to read in; every character of a text stands for itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from qtlplat.analysis.report.document import Column, Commands, Document, Section, Table, plain

_HEAD = """% Tables of a report by qtlplat, for \\input; the preamble needs: \\usepackage{booktabs}
% Wide ones fit a landscape page, or \\resizebox of the package graphicx."""
_MEANS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", "`": r"\char96{}", "'": r"\char39{}",
    # after a line's end these would be arguments; two hyphens would become a dash, ?` and !` other signs
    "[": "{[}", "]": "{]}", "*": "{*}", "-": "{-}", "?": "{?}", "!": "{!}",
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "…": r"\dots{}", "–": "--", "·": r"$\cdot$",
}  # fmt: skip
_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")
_NEGATIVE = re.compile(r"(?<![\w.)\]])-(?=[\d.])")
_SENTENCE = "p{5cm}"
_MOST_ROWS = 30  # that fit a page
_CODE_WIDTH = "0.78"


def latex(document: Document) -> str:
    """All tables of the report, and the commands as one more."""
    parts = [_HEAD, *(text for section in document.sections for text in _section(section))]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text in which no character has a meaning to TeX; letters that its fonts lack become their code points."""
    return "".join(_character(c) for c in plain(text))


def _character(c: str) -> str:
    if c in _MEANS:
        return _MEANS[c]
    if c.isascii() or c in _LETTERS:
        return c
    return f"U+{ord(c):04X}"


def _number(text: str) -> str:
    """A number with a minus sign where it is negative."""
    parts = _NEGATIVE.split(plain(text))
    return "$-$".join(map(escaped, parts))


def _section(section: Section) -> Iterator[str]:
    tables = [block for block in section.blocks if isinstance(block, Table)]
    for position, table in enumerate(tables):
        label = f"tab:{section.name}" + (f"-{position + 1}" if position else "")
        parts = [table.rows[i : i + _MOST_ROWS] for i in range(0, len(table.rows), _MOST_ROWS)]
        for number, rows in enumerate(parts):
            caption = table.caption + (" (continued)" if number else "")
            notes = table.notes if number == len(parts) - 1 else ()
            yield _table(replace(table, caption=caption, rows=rows, notes=notes), label + "-continued" * number)
    for block in section.blocks:
        if isinstance(block, Commands) and block.lines:
            yield _commands(block, f"tab:{section.name}-commands")


def _table(table: Table, label: str) -> str:
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize",
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{@{{}}{''.join(map(_specification, table.columns))}@{{}}}}",
        r"\toprule",
        _row(escaped(column.title) for column in table.columns),
        r"\midrule",
        *(_row(_cells(table, row)) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\smallskip {escaped(note)}" for note in table.notes),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _specification(column: Column) -> str:
    """How a column is set: sentences break, numbers stand right."""
    return {"number": "r", "sentence": _SENTENCE}.get(column.sort, "l")


def _cells(table: Table, row: tuple[str, ...]) -> Iterator[str]:
    for column, text in zip(table.columns, row, strict=True):
        if column.sort == "number":
            yield _number(text)
        elif column.sort == "runs":
            yield rf"\texttt{{{escaped(text)}}}" if text else ""
        else:
            yield (r"\raggedright " if column.sort == "sentence" and text else "") + escaped(text)


def _row(cells: Iterator[str]) -> str:
    return " & ".join(cells) + r" \tabularnewline"  # ends a row even where a cell is set ragged


def _commands(block: Commands, label: str) -> str:
    """The commands, with places where a line may end."""
    rows = []
    for run, what, command in block.lines:
        code = escaped(command).replace(",", r",\allowbreak{}").replace("=", r"=\allowbreak{}")
        rows.append(rf"\texttt{{{escaped(run)}}} & \raggedright {escaped(what)}: \texttt{{{code}}} \tabularnewline")
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\scriptsize\sloppy",
            r"\caption{The commands that make every number again}",
            rf"\label{{{label}}}",
            rf"\begin{{tabular}}{{@{{}}lp{{{_CODE_WIDTH}\linewidth}}@{{}}}}",
            r"\toprule",
            r"run & command \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
