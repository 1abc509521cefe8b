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


def crossed(cases: Iterable[str], kinds: Sequence[str], every: int = 1) -> list[Any]:
    """Each n-th case on one kind, in turn; all cases on all kinds in the long form."""
    chosen = dict(zip(list(cases)[::every], cycle(kinds), strict=False))
    return [
        pytest.param(case, kind, marks=[] if chosen.get(case) == kind else [pytest.mark.slow])
        for case in cases
        for kind in kinds
    ]
