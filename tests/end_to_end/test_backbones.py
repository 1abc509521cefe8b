"""Runs with several independent backbones: crossed, found by content, and known to everything that looks at cells."""

from __future__ import annotations

import csv
import itertools
import shlex

import pytest

from qtlplat.analysis.evidence import LEAST
from qtlplat.cli.app import _run
from qtlplat.cli.commands.run import FEWEST
from qtlplat.runs.cells import backbone_seed

from .conftest import SMALL

LINE = f"run {SMALL} --head linear"


@pytest.fixture(scope="module")
def crossed(tmp_path_factory):
    """A store with a run on one backbone, and one on three with a control."""
    path = tmp_path_factory.mktemp("crossed") / "store.db"
    for more in ("", "--backbones 3 --controls mlp"):
        assert _run([*shlex.split(f"{LINE} {more} -q"), "--store", str(path)]) == 0
    return path


def test_cells_are_crossed_with_backbones_that_are_found_by_content(json_of, crossed) -> None:
    pretrainings = json_of("runs --kind pretraining --store", crossed)
    assert sorted(one["seed"] for one in pretrainings) == sorted(backbone_seed(0, b) for b in range(3))
    one, three = (json_of(f"show {name} --store", crossed) for name in ("@-2", "@last"))
    assert (one["backbones"], three["backbones"]) == (1, 3)
    assert [(c["variant"], c["backbone_index"], c["fold"]) for c in three["cells"]] == list(
        itertools.product(("head", "mlp"), range(3), range(2))
    )
    found = {c["pretraining"] for c in one["cells"]}
    assert {c["pretraining"] for c in three["cells"] if c["backbone_index"] == 0} == found
    assert len({c["pretraining"] for c in three["cells"]}) == 3
    assert three["pretraining"] is None
    for cell in three["cells"]:  # a pair of cells has the same folds
        assert cell["test_hash"] == one["cells"][cell["fold"]]["test_hash"]
    assert [c["metrics"] for c in three["cells"][:2]] == [c["metrics"] for c in one["cells"]]  # stacked with others


def test_a_second_run_pretrains_nothing(qtlplat, json_of, crossed, tmp_path) -> None:
    before = len(json_of("runs --kind pretraining --store", crossed))
    code, out, err = qtlplat(f"run {SMALL} --head mlp --backbones 3 --store", crossed)
    assert code == 0
    assert len(json_of("runs --kind pretraining --store", crossed)) == before
    for number in range(1, 4):
        assert f"backbone {number} of 3 found: pretraining " in err
    assert err.count("frozen features found") == 3
    assert "(mean ± sd of 6 cells, 3 backbones × 2 folds)" in out
    assert "for this backbone only" not in out
    assert _run([*shlex.split("rm @last -q --store"), str(crossed)]) == 0


def test_one_backbone_is_no_answer_in_general(qtlplat, tmp_path) -> None:
    head = "--head dressed -S head.qubits=2 -S head.layers=1"
    code, out, _ = qtlplat(f"run {SMALL} {head} --store", tmp_path / "s.db")
    assert code == 0
    assert "(mean ± sd of 2 cells)" in out
    assert "one backbone: scores and comparisons hold for this backbone only" in out
    assert "takes 3 or more backbones, better 5, with controls: 5 backbones × 1 seed × 2 folds" in " ".join(out.split())
    assert LEAST == FEWEST == 3
    commands = [line for line in out.splitlines() if "qtlplat" in line and "--backbone lenet2" in line]
    (more,) = [line for line in commands if "--backbones 5" in line]
    assert "--head dressed" in more
    assert "head.qubits=2" in more
    assert "--controls auto" in more


def test_a_dry_run_tells_the_backbones(json_of, qtlplat) -> None:
    facts = json_of(f"{LINE} --backbones 3 --n-seeds 2 --dry-run")
    assert facts["backbones"] == 3
    assert [(c["backbone_index"], c["seed"], c["fold"]) for c in facts["cells"]] == list(
        itertools.product(range(3), range(2), range(2))
    )
    one = json_of(f"{LINE} --dry-run")
    assert one["fingerprint"] == json_of(f"{LINE} --backbones 1 --dry-run")["fingerprint"] != facts["fingerprint"]
    code, out, _ = qtlplat(f"{LINE} --backbones 3 --dry-run")
    assert code == 0
    assert "backbone\tfold\tseed" in out


@pytest.mark.parametrize(("number", "expected"), [("0", 3), ("1001", 3), ("x", 2)])
def test_numbers_of_backbones_out_of_bounds_are_refused(number: str, expected: int, qtlplat, tmp_path) -> None:
    code, _, err = qtlplat(f"{LINE} --backbones {number} --store", tmp_path / "s.db")
    assert code == expected
    assert "--backbones" in err


def test_runs_are_paired_by_backbone(json_of, crossed) -> None:
    _, row = json_of("compare @-2 @last --store", crossed)["rows"]
    assert row["cells"] == 6
    assert any("2 pairs of cells are compared; 4 cells have no partner" in note for note in row["notes"])
    (row,) = [r for r in json_of("compare @last --store", crossed)["rows"] if r["variant"] == "mlp"]
    assert row["cells"] == 6
    (pair,) = json_of("plot @last --kind differences --store", crossed)["rows"]
    assert [(c["backbone_index"], c["fold"]) for c in pair["cells"]] == list(itertools.product(range(3), range(2)))


def test_pages_and_sql_have_a_column_for_the_backbone(qtlplat, json_of, crossed) -> None:
    code, out, _ = qtlplat("show @last --cells --store", crossed)
    assert code == 0
    assert out.startswith("backbone\tfold\tseed")
    assert "backbone" not in qtlplat("show @-2 --cells --store", crossed)[1].splitlines()[0]
    assert "mean ± sd of 6 cells, 3 backbones × 2 folds" in qtlplat("show @last --store", crossed)[1]
    assert qtlplat("show @last --curve --store", crossed)[1].startswith("backbone\t")
    rows = json_of("sql 'SELECT backbones, count(*) AS n FROM v_runs GROUP BY backbones ORDER BY n' --store", crossed)
    assert sorted((row["backbones"] or 0, row["n"]) for row in rows) == [(0, 3), (1, 1), (3, 1)]
    assert len(json_of("runs --where 'backbones > 1' --store", crossed)) == 1
    title, *rows = csv.reader(qtlplat("runs --kind run --csv --store", crossed)[1].splitlines())
    assert sorted(row[title.index("backbones")] for row in rows) == ["1", "3"]


def test_mistakes_are_counted_by_backbone(qtlplat, json_of, crossed) -> None:
    found = json_of("errors @last --store", crossed)
    (drawn,) = json_of("plot @last --kind errors --store", crossed)["rows"]
    assert found["backbones"] == 3
    for row in (*found["rows"], *drawn["wrong"]):  # one seed: a prediction on each backbone
        assert (row["wrong_backbones"], row["backbones"]) == (row["wrong"], row["tested"])
        assert row["backbones"] == 3
    code, out, err = qtlplat("errors @last --csv --cols sample,wrong_backbones,backbones --store", crossed)
    assert code == 0
    assert out.splitlines()[1].endswith(",3")
    assert "of 108 predictions on 3 backbones" in err
    assert "on backbones" in qtlplat("plot @last --kind errors --store", crossed)[1]
    assert json_of("errors @-2 --store", crossed)["backbones"] == 1
    assert "backbone" not in qtlplat("errors @-2 --store", crossed)[2]


def test_a_model_is_predicted_with_the_backbone_of_its_cell(crossed) -> None:
    """Each cell's stored predictions are those of its own backbone and head."""
    import numpy as np

    from qtlplat.catalog.catalog import open_catalog
    from qtlplat.catalog.reopen import stored_images
    from qtlplat.models.loaded import open_trained
    from qtlplat.store.backends.find import find_store
    from qtlplat.store.read.queries import Reader

    reader = Reader(find_store(str(crossed)))
    run = reader.runs(kind="run")[0]
    catalog = open_catalog(None)[1]
    images = stored_images(run.plan, run.dataset_digest, catalog, ())
    trained = open_trained(reader, run, catalog)
    found = trained.probabilities(images.images)
    places = {name: i for i, name in enumerate(images.sample_ids)}
    for row in reader.predictions(run.id):
        if row.cell < 6:
            assert np.allclose(found[row.cell, places[row.sample_id]], row.probabilities, atol=1e-6)
    assert not np.allclose(found[0], found[2], atol=1e-3)


def test_backbones_within_folds_share_initial_weights_or_vary_over_them(qtlplat, json_of, tmp_path) -> None:
    line, store = f"{LINE.replace('kfold', 'nested')} --controls mlp", tmp_path / "s.db"
    words = {
        1: "2 backbones, pretrained within the folds, all from the same initial weights: how others would do is not "
        "known",
        2: "4 backbones, pretrained within the folds, from 2 sets of initial weights",
    }
    for n, told in words.items():
        code, out, _ = qtlplat(f"{line} --backbones {n} --store", store)
        assert code == 0
        assert told in out
        assert ("--backbones 5" in out) == (n == 1)
        assert "for this backbone only" not in out
        page = qtlplat("show @last --store", store)[1]
        assert f"backbones    {told}" in page
        assert f"finished  {'backbone 0, ' if n > 1 else ''}fold 1\n" in page
        _, row = json_of("compare @last --store", store)["rows"]
        assert (row["unit"], row["n_backbones"], row["n"]) == ("backbone", 2, 2)
        assert any("same initial weights" in note for note in row["notes"]) == (n == 1)
        assert ("components" in row and row["components"] is not None) == (n > 1)
        assert told[1:] in qtlplat("plot @last --kind box --store", store)[2]


def test_more_backbones_on_the_same_folds_are_no_other_samples(json_of, crossed) -> None:
    differences = json_of("diff @-2 @last --store", crossed)["rows"]
    names = {one["what"] for one in differences}
    assert {"backbones", "backbone weights"} <= names
    assert not names & {"train samples", "test samples"}


def test_pages_say_which_backbone_is_which_and_how_far_scores_reach(qtlplat, crossed) -> None:
    one, three = (qtlplat(f"show {name} --store", crossed)[1] for name in ("@-2", "@last"))
    assert "backbones    one backbone: scores and comparisons hold for this backbone only" in one
    assert "\nbackbones " not in three
    lines = [line for line in three.splitlines() if line.startswith("pretraining ")]
    assert [line.rpartition("  ")[2] for line in lines] == [f"backbone {i}" for i in range(3)]
    report = qtlplat("report @-2 @last --store", crossed)[1]
    assert "One backbone: scores and comparisons hold for this backbone only (" in report
    assert "6 cells, 3 backbones × 2 folds (" in report


def test_a_replay_repeats_every_backbone(json_of, crossed) -> None:
    outcome = json_of("replay @last --verify --store", crossed)
    assert outcome["verdict"] == "bitwise"
    assert len(json_of("runs --kind pretraining --store", crossed)) == 6
    assert json_of("replay @-2 --verify --heads-only --store", crossed)["verdict"] == "bitwise"
