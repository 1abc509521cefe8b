"""Bundles that somebody made to do harm are refused with 8, damaged ones with 3; either way nothing is changed."""

import io
import json
import random
import shutil
import sqlite3
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from exchanged import (
    Called,
    Members,
    Sent,
    put_together,
    qtlplat,
    snapshot,
    taken_apart,
    with_database,
)

from qtlplat.store.backends.sqlite import in_file
from qtlplat.store.core import database, row_digests
from qtlplat_bundles import archive

MOST_LINES = 12


def is_inert(text: str) -> bool:
    return all(c.isprintable() or c in "\n\t" for c in text)


def assert_refused(told: Called, code: int, said: str = "") -> None:
    everything = f"{told.code}\n{told.out}\n{told.err}"
    assert told.code == code, everything
    assert told.out == "", everything
    assert said in told.err, everything
    assert told.err.startswith("error: "), everything
    assert "  fix: " in told.err, everything
    assert len(told.err.splitlines()) <= MOST_LINES, everything
    assert is_inert(told.err), everything
    assert ".import." not in told.err, everything


def every_other(cases: dict[str, object], every: int) -> list[object]:
    """The first and every n-th case in the default run, all of them in the long form."""
    return [pytest.param(case, marks=[pytest.mark.slow] if i % every else []) for i, case in enumerate(cases)]


# --- archives


def raw_member(name: str, data: bytes, archive: zipfile.ZipFile, **facts: object) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = name
    for key, value in facts.items():
        setattr(info, key, value)
    archive.writestr(info, data)


def with_member(name: str, data: bytes = b"evil", **facts: object) -> Callable[[Members, Path], None]:
    def make(members: Members, target: Path) -> None:
        put_together(members, target)
        with zipfile.ZipFile(target, "a") as archive:
            raw_member(name, data, archive, **facts)

    return make


def renamed(old: str, new: str) -> Callable[[Members, Path], None]:
    """Names are replaced in the finished file, where zipfile would not write them."""

    def make(members: Members, target: Path) -> None:
        with_member(old)(members, target)
        target.write_bytes(target.read_bytes().replace(old.encode(), new.encode()))

    return make


def twice(members: Members, target: Path) -> None:
    put_together(members, target)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(target, "a") as archive:
        archive.writestr("README.txt", "another")


def listed(name: str, data: bytes = b"evil") -> Callable[[Members, Path], None]:
    return lambda members, target: put_together({**members, name: data}, target) and None  # type: ignore[func-returns-value]


def bomb(members: Members, target: Path) -> None:
    put_together({**members, "report.html": bytes(2**25)}, target)


def lying_sizes(members: Members, target: Path) -> None:
    """The list of members promises 4 GB of what is none."""
    put_together(members, target)
    data = bytearray(target.read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = (0xFFFFFFF0).to_bytes(4, "little")
    target.write_bytes(data)


def by_case(members: Members, target: Path) -> None:
    put_together({**members, "store.files/w/x": b"1", "store.files/W/X": b"2"}, target)


def overlapping(members: Members, target: Path) -> None:
    """Two entries of the list lead to the same bytes, as in a bomb of ten megabytes that unpacks to petabytes."""
    put_together({**members, "report.html": random.Random(1).randbytes(20_000)}, target)
    with zipfile.ZipFile(target, "a") as archive:
        first = archive.getinfo("report.html")
        for i in range(20):
            copy = zipfile.ZipInfo(f"store.files/x/{i}")
            copy.CRC, copy.compress_size, copy.file_size = first.CRC, first.compress_size, first.file_size
            copy.header_offset, copy.compress_type = first.header_offset, first.compress_type
            archive.filelist.append(copy)
            archive._didModify = True


def endless_list(members: Members, target: Path) -> None:
    put_together(members, target)
    data = bytearray(target.read_bytes())
    place = data.rfind(b"PK\x05\x06")
    data[place + 12 : place + 16] = (2**31).to_bytes(4, "little")
    target.write_bytes(data)


LINK = {"external_attr": (stat.S_IFLNK | 0o777) << 16, "create_system": 3}
ARCHIVES: dict[str, tuple[Callable[[Members, Path], None], str]] = {
    "a way out": (with_member("../../evil"), "is no file of a bundle"),
    "a way out of the files": (listed("store.files/../../evil"), "is no file of a bundle"),
    "an absolute name": (with_member("/tmp/evil"), "is no file of a bundle"),
    "a backslash": (renamed("store.files/xx/evil", "store.files/..\\evil"), "is no file of a bundle"),
    "a drive": (with_member("C:evil"), "is no file of a bundle"),
    "a zero byte": (renamed("README.txt_evil", "README.txt\0evil"), "is no file of a bundle"),
    "a folder": (with_member("store.files/x/", b""), "is no file of a bundle"),
    "a hidden file": (listed("store.files/weights/.x.safetensors"), "is no file of a bundle"),
    "a lock": (listed("store.files/locks/x.lock"), "is no file of a bundle"),
    "a name that steers a terminal": (with_member("\x1b[2J\x9b\u202eevil"), "is no file of a bundle"),
    "another journal": (listed("store.db-journal"), "is no file of a bundle"),
    "the same name twice": (twice, "stands there more than once"),
    "names that differ by case": (by_case, "stands there more than once"),
    "a file that is a folder": (
        lambda m, t: put_together({**m, "store.files/w": b"1", "store.files/w/x": b"2"}, t) and None,
        "is a file and a folder",
    ),
    "a name without an end": (listed("store.files/" + "x" * 5000), "is no file of a bundle"),
    "a folder without an end": (listed("store.files/" + "x/" * 2000 + "x"), "is no file of a bundle"),
    "a link": (with_member("store.files/weights/link", b"/etc/passwd", **LINK), "a link or a device"),
    "a device": (with_member("report.html", b"", external_attr=stat.S_IFCHR << 16), "a link or a device"),
    "a member that is not in the manifest": (with_member("report.html"), "is not in the manifest"),
    "a file of nobody": (listed("store.files/weights/evil.safetensors"), "belongs to no run"),
    "a bomb": (bomb, "unpacks to 33554432 bytes from"),
    "promised sizes": (lying_sizes, "unpacks to"),
    "members over each other": (overlapping, "lie over each other"),
    "an endless list": (endless_list, "lists its members in 2147483648 bytes"),
    "encrypted": (with_member("report.html", b"x", flag_bits=1), ""),
    "another compression": (
        lambda m, t: put_together(m, t) and with_member("report.html", b"x" * 99, compress_type=zipfile.ZIP_LZMA)(m, t),
        "in a way that no bundle is",
    ),
}  # fmt: skip


@pytest.mark.sampled(7)
@pytest.mark.parametrize("fault", every_other(ARCHIVES, 5))  # type: ignore[arg-type]
def test_an_archive(fault: str, sent: Sent) -> None:
    make, said = ARCHIVES[fault]
    target = sent.bundle.with_name("evil.zip")
    make(taken_apart(sent.bundle), target)
    if fault == "encrypted":  # zipfile writes no such thing
        data = bytearray(target.read_bytes())
        data[data.rfind(b"PK\x01\x02") + 8] |= 1
        target.write_bytes(data)
        said = "is encrypted"
    before = snapshot(sent.bundle.parents[1])
    assert_refused(qtlplat(sent.other, "import", target), 8, said)
    assert_refused(qtlplat(sent.store, "import", target, "--dry-run"), 8, said)
    assert snapshot(sent.bundle.parents[1]) == before


# --- databases


def sql(*statements: str) -> Callable[[sqlite3.Connection], object]:
    return lambda db: [db.execute(statement) for statement in statements]


def rewritten(old: str, new: str) -> Callable[[sqlite3.Connection], object]:
    """The definition of a table is another one, written past SQLite's own checks."""

    def spoil(db: sqlite3.Connection) -> None:
        db.execute("PRAGMA writable_schema = ON")
        db.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?)", (old, new))
        db.execute("PRAGMA writable_schema = RESET")

    return spoil


ENDLESS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) AS id, '0001' version_num FROM n"
)
DATABASES: dict[str, tuple[Callable[[sqlite3.Connection], object], str]] = {
    "a trigger": (sql("CREATE TRIGGER t AFTER INSERT ON tags BEGIN DELETE FROM runs; END"), "is not ours at 't'"),
    "a view of its own": (sql("CREATE VIEW evil AS SELECT 1"), "views of its own"),
    "a version that never ends": (
        sql("DROP TABLE qtlplat_schema", f"CREATE VIEW qtlplat_schema AS {ENDLESS}"), "its schema has no name",
    ),
    "a table too many": (sql("CREATE TABLE evil (run_id TEXT)"), "is not ours at 'evil'"),
    "a virtual table": (sql("CREATE VIRTUAL TABLE evil USING fts5(x)"), "is not ours"),
    "an index too many": (sql("CREATE INDEX evil ON runs (hex(zeroblob(99)))"), "is not ours at 'evil'"),
    "a table too few": (sql("DROP TABLE notes"), "is not ours at"),
    "a column too many": (sql("ALTER TABLE runs ADD COLUMN evil TEXT"), "is not ours at 'runs'"),
    "a computed column": (sql("ALTER TABLE runs ADD COLUMN evil AS (zeroblob(9))"), "is not ours at 'runs'"),
    "a condition too few": (rewritten(" CHECK (kind IN ('run', 'pretraining'))", " CHECK (1)"), "is not ours at"),
    "another application": (sql("PRAGMA application_id = 7"), "belongs to another application"),
    "an id that is a path": (
        sql("PRAGMA foreign_keys = OFF", "UPDATE runs SET id = '../../../evil' WHERE kind = 'pretraining'"), "",
    ),
    "a file that is elsewhere": (sql("UPDATE artifacts SET path = '../../../etc/passwd'"), "artifacts.path holds"),
    "a file in the place of locks": (sql("UPDATE artifacts SET path = 'locks/x'"), "artifacts.path holds"),
    "a hash that is a path": (sql("UPDATE artifacts SET sha256 = '../x'"), "artifacts.sha256 holds"),
    "a plan that is a list": (sql("UPDATE runs SET plan = '[]'"), "runs.plan holds"),
    "a plan that is no JSON": (sql("UPDATE runs SET plan = '{'"), "runs.plan holds"),
    "a plan without an end": (sql(f"UPDATE runs SET plan = '{'[' * 50_000}'"), "runs.plan holds"),
    "a plan that is not strict": (sql("""UPDATE runs SET plan = '{"a": NaN}'"""), "runs.plan holds"),
    "bytes for text": (sql("UPDATE runs SET host = x'ff00'"), "runs.host holds"),
    "text that is no UTF-8": (sql("UPDATE runs SET host = CAST(x'fffe' AS TEXT)"), ""),
    "text for a number": (sql("UPDATE metrics SET value = 'much'"), "metrics.value holds 'much'"),
    "seconds that are text": (sql("""UPDATE runs SET seconds = '{"total": "9"}'"""), "runs.seconds holds"),
    "probabilities by name": (sql("UPDATE predictions SET probabilities = '{}'"), "predictions.probabilities holds"),
    "a time that is none": (sql("UPDATE runs SET created = 'yesterday'"), "runs.created holds"),
    "a time without a zone": (sql("UPDATE runs SET created = '2026-01-01T00:00:00'"), "runs.created holds"),
    "a run that goes on": (sql("UPDATE runs SET status = 'running'"), "runs.status holds 'running'"),
    "values that are not those stored": (sql("UPDATE metrics SET value = 1"), "is not as it was stored: metrics"),
    "a run that nobody announced": (
        sql("INSERT INTO runs SELECT '0123456789abcdef', kind, status, fingerprint, seed, created, finished, host, "
            "pid, dataset_digest, dataset, backbone, head, evaluator, condition, plan, parameters, seconds, error, "
            "owner, classes, image_shape, made_for FROM runs LIMIT 1"),
        "0123456789abcdef is not as it was stored",
    ),
    "a parent that is not there": (sql("PRAGMA foreign_keys = OFF", "DELETE FROM runs WHERE kind = 'pretraining'"), ""),
    "nothing": (lambda db: [db.execute(f"DELETE FROM {t}") for t in ("lineage", "artifacts", "runs")], ""),
}  # fmt: skip


@pytest.mark.sampled(9)
@pytest.mark.parametrize("fault", every_other(DATABASES, 7))  # type: ignore[arg-type]
def test_a_database(fault: str, sent: Sent, tmp_path: Path) -> None:
    spoil, said = DATABASES[fault]
    members = with_database(taken_apart(sent.bundle), spoil, tmp_path)
    target = put_together(members, sent.bundle.with_name("evil.zip"))
    before = snapshot(sent.bundle.parents[1])
    told = qtlplat(sent.other, "import", target)
    assert_refused(told, 8, said)
    assert snapshot(sent.bundle.parents[1]) == before
    assert list(sent.other.parent.iterdir()) == []


def forged(sent: Sent, spoil: Callable[[sqlite3.Connection], object], tmp_path: Path) -> Path:
    """A bundle with other rows, and the digests that fit them."""
    members = with_database(taken_apart(sent.bundle), spoil, tmp_path)
    place = in_file(tmp_path / "spoilt.db", tmp_path, "")
    with database.engine(place, write=True).begin() as connection:
        for owner, record in row_digests.ended(connection):
            row_digests.seal(connection, owner, record)
    return put_together({**members, "store.db": place.path.read_bytes()}, tmp_path / "evil.zip")


def test_rows_with_digests_that_fit_them_must_still_be_showable(sent: Sent, tmp_path: Path) -> None:
    bundle = forged(sent, sql("""UPDATE runs SET parameters = '{"head": [1]}'"""), tmp_path)
    assert_refused(qtlplat(sent.other, "import", bundle), 8, "runs.parameters holds")
    assert list(sent.other.parent.iterdir()) == []


def test_runs_that_the_manifest_does_not_name_are_refused(sent: Sent, tmp_path: Path) -> None:
    bundle = forged(sent, sql("UPDATE runs SET kind = kind"), tmp_path)
    members = taken_apart(bundle)
    manifest = json.loads(members["manifest.json"])
    for changes in ({"built_upon": []}, {"runs": [sent.run, "0123456789abcdef"]}):
        members["manifest.json"] = json.dumps({**manifest, **changes}).encode()
        told = qtlplat(sent.other, "import", put_together(members, tmp_path / "evil.zip"))
        assert_refused(told, 8, "is in the manifest or the store, but not in both")


@pytest.mark.parametrize(
    ("limit", "said"), [("MAX_TOTAL", "bytes, at most 3 are read"), ("MAX_MEMBERS", "members, at")]
)
def test_sizes_have_bounds(limit: str, said: str, sent: Sent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, limit, 3)
    assert_refused(qtlplat(sent.other, "import", sent.bundle), 8, said)


def test_random_bytes_in_place_of_a_database(sent: Sent, tmp_path: Path) -> None:
    members = taken_apart(sent.bundle)
    page = members["store.db"]
    for data in (b"", b"x" * 5000, page[:100], page[: len(page) // 2], page[:4096] + random.Random(3).randbytes(8192)):
        bundle = put_together({**members, "store.db": data}, tmp_path / "evil.zip")
        assert_refused(qtlplat(sent.other, "import", bundle), 8, "no store that qtlplat made")
    assert list(sent.other.parent.iterdir()) == []


# --- damaged


def without(name: str) -> Callable[[Members], Members]:
    return lambda members: {key: data for key, data in members.items() if key != name}


def manifest(data: bytes) -> Callable[[Members], Members]:
    return lambda members: {**members, "manifest.json": data}


DAMAGED: dict[str, tuple[Callable[[Members], Members], str]] = {
    "no manifest": (without("manifest.json"), "manifest.json: is missing"),
    "no database": (without("store.db"), "store.db: is missing"),
    "a member missing": (without("README.txt"), "README.txt: is missing"),
    "another content": (lambda m: {**m, "README.txt": b"x" * len(m["README.txt"])}, "README.txt: is not what"),
    "another size": (lambda m: {**m, "runs.json": m["runs.json"] + b" "}, "runs.json: is not what"),
    "other weights": (
        lambda m: {k: b"!" * len(v) if k.startswith("store.files/") else v for k, v in m.items()},
        "is not what the manifest lists",
    ),
    "a manifest that is no JSON": (manifest(b"{"), "manifest.json"),
    "a manifest that is a list": (manifest(b"[]"), "manifest.json"),
    "a manifest without an end": (manifest(b"[" * 200_000), "manifest.json"),
    "a manifest of bytes": (manifest(b"\xff\xfe"), "manifest.json"),
    "a manifest of another kind": (manifest(b'{"format": "x"}'), "manifest.json: format"),
    "a manifest with a number of many digits": (manifest(b'{"version": ' + b"9" * 5000 + b"}"), "manifest.json"),
}


@pytest.mark.parametrize("fault", every_other(DAMAGED, 5))  # type: ignore[arg-type]
@pytest.mark.sampled(5)
def test_a_damaged_bundle(fault: str, sent: Sent) -> None:
    change, said = DAMAGED[fault]
    target = put_together(change(taken_apart(sent.bundle)), sent.bundle.with_name("d.zip"), listed=False)
    assert_refused(qtlplat(sent.other, "import", target), 3, said)
    assert list(sent.other.parent.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x03\x04", b"no zip" * 99, b"PK\x05\x06" + bytes(18)])
def test_what_is_no_archive(data: bytes, sent: Sent) -> None:
    target = sent.bundle.with_name("d.zip")
    target.write_bytes(data)
    assert_refused(qtlplat(sent.other, "import", target), 3, "no zip archive")


def test_what_is_no_file(sent: Sent) -> None:
    for name in (sent.bundle.parent, sent.bundle.with_name("\x1b[31m.zip"), "/dev/zero"):
        assert_refused(qtlplat(sent.other, "import", name), 2, "is no file")


def test_bundles_cut_anywhere_are_refused(sent: Sent) -> None:
    whole = sent.bundle.read_bytes()
    target = sent.bundle.with_name("cut.zip")
    for length in range(0, len(whole), max(1, len(whole) // 25)):
        target.write_bytes(whole[:length])
        assert_refused(qtlplat(sent.other, "import", target), 3)
    assert list(sent.other.parent.iterdir()) == []


def assert_flips_do_no_harm(sent: Sent, number: int, seed: int) -> None:
    """A changed byte is refused, or is one that nobody reads (a time in the list of members)."""
    chance = random.Random(seed)
    whole = sent.bundle.read_bytes()
    target = sent.bundle.with_name("flipped.zip")
    for _ in range(number):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 3))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        target.write_bytes(data)
        told = qtlplat(sent.other, "import", target, "--dry-run")
        if told.code == 0:
            with zipfile.ZipFile(io.BytesIO(data)) as one, zipfile.ZipFile(io.BytesIO(whole)) as other:
                assert {n: one.read(n) for n in one.namelist()} == {n: other.read(n) for n in other.namelist()}
        else:
            assert told.code in (3, 8), told
            assert_refused(told, told.code)
    assert list(sent.other.parent.iterdir()) == []


def test_flipped_bits_do_no_harm(sent: Sent) -> None:
    assert_flips_do_no_harm(sent, 15, seed=1)


@pytest.mark.slow
def test_many_flipped_bits_do_no_harm(sent: Sent) -> None:
    assert_flips_do_no_harm(sent, 400, seed=2)


# --- ours are not taken for hostile


def test_what_shrinks_like_a_bomb_is_stored_as_it_is(tmp_path: Path) -> None:
    zeros = tmp_path / "zeros"
    zeros.write_bytes(bytes(2**22))
    assert len(zlib.compress(zeros.read_bytes())) * archive.MAX_RATIO < 2**22
    archive.write(
        tmp_path / "a.zip", {"store.files/weights/0": zeros, "store.db": zeros, "manifest.json": tmp_path / "zeros"}
    )
    with archive.opened(tmp_path / "a.zip") as opened:
        assert opened.read("store.files/weights/0") == bytes(2**22)
    shutil.rmtree(tmp_path)


def test_manifest_of_ours_is_what_the_tests_forge(sent: Sent) -> None:
    """Put together again, a bundle is imported: what is refused above is refused for what was done to it."""
    target = put_together(taken_apart(sent.bundle), sent.bundle.with_name("again.zip"))
    assert qtlplat(sent.other, "import", target).code == 0
    assert json.loads(taken_apart(target)["manifest.json"])["runs"] == [sent.run]
