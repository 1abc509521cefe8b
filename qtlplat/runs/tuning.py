"""The stage of a run that chooses how each cell is trained; a resumed run finds the stored candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing

from torch import Tensor

from qtlplat.analysis.convergence import best_candidates
from qtlplat.catalog.plan import TuningOptions
from qtlplat.heads.lockstep import Schedule, Task
from qtlplat.heads.tuning import Candidate, Tuning
from qtlplat.runs.context import RunContext
from qtlplat.runs.prepare import Prepared
from qtlplat.state.epochs import CellKey
from qtlplat.store.core.records import CandidateRow

STACK = 48  # inner cells that are trained together: with more of them, a cell takes as long


def tuned(
    job: RunContext,
    prepared: Prepared,
    options: TuningOptions,
    run: str,
    tasks: Sequence[Task],
    features: Sequence[Tensor],
) -> dict[CellKey, Schedule]:
    """The schedule of every cell of every variant. features: (N, F) for each cell.

    Cells are tuned some at a time, always the same ones together; an interrupted run tries those again that it has
    stored nothing of.
    """
    cells = len(prepared.cells)
    stored = job.reader.candidates(run)
    known = {row.cell for row in stored}
    size = max(1, STACK // (options.folds * len(options.learning_rates)))
    groups = [range(first, min(first + size, cells)) for first in range(0, cells, size)]
    tries = [
        Tuning(
            tasks,
            {number: prepared.cells[number] for number in group},
            {number: features[number] for number in group},
            prepared.images.labels,
            prepared.groups,
            options,
            prepared.plan.training,
            prepared.limits,
        )
        for group in groups
        if not known.issuperset(group)
    ]
    with job.progress.stage(f"tuning {prepared.heads}", sum(one.all_rows for one in tries)) as stage:
        for one in tries:
            with closing(one.run()) as epochs:
                for epoch in epochs:
                    job.stop.check()
                    if epoch is not None:
                        stage.advance(len(epoch.rows))
            rows = [_row(candidate, cells) for candidate in one.candidates()]
            job.writer.add_candidates(run, rows)
            stored += rows
    best = best_candidates(map(vars, stored))
    keys = (CellKey(variant, cell) for variant in range(len(tasks)) for cell in range(cells))
    return {key: Schedule((choice := best[key.position(cells)])["learning_rate"], choice["epochs"]) for key in keys}


def _row(candidate: Candidate, cells: int) -> CandidateRow:
    loss = candidate.loss if math.isfinite(candidate.loss) else None
    return CandidateRow(candidate.key.position(cells), candidate.learning_rate, candidate.epochs, loss)
