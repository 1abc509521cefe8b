"""A store as it looks after some weeks: controls, pretrainings, NaN, hostile names, remarks, a trash, an outcome."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

from sample_runs import component, new_run
from test_reproductions import OUTCOME

from qtlplat.metrics import SHIPPED
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import EpochRow, NewCell, PredictionRow
from qtlplat.store.write.writer import Writer

HOSTILE = '=HYPERLINK("http://x")\n\x1b[31m\'; DROP TABLE runs; --[bold]|<script>'
CLASSES = ("normal", HOSTILE)
PARAMETERS = {"model_total": 900, "kept": 700, "replaced_layers": 4, "head": {"total": 42}, "controls": {"linear": 10}}


def stored(location: StoreLocation) -> dict[str, str]:
    """Fill a store; ids by what is special about the run."""
    found: dict[str, str] = {}
    values = (math.sin(n) ** 2 for n in count(1))  # unlike numbers with all their digits

    def run(name: str, kind: str = "run", head: str = "dressed5x3", **said: object) -> str:
        rows = [component(role) for role in ("dataset", "backbone")]
        if kind == "run":
            rows += [component("head", name=head, options={"layers": 3, "note": head}), component("evaluator")]
        environment = {"python": "3.11", "torch": "2.13.0"}
        new = new_run(
            kind,
            components=rows,
            environment=environment,
            classes=CLASSES,
            parameters=PARAMETERS if kind == "run" else {},
            **said,
        )
        found[name] = writer.start_run(new)
        return found[name]

    def train(run_id: str, cells: list[tuple[str, int, int]], parent: str | None, broken: float | None = None) -> None:
        leakage = 0.25 if parent else None
        writer.add_cells(
            run_id,
            [
                NewCell(
                    i, fold, seed, 10, 5 + fold, "1" * 64, "2" * 64, variant, leakage, leakage, leakage and 0.0, parent
                )
                for i, (variant, fold, seed) in enumerate(cells)
            ],
        )
        for i in range(len(cells)):
            losses = [next(values), next(values), broken if broken is not None and i == 1 else next(values)]
            writer.add_epochs(
                run_id,
                [
                    EpochRow(i, n + 1, 0.5, {"train_loss": loss, "test_loss": loss, "validation_loss": loss})
                    for n, loss in enumerate(losses)
                ],
            )
            sure = next(values) / 2 + 0.5
            writer.add_predictions(
                run_id,
                [
                    PredictionRow(i, "s1", "image-1", 1, 1, (1 - sure, sure)),
                    PredictionRow(i, f"s2 {HOSTILE}", "image-2", 0, 1, (1 - sure, sure)),
                ],
            )
            metrics = {name: next(values) for name in (*SHIPPED, "own")}
            if broken is not None and i == 1:
                metrics |= {"f1": broken, "loss": broken}
            writer.finish_cell(run_id, i, metrics, 1.5)

    folds = [(fold, seed) for seed in range(2) for fold in range(3)]
    with Writer(location) as writer:
        pretraining = run("pretraining", "pretraining")
        train(pretraining, [("head", 0, 0), ("head", 0, 1)], None)
        writer.finish_run(pretraining, "finished", {"total": 100.0})
        controlled = run("controlled", tags=["paper", "b/2"], note=f"look at {HOSTILE}")
        writer.link(controlled, "pretraining", pretraining)
        train(controlled, [(v, *one) for v in ("head", "linear", "shuffled") for one in folds], pretraining)
        writer.finish_run(controlled, "finished", {"total": 12.25, "heads": 10.0})
        not_finite = run("nan", head="linear")
        train(not_finite, [("head", *one) for one in folds], pretraining, math.nan)
        writer.finish_run(not_finite, "finished", {"total": 1.0})
        infinite = run("infinity", head="linear")
        train(infinite, [("head", *one) for one in folds], pretraining, math.inf)
        writer.finish_run(infinite, "finished", {"total": 1.0})
        hostile = run("hostile", head=HOSTILE, tags=["paper"])
        train(hostile, [("head", 0, 0)], None)
        writer.finish_run(hostile, "finished", {"total": 1.0})
        failed = run("failed")
        writer.add_cells(failed, [NewCell(0, 0, 0, 10, 5, "1" * 64, "2" * 64)])
        writer.finish_run(failed, "failed", {}, error=HOSTILE)
        thrown = run("thrown away", tags=["paper", "lost"])
        train(thrown, [("head", *one) for one in folds], None)
        writer.finish_run(thrown, "finished", {"total": 1.0})
        writer.trash([thrown])
        writer.add_reproduction(replace(OUTCOME, recipe=HOSTILE))
    return found
