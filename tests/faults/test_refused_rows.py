"""A row that the store does not take, in any table and at any stage of a run, stops it: nothing goes on without it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from outcome import assert_fine, assert_refused, here, nothing_lost
from sampling import sampled

STORE = Path("s.db")
RUN = "run --dataset squares --backbone net --evaluator half --epochs 2 --pretrain-epochs 1 --store s.db".split()
WRITES = {
    "epochs": "INSERT ON epochs",
    "metrics": "INSERT ON metrics",
    "predictions": "INSERT ON predictions",
    "digests": "INSERT ON digests",
    "cells": "INSERT ON cells",
    "ended cells": "UPDATE OF status ON cells",
    "files": "INSERT ON artifacts",
    "the run": "INSERT ON runs",
    "its end": "UPDATE OF status ON runs",
    "owners": "INSERT ON owners",
    "components": "INSERT ON components",
    "environment": "INSERT ON environment",
}
CASES = [("lineage", "run", "INSERT ON lineage")]
CASES += [(name, kind, write) for name, write in WRITES.items() for kind in ("run", "pretraining")]


def sql(statement: str) -> list[str]:
    with contextlib.closing(sqlite3.connect(STORE)) as db, db:
        return [row[0] for row in db.execute(statement)]


@pytest.mark.parametrize(("what", "kind", "write"), sampled(CASES, 7))
@pytest.mark.sampled(1)
def test_a_row_that_is_refused_stops_the_run(what: str, kind: str, write: str, faulty: Callable[..., None]) -> None:
    faulty()
    assert_fine(here(*RUN, "--head", "dense"))
    run = {"runs": "NEW.id", "digests": "NEW.record"}.get(write.rsplit(maxsplit=1)[-1], "NEW.run_id")
    of = "NEW.kind" if what == "the run" else f"(SELECT kind FROM runs WHERE id = {run})"
    refuse = "SELECT RAISE(ABORT, 'not this row')"
    sql(f"CREATE TRIGGER refused BEFORE {write} WHEN {of} = '{kind}' BEGIN {refuse}; END")
    line = (*RUN, "--head", "linear", "--seed", "1")  # of which no pretraining is there
    with nothing_lost(STORE):
        assert_refused(here(*line), 5, "not this row")
    assert "finished" not in sql(f"SELECT status FROM runs WHERE seed = 1 AND kind = '{kind}'")
    sql("DROP TRIGGER refused")
    assert_fine(here("resume", "--all", "--store", "s.db"))
    assert_fine(here(*line, "--reuse"))
    assert sql("SELECT status FROM runs WHERE seed = 1") == ["finished", "finished"]
