"""Runs as runs of MLflow, by its own client, into an SQLite store of its own; a nested run for each cell. No torch.

A run that is there already and has not changed stays as it is except for its annotations; a run that has changed, or
was exported incompletely, is deleted as MLflow deletes and written again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import strict
from qtlplat.errors import QtlplatError, StoreError, describe_exception
from qtlplat.extras import require_packages
from qtlplat.store.core import artifacts
from qtlplat_trackers.payload import CellFacts, RunFacts, Step, cut, facts

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from qtlplat.store.core.records import ArtifactRow
    from qtlplat.store.read.queries import Reader

EXPERIMENT, DATABASE, FILES = "qtlplat", "mlflow.db", "artifacts"
RUN, CONTENT, TAG = "qtlplat.run", "qtlplat.content", "qtlplat.tag."  # tags of MLflow
NOTE, PARENT, NAME = "mlflow.note.content", "mlflow.parentRunId", "mlflow.runName"
_MOST_NAME = 250
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # of a call
_STATUS = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "running": "RUNNING"}


def require_mlflow() -> None:
    """Raise ConfigError with the command that installs it where MLflow is missing; without its reports home."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    require_packages("mlflow", "exporting to MLflow", "qtlplat export --to mlflow", modules=("mlflow",))


def to_mlflow(reader: Reader, runs: Sequence[str], directory: Path, *, weights: bool = False) -> dict[str, str]:
    """Write runs, by their full ids, into ``mlflow.db`` and ``artifacts/`` below a directory; MLflow's ids of them.

    weights: the files of the runs too. Raises StoreError if nothing can be written there, or a file is lost.
    """
    directory = directory.absolute()
    with _translated(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with _client(directory) as client:
            experiment = _experiment(client, directory)
            return {run: _run(client, experiment, reader, run, weights=weights) for run in runs}


@contextmanager
def _translated(directory: Path) -> Iterator[None]:
    """MLflow and what it stands on raise errors of many sorts; here all mean that it cannot write."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it says about its own libraries helps nobody here
            yield
    except QtlplatError:
        raise
    except Exception as error:
        fix = "name another directory, or upgrade its store: mlflow db upgrade sqlite:///DIR/mlflow.db"
        raise StoreError(
            f"MLflow cannot write there: {describe_exception(error)}", where=str(directory), fix=fix
        ) from error


@contextmanager
def _client(directory: Path) -> Iterator[MlflowClient]:
    from mlflow import MlflowClient

    uri = f"sqlite:///{directory / DATABASE}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        yield client
    finally:
        store = client._tracking_client.store
        if engine := getattr(store, "engine", None):
            engine.dispose()


def _experiment(client: MlflowClient, directory: Path) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        return str(client.create_experiment(EXPERIMENT, artifact_location=(directory / FILES).as_uri()))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def _run(client: MlflowClient, experiment: str, reader: Reader, run_id: str, *, weights: bool) -> str:
    run = facts(reader, run_id)
    files = reader.artifacts(run_id) if weights else []
    content = _digest(run, files)
    for old in client.search_runs([experiment], f"tags.`{RUN}` = '{run_id}'"):
        if old.data.tags.get(CONTENT) == content:
            _say(client, old.info.run_id, run, old.data.tags)
            return str(old.info.run_id)
        for part in client.search_runs([experiment], f"tags.`{PARENT}` = '{old.info.run_id}'", max_results=50_000):
            client.delete_run(part.info.run_id)
        client.delete_run(old.info.run_id)
    about = {f"qtlplat.{name}": value for name, value in run.facts.items()}
    made = client.create_run(experiment, int(run.created * 1000), about, run.name).info.run_id
    _log(client, made, run, run.params, run.metrics, run.steps)
    for cell in run.cells:
        _cell(client, experiment, made, run, cell)
    told_of_it = {"run": {**vars(run), "cells": [vars(cell) for cell in run.cells]}}
    client.log_text(made, json.dumps(strict(_plain(told_of_it)), indent=1, allow_nan=False), "run.json")
    for row in files:
        _file(client, made, reader, row)
    _say(client, made, run, {})
    client.set_terminated(made, _STATUS[run.status], int((run.finished or run.created) * 1000))
    client.set_tag(made, CONTENT, content)  # the last thing: without it, the run was cut off half way
    return str(made)


def _cell(client: MlflowClient, experiment: str, parent: str, run: RunFacts, cell: CellFacts) -> None:
    start = int(run.created * 1000)
    made = client.create_run(experiment, start, {PARENT: parent, "qtlplat.cell": str(cell.position)}, cell.name)
    _log(client, made.info.run_id, run, cell.params, cell.metrics, cell.steps)
    passed = cell.steps[-1].seconds if cell.steps else 0.0
    client.set_terminated(made.info.run_id, _STATUS[cell.status], start + int(passed * 1000))


def _log(
    client: MlflowClient,
    made: str,
    run: RunFacts,
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    steps: Sequence[Step],
) -> None:
    """Parameters; values by epoch, at their step; final values, under `final.` where an epoch has that name too."""
    from mlflow.entities import Metric, Param

    start = int(run.created * 1000)
    every: list[Metric] = [
        Metric(name, value, start + int(step.seconds * 1000), step.epoch)
        for step in steps
        for name, value in _named(step.values).items()
    ]
    last = steps[-1] if steps else Step(0, 0.0, {})
    by_epoch = {name for step in steps for name in step.values}
    final = {f"final.{name}" if name in by_epoch else name: value for name, value in metrics.items()}
    end = start + int(last.seconds * 1000)
    every += [Metric(name, value, end, last.epoch) for name, value in _named(final).items()]
    pairs = [Param(name, value) for name, value in _named(params).items()]
    for i in range(0, len(pairs), _MOST_PARAMS):
        client.log_batch(made, params=pairs[i : i + _MOST_PARAMS])
    for i in range(0, len(every), _MOST_METRICS):
        client.log_batch(made, metrics=every[i : i + _MOST_METRICS])


def _named(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values under names that MLflow takes, each under one of its own."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        safe = re.sub(r"[^A-Za-z0-9_.\- ]", "_", name).lstrip(".")[:_MOST_NAME] or "_"
        unique, number = safe, 1
        while unique in found:
            number += 1
            unique = f"{safe[: _MOST_NAME - 8]}_{number}"
        found[unique] = value
    return found


def _file(client: MlflowClient, made: str, reader: Reader, row: ArtifactRow) -> None:
    location = reader.location
    if wrong := artifacts.what_is_wrong(location, row.path, row.sha256, row.bytes):
        raise StoreError(wrong, where=str(location.files / row.path), fix="leave --with-weights out")
    path = artifacts.path_below(location, row.path)
    client.log_artifact(made, str(path), row.kind if re.fullmatch(r"[\w-]+", row.kind) else "files")


def _say(client: MlflowClient, made: str, run: RunFacts, there: Mapping[str, str]) -> None:
    """Bring the tags and the note of people up to date."""
    wanted = {TAG + name: "true" for name in _named(dict.fromkeys(run.tags))}
    wanted |= {NOTE: run.note} if run.note else {}
    for name, value in wanted.items():
        if there.get(name) != value:
            client.set_tag(made, name, value)
    for name in there:
        if (name.startswith(TAG) or name == NOTE) and name not in wanted:
            client.delete_tag(made, name)


def _digest(run: RunFacts, files: Sequence[ArtifactRow]) -> str:
    """Of everything that is written but tags and the note."""
    text = repr((replace(run, tags=(), note=""), [(row.path, row.sha256) for row in files]))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Dataclasses inside a value as what they hold."""
    if isinstance(value, Step):
        return {"epoch": value.epoch, "seconds": value.seconds, "values": dict(value.values)}
    if isinstance(value, Mapping):
        return {cut(str(name)): _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
