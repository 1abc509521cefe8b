"""Verdicts on a comparison, in words: what differs, whether it helps, and by how much. Knows no runs and no store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtlplat.conventions import counted
from qtlplat.metrics import SHIPPED

if TYPE_CHECKING:
    from qtlplat.analysis.power import Layout, Needed
    from qtlplat.analysis.statistics import Rope, TTest

# metrics between 0 and 1, of which people speak in points of a hundred
IN_POINTS = tuple(name for name, metric in SHIPPED.items() if metric.higher_is_better)


@dataclass(frozen=True)
class Wording:
    """How to speak of what differs. claim: "the circuit helps"; by: "with the circuit"; of: what the numbers belong to.

    `of` is given where the difference is that of leaving something out: "no evidence that the circuit helps: without
    it -0.1 points".
    """

    claim: str = ""
    by: str = ""
    of: str = ""


# by variant of a run: what its control leaves out
CONTROLS = {
    # these two replace the whole head, with its other layers and activations: more than the circuit differs
    "linear": Wording("the quantum head helps", "with a linear head", "with a linear head"),
    "mlp": Wording("the quantum head helps", "with an MLP", "with an MLP"),
    "identity": Wording("the circuit helps", "without the circuit", "without it"),
    "unentangled": Wording("entangling gates help", "without entangling gates", "without them"),
    "frozen": Wording("training the circuit helps", "with untrained circuit weights", "without it"),
    "shuffled": Wording("anything is learned", "with shuffled labels", "with shuffled labels"),
}
# two runs with different heads, of which one has a circuit: whole heads are compared here as well
CIRCUIT_ADDED = Wording("the quantum head helps", "with the quantum head")
CIRCUIT_REMOVED = Wording("the quantum head helps", "without the quantum head", "without it")


def in_units(value: float, metric: str, *, decimals: int = 1, signed: bool = True) -> str:
    """A value or difference of a metric for people, as in ``+0.1 points``; other metrics as plain numbers."""
    sign = "+" if signed else ""
    if metric not in IN_POINTS:
        return f"{value:{sign}.4g}"
    number = f"{100 * value:{sign}.{decimals}f}"
    return f"{number if number.strip('+-0.') else number.lstrip('+-')} points"  # a rounded zero has no sign


def share(value: float) -> str:
    """A share of 0..1 in percent without needless digits, as in ``95 %`` and ``99.9 %``."""
    return f"{100 * value:.6g} %"


def effect(test: TTest, metric: str) -> str:
    """A difference with its interval: ``+0.1 points, 95 % interval -0.5 to +0.8``."""
    low, high = test.interval
    decimals = 2 if high - low < 0.002 else 1  # intervals narrower than 0.2 points would all read alike
    difference = in_units(test.mean, metric, decimals=decimals)
    if math.isnan(low):
        return difference
    ends = [in_units(end, metric, decimals=decimals).removesuffix(" points") for end in (low, high)]
    return f"{difference}, {share(test.level)} interval {ends[0]} to {ends[1]}"


def verdict(
    test: TTest,
    metric: str,
    wording: Wording,
    *,
    lower_is_better: bool = False,
    p_adjusted: float = math.nan,
    family: int = 1,
    rope: Rope | None = None,
    power: float = math.nan,
    detect: float = math.nan,
    remark: str = "",
    why: str = "",
) -> str:
    """What a comparison says.

    p_adjusted: what decides, where the test is one of a `family`; rope: None if it was not computed; power: to see a
    difference of `detect`, told where there is no evidence of any; remark: what the verdict is limited to, in a few
    words, set in brackets behind it; why: there is no p, where that does not follow from the values.
    """
    seen = "" if math.isnan(power) else f"; power to see {in_units(detect, metric, signed=False)}: {power:.2f}"
    words = _words(test, metric, wording, lower_is_better, p_adjusted, family, rope, seen, why)
    return f"{words} ({remark})" if remark else words


def _words(
    test: TTest,
    metric: str,
    wording: Wording,
    lower_is_better: bool,
    p_adjusted: float,
    family: int,
    rope: Rope | None,
    power: str,
    why: str,
) -> str:
    told = effect(test, metric)
    of = f"{wording.of} " if wording.of else ""
    if math.isnan(test.p):
        why = why or (
            "a single cell has no spread" if math.isnan(test.sd) else "the same in every cell, no spread to judge it by"
        )
        return f"nothing can be concluded: {of}{told} ({why})"
    if test.standard_error == 0:
        return "the same in every cell"
    decides = test.p if math.isnan(p_adjusted) else p_adjusted
    equal = rope is not None and rope.equal >= test.level
    region = f"(ROPE ±{_width(rope.width, metric)})" if rope else ""
    by = f" {wording.by}" if wording.by else ""
    if decides < 1 - test.level:
        better = (test.mean > 0) != lower_is_better
        return (
            f"{'better' if better else 'worse'}{by}"
            + (f", yet practically equal {region}" if equal else "")
            + f": {told}"
        )
    holm = f" (p = {test.p:.2g}, {decides:.2g} after Holm over {family} comparisons)"
    tail = holm if test.p < 1 - test.level else ""
    if equal:
        return f"practically equal {region}{by}: {told}{tail}"
    claim = f"that {wording.claim}" if wording.claim else "of a difference"
    return f"no evidence {claim}: {of}{told}{tail}{power}"


def _width(width: float, metric: str) -> str:
    if metric not in IN_POINTS:
        return f"{width:.4g}"
    return f"{100 * width:.4g} {'point' if width == 0.01 else 'points'}"


def needed_line(needed: Needed, metric: str, counts: str = "seeds") -> str:
    """What it takes to see a difference, on one line. counts: what there could be more of."""
    from qtlplat.analysis.power import MOST_SEEDS  # with SciPy: not for figures

    wanted = f"a difference of {in_units(needed.difference, metric, signed=False)} (power {needed.power:g})"
    if math.isnan(needed.floor):
        return f"what it takes to see {wanted} cannot be told: the differences have no spread"
    now = f"; the power of the present cells: {needed.power_now:.2f}"
    if needed.backbones is not None:
        of = f"{needed.backbones} backbones × {counted(needed.seeds or 1, 'seed')} × {counted(needed.folds, 'fold')}"
        return f"to see {wanted} takes {of}{now}"
    if needed.seeds is not None:
        of = f" × {needed.folds} folds" if needed.folds > 1 else ""
        return f"to see {wanted} takes {counted(needed.seeds, 'seed')}{of}{now}"
    if needed.difference <= needed.floor:
        floor = in_units(needed.floor, metric, signed=False, decimals=2)
        return f"no number of {counts} shows {wanted}: nothing below {floor} can be seen without more images"
    return f"to see {wanted} takes more than {MOST_SEEDS} {counts}"


def components_line(shares: Mapping[str, float], layout: Layout) -> str:
    """What a difference between two cells varies by, on one line; '' if nothing varies."""
    if not shares:
        return ""
    first, *others = sorted(shares, key=lambda name: -shares[name])
    parts = [f"{100 * shares[first]:.0f} % of the variance of a difference between two cells is the {first}"]
    parts += [f"{100 * shares[name]:.0f} % the {name}" for name in others]
    numbers = " and ".join(map(str, dict.fromkeys(layout.backbones)))
    of = f"{numbers} backbones × {counted(layout.seeds, 'seed')} × {counted(layout.folds, 'fold')}"
    return f"{', '.join(parts)} ({of})"
