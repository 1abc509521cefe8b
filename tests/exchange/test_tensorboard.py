"""Runs as event files, as TensorBoard's own reader sees them: curves of cells, means, words that mean nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchanged import HOSTILE, Sent, change, qtlplat, snapshot
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader


def read(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
    found.Reload()
    return found


def scalars(found: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    from tensorboard.util.tensor_util import make_ndarray

    return [(event.step, float(make_ndarray(event.tensor_proto))) for event in found.Tensors(tag)]


def words(found: EventAccumulator, tag: str) -> str:
    (event,) = found.Tensors(tag)
    return event.tensor_proto.string_val[0].decode()  # type: ignore[no-any-return]


@pytest.fixture
def exported(sent: Sent) -> Path:
    directory = sent.other.parent / "tb"
    assert qtlplat(sent.store, "export", sent.run, sent.failed, "--to", "tensorboard", directory).code == 0
    return directory


def test_every_cell_has_its_curves(sent: Sent, exported: Path) -> None:
    reader = Reader(find_store(str(sent.store)))
    folders = sorted(path for path in (exported / sent.run).iterdir() if path.is_dir())
    cells = reader.cells(sent.run)
    assert [path.name for path in folders] == [f"{c.position:03d}-{c.variant}-fold{c.fold}-seed{c.seed}" for c in cells]
    for cell, folder in zip(cells, folders, strict=True):
        found = read(folder)
        stored = [e for e in reader.epochs(sent.run) if e.cell == cell.position]
        for name in ("test_loss", "test_accuracy", "gate_norm"):
            expected = [(e.epoch, float(np.float32(e.values[name]))) for e in stored]
            assert repr(scalars(found, name)) == repr(expected)
        assert scalars(found, "final/f1") == [(2, float(np.float32(cell.metrics["f1"])))]


def test_the_run_has_means_deviations_and_words(sent: Sent, exported: Path) -> None:
    shown = qtlplat(sent.store, "show", sent.run, "--json").json
    found = read(exported / sent.run)
    assert scalars(found, "test_loss") == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert scalars(found, "final/f1") == [(2, float(np.float32(shown["metrics"]["f1"]["mean"])))]
    assert scalars(found, "final/f1_sd") == [(2, float(np.float32(shown["metrics"]["f1"]["std"])))]
    assert scalars(found, "final/f1 of linear") == [(2, float(np.float32(0.925)))]
    assert "| head | dressed5x3 |" in words(found, "parameters")
    assert sent.run in words(found, "run")
    assert ("tags" in found.Tags()["tensors"]) == bool(shown.get("tags"))
    assert ("note" in found.Tags()["tensors"]) == bool(shown.get("note"))


def test_hyperparameters_are_there_for_the_table_of_runs(sent: Sent, exported: Path) -> None:
    from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
    from tensorboard.plugins.hparams.metadata import (
        SESSION_END_INFO_TAG,
        SESSION_START_INFO_TAG,
        parse_session_end_info_plugin_data,
        parse_session_start_info_plugin_data,
    )

    found = read(exported / sent.run)

    def content(tag: str) -> Any:
        return found.SummaryMetadata(tag).plugin_data.content

    start = parse_session_start_info_plugin_data(content(SESSION_START_INFO_TAG))
    assert start.hparams["head.options.size"].number_value == 3
    assert start.hparams["head.options.on"].bool_value is True
    assert start.hparams["head"].string_value == "dressed5x3"
    assert parse_session_end_info_plugin_data(content(SESSION_END_INFO_TAG)).status == STATUS_SUCCESS


def test_hostile_words_mean_nothing(sent: Sent, exported: Path) -> None:
    text = words(read(exported / sent.failed), "parameters")
    assert "\x1b" not in text
    assert "<script>" not in text.replace("\\<", "")
    assert HOSTILE.split('"')[0] in text


def test_a_variant_never_becomes_a_path(sent: Sent) -> None:
    change(sent.store, "UPDATE cells SET variant = '../../../evil' WHERE position = 3")
    directory = sent.other.parent / "tb"
    assert qtlplat(sent.store, "export", sent.run, "--to", "tensorboard", directory).code == 0
    assert sorted(path.name for path in (directory / sent.run).iterdir() if path.is_dir())[3] == "003--evil-fold1-seed7"
    assert not list(sent.other.parent.parent.rglob("evil"))


def test_a_second_export_writes_the_same_bytes(sent: Sent, exported: Path) -> None:
    before = snapshot(exported)
    assert qtlplat(sent.store, "export", sent.run, "--to", "tensorboard", exported).code == 0
    assert snapshot(exported) == before


def test_something_else_in_the_place_of_a_directory(sent: Sent) -> None:
    directory = sent.other.parent / "tb"
    directory.write_text("mine")
    assert qtlplat(sent.store, "export", sent.run, "--to", "tensorboard", directory).code == 5
    directory.unlink()
    directory.mkdir()
    (directory / sent.run).symlink_to(sent.store.parent)
    before = snapshot(sent.store.parent)
    assert qtlplat(sent.store, "export", sent.run, "--to", "tensorboard", directory).code == 5
    assert snapshot(sent.store.parent) == before


@pytest.mark.parametrize(
    "words", ["{run} --to tensorboard {dir}", "--to tensorboard {dir} {run}", "--to=tensorboard {dir} {run}",
              "--to tensorboard {run} -o {dir}", "--to tensorboard --output={dir} {run}"],
)  # fmt: skip
def test_the_directory_follows_the_trackers_name_or_an_o(words: str, sent: Sent) -> None:
    directory = sent.other.parent / "tb"
    typed = words.format(run=sent.run, dir=directory).split()
    told = qtlplat(sent.store, "export", *typed, "--json").json
    assert told["directory"] == str(directory)
    assert [row["run"] for row in told["rows"]] == [sent.run]
    assert (directory / sent.run).is_dir()
