"""Values in a store that nothing of ours has written: read as they are, or refused as the fault of the store."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from outcome import assert_fine, assert_inert, assert_refused, here
from sampling import sampled

RUN = "run --dataset squares --backbone net --head dense --evaluator half --epochs 1 --pretrain-epochs 1".split()
VALUES: list[Any] = ["evil", b"\xff\xfe", "[]", "{}", "null", "1e999", '{"a":' * 2000 + "1" + "}" * 2000, -5]
COLUMNS = {
    "runs": ("plan", "parameters", "seconds", "fingerprint", "seed", "created", "host", "pid", "dataset_digest"),
    "components": ("name", "component", "provider", "version", "options"),
    "environment": ("value",),
    "cells": ("backbone_index", "fold", "seed", "n_test", "leakage", "seconds", "variant", "train_hash"),
    "epochs": ("seconds", "test_loss", "further"),
    "predictions": ("label", "predicted", "probabilities", "source"),
    "metrics": ("value",),
    "artifacts": ("meta", "bytes", "sha256", "kind"),
    "owners": ("drift", "since"),
}
CHECK = "store check"
COMMANDS = (
    "runs",
    "runs --json",
    "show @last",
    "show @last --json",
    "compare @last @last",
    "plot @last",
    "report @last -o report.html --force",
    "resume @last",
    "store recover --to new.db",
)


@pytest.mark.parametrize(
    ("table", "column"),
    sampled([(table, column) for table, columns in COLUMNS.items() for column in columns], 12),
)
@pytest.mark.sampled(1)
def test_a_value_that_nothing_of_ours_has_written(table: str, column: str, faulty: Callable[..., None]) -> None:
    faulty()
    assert_fine(here(*RUN, "--store", "sound.db"))
    for number, value in enumerate(VALUES):  # every command is given some of them, in every column others
        shutil.copy("sound.db", "s.db")
        shutil.copytree("sound.files", "s.files", dirs_exist_ok=True)
        with contextlib.closing(sqlite3.connect("s.db")) as db, db:
            there = [row[0] for row in db.execute(f"SELECT DISTINCT {column} FROM {table}")]
            db.execute(f"UPDATE {table} SET {column} = ?", (value,))
        if there == [value]:
            continue
        for command in (CHECK, *COMMANDS[(number + len(column)) % 3 :: 3]):
            done = here(*command.split(), "--store", "s.db")
            if command == CHECK:
                assert (done.code, "not as stored" in done.out) == (5, True), (value, done)
            elif done.code in (0, 2):  # 2 where a run is finished, or no metric is there
                assert_inert(done)
            else:
                assert_refused(done, done.code, fix=False, out="--json" not in command)
                assert done.code in (3, 5), (command, value, done)
        for path in (Path("new.db"), Path("report.html")):
            path.unlink(missing_ok=True)
        shutil.rmtree("new.files", ignore_errors=True)
