"""NEU-DET in the layouts in circulation: read as the same set, or told what was found and what was expected."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
from neu_det_layouts import (
    CLASSES,
    KAGGLE,
    NEU_CLS,
    NUMBERED,
    ROBOFLOW,
    SAME,
    SIDE,
    ZERO_BASED,
    Layout,
    encoded,
    pack,
    pictures,
    turned,
    write,
)

from qtlplat import DataError, UntrustedError
from qtlplat_neu_det import qtlplat_datasets, reader
from qtlplat_neu_det.options import NeuDetOptions

(SPEC,) = qtlplat_datasets()
PLAIN = Layout()


def options(root: Path, **changes: Any) -> NeuDetOptions:
    return NeuDetOptions(**{"root": root, "per_class": 10, "min_side": 32, "size": 32, **changes})


def digest(root: Path) -> str:
    assert SPEC.check is not None
    assert SPEC.check(options(root)) == ()
    return SPEC.load(options(root)).digest


def found(root: Path, **changes: Any) -> list[str]:
    assert SPEC.check is not None
    return [str(problem) for problem in SPEC.check(options(root, **changes))]


def boxes(root: Path) -> dict[str, list[tuple[int, int, int, int]]]:
    reading = reader.read(root, CLASSES)
    assert reading.problems == ()
    return {image.id: [(b.xmin, b.ymin, b.xmax, b.ymax) for b in image.boxes] for image in reading.images}


def notes(root: Path, **changes: Any) -> dict[str, str]:
    return reader.read(root, CLASSES, **changes).notes


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest(write(tmp_path_factory.mktemp("plain"), PLAIN))


@pytest.mark.sampled(12)
@pytest.mark.parametrize("name", SAME)
def test_the_same_pictures_are_the_same_set_in_every_layout(name: str, plain: str, tmp_path: Path) -> None:
    if name.startswith("folders of classes, names"):  # ids are then made of class and number, in one spelling
        assert set(boxes(write(tmp_path, SAME[name]))) == {f"{c.replace('-', '_')}_{i}" for c, i, _ in pictures()}
    else:
        assert digest(write(tmp_path, SAME[name])) == plain


@pytest.mark.parametrize(
    ("before", "between", "junk"),
    [
        ("", "/", False),
        ("NEU-DET-master/", "/", False),
        ("archive/NEU-DET/", "/", False),
        ("NEU-DET/", "\\", False),
        ("NEU-DET/", "/", True),
        ("./", "/", False),
        (".//NEU-DET/", "\\", False),
    ],
)
def test_zip_archives_as_programs_make_them(before: str, between: str, junk: bool, plain: str, tmp_path: Path) -> None:
    archive = pack(write(tmp_path / "set", PLAIN), tmp_path / "set.zip", before, between, junk)
    assert digest(archive) == plain
    assert notes(archive)["files ignored"] == str(38 if junk else 0)
    assert SPEC.locate_files is not None
    located = SPEC.locate_files(options(archive), ["patches_2"])
    assert located == {"patches_2": f"{archive}!{PurePosixPath(before)}/IMAGES/patches_2.jpg".replace("!./", "!")}


@pytest.mark.parametrize("between", ["/", "\\"])
@pytest.mark.parametrize("before", ["../", "/", "a/../../", "C:/"])
def test_names_that_lead_out_of_an_archive_stay_refused(before: str, between: str, tmp_path: Path) -> None:
    archive = pack(write(tmp_path / "set", PLAIN), tmp_path / "set.zip", before, between)
    with pytest.raises(UntrustedError, match="leads out of the archive"):
        SPEC.load(options(archive))


def test_what_systems_leave_behind_and_readmes_are_ignored(plain: str, tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN)
    for name in (
        "README.md",
        "IMAGES/Thumbs.db",
        "IMAGES/._crazing_1.jpg",
        ".git/x.jpg",
        "desktop.ini",
        "docs/fig.png",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "pom.xml").write_text("<project/>")
    assert digest(root) == plain
    assert notes(root)["files ignored"] == "5"  # hidden folders are not looked into
    assert notes(root)["images ignored, without annotation and class"] == "1 image in 'docs' (.png 1)"


def test_links_to_folders_are_followed_once(plain: str, tmp_path: Path) -> None:
    root = write(tmp_path / "set", PLAIN)
    (root / "IMAGES").rename(tmp_path / "elsewhere")
    (root / "IMAGES").symlink_to(tmp_path / "elsewhere")
    (root / "ANNOTATIONS" / "again").symlink_to(root)
    assert digest(root) == plain


def test_roboflow_variants_of_one_picture_are_one_group(tmp_path: Path) -> None:
    root = write(tmp_path, ROBOFLOW)
    again = root / "train" / "patches_1_jpg.rf.ffff"
    again.with_name(f"{again.name}.jpg").write_bytes(encoded(np.full((SIDE, SIDE), 9, np.uint8), "PNG"))
    first = next((root / "train").glob("patches_1_*.xml"))
    shutil.copy(first, again.with_name(f"{again.name}.xml"))
    text = again.with_name(f"{again.name}.xml").read_text()
    again.with_name(f"{again.name}.xml").write_text(text.replace(first.stem, again.name))
    data = SPEC.load(options(root, per_class=13))
    groups = dict(zip(data.sample_ids, data.groups, strict=True))
    assert {groups[i] for i in (first.stem, again.name)} == {"patches_1"}
    assert len(set(data.groups)) == 12
    assert SPEC.locate_files is not None
    assert set(SPEC.locate_files(options(root), ["patches_1"])) == {"patches_1"}


def test_the_class_is_that_of_abbreviations_or_of_the_boxes(tmp_path: Path) -> None:
    for name, layout in (("short", NEU_CLS), ("numbered", NUMBERED)):
        data = SPEC.load(options(write(tmp_path / name, layout)))
        assert data.notes["sources kept"] == "12: inclusion 3, patches 3, rolled-in_scale 3, scratches 3"
        assert data.notes["sources dropped"] == "6, not read: crazing 3, pitted_surface 3"
    note = "images whose class is that of most of their boxes"
    assert (note in notes(tmp_path / "short"), notes(tmp_path / "numbered")[note]) == (False, "18")


def test_equal_names_in_several_parts_are_different_images_unless_they_are_copies(tmp_path: Path) -> None:
    layout = Layout("train/images/{c}/{i}.jpg", "train/annotations/{c}/{i}.xml", "{i}.jpg")
    root = write(tmp_path, layout)
    for name, number, pixels in pictures():
        image = root / f"val/images/{name}/{number}.jpg"
        annotation = root / f"val/annotations/{name}/{number}.xml"
        image.parent.mkdir(parents=True, exist_ok=True)
        annotation.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(encoded(255 - pixels, "PNG"))
        shutil.copy(root / f"train/annotations/{name}/{number}.xml", annotation)
    assert len(boxes(root)) == 36
    for path in (root / "val").rglob("*.jpg"):
        shutil.copy(root / "train" / path.relative_to(root / "val"), path)
    told = found(root)
    assert len(told) == 18
    assert "val/images/inclusion/1.jpg: duplicate of train/images/inclusion/1.jpg" in told
    with pytest.raises(DataError) as caught:
        SPEC.load(options(root))
    assert len(caught.value.lines()) <= 12


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((1, 11, 96, 20), (0, 10, 96, 20)),
        (("1.0", "11.0", "96.0", "20.0"), (0, 10, 96, 20)),
        ((10.5, 11.5, 20.5, 30.5), (9, 10, 21, 31)),
        ((0.5, 0.25, 96.5, 96.75), (0, 0, 96, 96)),
    ],
)
def test_box_ends_are_pixels_from_1_and_fractions_are_rounded_outwards(
    box: tuple[object, ...], expected: tuple[int, ...], tmp_path: Path
) -> None:
    read = boxes(write(tmp_path, replace(PLAIN, box=lambda _: box)))
    assert set(map(tuple, read.values())) == {(expected,)}
    assert ("boxes with fractions, rounded outwards" in notes(tmp_path)) == any(isinstance(end, float) for end in box)


@pytest.mark.parametrize("end", [0.0, -0.5, 97, 97.5, "1e99", "0x10"])
def test_box_ends_outside_or_in_another_notation_are_told(end: object, tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN)
    path = root / "ANNOTATIONS" / "patches_1.xml"
    path.write_text(path.read_text().replace("<xmin>11<", "<xmin>1<").replace("<ymax>50<", f"<ymax>{end}<"))
    assert any("patches_1.xml: object[1]/bndbox" in line for line in found(root))


def test_sets_that_count_from_0_are_recognised_by_all_their_boxes(tmp_path: Path) -> None:
    inclusive = write(tmp_path / "inclusive", ZERO_BASED)
    assert boxes(inclusive)["patches_1"] == [(0, 20, 41, 50)]
    assert notes(inclusive)["pixels counted"] == "from 0, the upper ends included"
    half_open = write(tmp_path / "half-open", replace(PLAIN, box=lambda i: (0, 20, 40 + i, 96)))
    assert boxes(half_open)["patches_1"] == [(0, 20, 41, 96)]
    assert notes(half_open)["pixels counted"] == "from 0, the upper ends not included"
    voc = write(tmp_path / "voc", replace(PLAIN, box=lambda i: (1, 21, 40 + i, 50)))
    path = voc / "ANNOTATIONS" / "patches_1.xml"
    path.write_text(path.read_text().replace("<xmin>1<", "<xmin>0<"))
    assert found(voc) == ["ANNOTATIONS/patches_1.xml: object[1]/bndbox/xmin: is out of range: 0 not in [1, 96]"]


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("means", ["upright", "stored"])
def test_size_tells_which_way_up_an_annotation_means_an_image(orientation: int, means: str, tmp_path: Path) -> None:
    swapped = orientation >= 5
    size = (96, 80) if means == "stored" or not swapped else (80, 96)
    layout = replace(PLAIN, encode=turned(orientation), size=size, box=lambda _: (10, 20, 75, 78))
    reading = reader.read(write(tmp_path, layout, shape=(80, 96)), CLASSES)
    assert reading.problems == ()
    applied = means == "upright" or not swapped
    told = "images turned by" if applied else "images not turned by"
    assert [v for k, v in reading.notes.items() if k.startswith(told)] == ["18"]
    assert {image.pixels.shape for image in reading.images} == {(96, 80) if applied and swapped else (80, 96)}


def test_other_spellings_of_labels_are_counted(tmp_path: Path) -> None:
    told = "boxes whose label is another spelling of its class"
    assert notes(write(tmp_path / "hyphens", SAME["hyphens"]))[told] == "6 of 18"
    assert told not in notes(write(tmp_path / "plain", PLAIN))


def test_an_annotation_of_another_size_is_told(tmp_path: Path) -> None:
    root = write(tmp_path, replace(PLAIN, size=(48, 96), box=lambda _: (1, 2, 30, 40)))
    assert len(found(root)) == 12 + 6
    assert "ANNOTATIONS/patches_1.xml: size: says 48 x 96, the image has 96 x 96 pixels" in found(root)


def test_images_without_a_defect_are_left_out_and_named(tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN)
    (root / "ANNOTATIONS" / "patches_2.xml").write_text(
        "<annotation><filename>patches_2.jpg</filename><size><width>96</width><height>96</height></size></annotation>"
    )
    assert found(root) == []
    assert notes(root)["images left out, without a defect box"] == "1: patches_2"
    assert "patches_2" not in SPEC.load(options(root)).groups
    numbered = write(tmp_path / "numbered", NUMBERED)
    path = next((numbered / "Annotations").iterdir())
    path.write_text(f"<annotation><filename>{path.stem}.jpg</filename></annotation>")
    assert notes(numbered)["images left out, without a defect box"] == f"1: {path.stem}"


def test_difficult_boxes_are_kept_or_count_as_neither_defect_nor_sound(tmp_path: Path) -> None:
    layout = replace(
        PLAIN, more="<pose>Frontal</pose><truncated>1</truncated><difficult>0</difficult><occluded>1</occluded>"
    )
    root = write(tmp_path, layout)
    second = "<object><name>patches</name><difficult>1</difficult><bndbox><xmin>61</xmin><ymin>61</ymin>"
    second += "<xmax>90</xmax><ymax>90</ymax></bndbox></object></annotation>"
    for number in (1, 2):
        path = root / "ANNOTATIONS" / f"patches_{number}.xml"
        path.write_text(path.read_text().replace("</annotation>", second))
    only = root / "ANNOTATIONS" / "patches_3.xml"
    only.write_text(only.read_text().replace("<difficult>0", "<difficult>1"))
    for difficult, text in (("keep", "kept"), ("drop", "not counted as defects")):
        reading = reader.read(root, CLASSES, difficult=difficult)
        assert reading.notes["difficult boxes"] == f"3 of 20, {text}"
        assert reading.notes["truncated boxes"] == reading.notes["occluded boxes"] == "18 of 20"
        assert reading.notes["boxes with a pose"] == "18 of 20"
        assert reading.notes["boxes"] == ("20" if difficult == "keep" else "17")
        assert {i.id for i in reading.images} >= {"patches_1", "patches_2"}
        assert ("patches_3" in {i.id for i in reading.images}) == (difficult == "keep")
    kept, dropped = (SPEC.load(options(root, difficult=d, per_class=11)) for d in ("keep", "drop"))
    assert kept.digest == SPEC.load(options(root, per_class=11)).digest != dropped.digest
    pixels = next(p for name, number, p in pictures() if (name, number) == ("patches", 1))
    crops = SPEC.load(options(root, difficult="drop", per_class=11, size=96, drop_classes=[])).images[11:, 0]
    assert not any((crop == pixels).all() for crop in crops)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (
            "*.jpg",
            "found 18 images in 6 folders below 'NEU-DET/train/images' (.jpg 18), no annotations, no other files",
        ),
        ("*.xml", "found no images, 18 annotations in 'NEU-DET/train/annotations' (.xml 18), no other files"),
        ("nothing", "found no images, no annotations, no other files"),
    ],
)
def test_half_a_set_is_told_what_was_found_and_what_was_expected(keep: str, words: str, tmp_path: Path) -> None:
    root = write(tmp_path, KAGGLE)
    for path in [p for p in root.rglob("*") if p.is_file() and not p.match(keep)]:
        path.unlink()
    (told,) = found(root)
    assert words in told
    assert "expected images and, for each, a Pascal VOC annotation of the same name" in told


def test_annotations_of_another_kind_and_archives_inside_are_named(tmp_path: Path) -> None:
    root = write(tmp_path / "yolo", replace(PLAIN, annotation="labels/{c}_{i}.txt"))
    (told,) = found(root)
    assert "found 18 images in 'IMAGES' (.jpg 18), no annotations, 18 other files in 'labels' (.txt 18)" in told
    outer = tmp_path / "outer"
    outer.mkdir()
    pack(root, outer / "NEU-DET.zip")
    (told,) = found(outer)
    assert "'NEU-DET.zip' is an archive: unpack it, or name it as the root" in told


@pytest.mark.parametrize(
    "mask",
    ["masks/{c}_{i}.png", "ground_truth/{c}/{c}_{i}_mask.png", "SegmentationClass/{i}.png", "IMAGES/{c}_{i}-gt.png"],
)
def test_masks_are_ignored_and_named(mask: str, plain: str, tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN)
    for name, number, pixels in pictures():
        path = root / mask.format(c=name, i=number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels // 128 * 255, "PNG"))
    assert digest(root) == plain
    assert notes(root)["masks ignored"].startswith("3 " if "Class" in mask else "18 ")


def test_an_annotated_folder_called_masks_holds_images(plain: str, tmp_path: Path) -> None:
    assert digest(write(tmp_path, Layout("masks/{c}_{i}.jpg", "xml/{c}_{i}.xml"))) == plain


@pytest.mark.parametrize(
    "change",
    [
        ("<annotation>", '<annotation xmlns="http://example.org/voc">'),
        ("annotation>", "v:annotation>"),
        ("<bndbox>", "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>\r\n<!-- a --><bndbox>"),
    ],
)
def test_namespaces_comments_and_parts_change_nothing(change: tuple[str, str], plain: str, tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN)
    for path in (root / "ANNOTATIONS").iterdir():
        text = path.read_text().replace(*change)
        text = text.replace("<v:annotation>", '<v:annotation xmlns:v="http://example.org/voc">')
        path.write_bytes(f'\ufeff<?xml version="1.0" encoding="UTF-16"?>\r\n{text}'.encode("utf-16-le"))
    assert digest(root) == plain


@pytest.mark.parametrize("flat", [True, False])
def test_many_problems_of_a_kind_are_one_line_and_missing_fields_are_called_so(flat: bool, tmp_path: Path) -> None:
    root = write(tmp_path, Layout("{c}_{i}.jpg", "{c}_{i}.xml") if flat else PLAIN)
    for path in root.rglob("*.xml"):
        text = path.read_text().replace(".jpg</", "x.jpg</").replace("<ymax>50</ymax>", "")
        path.write_text(text.replace("</object>", "</object><object><name>patches</name></object>"))
    where = "the root folder" if flat else "ANNOTATIONS"
    with pytest.raises(DataError) as caught:
        SPEC.load(options(root))
    assert [str(problem) for problem in caught.value.problems] == [
        f"{where}: object[1]/bndbox/ymax: 12 files, as 'inclusion_1.xml': is missing",
        f"{where}: object[2]/bndbox: 12 files, as 'inclusion_1.xml': is missing: no box says where the defect is",
    ]
    for path in root.rglob("*.xml"):
        path.write_text(
            path.read_text()
            .replace("</xmax>", "</xmax><ymax>50</ymax>")
            .replace("<object><name>patches</name></object>", "")
        )
    with pytest.raises(
        DataError, match=r"12 files, as 'inclusion_1.xml': must be 'inclusion_1.jpg', is 'inclusion_1x.jpg'"
    ):
        SPEC.load(options(root))


@pytest.mark.parametrize(
    ("change", "field", "values"),
    [
        (("<bndbox>", "<bndbox><xmin>1</xmin>"), "object[1]/bndbox/xmin", "'1', '11'"),
        (("</bndbox>", "</bndbox><bndbox><ymax>7</ymax></bndbox>"), "object[1]/bndbox/ymax", "'50', '7'"),
        (("<size>", "<size><width>7</width></size><size>"), "size/width", "'7', '96'"),
    ],
)
def test_numbers_that_are_given_twice_are_told(
    change: tuple[str, str], field: str, values: str, tmp_path: Path
) -> None:
    path = write(tmp_path, PLAIN) / "ANNOTATIONS/crazing_1.xml"
    path.write_text(path.read_text().replace(*change))
    assert found(tmp_path) == [f"ANNOTATIONS/crazing_1.xml: {field}: has several values: {values}"]


def test_hidden_folders_are_told_where_nothing_else_is(tmp_path: Path) -> None:
    (told,) = found(pack(write(tmp_path / "set", PLAIN), tmp_path / "set.zip", ".cache/"))
    assert "found no images, no annotations, no other files; 36 hidden or left by systems are ignored; expected" in told


def test_annotations_that_fit_several_images_each_are_told(tmp_path: Path) -> None:
    root = write(tmp_path, PLAIN)
    shutil.copytree(root / "IMAGES", root / "train/IMAGES")
    shutil.move(root / "IMAGES", root / "test/IMAGES")
    for number, path in enumerate(sorted((root / "train/IMAGES").iterdir())):
        path.write_bytes(encoded(np.full((SIDE, SIDE), number, np.uint8), "PNG"))
    (told,) = found(root)
    assert "'ANNOTATIONS/crazing_1.xml' may belong to any of 2 images, as 'test/IMAGES/crazing_1.jpg', " in told


def test_names_that_fit_nothing_are_told_at_once(tmp_path: Path) -> None:
    root = write(tmp_path, Layout("a/{c}_{i}.jpg", "b/x{h}.xml", "elsewhere_{h}.jpg"))
    (told,) = found(root)
    assert "no image fits an annotation: found 18 images in 'a' (.jpg 18), and 18 annotations in 'b' (.xml 18)" in told


def test_a_part_without_annotations_is_told_in_one_line(tmp_path: Path) -> None:
    root = write(tmp_path, KAGGLE)
    for name, number, pixels in pictures(2):
        path = root / f"NEU-DET/test/{name}_{number + 7}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encoded(255 - pixels, "PNG"))
    assert len(found(root)) == 12  # `data check` lists every file
    with pytest.raises(DataError, match=r"NEU-DET/test: annotation: 8 files, as 'inclusion_8.jpg': is missing: no"):
        SPEC.load(options(root))


def test_an_annotation_that_fits_two_images_is_told(tmp_path: Path) -> None:
    root = write(tmp_path, replace(PLAIN, filename=""))
    (root / "IMAGES" / "patches_1.bmp").write_bytes(encoded(np.zeros((SIDE, SIDE), np.uint8), "BMP"))
    told = found(root)
    assert any(line.startswith("ANNOTATIONS/patches_1.xml: image: may be any of 2: ") for line in told)
    named = root / "ANNOTATIONS" / "patches_1.xml"
    named.write_text(named.read_text().replace("<filename></", "<filename>patches_1.jpg</"))
    assert found(root) == [
        "IMAGES/patches_1.bmp: annotation: is missing: 'ANNOTATIONS/patches_1.xml' belongs to 'IMAGES/patches_1.jpg'"
    ]
