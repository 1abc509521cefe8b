"""The numbers of every kind of figure as plain values: what `qtlplat plot --json` prints. Keys are never renamed.

The same functions compute them for the drawings. Values that are not finite stay as they are; the JSON writer turns
them into null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.sides import leaks
from qtlplat.metrics import Metric
from qtlplat_reports.figures import ACROSS, AGAINST, OF_A_METRIC, one
from qtlplat_reports.figures.stored import StoredRun, metric_of

if TYPE_CHECKING:
    from qtlplat_reports.figures.pareto import Against


def form(
    kind: str,
    runs: Sequence[StoredRun],
    metric: str = "f1",
    across: Sequence[str] = ACROSS,
    against: Against | None = None,
) -> dict[str, Any]:
    """One kind of figure of the runs: its kind, its metric if it is of one, its runs with their leakage, and its rows.

    Raises DataError if a run lacks the numbers of the figure, UsageError for too many runs or too few.
    """
    makers: dict[str, Callable[[Sequence[StoredRun]], list[dict[str, Any]]]] = {
        "convergence": lambda runs: _convergence(runs, metric_of(runs, metric)),
        "pareto": lambda runs: _pareto(runs, metric_of(runs, metric), against),
        "box": lambda runs: _box(runs, metric_of(runs, metric)),
        "confusion": _confusion,
        "differences": lambda runs: _differences(runs, metric_of(runs, metric)),
        "learning": lambda runs: _learning(runs, metric_of(runs, metric)),
        "errors": _errors,
        "ranks": lambda runs: _ranks(runs, metric_of(runs, metric), across),
    }
    of = {"metric": metric} if kind in OF_A_METRIC else {}
    if kind == "pareto":
        of["against"] = against.cost if against else AGAINST[0]
    shown = [{"run": r.run.id, "name": r.name, "status": r.run.status, **leaks(r.finished())} for r in runs]
    return {"kind": kind, **of, "runs": shown, "rows": makers[kind](runs)}


def _ranks(runs: Sequence[StoredRun], metric: Metric, fields: Sequence[str]) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.ranks import across, rows

    return rows(across(runs, metric, fields))


def _convergence(runs: Sequence[StoredRun], metric: Metric) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.convergence import curves

    return [
        {
            "run": run.stored.run.id,
            "epochs": run.epochs.tolist(),
            "loss_range": list(run.loss_range),
            "best": run.cells[run.best].position,
            "cells": [
                {
                    "cell": cell.position,
                    "backbone_index": cell.backbone_index,
                    "fold": cell.fold,
                    "seed": cell.seed,
                    "n_test": cell.n_test,
                    **{name: cell.metrics.get(name) for name in dict.fromkeys(("f1", metric.name))},
                    "accuracy": run.accuracy[i].tolist(),
                    "loss": run.loss[i].tolist(),
                    "scaled_loss": run.scaled_loss[i].tolist(),
                }
                for i, cell in enumerate(run.cells)
            ],
        }
        for run in (curves(stored, metric) for stored in runs)
    ]


def _pareto(runs: Sequence[StoredRun], metric: Metric, against: Against | None) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.pareto import front, points

    models = points(runs, metric, against)
    best = front(models)
    return [
        {
            "name": model.name,
            "kind": model.kind,
            "runs": list(model.runs),
            "parameters": model.parameters,
            "trainable": model.trainable,
            "seconds": model.seconds,
            "mean": model.mean,
            "std": model.sd,
            "n": len(model.values),
            "values": list(model.values),
            "unbeaten": model in best,
        }
        for model in models
    ]


def _box(runs: Sequence[StoredRun], metric: Metric) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.box import groups

    names = ("least", "first_quartile", "median", "third_quartile", "greatest")
    return [
        {
            "run": group.stored.run.id,
            "variant": group.variant,
            "name": group.name,
            "mean": group.mean,
            **dict(zip(names, group.summary, strict=True)),
            "n": len(group.cells),
            "left_out": group.left_out,
            "cells": [
                {
                    "cell": cell.position,
                    "backbone_index": cell.backbone_index,
                    "fold": cell.fold,
                    "seed": cell.seed,
                    metric.name: cell.metrics[metric.name],
                }
                for cell in group.cells
            ],
        }
        for group in groups(runs, metric)
    ]


def _confusion(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.confusion import pooled

    return [
        {
            "run": run.stored.run.id,
            "classes": list(run.classes),
            "counts": [[int(n) if n == int(n) else n for n in row] for row in run.counts.tolist()],
            "shares": run.shares.tolist(),
            "cells": run.cells,
            "samples": run.samples,
            "predictions": run.predictions,
        }
        for run in map(pooled, runs)
    ]


def _differences(runs: Sequence[StoredRun], metric: Metric) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.differences import paired

    return [
        {
            **{
                place: {"run": row.ids[i], "variant": row.variants[i], "name": (row.first, row.second)[i]}
                for i, place in enumerate(("first", "second"))
            },
            "mean": row.mean,
            "interval": list(row.interval),
            "level": row.test.level,
            "test": row.test_name,
            "n": row.test.n,
            "cells": [
                {"backbone_index": backbone, "fold": fold, "seed": seed, "difference": value}
                for (fold, seed, backbone), value in zip(row.cells, row.values, strict=True)
            ],
        }
        for row in paired(runs, metric)
    ]


def _learning(runs: Sequence[StoredRun], metric: Metric) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.learning import learning

    return [
        {
            "run": run.stored.run.id,
            "curves": [
                {
                    "variant": one.variant,
                    "sizes": list(one.sizes),
                    "mean": [mean for mean, _ in one.spreads],
                    "std": [std for _, std in one.spreads],
                    "values": [list(values) for values in one.values],
                }
                for one in run.curves
            ],
            "needs": list(run.lines),
        }
        for run in (learning(stored, metric) for stored in runs)
    ]


def _errors(runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    from qtlplat_reports.figures.errors import out_of_fold_errors

    found = out_of_fold_errors(one(runs))
    return [
        {
            "run": found.stored.run.id,
            "classes": list(found.classes),
            "samples": found.samples,
            "predictions": found.predictions,
            "wrong": [vars(wrong) for wrong in found.wrong],
        }
    ]
