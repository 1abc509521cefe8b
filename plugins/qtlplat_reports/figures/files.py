"""A figure as bytes of a file, or as SVG to stand in a page: the same figure gives the same bytes, without dates."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from qtlplat.errors import UsageError, safe_repr
from qtlplat_reports.figures.style import look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# what would tell when and by which version a file was made
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
FORMATS = tuple(_METADATA)
_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
_STYLE = re.compile(r' style="([^"]*)"')


def format_of(name: PurePath) -> str:
    """The format of a file's extension; raises UsageError for an unknown one."""
    ending = name.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UsageError(
            f"{safe_repr(str(name))} is no {', '.join(f.upper() for f in FORMATS[:-1])} or {FORMATS[-1].upper()} file",
            where="--output",
            fix=f"-o {name.with_suffix('.svg')}" if name.name else "-o figure.svg",
        )
    return ending


def encoded(figure: Figure, fmt: str) -> bytes:
    """The figure as a file of one of the `FORMATS`; PNG at 300 dpi."""
    out = io.BytesIO()
    with look():
        _settle(figure)
        figure.savefig(out, format=fmt, metadata=_METADATA[fmt])
    return out.getvalue()


def _settle(figure: Figure) -> None:
    """Lay the figure out once and for all, to a millionth of its size.

    The layout solver goes through its constraints in the order of addresses in memory: the last bits of its solution
    differ from call to call, and with them the ids that matplotlib makes from coordinates.
    """
    if figure.get_layout_engine() is None:
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(float(edge), 6) for edge in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def inline_svg(figure: Figure, title: str) -> str:
    """The figure as an ``<svg>`` element for an HTML page.

    It refers to nothing outside itself and holds no script, style sheet, style attribute or namespace, so that a strict
    content security policy lets it pass. Its ids begin with a hash of its content: several figures can stand in
    one page. title: what the figure shows, for readers who cannot see it.
    """
    text = encoded(figure, "svg").decode("utf-8")
    prefix = f"f{hashlib.sha256(text.encode()).hexdigest()[:10]}-"
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<style\b.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s*", "\n", text).replace("<defs>\n</defs>\n", "")
    used = frozenset(re.findall(r"[\"(]#([^\")]+)", text))
    text = _TAG.sub(lambda match: _own(match[0], prefix, used), text)
    root, rest = text.split(">", 1)
    root = re.sub(r' (xmlns(:\w+)?|version)="[^"]*"', "", root)
    root += ' role="img" stroke-linejoin="round" stroke-linecap="butt"'
    return f"{root}>\n<title>{escape(title)}</title>{rest}".strip() + "\n"


def _own(tag: str, prefix: str, used: frozenset[str]) -> str:
    """A tag with its id, if anything points to it, and what it points to under a prefix; its style as attributes."""
    tag = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", tag)
    tag = re.sub(r' (?:xlink:)?href="#', f' href="#{prefix}', tag)
    tag = re.sub(r' xlink:href="', ' href="', tag)
    tag = re.sub(r"url\(#", f"url(#{prefix}", tag)
    return _STYLE.sub(_attributes(tag), tag)


def _attributes(tag: str) -> Callable[[re.Match[str]], str]:
    taken = set(re.findall(r' ([\w:-]+)="', tag))

    def plain(match: re.Match[str]) -> str:
        pairs = (part.partition(":") for part in match[1].split(";") if part.strip())
        return "".join(f' {k.strip()}="{v.strip()}"' for k, _, v in pairs if k.strip() not in taken)

    return plain
