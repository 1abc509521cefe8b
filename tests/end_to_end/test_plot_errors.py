"""The contact sheet of a run's errors: its images come through the plugin of the stored plan and must be the same."""

import json
import shutil
import sqlite3

import pytest

from qtlplat.store.backends.find import find_store
from qtlplat.store.core import database, parts, row_digests


@pytest.mark.slow
def test_errors_are_drawn_from_the_dataset_of_the_stored_plan(stored, qtlplat, tmp_path):
    file = tmp_path / "errors.png"
    code, out, err = qtlplat("plot @last --kind errors", "-o", file, "--store", stored)
    assert code == 0, err
    assert file.read_bytes().startswith(b"\x89PNG")
    assert out.splitlines()[1] == f"{file}\t{file.stat().st_size}"


def test_a_dataset_that_has_changed_is_an_error_with_both_digests(stored, qtlplat, tmp_path):
    changed = tmp_path / "store.db"
    shutil.copy(stored, changed)
    with sqlite3.connect(changed) as connection:
        (true,) = connection.execute("select dataset_digest from runs where kind = 'run'").fetchone()
        connection.execute("update runs set dataset_digest = ?", ("b" * 64,))
    connection.close()
    location = find_store(str(changed))
    with database.engine(location, write=True).begin() as sealing:  # as if the data had been other ones from the start
        for record in parts.ids(sealing, "runs"):
            row_digests.seal(sealing, "runs", record)
    code, _, err = qtlplat("plot @last --kind errors", "-o", tmp_path / "errors.svg", "--store", changed)
    assert code == 3
    assert true in err
    assert "b" * 64 in err
    assert not (tmp_path / "errors.svg").exists()


def test_options_that_are_given_anew_win_over_the_stored_ones(stored, qtlplat, tmp_path):
    line = "plot @last --kind errors -S dataset.seed=5"
    code, _, err = qtlplat(line, "-o", tmp_path / "errors.svg", "--store", stored)
    assert (code, "the dataset has changed" in err) == (3, True)
    code, _, err = qtlplat("plot @last --kind errors -S dataset.sede=5", "-o", tmp_path / "e.svg", "--store", stored)
    assert (code, "sede" in err) == (3, True)


def test_classes_are_known_without_the_dataset_but_for_older_runs(stored, qtlplat, tmp_path):
    def classes(store, kind):
        code, out, err = qtlplat(f"plot @last --kind {kind} --json --store", store)
        assert code == 0, err
        return json.loads(out)["rows"][0]["classes"]

    assert classes(stored, "confusion") == classes(stored, "errors") == ["normal", "anomalous"]
    older = tmp_path / "store.db"
    shutil.copy(stored, older)
    with sqlite3.connect(older) as connection:
        connection.execute("update runs set classes = '[]'")
    connection.close()
    assert classes(older, "confusion") == classes(older, "errors") == ["0", "1"]


def test_errors_are_listed_and_put_on_a_contact_sheet(stored, qtlplat, json_of, tmp_path):
    from PIL import Image

    found = json_of("errors @last --store", stored)
    drawn = json_of("plot @last --kind errors --store", stored)["rows"][0]
    assert [row["sample"] for row in found["rows"]] == [wrong["sample_id"] for wrong in drawn["wrong"]]
    assert found["predictions"] == drawn["predictions"]
    file = tmp_path / "sheet.png"
    code, out, err = qtlplat("errors @last -n 7 -o", file, "--store", stored)
    assert code == 0, err
    shown = min(7, found["wrong_samples"])
    with Image.open(file) as picture:
        assert out.splitlines()[1] == f"{file}\t{file.stat().st_size}\t{picture.width}x{picture.height}\t{shown}"
    assert qtlplat("errors @last -o", file, "--store", stored)[0] == 2  # it exists
    code, _, err = qtlplat("errors @last -S dataset.seed=5 -o", tmp_path / "other.png", "--store", stored)
    assert (code, "the dataset has changed" in err) == (3, True)
