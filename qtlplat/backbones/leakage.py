"""How much of what a cell tests was seen before: by its frozen backbone, or through another crop of the same source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qtlplat.contracts import Cell, Split


def leaks(cell: Cell, split: Split, groups: Sequence[str], monitor: str) -> dict[str, float]:
    """Shares, 0 to 1, of a cell's test samples.

    ``leakage``: seen by the backbone; ``group_leakage``: of a source that head or backbone saw, by themselves or in
    another sample; ``selection_leakage``: in the test part of the pretraining, if the accuracy on it chose the best
    epoch.

    split: of the backbone's pretraining; groups: the source of each sample; monitor: what chose, "test" or not.
    """
    names = np.asarray(groups)
    known = np.union1d(names[cell.train], names[split.seen])
    return {
        "leakage": float(np.isin(cell.test, split.seen).mean()),
        "group_leakage": float(np.isin(names[cell.test], known).mean()),
        "selection_leakage": float(np.isin(cell.test, split.test).mean()) if monitor == "test" else 0.0,
    }
