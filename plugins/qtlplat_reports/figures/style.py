"""How figures look: sizes for print, colours that colour-blind readers can tell apart, captions. No numbers here."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from qtlplat.extras import require_packages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")

COLUMN, PAGE = 3.4, 7.0  # inches: a column and a page of a two-column journal
TEXT, SMALL = 8.0, 7.0  # points
_CAPTION_LINE = 0.125  # inches
_CHARACTERS_PER_INCH = 19.5  # of small text, on the safe side
# Okabe & Ito (2008), "Color Universal Design", without green (no pair with red), yellow (pale) and black (for marks)
COLOURS = ("#0072B2", "#D55E00", "#56B4E9", "#CC79A7", "#E69F00", "#555555")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
GREY = "#666666"
TITLE = 40  # characters above a panel

_LOOK: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib: the same on every machine
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 5.0,
    "legend.frameon": True,
    "legend.framealpha": 0.8,
    "legend.edgecolor": "none",
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "text.parse_math": False,  # names are text, a dollar sign in one is no formula
    "text.usetex": False,
    "svg.fonttype": "path",  # looks the same whatever fonts the reader has
    "svg.hashsalt": "qtlplat",  # ids that depend on the content alone
    "svg.image_inline": True,
    "pdf.fonttype": 42,
}


def require_matplotlib() -> None:
    """Raise ConfigError with the command that installs it where matplotlib is missing."""
    otherwise = "without -o, qtlplat plot draws in the terminal and needs nothing"
    require_packages("plot", "drawing figures", "qtlplat plot", otherwise)


@contextmanager
def look() -> Iterator[None]:
    """Within it, matplotlib draws and saves in our style, whatever a matplotlibrc says."""
    import matplotlib.style

    with matplotlib.style.context(["default", _LOOK]):
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """A drawing function that runs in our style."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with look():
            return function(*args, **kwargs)

    return drawn


def new_figure(width: float, height: float, caption: Sequence[str]) -> Figure:
    """An empty figure with its caption below; width and height of the drawing itself, in inches.

    caption: paragraphs; they are wrapped, and the figure grows by their height.
    """
    from matplotlib.figure import Figure

    lines = [
        line for text in caption for line in textwrap.wrap(inert(text), int((width - 0.15) * _CHARACTERS_PER_INCH))
    ]
    below = _CAPTION_LINE * len(lines) + 0.08
    total = height + below
    figure = Figure(figsize=(width, total), layout="constrained")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, below / total, 1, height / total))  # type: ignore[call-arg]
    figure.text(0.06 / width, 0.04 / total, "\n".join(lines), fontsize=SMALL, va="bottom", linespacing=1.15)
    return figure


def panel_title(axes: Axes, position: int, of: int, name: str, run: str) -> None:
    """A title on the left of a panel: what the run is, cut to fit, its id; with a letter of several."""
    letter = f"({chr(ord('a') + position % 26)}) " if of > 1 else ""
    axes.set_title(f"{letter}{shortened(name, TITLE - len(letter) - len(run))} ({run})")


def colour(position: int) -> str:
    """The colour of the series at a position; they repeat, markers and line styles repeat at other lengths."""
    return COLOURS[position % len(COLOURS)]


def marker(position: int) -> str:
    """The marker of the series at a position."""
    return MARKERS[position % len(MARKERS)]


def inert(text: str) -> str:
    """Text that can be drawn: characters that are not printable, or not in the font, become escapes."""
    known = _drawable()
    return "".join(c if c.isprintable() and ord(c) in known else ascii(c)[1:-1] for c in text)


def shortened(text: str, length: int) -> str:
    """The text, or its beginning and end where it has more than `length` characters."""
    text = inert(text)
    if len(text) <= length:
        return text
    end = (length - 1) // 2
    return f"{text[: length - 1 - end]}…{text[len(text) - end :]}"


@functools.cache
def _drawable() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
