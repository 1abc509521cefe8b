"""Images are classified with stored weights as they were when the run was trained, and nothing doubtful is loaded."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_model import export
from PIL import Image
from quick_runs import RUN

from qtlplat.errors import ConfigError, DataError, safe_repr
from qtlplat.models.image_files import read_pictures
from qtlplat.models.loaded import open_trained

STORED = 1e-6  # largest difference from the probabilities that the run stored: rounding of single precision


def stored_probabilities(trained: Any, cell: int) -> dict[str, list[float]]:
    rows = trained.reader.predictions(trained.id)
    return {row.sample_id: list(row.probabilities) for row in rows if row.cell == cell}


def test_a_cell_gives_its_own_test_samples_the_stored_probabilities(trained: Any, pictures: Any) -> None:
    images = trained.images()
    files = pictures(images.images, images.sample_ids)
    for cell in range(3):
        expected = stored_probabilities(trained, cell)
        chosen = [file for file in files if file.stem in expected]
        called = trained.call("predict", trained.id, *chosen, "--cell", cell, "--json")
        assert called.code == 0, called.err
        assert {"run": trained.id, "cells": [cell], "class_names": ["empty", "square"]}.items() <= called.json.items()
        rows = called.json["rows"]
        assert len(rows) == len(expected) == 32
        for row in rows:
            assert row["probabilities"] == pytest.approx(expected[Path(row["image"]).stem], abs=STORED)
            assert row["predicted"] == int(np.argmax(row["probabilities"]))
            assert row["class"] == images.class_names[row["predicted"]]
            assert row["std"] is None


def test_all_cells_together_are_the_mean_of_each(trained: Any, pictures: Any) -> None:
    files = pictures(trained.images().images[:5])
    together = trained.call("predict", trained.id, *files, "--json").json
    assert together == trained.call("predict", "@last", *files, "--ensemble", "--json").json
    alone = [trained.call("predict", trained.id, *files, "--cell", cell, "--json").json["rows"] for cell in range(3)]
    assert together["cells"] == [0, 1, 2]
    for i, row in enumerate(together["rows"]):
        each = np.array([rows[i]["probabilities"] for rows in alone])
        assert row["probabilities"] == pytest.approx(each.mean(0), abs=1e-12)
        assert row["std"] == pytest.approx(each.std(0, ddof=1), abs=1e-12)
        assert row["votes"] == np.bincount(each.argmax(1), minlength=2).tolist()


def test_people_get_a_table(trained: Any, pictures: Any) -> None:
    (file,) = pictures(trained.images().images[:1])
    lines = trained.call("predict", "@last", file).out.splitlines()
    assert lines[0] == "image\tclass\tprobability\t± sd\tvotes"
    assert lines[1].startswith(f"{file}\t")
    assert lines[1].endswith(" of 3")


def test_an_image_does_not_depend_on_its_neighbours(trained: Any, pictures: Any) -> None:
    files = pictures(trained.images().images[:70])  # more than a batch
    rows = trained.call("predict", "@last", *files, "--json").json["rows"]
    assert trained.call("predict", "@last", files[66], "--json").json["rows"] == rows[66:67]


def test_another_size_is_refused_unless_it_may_be_resized(trained: Any, tmp_path: Path) -> None:
    file = tmp_path / "large.png"
    Image.fromarray(np.full((24, 36), 7, np.uint8)).save(file)
    called = trained.call("predict", "@last", file)
    assert (called.code, called.out) == (3, "")
    assert "size: has 36 x 24 pixels" in called.err
    assert "12 x 12 pixels, 1 channel" in called.err
    resized = trained.call("predict", "@last", file, "--resize", "--json")
    assert resized.code == 0
    assert "resized from 36 x 24 to 12 x 12 (bilinear): 1 image (" in resized.err
    plain = tmp_path / "plain.png"
    Image.fromarray(np.full((12, 12), 7, np.uint8)).save(plain)
    expected = trained.call("predict", "@last", plain, "--json").json["rows"][0]
    assert resized.json["rows"][0]["probabilities"] == expected["probabilities"]


def test_everything_wrong_with_images_is_said_at_once(trained: Any, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((12, 12), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "text.png").write_text("no image")
    whole = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:-60])
    names = ("deep.png", "text.png", "cut.png", "none.png", ".")
    called = trained.call("predict", "@last", *(tmp_path / name for name in names))
    assert called.code == 3
    for words in ("'I;16'", "is none of JPEG, PNG", "cut.png", "No such file", "is not a plain file"):
        assert words in called.err


def test_an_image_that_unpacks_without_bounds_is_refused(trained: Any, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("L", (20_000, 2_000)).save(bomb)
    called = trained.call("predict", "@last", bomb, "--resize")
    assert called.code == 8
    assert "too many pixels" in called.err


@pytest.mark.parametrize(
    ("channels", "mode"), [(1, "L"), (1, "RGB"), (3, "L"), (3, "RGB")], ids=["gray", "to gray", "to colour", "colour"]
)
def test_channels_are_those_of_the_model(tmp_path: Path, channels: int, mode: str) -> None:
    pixels = np.arange(12 * 10 * 3, dtype=np.uint8).reshape(12, 10, 3)
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / "x.png")
    found, notes = read_pictures([tmp_path / "x.png"], (channels, 12, 10))
    expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    assert found.shape == (1, channels, 12, 10)
    assert np.array_equal(found[0].transpose(1, 2, 0).squeeze(), expected)
    assert notes == []


def test_an_orientation_is_applied_and_told_and_further_pages_are_refused(tmp_path: Path) -> None:
    pixels = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(pixels)).save(tmp_path / "turned.png", exif=exif)
    found, notes = read_pictures([tmp_path / "turned.png"], (1, 12, 10))
    assert np.array_equal(found[0, 0], pixels)
    (note,) = notes
    assert note.startswith("turned upright, as their EXIF orientation says: 1 image (")
    assert safe_repr(str(tmp_path / "turned.png")) in note
    assert read_pictures([tmp_path / "turned.png"] * 9, (1, 12, 10))[1][0].endswith(", ...)")
    told = read_pictures([tmp_path / "turned.png"] * 9, (1, 6, 5), "nearest")[1]
    assert [line.split(" (")[0] for line in told] == [
        note.split(":")[0] + ": 9 images",
        "resized from 10 x 12 to 5 x 6",
    ]
    page = Image.fromarray(pixels)
    page.save(tmp_path / "pages.tiff", save_all=True, append_images=[page, page])
    with pytest.raises(DataError, match=r"pages\.tiff: pages: holds 3 pages or frames, must hold one"):
        read_pictures([tmp_path / "pages.tiff"], (1, 12, 10))


def test_other_numbers_of_channels_are_no_images() -> None:
    with pytest.raises(ConfigError, match="1 or 3 channels"):
        read_pictures([], (4, 12, 12))


@pytest.mark.parametrize("whose", ["heads", "backbone"])
def test_weights_that_changed_are_refused(trained: Any, pictures: Any, whose: str) -> None:
    run = trained.id if whose == "heads" else trained.record.pretraining
    weights = trained.weights(run)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    called = trained.call("predict", "@last", *pictures(trained.images().images[:1]))
    assert (called.code, called.out) == (8, "")
    assert f"the weights of run {run} are refused: the file's content is not what was stored" in called.err


@pytest.mark.parametrize("whose", ["heads", "backbone"])
def test_weights_that_are_missing_can_be_had_again(trained: Any, pictures: Any, whose: str) -> None:
    run = trained.id if whose == "heads" else trained.record.pretraining
    trained.weights(run).unlink()
    called = trained.call("predict", "@last", *pictures(trained.images().images[:1]))
    assert (called.code, called.out) == (5, "")
    assert f"the weights of run {run} are not here" in called.err
    assert f"qtlplat replay {run[:8]}" in called.err


def change(trained: Any, statement: str) -> None:
    with closing(sqlite3.connect(trained.store)) as db, db:
        db.execute(statement)


def test_a_name_that_leads_out_of_the_store_is_not_followed(trained: Any, pictures: Any) -> None:
    change(trained, "UPDATE artifacts SET path = '../../etc/passwd' WHERE kind = 'weights'")
    called = trained.call("predict", "@last", *pictures(trained.images().images[:1]))
    assert called.code == 8
    assert "outside of the store" in called.err


def test_weights_of_another_cell_count_are_refused(trained: Any, pictures: Any) -> None:
    own = trained.weights(trained.record.pretraining)
    row = f"sha256 = '{own.stem}', bytes = {own.stat().st_size}, path = 'weights/{own.name}'"
    change(trained, f"UPDATE artifacts SET {row} WHERE kind = 'weights' AND run_id = '{trained.id}'")
    called = trained.call("predict", "@last", *pictures(trained.images().images[:1]))
    assert called.code == 8
    assert "do not fit the head" in called.err


def test_a_run_without_a_stored_shape_reads_its_data(trained: Any, pictures: Any) -> None:
    files = pictures(trained.images().images[:2])
    expected = trained.call("predict", "@last", *files, "--json").json
    change(trained, "UPDATE runs SET image_shape = NULL, classes = '[]'")
    assert trained.call("predict", "@last", *files, "--json").json == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["@last", "--cell", "9"], "has no cell 9"),
        (["@last", "--cell", "4"], "belongs to the control linear"),
        (["@last", "--cell", "0", "--ensemble"], "leave one of them out"),
    ],
)
def test_cells_that_cannot_be_asked(trained: Any, pictures: Any, arguments: list[str], words: str) -> None:
    called = trained.call("predict", *arguments, *pictures(trained.images().images[:1]))
    assert (called.code, called.out) == (2, "")
    assert words in called.err


def test_a_pretraining_has_no_heads_to_ask(trained: Any, pictures: Callable[..., list[Path]]) -> None:
    called = trained.call("predict", trained.record.pretraining, *pictures(trained.images().images[:1]))
    assert (called.code, called.out) == (2, "")
    assert "is a pretraining" in called.err


@pytest.mark.slow
def test_cells_with_backbones_of_their_own_are_asked_through_them(trained: Any, tmp_path: Path) -> None:
    nested = RUN.replace("kfold", "nested")
    words = shlex.split(f"{nested} --head mlp --epochs 3 --pretrain-epochs 3 --n-init 1 -q")
    assert trained.call(*words).code == 0
    record = trained.reader.runs(kind="run")[0]
    assert record.pretraining is None
    model = open_trained(trained.reader, record, trained.catalog)
    images = trained.images()
    places = {name: i for i, name in enumerate(images.sample_ids)}
    found = model.probabilities(images.images)
    assert len(model.backbones) == 3
    for row in trained.reader.predictions(record.id):
        assert found[row.cell, places[row.sample_id]] == pytest.approx(row.probabilities, abs=STORED)
    pytest.importorskip("onnxruntime")
    facts = export(trained, "onnx", tmp_path / "m.onnx")
    assert facts["max_difference"] < STORED
