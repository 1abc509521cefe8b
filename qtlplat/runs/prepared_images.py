"""A dataset's images, prepared once and found again next to the store; no torch here.

What decides the images is part of a file's name: the code of the plugin and of qtlplat's preparation, all options, the
source files (by path, size and times of their last changes), versions of libraries and the processor.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from qtlplat.catalog import plugin_calls, returned
from qtlplat.catalog.plan import canonical_json
from qtlplat.catalog.provider import Component
from qtlplat.contracts import ImageSet, Options
from qtlplat.errors import QtlplatError, StoreError
from qtlplat.runs.numerics import processor_model
from qtlplat.specs import DatasetSpec
from qtlplat.store.core.files import write_atomically

FOLDER = "images"
MOST_BYTES = 2**30  # of images that are kept
SETTLED = 1.0  # seconds after which a second change of a file shows in its time


@dataclass(frozen=True)
class Dataset:
    """A dataset with its options. files: the store's directory of files, None to keep and find nothing."""

    component: Component[DatasetSpec]
    options: Options
    files: Path | None = None

    def digest(self) -> str | None:
        """That of the images that are kept; None if there are none."""
        return None if self._kept is None else str(self._kept[1]["digest"])

    def images(self, *, keep: bool = True) -> ImageSet:
        """The images: those that are kept, else prepared by the plugin. keep: whether they may be kept for next time.

        Raises as the plugin does.
        """
        if self._kept is not None and (found := _read(*self._kept)) is not None:
            return found
        before = self._sources
        images = plugin_calls.load_images(self.component.spec, self.options, self.component.provider.distribution)
        self.__dict__.pop("_sources", None)
        if keep and self.files and before is not None and before == self._sources and _settled(before):
            # what cannot be kept is prepared again the next time
            with suppress(StoreError):
                _write(self._path(before), images)
        return images

    @cached_property
    def _kept(self) -> tuple[Path, dict[str, Any]] | None:
        """The file of images and what is said of them, if both are there."""
        if self.files is None or self._sources is None:
            return None
        path = self._path(self._sources)
        try:
            said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return (path, said) if isinstance(said, dict) and isinstance(said.get("digest"), str) else None

    @cached_property
    def _sources(self) -> list[tuple[str, int, int, int, int]] | None:
        """The files that are read, as their directories describe them now; None if the dataset does not name them."""
        reads = self.component.spec.reads
        if reads is None:
            return None

        def named() -> list[str]:
            return [os.fspath(path) for path in returned.series(reads(self.options), "reads")]

        paths = plugin_calls.guarded(named, self.component.provider.distribution, "asking for the files that are read")
        try:
            return sorted(one for path in paths for one in _described(path))
        except OSError:
            return None

    def _path(self, sources: list[tuple[str, int, int, int, int]]) -> Path:
        assert self.files is not None
        provider = self.component.provider.distribution
        facts = {
            "dataset": self.component.spec.name,
            "provider": provider,
            "code": [self.component.digest, _own_code()],
            "options": plugin_calls.written_options(self.options, provider),
            "sources": sources,
            "versions": library_versions(provider),
            "processor": [platform.machine(), processor_model()],
        }
        return self.files / FOLDER / f"{hashlib.sha256(canonical_json(facts).encode()).hexdigest()}.npy"


def _described(path: str) -> Iterator[tuple[str, int, int, int, int]]:
    """A file, or all files of a directory, each with inode, size and times of change."""
    known: set[tuple[int, int]] = set()
    waiting = [Path(path)]
    while waiting:
        here = waiting.pop()
        facts = here.stat()
        if stat.S_ISDIR(facts.st_mode):
            if (facts.st_dev, facts.st_ino) not in known:  # links may lead in a circle
                known.add((facts.st_dev, facts.st_ino))
                waiting += here.iterdir()
        else:
            yield str(here), facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def _settled(sources: list[tuple[str, int, int, int, int]]) -> bool:
    newest = max((max(changed, found) for *_, changed, found in sources), default=0)
    return time.time() - newest / 1e9 > SETTLED


def _own_code() -> str:
    """Digest of qtlplat's own modules that datasets build on."""
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()


def library_versions(distribution: str) -> dict[str, str]:
    """Versions of Python, and of what a distribution and qtlplat require, by name."""
    found = {"python": platform.python_version()}
    for name in (distribution, "qtlplat"):
        with suppress(importlib.metadata.PackageNotFoundError):
            for required in importlib.metadata.requires(name) or ():
                if "extra ==" not in required and (package := re.match(r"[\w.-]+", required)):
                    with suppress(importlib.metadata.PackageNotFoundError):
                        found[package[0]] = importlib.metadata.version(package[0])
    return found


def _write(path: Path, images: ImageSet) -> None:
    if images.images.nbytes > MOST_BYTES:
        return
    out = BytesIO()
    np.save(out, images.images, allow_pickle=False)
    write_atomically(path, out.getbuffer().tobytes())
    said = {
        "digest": images.digest,
        "labels": images.labels.tolist(),
        "sample_ids": images.sample_ids,
        "groups": images.groups,
        "class_names": images.class_names,
        "notes": dict(images.notes),
        "facts": {name: values.tolist() for name, values in images.facts.items()},
    }
    write_atomically(path.with_suffix(".json"), json.dumps(said).encode())


def _read(path: Path, said: dict[str, Any]) -> ImageSet | None:
    """The images, mapped into memory; None if they are not what is said of them."""
    try:
        images = ImageSet(
            images=np.load(path, mmap_mode="r", allow_pickle=False),
            labels=np.array(said["labels"], np.int64),
            sample_ids=tuple(said["sample_ids"]),
            groups=tuple(said["groups"]),
            class_names=tuple(said["class_names"]),
            notes=said["notes"],
            facts={name: np.array(values, np.float64) for name, values in said["facts"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, QtlplatError):
        return None
    return images if images.digest == said["digest"] else None
