"""Which cases of a long list which run tries: the default one a sample, the slow one another, the nightly one all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: every n-th case as it is, each one after these slow, others nightly."""
    marks = {0: (), 1: (pytest.mark.slow,)}
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks.get(i % every, pytest.mark.nightly))
        for i, case in enumerate(cases)
    ]


def crossed(cases: Iterable[str], kinds: Sequence[str], every: int = 1, long: int = 1) -> list[Any]:
    """Each n-th case on one kind, in turn; nightly all pairs, or each `long`-th one, a quarter of these slow."""
    cases = list(cases)
    chosen = dict(zip(cases[::every], cycle(kinds), strict=False))
    pairs = [(case, kind) for case in cases for kind in kinds]
    others = [pair for pair in pairs[::long] if chosen.get(pair[0]) != pair[1]]
    return [pytest.param(*pair) for pair in chosen.items()] + [
        pytest.param(*pair, marks=pytest.mark.nightly if i % 4 else pytest.mark.slow) for i, pair in enumerate(others)
    ]
