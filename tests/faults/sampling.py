"""Which cases of a long list the default run tries: every n-th one; the long form tries all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import pytest


def sampled(cases: Iterable[Any], every: int) -> list[Any]:
    """Parameters for `pytest.mark.parametrize`: the first case and every n-th one after it, the others marked slow."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[pytest.mark.slow] if i % every else [])
        for i, case in enumerate(cases)
    ]


def crossed(cases: Iterable[str], kinds: Sequence[str], every: int = 1, long: int = 1) -> list[Any]:
    """Each n-th case on one kind, in turn; in the long form all cases on all kinds, or each `long`-th pair of these."""
    cases = list(cases)
    chosen = dict(zip(cases[::every], cycle(kinds), strict=False))
    pairs = [(case, kind) for case in cases for kind in kinds]
    return [
        pytest.param(case, kind, marks=[] if chosen.get(case) == kind else [pytest.mark.slow])
        for i, (case, kind) in enumerate(pairs)
        if chosen.get(case) == kind or i % long == 0
    ]
