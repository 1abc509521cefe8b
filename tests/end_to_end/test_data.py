"""Looking at datasets: facts, findings, a contact sheet."""

import hashlib
import json
import subprocess
import sys

import pytest
from PIL import Image

from qtlplat_steel_synth.options import SteelSynthOptions
from qtlplat_steel_synth.surfaces import write_neu_det_layout

SYNTH = "'steel-synth[per_class=12,images_per_kind=4]'"


@pytest.fixture
def on_disk(tmp_path):
    """Synthetic surfaces in NEU-DET's layout; returns the directory that holds NEU-DET."""
    write_neu_det_layout(tmp_path, SteelSynthOptions(images_per_kind=4))
    return tmp_path


def tree(directory):
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(directory.rglob("*")) if p.is_file()}


def test_info_counts_samples_classes_and_sources(json_of):
    facts = json_of(f"data info {SYNTH}")
    assert facts["samples"] == 24
    assert facts["classes"] == {"normal": 12, "anomalous": 12}
    assert facts["shape"] == [1, 200, 200]
    assert len(facts["digest"]) == 64
    assert facts["dataset"]["component"] == "steel-synth"


def test_info_for_people_says_the_same(qtlplat, json_of):
    facts = json_of(f"data info {SYNTH}")
    code, out, _ = qtlplat(f"data info {SYNTH}")
    assert code == 0
    assert facts["digest"] in out
    assert "normal=12, anomalous=12" in out


def test_a_sound_dataset_has_no_problems(qtlplat, on_disk):
    code, out, err = qtlplat("data check neu-det -S dataset.per_class=12 -S", f"dataset.root={on_disk}")
    assert (code, out) == (0, "")
    assert "neu-det: no problems found" in err
    assert "boxes: " in err  # and the other notes


def test_all_problems_are_listed_at_once_and_nothing_is_modified(qtlplat, on_disk):
    images, annotations = sorted(on_disk.rglob("patches_*.jpg")), sorted(on_disk.rglob("scratches_*.xml"))
    images[0].write_bytes(images[0].read_bytes()[:200])
    annotations[0].unlink()
    before = tree(on_disk)
    code, out, err = qtlplat("data check neu-det --json -S dataset.per_class=12 -S", f"dataset.root={on_disk}")
    assert code == 3
    found = json.loads(out)
    files = " ".join(row["where"] for row in found)
    assert images[0].stem in files
    assert annotations[0].stem in files  # the image that lost its annotation
    assert f"{len(found)} problems found" in err
    assert tree(on_disk) == before


def test_a_run_refuses_damaged_data_before_any_work(qtlplat, on_disk, tmp_path):
    image = sorted(on_disk.rglob("patches_*.jpg"))[0]
    image.write_bytes(b"not a picture")
    line = "run --dataset neu-det -S dataset.per_class=12 --evaluator kfold[folds=2]"
    code, out, err = qtlplat(line, "-S", f"dataset.root={on_disk}", "--store", tmp_path / "s.db")
    assert (code, out) == (3, "")
    assert image.name in err
    assert not (tmp_path / "s.db").exists()


def test_preview_writes_a_contact_sheet(qtlplat, tmp_path):
    code, out, err = qtlplat(f"data preview {SYNTH} -n 3 -o", tmp_path / "sheet.png")
    assert code == 0, err
    with Image.open(tmp_path / "sheet.png", formats=("PNG",)) as sheet:
        assert f"{sheet.width}x{sheet.height}" in out
        assert sheet.width > 3 * 120
        assert len(sheet.convert("L").getcolors()) > 50  # pictures, not a blank page


def test_a_place_that_cannot_be_written_is_a_store_error(qtlplat, tmp_path):
    code, _, err = qtlplat(f"data preview {SYNTH} -o", tmp_path / "no" / "such" / "sheet.png")
    assert code == 5
    assert "cannot write 'sheet.png': there is no such directory" in err


def test_preview_overwrites_a_file_only_if_told_to(qtlplat, tmp_path):
    file = tmp_path / "mine.png"
    file.write_bytes(b"mine")
    code, out, err = qtlplat(f"data preview {SYNTH} -o", file)
    assert (code, out) == (2, "")
    assert "exists" in err
    assert "--force" in err
    assert file.read_bytes() == b"mine"
    assert qtlplat(f"data preview {SYNTH} --force -o", file)[0] == 0
    assert file.read_bytes()[1:4] == b"PNG"


def test_preview_protects_the_file_of_its_own_naming_too(qtlplat):
    assert qtlplat(f"data preview {SYNTH} -n 1")[0] == 0
    code, _, err = qtlplat(f"data preview {SYNTH} -n 1")
    assert code == 2
    assert "steel-synth-preview.png' exists" in err


def test_audit_lists_duplicates_shortcuts_and_findings(qtlplat, json_of, on_disk, tmp_path):
    first, second, third = sorted(on_disk.rglob("patches_*.jpg"))[:3]
    second.write_bytes(first.read_bytes())
    with Image.open(first, formats=("JPEG",)) as image:
        image.transpose(Image.Transpose.ROTATE_180).save(third, "JPEG", quality=70)
    line = f"data audit neu-det -S dataset.per_class=16 -S dataset.root={on_disk}"
    picture = tmp_path / "sheet.png"
    facts = json_of(f"{line} -o {picture}")
    assert facts["images"] == 32
    assert facts["class_counts"] == {"normal": 16, "anomalous": 16}
    assert facts["duplicates"] == {"exact": [[first.stem, second.stem]], "near": [[first.stem, third.stem]]}
    assert facts["near_duplicates"][0]["turn"] == "turned by 180 degrees"
    # files of equal pixels share a group already
    assert facts["joined_groups"] == facts["groups"] - 1
    assert facts["folds"]["evaluator"] == "kfold6"
    assert {"features", "model", "f1"} <= set(facts["shortcuts"][0])
    assert any("resize factor alone reaches F1" in finding for finding in facts["findings"])
    code, out, err = qtlplat(line, "--limit", 0, "--min-similarity", 0.7)
    assert code == 0
    assert third.stem not in out
    assert "1 more set of duplicates: --limit 1 lists all" in err
    assert all(finding in out for finding in facts["findings"])
    (one,) = facts["duplicate_sets"]
    assert one["samples"] == [first.stem, second.stem, third.stem]
    assert one["contradiction"] is None
    with Image.open(picture, formats=("PNG",)) as image:
        assert image.width > 3 * 120
    assert qtlplat(line, "-o", picture)[0] == 2  # exists


def test_looking_at_data_needs_no_torch():
    code = (
        "import sys; from qtlplat.cli.app import _run; code = _run(sys.argv[1:]); "
        "print(code, [m for m in ('torch', 'pennylane') if m in sys.modules], file=sys.stderr)"
    )
    arguments = ["data", "info", "steel-synth[per_class=12,images_per_kind=4]", "-q"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "0 []"
