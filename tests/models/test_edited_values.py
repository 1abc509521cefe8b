"""Values of a run that were edited with another program are damage of the store; no command calls them a bug."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from qtlplat.errors import UsageError

COLUMNS = (
    ("runs", "plan"),
    ("runs", "parameters"),
    ("runs", "seconds"),
    ("runs", "classes"),
    ("components", "options"),
    ("components", "component"),
    ("components", "role"),
    ("environment", "value"),
    ("environment", "name"),
    ("cells", "variant"),
    ("artifacts", "meta"),
    ("artifacts", "kind"),
)
LISTING = ("runs", "runs --json", "best", "pareto f1 loss", "report -o {0}/all.html --force")
OF_A_RUN = (
    "show {1}",
    "show {1} --json",
    "show {1} --cells",
    "compare {1}",
    "compare {1} {2}",
    "diff {1} {2}",
    "replay {1}",
    "replay {1} --heads-only",
    "resume {1}",
    "report {1} -o {0}/one.html --force",
    "export {1} -o {0}/x.zip --force",
    "export {1} --to qasm -o {0}/x.qasm --force",
    "export {1} --to mlflow -o {0}/mlflow --force",
    "export {1} --to onnx -o {0}/x.onnx --force",
    "plot {1}",
    "errors {1}",
    "predict {1} {0}/none.png",
)
DELETED = object()
VALUES: tuple[Any, ...] = (DELETED, "evil", None, -5, 1.5, [], {}, {"a": {"b": [1]}})
BARE = ("evil", "", "[]", '{"a": 1}', "-5", "1e999")
REACHED = "the run would begin now"


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a JSON value has parts."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from paths(value[key], (*path, key))


def edits(text: str) -> Iterator[str]:
    """Other texts for a stored one: of JSON, each part deleted or of another kind."""
    if not text.startswith(("{", "[")):
        yield from (value for value in BARE if value != text)
        return
    yield from BARE
    for path in paths(json.loads(text)):
        for value in VALUES:
            whole = json.loads(text)
            place = whole
            for key in path[:-1]:
                place = place[key]
            if value is not DELETED and place[path[-1]] == value:
                continue
            if value is DELETED:
                del place[path[-1]]
            else:
                place[path[-1]] = value
            yield json.dumps(whole)


@pytest.fixture
def _trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def reached(*_: Any, **__: Any) -> None:
        raise UsageError(REACHED)

    for module in ("replay", "resume"):
        for function in ("execute", "pretrained"):
            monkeypatch.setattr(f"qtlplat.runs.{module}.{function}", reached)


@pytest.mark.usefixtures("_trains_nothing")
@pytest.mark.sampled(3)
@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_an_edited_value_is_damage_and_no_bug(table: str, column: str, seed: int, trained: Any, tmp_path: Path) -> None:
    draw = random.Random(f"{table}.{column} {seed}")
    key, run = ("id" if table == "runs" else "run_id"), trained.id
    with closing(sqlite3.connect(trained.store)) as db:
        rows = db.execute(f"SELECT {column} FROM {table} WHERE {key} = ? ORDER BY {column}", [run]).fetchall()
        old = draw.choice(rows)[0]
        new = draw.choice(list(edits(old)))
        db.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ? AND {column} = ?", [new, run, old])
        db.commit()
    assert trained.call("store", "check").code == 5
    commands = draw.sample(OF_A_RUN, 5) + draw.sample(LISTING, 1)
    for command in commands:
        done = trained.call(*command.format(tmp_path, run, trained.record.pretraining).split())
        told = (old, new, command, done)
        assert done.code in (0, 5), told
        assert done.code == 0 or "qtlplat store check" in done.err, told
