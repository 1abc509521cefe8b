"""NEU-DET's reader: both layouts, directory and zip, every kind of damage, hostile files, and the real data."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from qtlplat import ConfigError, DataError
from qtlplat.analysis.duplicates import find_duplicates
from qtlplat.analysis.shortcuts import FROM_PIXELS, shortcut_scores
from qtlplat_neu_det import files, qtlplat_datasets, reader
from qtlplat_neu_det.options import NeuDetOptions
from qtlplat_steel_synth.options import SteelSynthOptions
from qtlplat_steel_synth.surfaces import write_neu_det_layout

(SPEC,) = qtlplat_datasets()
CLASSES = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """18 images, 3 of each class, as IMAGES and ANNOTATIONS."""
    return write_neu_det_layout(tmp_path_factory.mktemp("neu-det"), SteelSynthOptions(images_per_kind=3))


@pytest.fixture
def root(pristine, tmp_path):
    return Path(shutil.copytree(pristine, tmp_path / "NEU-DET"))


def options(root, **changes):
    return NeuDetOptions(**{"root": root, "per_class": 10, **changes})


def split(root, target):
    """The same files in the layout with train and validation."""
    for image in sorted((root / "IMAGES").iterdir()):
        label, _, number = image.stem.rpartition("_")
        part = target / ("validation" if number == "3" else "train")
        (part / "images" / label).mkdir(parents=True, exist_ok=True)
        (part / "annotations").mkdir(exist_ok=True)
        shutil.copy(image, part / "images" / label)
        shutil.copy(root / "ANNOTATIONS" / f"{image.stem}.xml", part / "annotations")
    return target


def zipped(folder, archive, prefix=""):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            target.write(path, prefix + path.relative_to(folder).as_posix())
    return archive


def edit(path, old, new, count=1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def found(root, **changes):
    """(file, field, finding) of every problem, file names without their folder."""
    return {(p.where.rpartition("/")[2], p.field, p.what) for p in SPEC.check(options(root, **changes))}


def tree(folder):
    return {
        p: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()
    }


def test_both_layouts_as_directory_and_zip_give_the_same_set(root, tmp_path):
    whole, divided = tmp_path / "whole" / "NEU-DET", split(root, tmp_path / "divided" / "NEU-DET")
    shutil.copytree(root, whole)
    roots = [
        whole,
        whole.parent,
        zipped(root, tmp_path / "a.zip"),
        zipped(root, tmp_path / "b.zip", "NEU-DET/"),
        divided,
        divided.parent,
        zipped(divided, tmp_path / "c.zip"),
        zipped(divided, tmp_path / "d.zip", "NEU-DET/"),
    ]
    assert len({SPEC.load(options(r)).digest for r in roots}) == 1
    assert all(SPEC.check(options(r)) == () for r in roots)


def test_an_annotation_may_lie_in_the_other_part_than_its_image(root, tmp_path):
    divided = split(root, tmp_path / "NEU-DET-divided")
    (divided / "train" / "annotations" / "patches_1.xml").rename(
        divided / "validation" / "annotations" / "patches_1.xml"
    )
    assert found(divided) == set()


def test_nothing_is_modified_and_nothing_is_written(root, tmp_path):
    archive = zipped(root, tmp_path / "a.zip")
    before = tree(tmp_path)
    for where in (root, archive):
        SPEC.load(options(where))
        SPEC.check(options(where))
    assert tree(tmp_path) == before


def test_classes_that_are_dropped_are_counted_but_not_read(root):
    (root / "IMAGES" / "crazing_1.jpg").write_bytes(b"")
    data = SPEC.load(options(root))
    assert data.notes["sources dropped"] == "6, not read: crazing 3, pitted_surface 3"
    assert {where for where, _, _ in found(root)} == {"crazing_1.jpg"}


def test_every_kind_of_damage_is_found_with_file_and_field_all_at_once(root):
    images, annotations = root / "IMAGES", root / "ANNOTATIONS"
    (annotations / "inclusion_1.xml").unlink()
    (images / "inclusion_2.jpg").unlink()
    whole = (images / "inclusion_3.jpg").read_bytes()
    (images / "inclusion_3.jpg").write_bytes(whole[: len(whole) // 2])
    Image.new("CMYK", (200, 200)).save(images / "patches_1.jpg")
    edit(annotations / "patches_2.xml", "<width>200<", "<width>300<")
    edit(annotations / "patches_3.xml", "<filename>patches_3.jpg", "<filename>patches_9.jpg")
    edit(annotations / "scratches_1.xml", "<name>scratches<", "<name>scratch<")
    for axis in ("xmin", "xmax", "ymin", "ymax"):
        text = (annotations / "scratches_2.xml").read_text()
        (annotations / "scratches_2.xml").write_text(
            _with_first(text, axis, {"xmax": 0, "ymin": 0, "ymax": 201}.get(axis, 5))
        )
    (annotations / "scratches_3.xml").write_text(
        _with_first((annotations / "scratches_3.xml").read_text(), "xmin", "left")
    )
    edit(annotations / "rolled-in_scale_1.xml", "<name>rolled", "<difficult>perhaps</difficult><name>rolled")
    (annotations / "rolled-in_scale_2.xml").write_text("<annotation>")
    shutil.copy(images / "crazing_1.jpg", images / "pitted_surface_1.jpg")
    (annotations / "crazing_2.xml").write_text("<annotation/>")
    (images / "crazing_3.jpg").write_bytes(b"")

    told = found(root)
    expected = {
        ("inclusion_1.jpg", "annotation", "is missing: no inclusion_1.xml"),
        ("inclusion_2.xml", "image", "is missing: no inclusion_2.jpg"),
        ("inclusion_3.jpg", "pixels", "cannot be decoded: OSError: 'image file is truncated"),
        ("patches_1.jpg", "mode", "is 'CMYK', must be gray"),
        ("patches_2.xml", "size", "says 300 x 200, the image has 200 x 200 pixels"),
        ("patches_3.xml", "filename", "must be 'patches_3.jpg', is 'patches_9.jpg'"),
        ("scratches_1.xml", "object[1]/name", "unknown class 'scratch'"),
        ("scratches_2.xml", "object[1]/bndbox/xmax", "is out of range: 0 not in [1, 200]"),
        ("scratches_2.xml", "object[1]/bndbox/ymin", "is out of range: 0 not in [1, 200]"),
        ("scratches_2.xml", "object[1]/bndbox/ymax", "is out of range: 201 not in [1, 200]"),
        ("scratches_2.xml", "object[1]/bndbox", "is empty or inverted: xmin 5, xmax 0"),
        ("scratches_3.xml", "object[1]/bndbox/xmin", "must be a number, is 'left'"),
        ("rolled-in_scale_1.xml", "object[1]/difficult", "must be 0 or 1, is 'perhaps'"),
        ("rolled-in_scale_2.xml", "", "is not well-formed XML"),
        ("pitted_surface_1.jpg", "", "has the same pixels as IMAGES/crazing_1.jpg, which has another class"),
        ("crazing_2.xml", "object", "is missing"),
        ("crazing_3.jpg", "format", "is none of JPEG"),
    }
    for where, field, what in expected:
        assert any((w, f) == (where, field) and t.startswith(what) for w, f, t in told), (where, field, told)
    assert len(told) == len(expected)

    with pytest.raises(DataError) as caught:
        SPEC.load(options(root))
    assert len(caught.value.problems) == len(expected) - 3  # those of crazing and pitted_surface are not read
    assert len(caught.value.lines()) <= 12


def _with_first(text, tag, value):
    head, _, rest = text.partition(f"<{tag}>")
    return f"{head}<{tag}>{value}{rest[rest.index('<') :]}"


def test_a_class_without_images_is_a_problem_unless_it_is_dropped(root):
    for path in root.rglob("*"):
        if path.name.startswith(("scratches", "crazing")):
            path.unlink()
    assert found(root) == {(root.name, "scratches", "no image of this class")}


def test_a_file_name_that_contradicts_its_class_folder_is_a_problem(root, tmp_path):
    divided = split(root, tmp_path / "NEU-DET-divided")
    (divided / "train" / "images" / "patches" / "patches_1.jpg").rename(
        divided / "train" / "images" / "scratches" / "patches_1.jpg"
    )
    assert found(divided) == {("patches_1.jpg", "folder", "'scratches' contradicts the file name's class")}


def test_an_image_in_both_parts_is_a_problem(root, tmp_path):
    divided = split(root, tmp_path / "NEU-DET-divided")
    shutil.copy(divided / "train/images/patches/patches_1.jpg", divided / "validation/images/patches/patches_1.jpg")
    ((where, _, what),) = found(divided)
    assert where == "patches_1.jpg"
    assert what.startswith("duplicate of")


def test_filenames_without_extension_and_other_files_are_notes_not_problems(root):
    edit(root / "ANNOTATIONS" / "patches_1.xml", "patches_1.jpg", "patches_1")
    (root / "IMAGES" / "Thumbs.db").write_bytes(b"x")
    (root / "IMAGES" / "._patches_1.jpg").write_bytes(b"x")
    assert found(root) == set()
    notes = SPEC.load(options(root)).notes
    assert notes["<filename> without extension"] == "in 1 annotations, harmless"
    assert notes["files ignored"] == "2"


def test_pascal_vocs_inclusive_boxes_from_1_become_half_open_ones_from_0(root):
    path = root / "ANNOTATIONS" / "patches_1.xml"
    text = path.read_text()
    for tag, value in (("xmin", 1), ("ymin", 11), ("xmax", 200), ("ymax", 20)):
        text = _with_first(text, tag, value)
    path.write_text(text)
    (image,) = (i for i in reader.read(root, CLASSES).images if i.id == "patches_1")
    box = image.boxes[0]
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (0, 10, 200, 20)


def test_check_tells_when_there_are_too_few_samples(root):
    ((_, field, what),) = found(root, per_class=500)
    assert field == "per_class"
    assert "12 images with a defect found" in what


LAUGHS = """<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;">]><annotation>&m;</annotation>"""
OUTSIDE = """<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>"""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (LAUGHS, "is refused: it declares a document type"),
        (OUTSIDE, "is refused: it declares a document type"),
        ("<annotation>" + "<a>" * 40 + "</a>" * 40 + "</annotation>", "is nested deeper than 16 levels"),
        ("<annotation>" + " " * files.MAX_XML + "</annotation>", "is too large"),
        ("<other/>", "must be an <annotation>, is 'other'"),
        ("", "is not well-formed XML"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "is not well-formed XML"),
    ],
)
@pytest.mark.parametrize("as_zip", [False, True])
def test_hostile_xml_is_refused(root, tmp_path, text, what, as_zip):
    (root / "ANNOTATIONS" / "patches_1.xml").write_text(text)
    ((where, _, told),) = found(zipped(root, tmp_path / "a.zip") if as_zip else root)
    assert where == "patches_1.xml"
    assert told.startswith(what)


@pytest.mark.parametrize("side", [5_000, 10_000, 60_000])
def test_an_image_that_claims_absurdly_many_pixels_is_not_decoded(root, side):
    path = root / "IMAGES" / "patches_1.jpg"
    data = bytearray(path.read_bytes())
    at = data.index(b"\xff\xc0") + 5  # height and width in the start-of-frame segment
    data[at : at + 4] = side.to_bytes(2, "big") * 2
    path.write_bytes(data)
    ((where, field, told),) = found(root)
    assert (where, field) == ("patches_1.jpg", "pixels")
    assert told.startswith("has too many pixels")


def test_flipped_bytes_never_end_in_anything_but_problems_or_an_image(root):
    path = root / "IMAGES" / "patches_1.jpg"
    whole = path.read_bytes()
    rng = random.Random(0)
    outcomes = set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 5, 50])):
            data[rng.randrange(min(len(data), 700))] = rng.randrange(256)
        path.write_bytes(data)
        outcomes.add(bool(reader.read(root, ["patches"]).problems))
    assert outcomes == {True, False}


def test_encrypted_members_are_refused(root, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("IMAGES/patches_1.jpg", b"x")
        target.filelist[0].flag_bits |= 1
    assert found(archive) == {("patches_1.jpg", "", "is encrypted")}
    with pytest.raises(DataError, match="is encrypted"):
        SPEC.load(options(archive))


def test_a_member_that_unpacks_to_an_absurd_size_is_refused_before_it_is_read(root, tmp_path):
    with (root / "IMAGES" / "patches_1.jpg").open("wb") as stream:
        stream.truncate(files.MAX_IMAGE + 1)
    ((where, _, told),) = found(zipped(root, tmp_path / "a.zip"))
    assert where == "patches_1.jpg"
    assert told.startswith("is too large")


def test_members_too_large_in_all_are_refused(root, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_TOTAL", 100_000)
    ((where, _, told),) = found(zipped(root, tmp_path / "a.zip"))
    assert (where, told) == ("a.zip", "is too large: more than 100000 bytes in all")


def test_a_member_that_stands_twice_is_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("IMAGES/patches_1.jpg", b"x")
        with pytest.warns(UserWarning, match="Duplicate name"):
            target.writestr("IMAGES/patches_1.jpg", b"x")
    assert found(archive) == {("patches_1.jpg", "", "is a duplicate name in the archive")}


def test_a_damaged_archive_tells_which_members_cannot_be_read(root, tmp_path):
    archive = zipped(root, tmp_path / "a.zip")
    with zipfile.ZipFile(archive) as source:
        at = source.getinfo("IMAGES/patches_1.jpg").header_offset
    data = bytearray(archive.read_bytes())
    data[at + 200 : at + 400] = bytes(200)
    archive.write_bytes(data)
    ((where, _, told),) = found(archive)
    assert where == "patches_1.jpg"
    assert told.startswith("cannot be read from the archive")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut off"])
def test_a_file_that_is_no_archive_is_a_problem(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    ((where, _, told),) = found(path)
    assert where == "a.zip"
    assert told.startswith("is not a readable zip archive")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_place_of_an_image_is_not_waited_for(root):
    path = root / "IMAGES" / "patches_1.jpg"
    path.unlink()
    os.mkfifo(path)
    assert found(root) == {("patches_1.jpg", "", "is not a plain file")}


def test_a_directory_without_the_layout_says_what_was_looked_for(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "patches_1.jpg").write_bytes(b"")
    ((_, _, told),) = found(tmp_path)
    assert told.startswith("found 1 image in 'pictures' (.jpg 1), no annotations, no other files; expected images and")
    assert "IMAGES/ and ANNOTATIONS/" in told


@pytest.mark.parametrize("root", ["", "/nowhere/at/all"])
def test_a_missing_root_says_how_to_name_one(root, monkeypatch):
    monkeypatch.delenv("QTLPLAT_NEU_DET", raising=False)
    nowhere = NeuDetOptions(root=root)
    assert not SPEC.is_available(nowhere)
    for use in (SPEC.load, SPEC.check):
        with pytest.raises(ConfigError) as caught:
            use(nowhere)
        assert "set QTLPLAT_NEU_DET=PATH or pass -S dataset.root=PATH" in caught.value.fix


def test_the_root_comes_from_the_environment_and_is_a_location(root, monkeypatch):
    monkeypatch.setenv("QTLPLAT_NEU_DET", str(root))
    assert NeuDetOptions().root == root
    assert SPEC.is_available(NeuDetOptions())
    monkeypatch.chdir(root.parent)
    assert NeuDetOptions(root="NEU-DET").root == root
    assert NeuDetOptions.model_json_schema()["properties"]["root"]["location"] is True


def test_sources_are_told_where_their_files_lie(root, tmp_path):
    sources = sorted(set(SPEC.load(options(root)).groups))
    found = SPEC.locate_files(options(root), [*sources, "nobody"])
    assert found == {source: str(root / "IMAGES" / f"{source}.jpg") for source in sources}
    assert all(Path(path).is_file() for path in found.values())
    archive = Path(shutil.make_archive(str(tmp_path / "a"), "zip", root.parent, "NEU-DET"))
    (path,) = SPEC.locate_files(options(archive), sources[:1]).values()
    assert path == f"{archive}!NEU-DET/IMAGES/{sources[0]}.jpg"
    assert SPEC.locate_files(NeuDetOptions(root="/nowhere/at/all"), sources) == {}


def test_unknown_classes_to_drop_are_refused():
    with pytest.raises(ValidationError, match="drop_classes"):
        NeuDetOptions(drop_classes=("crasing",))


@pytest.fixture
def real():
    where = os.environ.get("QTLPLAT_NEU_DET", "")
    if not where:
        pytest.skip("QTLPLAT_NEU_DET is not set: no real NEU-DET at hand")
    return NeuDetOptions(root=where)


@pytest.mark.slow
def test_the_real_data_is_sound_and_has_the_known_counts(real):
    assert SPEC.check(real) == ()
    reading = reader.read(real.root, CLASSES)
    assert len(reading.images) == 1800
    assert sum(len(i.boxes) for i in reading.images) == 4189
    assert reading.notes["difficult boxes"] == "81 of 4189, kept"
    assert reading.notes["truncated boxes"] == "1507 of 4189"
    channels = "3 in 1800 of 1800 image files, equal in all of them; <depth> says 1 in 1800 of 1800 annotations"
    assert reading.notes["colour channels"] == channels
    assert reading.notes["<filename> without extension"] == "in 174 annotations, harmless"


@pytest.mark.slow
def test_the_real_data_is_prepared_as_in_the_paper(real):
    data = SPEC.load(real)
    assert data.digest == "5fa19ae1d37c29a87730188e36bc4215a13da051c774f10bde82de934bbf99b7"
    assert data.images.shape == (2206, 1, 200, 200)
    assert np.bincount(data.labels).tolist() == [1103, 1103]
    assert data.notes["boxes of another class"] == "in 79 of 1200 images"
    assert data.notes["identical images"] == "patches_101=patches_105"
    groups = dict(zip(data.sample_ids, data.groups, strict=True))
    assert {groups.get(i, "patches_101") for i in ("patches_101", "patches_105")} == {"patches_101"}
    assert not any(i.startswith("patches_105#") for i in data.sample_ids)


@pytest.mark.slow
def test_the_real_datas_duplicates_are_found_and_nothing_else(real):
    """Looked at by eye: one inclusion taken twice, one scratch turned by a quarter."""
    data = SPEC.load(real.model_copy(update={"per_class": 1200}))
    found = find_duplicates(data)
    assert [[data.sample_ids[i] for i in same] for same in found.exact] == [["patches_101", "patches_105"]]
    assert [(data.sample_ids[p.first], data.sample_ids[p.second], p.turn) for p in found.near] == [
        ("scratches_232", "scratches_247", "turned by 90 degrees"),
        ("inclusion_188", "inclusion_210", "none"),
    ]


@pytest.mark.slow
def test_matched_crops_of_the_real_data_take_the_shortcut_away(real):
    best = {}
    for normals in ("enlarged", "matched"):
        data = SPEC.load(real.model_copy(update={"normals": normals}))
        assert np.bincount(data.labels).tolist() == [1103, 1103]
        scores = shortcut_scores(data, data.groups)
        best[normals] = max(s.f1 for s in scores if s.features == FROM_PIXELS)
    assert best["enlarged"] > 0.9
    assert best["matched"] < 0.8
