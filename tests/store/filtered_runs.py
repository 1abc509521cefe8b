"""A store of runs that differ in everything a filter may ask for, and the same facts as plain Python values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from by_hand import sql
from sample_runs import component, new_run

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import EpochRow, NewCell
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

NAN = math.nan
DAYS = ("2026-03-01", "2026-03-02", "2026-03-03")
HEADS = ("dressed5x3", "mlp", "o'brien", 'a"b', "Élan", "100%", "mlp_2")
OPTIONS: tuple[dict[str, Any], ...] = (
    {"layers": 3, "flag": True, "axis": "X", "sizes": [1, 2]},
    {"layers": 2, "flag": False, "axis": None, "sizes": []},
    {"layers": "3", "version": "9", "rate": 0.5},
    {"layers": 1, "axis": "y", "sizes": ["a", 3]},
    {},
)
F1: tuple[tuple[float, ...], ...] = (
    (0.5, 0.75),
    (0.875, 1.0),
    (0.25,),
    (NAN, 0.5),
    (),
    (0.0, 0.5, 1.0),
    (math.inf, 0.5),
)
LOSSES: tuple[tuple[float | None, ...], ...] = ((1.0, 0.5), (0.5, NAN), (None, 2.0), (0.25, None), (4.0,), (NAN, 0.125))


def store_filtered(location: StoreLocation, runs: int = 30) -> None:
    """Store runs of all sorts; every seventh is left running by a dead owner, every fifth has failed."""
    with Writer(location) as writer:
        parent = None
        for n in range(runs):
            kind = "pretraining" if n % 6 == 0 else "run"
            roles = ("dataset", "backbone") if kind == "pretraining" else ("dataset", "backbone", "head", "evaluator")
            changes: dict[str, dict[str, Any]] = {
                "head": {"name": HEADS[n % len(HEADS)], "options": OPTIONS[n % len(OPTIONS)], "component": "dressed"},
                "backbone": {"name": f"lenet{n % 3}", "version": f"0.{n % 4}"},
            }
            epochs = 10 + n % 4 * 10
            plan = {"replace": "all" if n % 2 else 1 + n % 4, "training": {"epochs": epochs}, "seeds": 1 + n % 3}
            run = writer.start_run(
                new_run(
                    kind,
                    seed=n % 5,
                    plan=plan if n % 4 else {**plan, "controls": ["linear", "mlp"][: n % 3]},
                    components=[component(role, **changes.get(role, {})) for role in roles],
                    environment={"python": f"3.{n % 3}", **({"version of torch": "2.13"} if n % 2 else {})},
                    parameters={"head": {"total": n * 10}, "model_total": n} if n % 3 else {},
                )
            )
            if parent and kind == "run":
                writer.link(run, "pretraining", parent)
            _add_cells(writer, run, n)
            if n % 7 != 3:
                status = "failed" if n % 5 == 4 else "finished"
                seconds = {"total": float(n), "heads": NAN if n % 4 == 1 else n / 2}
                writer.finish_run(run, status, seconds, "loss is NaN" if status == "failed" else "")  # type: ignore[arg-type]
            parent = run if kind == "pretraining" else parent
    _remark(location)


def _add_cells(writer: Writer, run: str, n: int) -> None:
    values = F1[n % len(F1)]
    of_control = F1[(n + 2) % len(F1)] if n % 4 == 0 else ()
    variants = ["head"] * len(values) + ["linear"] * len(of_control)
    leakage = n / 32 if n % 3 else None
    writer.add_cells(
        run,
        [NewCell(i, i, n, 10, 4 * (i + 1), "1" * 64, "2" * 64, v, leakage, leakage) for i, v in enumerate(variants)],
    )
    for position, value in enumerate((*values, *of_control)):
        losses = LOSSES[(n + position) % len(LOSSES)]
        epochs = [{"test_loss": loss, "own": loss} if loss is not None else {"train_loss": 1.0} for loss in losses]
        writer.add_epochs(run, [EpochRow(position, e, 0.5, row) for e, row in enumerate(epochs, 1)])  # type: ignore[arg-type]
        accuracy = {} if position % 2 else {"accuracy": n / 32}
        writer.finish_cell(run, position, {"f1": value, **accuracy}, 1.0)


def _remark(location: StoreLocation) -> None:
    for n, (run,) in enumerate(sql(location, "SELECT id FROM runs ORDER BY created")):
        when = f"{DAYS[n % 3]}T{n % 24:02}:00:00.000000+00:00"
        sql(location, "UPDATE runs SET created = ? WHERE id = ?", when, run)
        for tag in ("paper", "Draft", "it's")[: n % 4]:
            sql(location, "INSERT INTO tags VALUES (?, ?, '2026')", run, tag)
        if n % 3 == 1:
            sql(location, "INSERT INTO notes VALUES (?, ?, '2026')", run, f"note {n % 2}")


def facts(location: StoreLocation) -> dict[str, dict[str, Any]]:
    """For every run what each field of `FIELDS` is, from the records alone: a number, a text, a list, None."""
    reader = Reader(location)
    all_tags = sql(location, "SELECT run_id, tag FROM tags ORDER BY 1, 2")
    notes = dict(sql(location, "SELECT run_id, text FROM notes"))
    found = {}
    for run in reader.runs():
        tags = [tag for run_id, tag in all_tags if run_id == run.id]
        note = notes.get(run.id)
        head = run.components.get("head")
        options: Mapping[str, Any] = head.options if head else {}
        cells, epochs = reader.cells(run.id), reader.epochs(run.id)

        def metric(name: str, variant: str = "head", cells: Any = cells) -> list[float]:
            done = [c for c in cells if c.status == "finished" and c.variant == variant]
            return [c.metrics[name] for c in done if name in c.metrics]

        def curves(name: str, variant: str = "head", cells: Any = cells, epochs: Any = epochs) -> list[list[float]]:
            of_cell = [
                [e.values[name] for e in epochs if e.cell == c.position and name in e.values]
                for c in cells
                if c.variant == variant
            ]
            return [values for values in of_cell if values]

        environment = reader.environment(run.id)
        found[run.id] = {
            "id": run.id,
            "kind": run.kind,
            "status": run.status,
            "seed": run.seed,
            "created": run.created,
            "error": run.error or None,
            "head": head.name if head else None,
            "backbone": run.components["backbone"].name,
            "backbone.version": run.components["backbone"].version,
            "component": [one.component for one in run.components.values()],
            "pretraining": run.pretraining,
            "tag": tags,
            "note": note,
            **{f"head.{name}": options.get(name) for name in ("layers", "flag", "axis", "sizes", "rate")},
            "head.options.version": options.get("version"),
            "training.epochs": run.plan["training"]["epochs"],
            "replace": run.plan["replace"],
            "controls": run.plan.get("controls"),
            "env.python": environment.get("python"),
            "env.torch": environment.get("version of torch"),
            "trainable": run.parameters.get("head", {}).get("total"),
            "leakage": run.leakage,
            "seconds": run.seconds.get("total"),
            "seconds.heads": run.seconds.get("heads"),
            "cells": len([c for c in cells if c.status == "finished" and c.variant == "head"]),
            "f1": mean(metric("f1")),
            "accuracy": mean(metric("accuracy")),
            "min(f1)": whole(min, metric("f1")),
            "max(f1)": whole(max, metric("f1")),
            "sd(f1)": whole(deviation, metric("f1")),
            "n(f1)": len([value for value in metric("f1") if not math.isnan(value)]),
            "f1@linear": mean(metric("f1", "linear")),
            "max(f1@linear)": whole(max, metric("f1", "linear")),
            "first(test_loss)": mean([values[0] for values in curves("test_loss")]),
            "last(test_loss)": mean([values[-1] for values in curves("test_loss")]),
            "last(own)": mean([values[-1] for values in curves("own")]),
            "lowest(test_loss)": mean([v for v in map(least, curves("test_loss")) if v is not None]),
            "highest(own)": mean([v for v in map(greatest, curves("own")) if v is not None]),
        }
    return found


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def whole(of: Any, values: list[float]) -> float | None:
    return of(values) if values and not any(math.isnan(value) for value in values) else None


def deviation(values: list[float]) -> float | None:
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    middle = sum(values) / len(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))


def least(values: list[float]) -> float | None:
    return min((value for value in values if not math.isnan(value)), default=None)


def greatest(values: list[float]) -> float | None:
    return max((value for value in values if not math.isnan(value)), default=None)
