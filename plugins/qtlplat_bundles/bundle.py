"""Runs as one file to send: a bundle that another store imports. The same runs give the same bytes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import counted, short, strict
from qtlplat.errors import StoreError, safe_repr
from qtlplat.store.backends.sqlite import in_file
from qtlplat.store.core import artifacts
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.schema import REVISIONS
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.serialize import stored_form
from qtlplat_bundles import archive
from qtlplat_bundles.extract import extract, with_parents
from qtlplat_bundles.manifest import (
    DATABASE,
    FILES,
    MANIFEST,
    README,
    REPORT,
    RUNS,
    SPLITS,
    VERSION,
    Manifest,
    Member,
    is_known,
)
from qtlplat_bundles.splits import splits

if TYPE_CHECKING:
    from qtlplat.store.core.records import RunRecord

_README = """\
A bundle of {runs} by qtlplat {version}

To look at it, with qtlplat installed:

    qtlplat import bundle.zip --dry-run    what is in it, and whether it is whole
    qtlplat import bundle.zip              into your store
    qtlplat runs

What is in it:

    manifest.json   every other file with size and sha256
    store.db        the runs and those that they build on, with every row, as an SQLite database
    store.files/    their files: weights as safetensors, frozen features as .npy
    runs.json       the same runs as JSON, as qtlplat show --json prints them
    splits.json     which samples each cell trained on and was tested on, as far as they are known
    report.html     a report on them, where one was asked for; it loads nothing and runs nothing

The images are not in it. Host names, paths and command lines of the machine that computed the runs are.

Runs:

{table}
"""


@dataclass(frozen=True)
class Bundled:
    """What was written. runs: ids that were asked for; built_upon: those that came along; bytes: of the file."""

    runs: tuple[str, ...]
    built_upon: tuple[str, ...]
    files: int
    bytes: int


def write_bundle(
    location: StoreLocation, runs: Sequence[str], save: Callable[[Path], None], report: bytes | None = None
) -> Bundled:
    """Write runs, by their full ids, and all that they build on to a file.

    save: copies the file to where it belongs; report: an HTML page to put in.

    Raises:
        UsageError: if a run has not ended.
        StoreError: if one is damaged or lacks a file, or the disk is full.
    """
    every = with_parents(Reader(location), runs)
    with tempfile.TemporaryDirectory(prefix="qtlplat-export-") as folder:
        new = in_file(Path(folder, DATABASE), Path(folder, FILES), "a bundle")
        extract(location, every, new)
        reader = Reader(new)
        built_upon = tuple(sorted(set(every) - set(runs)))
        records = {run: reader.run(run) for run in sorted(every)}
        told = {run: stored_form(reader, record) for run, record in records.items()}
        texts = {
            README: _readme([records[run] for run in sorted(runs)], [records[run] for run in built_upon]).encode(),
            RUNS: _json(told),
            SPLITS: _json(splits(reader, sorted(every))),
            **({} if report is None else {REPORT: report}),
        }
        for name, data in texts.items():
            Path(folder, name).write_bytes(data)
        files = sorted({FILES + row.path for run in every for row in reader.artifacts(run)})
        if strange := [name for name in files if not is_known(name)]:
            what = f"a file has a name that no bundle takes: {safe_repr(strange[0].removeprefix(FILES))}"
            raise StoreError(what, where=str(location.files), fix="report this, with what made the file")
        members = {name: Path(folder, name) for name in (*texts, DATABASE, *files)}
        manifest = Manifest(
            format="qtlplat bundle",
            version=VERSION,
            qtlplat=version("qtlplat"),
            revision=REVISIONS[-1],
            runs=sorted(runs),
            built_upon=list(built_upon),
            members={n: Member(sha256=artifacts.sha256_of(p), bytes=p.stat().st_size) for n, p in members.items()},
        )
        Path(folder, MANIFEST).write_bytes(_json(manifest.model_dump()))
        made = Path(folder, "bundle.zip")
        archive.write(made, {**members, MANIFEST: Path(folder, MANIFEST)})
        save(made)
        return Bundled(tuple(runs), built_upon, len(files), made.stat().st_size)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(strict(value), indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _readme(runs: Sequence[RunRecord], built_upon: Sequence[RunRecord]) -> str:
    lines = [f"    {run.id}  {run.kind}, {run.status}, {run.created}" for run in runs]
    lines += [f"    {run.id}  {run.kind}, {run.status}, {run.created}; built upon" for run in built_upon]
    names = f"{counted(len(runs), 'run')} ({', '.join(short(run.id) for run in runs[:6])}{', ...' * (len(runs) > 6)})"
    return _README.format(runs=names, version=version("qtlplat"), table="\n".join(lines))
