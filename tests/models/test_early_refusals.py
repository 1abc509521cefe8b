"""What can be refused early is refused before torch is loaded and a model is put together."""

from __future__ import annotations

import builtins
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

SLOW = (
    "qtlplat.models.loaded",
    "qtlplat_model_files.to_onnx",
    "qtlplat_model_files.to_qasm",
    "qtlplat.runs.replay",
    "qtlplat_bundles.bundle",
    "qtlplat_bench.store",
)


RECORDS = "tensorboard.summary.writer.record_writer"


@pytest.fixture
def nothing_slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What comes after a refusal cannot be imported: torch and what needs it, a whole bundle."""
    for name in SLOW:
        monkeypatch.delitem(sys.modules, name, raising=False)
    real = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        assert name not in SLOW, f"{name} is imported before the refusal"
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    yield
    monkeypatch.setattr(builtins, "__import__", real)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Files that are no images for a model of 8 x 8 gray pixels, and one that is far too large."""
    Image.fromarray(np.zeros((9, 20), np.uint8)).save(tmp_path / "wide.png")
    Image.fromarray(np.zeros((20, 20), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize("name", ["wide.png", "deep.png", "text.png", "folder.png", "nowhere.png"])
@pytest.mark.sampled(1)
def test_an_image_that_cannot_be_classified(name: str, trained: Any, files: Path) -> None:
    called = trained.call("predict", trained.id, files / name)
    assert (called.code, called.out) == (3, ""), called.err
    assert name in called.err
    called = trained.call("export", trained.id, "--to", "qasm", "-o", files / "c.qasm", "--image", files / name)
    assert (called.code, called.out) == (3, ""), called.err
    assert name in called.err


@pytest.mark.usefixtures("nothing_slow")
def test_a_cell_and_a_run_that_have_no_model(trained: Any, files: Path, pictures: Any) -> None:
    (file,) = pictures(np.zeros((1, *trained.images().shape), np.uint8))
    out = files / "m"
    pretraining = trained.record.pretraining
    for words in (
        ("predict", trained.id, file, "--cell", 99),
        ("predict", pretraining, file),
        ("export", trained.id, "--to", "onnx", "-o", out, "--cell", 99),
        ("export", pretraining, "--to", "qasm", "-o", out),
        ("export", pretraining, "--to", "onnx", "-o", out),
        ("replay", pretraining, "--heads-only"),
    ):
        called = trained.call(*words)
        assert (called.code, called.out) == (2, ""), (words, called.err)
    weights = trained.weights(pretraining)
    content = weights.read_bytes()
    for damage, code in ((lambda: weights.write_bytes(content[:-1] + b"?"), 8), (weights.unlink, 5)):
        damage()
        called = trained.call("predict", trained.id, file)
        assert (called.code, called.out) == (code, ""), called.err
        assert str(weights) in called.err
    with closing(sqlite3.connect(trained.store)) as connection, connection:
        connection.execute("DELETE FROM artifacts WHERE kind = 'weights' AND run_id = ?", [pretraining])
    called = trained.call("predict", trained.id, file)
    assert called.code == 5, called.err
    assert f"run {pretraining} has no weights" in called.err


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize("how", ["gone", "damaged", "cut", "a directory", "not stored", "outside"])
def test_heads_alone_whose_backbone_is_missing_or_damaged(how: str, trained: Any) -> None:
    source = trained.record.pretraining
    weights = trained.weights(source)
    content = weights.read_bytes()
    weights.unlink()
    if how == "damaged":
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif how == "cut":
        weights.write_bytes(content[:-1])
    elif how == "a directory":
        weights.mkdir()
    with closing(sqlite3.connect(trained.store)) as connection, connection:
        of_weights = "WHERE kind = 'weights' AND run_id = ?"
        if how == "not stored":
            connection.execute(f"DELETE FROM artifacts {of_weights}", [source])
        elif how == "outside":
            connection.execute(f"UPDATE artifacts SET path = '../x' {of_weights}", [source])
    called = trained.call("replay", trained.id, "--heads-only")
    assert (called.code, called.out) == (5 if how in ("gone", "not stored") else 8, ""), called.err
    assert source in called.err
    assert f"train the backbones, too: qtlplat replay {trained.id[:8]} --store" in called.err
    assert [run.id for run in trained.reader.runs(kind="run")] == [trained.id]


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_extra(package: str, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    called = trained.call("export", trained.id, "--to", "onnx", "-o", tmp_path / "m.onnx")
    assert (called.code, called.out) == (3, ""), called.err
    assert f"needs {package}" in called.err
    assert "pip install 'qtlplat[onnx]'" in called.err


@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize(
    ("module", "extra", "words"),
    [
        ("mlflow", "mlflow", ["export", "@last", "--to", "mlflow", "-o", "{}/out"]),
        (RECORDS, "tensorboard", ["export", "@last", "--to", "tensorboard", "-o", "{}/out"]),
        ("matplotlib.figure", "plot", ["plot", "@last", "-o", "{}/out.svg"]),
        ("pyarrow.parquet", "parquet", ["runs", "-o", "{}/out.parquet"]),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_an_extra_that_is_missing_is_named_before_the_store_is_read(
    module: str, extra: str, words: list[str], trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("qtlplat.store.read.queries.Reader.read", None)
    called = trained.call(*(word.format(tmp_path) for word in words))
    assert (called.code, called.out) == (3, ""), called.err
    assert f"pip install 'qtlplat[{extra}]'" in called.err


WRITERS = (
    ("export", "@last", "-o", "{}.zip"),
    ("export", "@last", "--to", "onnx", "-o", "{}.onnx"),
    ("export", "@last", "--to", "qasm", "-o", "{}.qasm"),
    ("report", "-o", "{}.html"),
    ("plot", "@last", "-o", "{}.svg"),
    ("plot", "@last", "--kind", "errors", "-o", "{}.png"),
    ("errors", "@last", "-o", "{}.png"),
    ("runs", "-o", "{}.csv"),
    ("info", "dressed", "-o", "{}.svg"),
    ("data", "preview", "steel-synth", "-o", "{}.png"),
)


@pytest.mark.sampled(10)
@pytest.mark.usefixtures("nothing_slow")
@pytest.mark.parametrize("words", WRITERS, ids=lambda words: " ".join(words[:4]))
@pytest.mark.parametrize("fault", ["exists", "no directory", "read-only"])
def test_a_file_that_cannot_be_written(
    words: tuple[str, ...], fault: str, trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ("nowhere" if fault == "no directory" else "there") / "out"
    (tmp_path / "there").mkdir()
    line = [word.format(place) for word in words]
    if fault == "exists":
        Path(line[-1]).write_text("precious")
    if fault == "read-only":  # whoever tests may be root, who may write anywhere
        monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == place.parent and mode & os.W_OK))
    from qtlplat.catalog import reopen

    monkeypatch.setattr(reopen, "stored_images", None)
    called = trained.call(*line)
    assert (called.code, called.out) == (2 if fault == "exists" else 5, ""), called.err
    if fault == "exists":
        assert "--force" in called.err
        assert Path(line[-1]).read_text() == "precious"
