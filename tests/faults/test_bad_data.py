"""Datasets that are damaged, mislabelled or hostile: every finding with file and field, 3 or 8, nothing modified."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outcome import assert_inert, assert_refused, at_most, here, untouched
from PIL import Image
from sampling import sampled

from qtlplat_neu_det import annotation, files
from qtlplat_steel_synth.options import SteelSynthOptions
from qtlplat_steel_synth.surfaces import write_neu_det_layout

IMAGE, XML = "IMAGES/patches_1.jpg", "ANNOTATIONS/patches_1.xml"
Fault = Callable[[Path], object]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images, one of each class, as IMAGES and ANNOTATIONS."""
    return write_neu_det_layout(tmp_path_factory.mktemp("neu-det"), SteelSynthOptions(images_per_kind=1))


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "NEU-DET"))


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """Nothing here may hang, on whatever stands in place of a file."""
    with at_most(20):
        yield


def refused(root: Path, code: int, *words: str) -> None:
    """`data check` lists it, `data info` refuses it, both leave the data as it is."""
    options = ("-S", f"dataset.root={root}", "-S", "dataset.per_class=2", "-S", "dataset.drop_classes=[]")
    with untouched(root.parent):
        checked = here("data", "check", "neu-det", *options, "--json")
        shown = here("data", "check", "neu-det", *options)
        loaded = here("data", "info", "neu-det", *options)
    assert (checked.code, shown.code) == (code, code), checked.err
    assert_inert(shown)
    found = json.loads(checked.out)
    assert found
    assert all(set(row) == {"where", "field", "problem"} for row in found)
    for word in words:
        assert word in " ".join(f"{r['where']} {r['field']} {r['problem']}" for r in found), found
    assert_refused(loaded, code, *(word for word in words if word.isprintable()))


def jpeg(**changes: object) -> bytes:
    out = io.BytesIO()
    mode = changes.pop("mode", "L")
    Image.new(str(mode), (200, 200)).save(out, "JPEG", **changes)
    return out.getvalue()


def picture(kind: str, mode: str = "L", **changes: object) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (200, 200)).save(out, kind, **changes)
    return out.getvalue()


def declared(side: int) -> bytes:
    """A JPEG that claims to be `side` pixels high and wide."""
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = side.to_bytes(2, "big") * 2
    return bytes(data)


def png_bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few hundred bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(10_000))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def image(data: bytes) -> Fault:
    return lambda root: (root / IMAGE).write_bytes(data)


def xml(data: str | bytes) -> Fault:
    return lambda root: (root / XML).write_bytes(data if isinstance(data, bytes) else data.encode())


def box(**ends: object) -> Fault:
    """The first box with other ends."""

    def change(root: Path) -> None:
        text = (root / XML).read_text()
        for tag, value in ends.items():
            head, _, rest = text.partition(f"<{tag}>")
            text = f"{head}<{tag}>{value}{rest[rest.index('<') :]}"
        (root / XML).write_text(text)

    return change


def flagged(difficult: str) -> Fault:
    """The first box marked difficult, or something else."""

    def change(root: Path) -> None:
        text = (root / XML).read_text()
        (root / XML).write_text(text.replace("<bndbox>", f"<difficult>{difficult}</difficult><bndbox>", 1))

    return change


def cut(name: str, share: float) -> Fault:
    def change(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: int(len(data) * share)])

    return change


def without(name: str) -> Fault:
    return lambda root: (root / name).unlink()


def instead(name: str, make: Callable[[Path], object]) -> Fault:
    """Something else in place of a file."""

    def change(root: Path) -> None:
        (root / name).unlink()
        make(root / name)

    return change


def renamed(name: str, new: str | bytes) -> Fault:
    def change(root: Path) -> None:
        (root / name).rename((root / name).with_name(os.fsdecode(new)))

    return change


def both_renamed(stem: bytes) -> Fault:
    def change(root: Path) -> None:
        for name, suffix in ((IMAGE, b".jpg"), (XML, b".xml")):
            renamed(name, stem + suffix)(root)

    return change


LAUGHS = '<!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;">]><annotation>&m;</annotation>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>'
PARAMETERS = '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;]><annotation/>'
CROWD = "<annotation>" + "<object><name>patches</name></object>" * 200 + "</annotation>"

BROKEN: dict[str, tuple[Fault, str, str]] = {
    "an empty image": (image(b""), "patches_1.jpg", "is none of JPEG"),
    "an image cut short": (cut(IMAGE, 0.5), "patches_1.jpg", "cannot be decoded"),
    "an image cut in its head": (cut(IMAGE, 0.05), "patches_1.jpg", ""),
    "a PNG of 16 bits called .jpg": (image(picture("PNG", "I;16")), "patches_1.jpg", "is 'I;16', must be gray"),
    "transparent pixels": (image(picture("PNG", "RGBA")), "patches_1.jpg", "has transparent pixels"),
    "an animated GIF called .jpg": (
        image(picture("GIF", save_all=True, append_images=[Image.new("L", (200, 200), 9)])),
        "patches_1.jpg",
        "holds 2 pages or frames",
    ),
    "a TIFF of two pages called .jpg": (
        image(picture("TIFF", save_all=True, append_images=[Image.new("L", (200, 200))])),
        "patches_1.jpg",
        "holds 2 pages or frames",
    ),
    "a TIFF of 16 bits called .jpg": (image(picture("TIFF", "I;16")), "patches_1.jpg", "is 'I;16', must be gray"),
    "a page called .jpg": (image(b"<!DOCTYPE html><script>1</script>"), "patches_1.jpg", "is none of JPEG"),
    "an SVG called .jpg": (image(b'<svg xmlns="http://www.w3.org/2000/svg"/>'), "patches_1.jpg", "is none of JPEG"),
    "a pickle called .jpg": (image(b"\x80\x04cposix\nsystem\n."), "patches_1.jpg", "is none of JPEG"),
    "four colours": (image(jpeg(mode="CMYK")), "patches_1.jpg", "is 'CMYK', must be gray"),
    "an image of another size": (
        lambda root: Image.new("L", (100, 50)).save(root / IMAGE, "JPEG"),
        "patches_1.xml",
        "says 200 x 200, the image has 100 x 50",
    ),
    "an image that is missing": (without(IMAGE), "patches_1.xml", "is missing: no patches_1.jpg"),
    "an annotation that is missing": (without(XML), "patches_1.jpg", "is missing: no patches_1.xml"),
    "a folder for an image": (instead(IMAGE, Path.mkdir), "patches_1.xml", "is missing: no patches_1.jpg"),
    "a folder for an annotation": (instead(XML, Path.mkdir), "patches_1.jpg", "is missing: no patches_1.xml"),
    "a pipe for an image": (instead(IMAGE, os.mkfifo), "patches_1.jpg", "is not a plain file"),
    "a pipe for an annotation": (instead(XML, os.mkfifo), "patches_1.xml", "is not a plain file"),
    "a device for an image": (
        instead(IMAGE, lambda path: path.symlink_to("/dev/zero")),
        "patches_1.jpg",
        "is not a plain file",
    ),
    "a link to itself": (
        instead(IMAGE, lambda path: path.symlink_to(path.name)),
        "patches_1.jpg",
        "cannot be read: Too many levels",
    ),
    "a link to nothing": (
        instead(IMAGE, lambda path: path.symlink_to("/nowhere/at/all")),
        "patches_1.jpg",
        "cannot be read: No such file",
    ),
    "a name without a number": (renamed(IMAGE, "patches.jpg"), "patches.jpg", "is missing: no patches.xml"),
    "a name of another class": (renamed(IMAGE, "rust_1.jpg"), "rust_1.jpg", "is missing: no rust_1.xml"),
    "a name of two lines": (renamed(IMAGE, "patches_1\nerror: x.jpg"), "error: x.jpg", "is missing: no patches_1"),
    "a name that steers a terminal": (renamed(IMAGE, "\x1b[31m\u202epatches_1.jpg"), "annotation", "is missing: no "),
    "a name with markup": (renamed(IMAGE, "[red]<b>.jpg"), "[red]<b>", "is missing: no "),
    "a name that is no text": (both_renamed(b"patches_\xff\xfe1"), "file name", "must be UTF-8"),
    "a name as a path": (renamed(IMAGE, "%2e%2e%2fpatches_1.jpg"), "%2e%2e%2f", "is missing: no "),
    "an image twice": (
        lambda root: shutil.copy(root / IMAGE, root / "IMAGES" / "patches_1.jpeg"),
        "patches_1.",
        "duplicate of",
    ),
    "an image under two labels": (
        lambda root: shutil.copy(root / "IMAGES" / "scratches_1.jpg", root / IMAGE),
        "scratches_1.jpg",
        "has the same pixels as IMAGES/patches_1.jpg, which has another class",
    ),
    "an image under two labels, saved anew": (
        lambda root: (root / IMAGE).write_bytes(
            (data := (root / "IMAGES" / "scratches_1.jpg").read_bytes())[:2] + b"\xff\xfe\x00\x06note" + data[2:]
        ),
        "scratches_1.jpg",
        "has the same pixels",
    ),
    "a class without images": (
        lambda root: [path.unlink() for path in (root / IMAGE, root / XML)],
        "patches",
        "no image of this class",
    ),
    "one class only": (
        lambda root: [path.unlink() for path in root.rglob("*_1.*") if "patches" not in path.name],
        "scratches",
        "no image of this class",
    ),
    "an annotation that is empty": (xml(""), "patches_1.xml", "is not well-formed XML"),
    "an annotation cut short": (cut(XML, 0.7), "patches_1.xml", "is not well-formed XML"),
    "an annotation that is JSON": (xml('{"boxes": []}'), "patches_1.xml", "is not well-formed XML"),
    "an annotation in no encoding": (
        xml('<?xml version="1.0" encoding="nonsense"?><annotation/>'),
        "patches_1.xml",
        "is not well-formed XML",
    ),
    "an annotation in another encoding": (
        xml(b"<annotation>\xff\xfe</annotation>"),
        "patches_1.xml",
        "not well-formed",
    ),
    "an annotation with a zero byte": (xml(b"<annotation>\0</annotation>"), "patches_1.xml", "is not well-formed XML"),
    "another document": (xml("<other/>"), "patches_1.xml", "must be an <annotation>"),
    "no boxes": (xml("<annotation/>"), "object", "is missing: no box says where the defect is"),
    "a box out of range": (box(xmax=201), "object[1]/bndbox/xmax", "is out of range: 201 not in [1, 200]"),
    "a box below": (box(ymin=-1), "object[1]/bndbox/ymin", "is out of range: -1"),
    "a flag of no meaning": (flagged("maybe"), "object[1]/difficult", "must be 0 or 1, is 'maybe'"),
    "a box inverted": (box(xmin=90, xmax=20), "object[1]/bndbox", "is empty or inverted: xmin 90, xmax 20"),
    "a box of no width": (box(ymin=20, ymax=20), "object[1]/bndbox", "is empty or inverted"),
    "a box that is NaN": (box(xmin="nan"), "object[1]/bndbox/xmin", "must be a number, is 'nan'"),
    "a box that is infinite": (box(xmin="inf"), "object[1]/bndbox/xmin", "must be a number, is 'inf'"),
    "a box with a comma": (box(xmin="1,5"), "object[1]/bndbox/xmin", "must be a number, is '1,5'"),
    "a box of many digits": (box(xmin="9" * 5000), "object[1]/bndbox/xmin", "must be a number"),
    "a box of other digits": (box(xmin="\u0661"), "object[1]/bndbox/xmin", "must be a number"),
    "a box that is empty": (box(xmin=""), "object[1]/bndbox/xmin", "must be a number"),
    "both layouts": (
        lambda root: shutil.copytree(root / "IMAGES", root / "train" / "images"),
        "train/images",
        "duplicate of IMAGES/crazing_1.jpg",
    ),
    "a set inside the set": (
        lambda root: shutil.copytree(root, root / "NEU-DET"),
        "NEU-DET/IMAGES",
        "duplicate of IMAGES/crazing_1.jpg",
    ),
}

HOSTILE: dict[str, tuple[Fault, str, str]] = {
    "billion laughs": (xml(LAUGHS), "patches_1.xml", "declares a document type or entities"),
    "an external entity": (xml(OUTSIDE), "patches_1.xml", "declares a document type or entities"),
    "an external document type": (xml(PARAMETERS), "patches_1.xml", "declares a document type or entities"),
    "deep nesting": (
        xml("<annotation>" + "<a>" * 9999 + "</a>" * 9999 + "</annotation>"),
        "patches_1.xml",
        f"is nested deeper than {annotation.MAX_DEPTH} levels",
    ),
    "a huge annotation": (xml("<annotation>" + " " * files.MAX_XML), "patches_1.xml", "is too large"),
    "a crowd of boxes": (xml(CROWD), "patches_1.xml", f"200 boxes, at most {annotation.MAX_BOXES} are read"),
    "a PNG bomb called .jpg": (image(png_bomb()), "patches_1.jpg", "has too many pixels"),
    "5,000 x 5,000 pixels": (image(declared(5_000)), "patches_1.jpg", "has too many pixels"),
    "10,000 x 10,000 pixels": (image(declared(10_000)), "patches_1.jpg", "has too many pixels"),
    "65,535 x 65,535 pixels": (image(declared(65_535)), "patches_1.jpg", "has too many pixels"),
    "a huge image": (lambda root: os.truncate(root / IMAGE, files.MAX_IMAGE + 1), "patches_1.jpg", "is too large"),
    "a terabyte": (lambda root: os.truncate(root / IMAGE, 2**40), "patches_1.jpg", "is too large"),
}


@pytest.mark.parametrize("fault", sampled(BROKEN, 4))
@pytest.mark.sampled(5)
def test_a_damaged_set(fault: str, root: Path) -> None:
    change, *words = BROKEN[fault]
    change(root)
    refused(root, 3, *words)


@pytest.mark.parametrize("fault", sampled(HOSTILE, 3))
def test_a_hostile_set(fault: str, root: Path) -> None:
    change, *words = HOSTILE[fault]
    change(root)
    refused(root, 8, *words)


def test_all_findings_at_once_with_the_number_of_the_rest(root: Path) -> None:
    for path in (root / "IMAGES").iterdir():
        path.write_bytes(b"x")
    for name in (path.stem for path in (root / "IMAGES").iterdir()):
        size = f"<size><width>wide {name}</width><height>high {name}</height></size>"
        text = f"<annotation>{size}<object><name>no {name}</name><bndbox/></object></annotation>"
        (root / "ANNOTATIONS" / f"{name}.xml").write_text(text)
    options = ("neu-det", "-S", f"dataset.root={root}", "-S", "dataset.per_class=2", "-S", "dataset.drop_classes=[]")
    found = json.loads(here("data", "check", *options, "--json").out)
    assert len(found) == 6 + 6 * (2 + 1 + 4)
    done = here("data", "info", *options)
    assert_refused(done, 3, "48 problems", "ANNOTATIONS: size/width: 6 files, as 'crazing_1.xml': must be")
    shown = [line for line in done.message if line.startswith("  IMAGES") or line.startswith("  ANNOTATIONS")]
    assert f"  … and {1 + 2 + 6 + 4 - len(shown)} more" in done.message


def test_one_hostile_file_among_broken_ones_makes_the_set_untrusted(root: Path) -> None:
    (root / IMAGE).write_bytes(b"")
    (root / "ANNOTATIONS" / "scratches_1.xml").write_text(LAUGHS)
    refused(root, 8, "is none of JPEG", "declares a document type")


# Archives.


def zipped(root: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    archive = root.parent / "set.zip"
    with zipfile.ZipFile(archive, "w", compression) as target:
        for path in sorted(p for p in root.rglob("*") if p.is_file()):
            target.write(path, path.relative_to(root).as_posix())
    return archive


def added(archive: Path, name: str, data: bytes = b"x", mode: int = 0) -> None:
    with zipfile.ZipFile(archive, "a") as target:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        target.writestr(info, data)


def patched(archive: Path, name: str, offset: int, value: bytes) -> None:
    """Overwrite bytes of a member's entry in the archive's directory."""
    data = bytearray(archive.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode())) + offset
    data[at : at + len(value)] = value
    archive.write_bytes(data)


def cut_archive(archive: Path, share: float) -> None:
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])


def flipped(archive: Path) -> None:
    with zipfile.ZipFile(archive) as source:
        at = source.getinfo(IMAGE).header_offset
    data = bytearray(archive.read_bytes())
    data[at + 200 : at + 400] = bytes(200)
    archive.write_bytes(data)


def twice(archive: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        added(archive, IMAGE)


LINK, PIPE = 0o120777, 0o010666
ARCHIVES: dict[str, tuple[Callable[[Path], object], int, str, str]] = {
    "an absolute path": (lambda a: added(a, "/etc/cron.d/x"), 8, "/etc/cron.d/x", "leads out of the archive"),
    "a way up": (lambda a: added(a, "IMAGES/../../x.jpg"), 8, "../../x.jpg", "leads out of the archive"),
    "another way up": (lambda a: added(a, "..\\..\\x.jpg"), 8, "x.jpg", "leads out of the archive"),
    "a drive": (lambda a: added(a, "C:/x.jpg"), 8, "C:/x.jpg", "leads out of the archive"),
    "a link": (lambda a: added(a, "IMAGES/x_1.jpg", b"/etc/passwd", LINK), 8, "x_1.jpg", "but a link or a device"),
    "a pipe": (lambda a: added(a, "IMAGES/x_1.jpg", b"", PIPE), 8, "x_1.jpg", "but a link or a device"),
    "a name with a zero byte": (
        lambda a: patched(a, IMAGE, 46, b"IMAGES/patches_1\0jpg"),
        8,
        "patches_1",
        "leads out of the archive",
    ),
    "a bomb": (
        lambda a: added(a, "IMAGES/patches_2.jpg", bytes(files.MAX_IMAGE + 1)),
        8,
        "patches_2.jpg",
        "is too large",
    ),
    "a size that is declared": (
        lambda a: patched(a, IMAGE, 24, (2**31).to_bytes(4, "little")),
        8,
        "patches_1.jpg",
        "is too large",
    ),
    "a member twice": (twice, 3, "patches_1.jpg", "is a duplicate name"),
    "a member that is encrypted": (lambda a: patched(a, IMAGE, 8, b"\x01\0"), 3, "patches_1.jpg", "is encrypted"),
    "an unknown compression": (
        lambda a: patched(a, IMAGE, 10, (93).to_bytes(2, "little")),
        3,
        "patches_1.jpg",
        "is compressed in a way that is not read (method 93)",
    ),
    "a name of two lines": (
        lambda a: added(a, "IMAGES/a\nerror: b_1.jpg"),
        3,
        "error: b_1.jpg",
        "is missing: no a",
    ),
    "a name that steers a terminal": (lambda a: added(a, "IMAGES/\x1b[2J_1.jpg"), 3, "_1.jpg", "is missing: no "),
    "an archive cut short": (lambda a: cut_archive(a, 0.9), 3, "set.zip", "is not a readable zip archive"),
    "an archive cut to its head": (lambda a: cut_archive(a, 0.01), 3, "set.zip", "is not a readable zip archive"),
    "an archive with damage": (flipped, 3, "patches_1.jpg", "cannot be read from the archive"),
    "an archive that is empty": (lambda a: a.write_bytes(b""), 3, "set.zip", "is not a readable zip archive"),
    "an archive that is text": (lambda a: a.write_text("PK nothing"), 3, "set.zip", "is not a readable zip archive"),
    "an archive of other things": (
        lambda a: zipfile.ZipFile(a, "w").writestr("readme.txt", "x"),
        3,
        "set.zip",
        "found no images",
    ),
}


@pytest.mark.parametrize("fault", sampled(ARCHIVES, 3))
@pytest.mark.sampled(3)
def test_an_archive(fault: str, root: Path) -> None:
    change, code, *words = ARCHIVES[fault]
    archive = zipped(root)
    shutil.rmtree(root)
    change(archive)
    refused(archive, code, *words)


@pytest.mark.parametrize("method", sampled([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], 2))
def test_an_archive_that_decompressors_stumble_over(method: int, root: Path) -> None:
    archive = zipped(root, method)
    shutil.rmtree(root)
    refused(archive, 3, f"is compressed in a way that is not read (method {method})")


def test_more_members_than_anybody_has(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILES", 5)
    refused(root, 8, "more than 5 files")
    refused(zipped(root), 8, "more than 5 files")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "is neither a directory nor a zip archive"),
        (lambda path: path.symlink_to("/dev/zero"), "is neither a directory nor a zip archive"),
        (lambda path: path.mkdir(), "found no images"),
    ],
)
def test_something_else_at_the_root(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    make(tmp_path / "set")
    refused(tmp_path / "set", 3, words)


@pytest.mark.parametrize(
    "place",
    sampled(
        ["/nowhere/at/all", "x" * 5000, "/" + "a/" * 3000, "a\nb", "\x1b[31m", "[red]", "~nobody/x", "loop", "\udcff"],
        3,
    ),
)
def test_a_root_that_cannot_be(place: str, elsewhere: Path) -> None:
    (elsewhere / "loop").symlink_to("loop")
    for command in ("check", "info"):
        assert_refused(here("data", command, "neu-det", "-S", f"dataset.root={place}"), 3, "root")


def test_a_set_that_nothing_is_left_of(root: Path) -> None:
    every = [p.name.removesuffix("_1.jpg") for p in (root / "IMAGES").iterdir()]
    done = here(
        "data", "info", "neu-det", "-S", f"dataset.root={root}", "-S", f"dataset.drop_classes={json.dumps(every)}"
    )
    assert_refused(done, 3, "0 images with a defect found")
