"""How much of what a cell tests was seen before: by its frozen backbone, or through another crop of the same source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qtlplat.contracts import Cell


def leaks(cell: Cell, seen: npt.NDArray[np.int64], groups: Sequence[str]) -> tuple[float, float]:
    """Shares, 0 to 1, of a cell's test samples: seen by the backbone; of a source that head or backbone saw.

    seen: indices of the samples that shaped the backbone's weights; groups: the source of each sample.
    """
    names = np.asarray(groups)
    known = np.union1d(names[cell.train], names[seen])
    return float(np.isin(cell.test, seen).mean()), float(np.isin(names[cell.test], known).mean())
