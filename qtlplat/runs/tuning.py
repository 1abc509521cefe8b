"""The stage of a run that chooses how each cell is trained or fitted; a resumed run finds the stored candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing

from torch import Tensor

from qtlplat.analysis.convergence import best_candidates
from qtlplat.catalog.plan import TuningOptions
from qtlplat.control_specs import Candidate as Options
from qtlplat.conventions import counted
from qtlplat.heads.lockstep import Schedule, Task
from qtlplat.heads.tuning import Candidate, Tuning, inner_cells
from qtlplat.runs.context import RunContext
from qtlplat.runs.fitted_controls import inner_losses
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
            rows = [_row(candidate, cells, options) for candidate in one.candidates()]
            job.writer.add_candidates(run, rows)
            stored += rows
    best = best_candidates(map(vars, stored))
    keys = (CellKey(variant, cell) for variant in range(len(tasks)) for cell in range(cells))
    return {key: Schedule((choice := best[key.position(cells)])["learning_rate"], choice["epochs"]) for key in keys}


def tuned_controls(
    job: RunContext, prepared: Prepared, options: TuningOptions, run: str, features: Sequence[Tensor]
) -> dict[CellKey, Options]:
    """The options of every cell of the controls that solvers of their own fit; none for a control without a grid.

    features: (N, F) for each cell. The inner folds are those of the heads. The candidates of a cell are stored
    together.
    """
    cells, labels = len(prepared.cells), prepared.images.labels
    keys = {
        CellKey(len(prepared.variants) + number, cell): control
        for number, control in enumerate(prepared.fitted)
        if control.spec.grid
        for cell in range(cells)
    }
    if not keys:
        return {}
    stored = job.reader.candidates(run)
    known = {row.cell for row in stored}
    controls = counted(len({control.name for control in keys.values()}), "control")
    with job.progress.stage(f"tuning {controls}", len(keys)) as stage:
        for key, control in keys.items():
            job.stop.check()
            if (position := key.position(cells)) not in known:
                cell = prepared.cells[key.cell]
                inner = inner_cells(cell, labels, prepared.groups, options.folds)
                losses = inner_losses(control, features[key.cell], labels, cell, inner)
                rows = [
                    CandidateRow(position, number, loss, options=candidate)
                    for number, (loss, candidate) in enumerate(zip(losses, control.spec.candidates, strict=True))
                ]
                job.writer.add_candidates(run, rows)
                stored += rows
            stage.advance()
    best = best_candidates(map(vars, stored))
    return {key: best[key.position(cells)]["options"] for key in keys}


def _row(candidate: Candidate, cells: int, options: TuningOptions) -> CandidateRow:
    loss = candidate.loss if math.isfinite(candidate.loss) else None
    number = options.learning_rates.index(candidate.learning_rate)
    return CandidateRow(candidate.key.position(cells), number, loss, candidate.learning_rate, candidate.epochs)
