"""Which samples the cells of runs train on and are tested on, as far as the store can tell.

It keeps the hash of each part, and the ids of what was predicted. What is known of a dataset, without what a cell
tests, is what that cell trains on wherever it has the hash that is stored: nothing is guessed, some parts stay unknown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtlplat.store.core.records import CellRecord
    from qtlplat.store.read.queries import Reader


def ids_hash(ids: Sequence[str]) -> str:
    """sha256 over sample ids in their order, as `train_hash` and `test_hash` of cells are made."""
    return hashlib.sha256("\0".join(ids).encode()).hexdigest()


def splits(reader: Reader, runs: Sequence[str]) -> dict[str, Any]:
    """``{"runs": {id: [cell, ...]}, "samples": {hash: [sample ids]}}``, each cell with

    ``{"cell", "variant", "backbone_index", "fold", "seed", "train", "test"}``.

    train, test: the stored hashes, which lead to the sample ids where these are known.
    """
    datasets: dict[str, _Dataset] = {}
    cells: dict[str, list[CellRecord]] = {}
    for run in runs:
        tested: dict[int, set[str]] = {}
        for row in reader.predictions(run):
            tested.setdefault(row.cell, set()).add(row.sample_id)
        cells[run] = reader.cells(run)
        datasets.setdefault(reader.run(run).dataset_digest, _Dataset()).add(cells[run], tested)
    samples = {known: ids for dataset in datasets.values() for known, ids in dataset.solved().items()}
    told = {run: [_told(cell) for cell in of_run] for run, of_run in cells.items()}
    return {"runs": told, "samples": {known: sorted(ids) for known, ids in sorted(samples.items())}}


def _told(cell: CellRecord) -> dict[str, Any]:
    of_cell = {name: getattr(cell, name) for name in ("variant", "backbone_index", "fold", "seed")}
    return {"cell": cell.position, **of_cell, "train": cell.train_hash, "test": cell.test_hash}


class _Dataset:
    """What is known of one dataset's samples. samples: by hash, those of parts of cells."""

    def __init__(self) -> None:
        self.every: frozenset[str] = frozenset()
        self.samples: dict[str, frozenset[str]] = {}
        self.parts: set[tuple[str, str, int]] = set()  # hashes of what a cell trains on and tests; size of the former

    def add(self, cells: Iterable[CellRecord], tested: dict[int, set[str]]) -> None:
        """Take in a run's cells, and what was predicted in each."""
        for cell in cells:
            test = frozenset(tested.get(cell.position, ()))
            self.parts.add((cell.train_hash, cell.test_hash, cell.n_train))
            if ids_hash(sorted(test)) == cell.test_hash:
                self.every |= test
                self.samples[cell.test_hash] = test

    def solved(self) -> dict[str, frozenset[str]]:
        """The samples of every part that can be known, by hash; a backbone of a fold trains within that fold's."""
        for _ in range(2):
            for train, test, size in sorted(self.parts):
                if train in self.samples or test not in self.samples:
                    continue
                for within in [self.every, *self.samples.values()]:
                    rest = within - self.samples[test]
                    if len(rest) == size and ids_hash(sorted(rest)) == train:
                        self.samples[train] = rest
                        break
        return self.samples
