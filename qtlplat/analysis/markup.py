"""Text of which every character stands for itself in Markdown or in LaTeX; whole pages are made elsewhere."""

from __future__ import annotations

import re

LONGEST = 2000  # characters of a single text; an error of a foreign library can be endless
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>|#~&$@!]")
_LINK = re.compile(r"(?i)(://|www\.)")  # some readers make links of bare addresses
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\char34{}", "`": r"\char96{}", "'": r"\char39{}",
    # after a line's end these would be arguments; two hyphens would become a dash, ?` and !` other signs
    "[": "{[}", "]": "{]}", "*": "{*}", "-": "{-}", "?": "{?}", "!": "{!}",
    "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "…": r"\dots{}", "–": "--", "·": r"$\cdot$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip
_LETTERS = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿ")
_NEGATIVE = re.compile(r"(?<![\w.)\]])-(?=[\d.])")


def plain(text: str) -> str:
    """Text on one line with control and format characters shown as escapes, cut where it is endless."""
    safe = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:LONGEST])
    return safe + ("…" if len(text) > LONGEST else "")


def markdown_text(text: str) -> str:
    """One line of text for a paragraph or a cell of a table; at a line's start it might still begin a list."""
    safe = _MARKDOWN.sub(lambda match: "\\" + match[0], text)
    return _LINK.sub(lambda match: match[0].replace(":", "\\:").replace(".", "\\."), safe)


def latex_text(text: str) -> str:
    """Text in which no character has a meaning to TeX; letters that its fonts lack become their code points."""
    return "".join(map(_latex_character, text))


def latex_number(text: str) -> str:
    """The same for a number: a minus sign where it is negative."""
    return "$-$".join(map(latex_text, _NEGATIVE.split(text)))


def latex_row(cells: list[str]) -> str:
    """A row of a tabular, of cells that are LaTeX; it ends so even where a cell is set ragged."""
    return " & ".join(cells) + r" \tabularnewline"


def _latex_character(c: str) -> str:
    if c in _LATEX:
        return _LATEX[c]
    if c.isascii() or c in _LETTERS:
        return c
    return f"U+{ord(c):04X}"
