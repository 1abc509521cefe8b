"""A trained run of a second with a quantum head and a control, its dataset, and commands on a copy of its store."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from called import Called, called
from PIL import Image
from quick_runs import RUN

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.reopen import stored_images
from qtlplat.cli.app import _run
from qtlplat.cli.components import open_components
from qtlplat.cli.settings import Settings
from qtlplat.contracts import ImageSet
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader


@dataclass(frozen=True)
class TrainedRun:
    """A finished run in a store of the test's own."""

    store: Path
    record: RunRecord
    catalog: Catalog

    @property
    def reader(self) -> Reader:
        return Reader(find_store(str(self.store)))

    @property
    def id(self) -> str:
        return self.record.id

    def call(self, *arguments: object) -> Called:
        """A command on the store."""
        return called(*arguments, "--store", self.store)

    def images(self) -> ImageSet:
        return stored_images(self.record.plan, self.record.dataset_digest, self.catalog)

    def weights(self, run: str) -> Path:
        """The file of a run's weights."""
        path = next(a.path for a in self.reader.artifacts(run) if a.kind == "weights")
        return self.store.with_name("runs.files") / path


@pytest.fixture(scope="session")
def store_of_a_run(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never written to."""
    store = tmp_path_factory.mktemp("trained") / "runs.db"
    head = "--head 'dressed[qubits=2,layers=1]' --controls linear --epochs 3 --pretrain-epochs 3 -q"
    assert _run([*shlex.split(f"{RUN} {head}"), "--store", str(store)]) == 0
    return store


@pytest.fixture
def trained(store_of_a_run: Path, tmp_path: Path) -> TrainedRun:
    """A copy of its own for each test."""
    place = tmp_path / "store"
    shutil.copytree(store_of_a_run.parent, place)
    store = place / "runs.db"
    _, catalog = open_components(Settings())
    return TrainedRun(store, Reader(find_store(str(store))).runs(kind="run")[0], catalog)


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write images uint8 (N, C, H, W) as PNG files; returns the files."""

    def write(images: np.ndarray, names: Sequence[str] = ()) -> list[Path]:
        files = []
        for number, image in enumerate(images):
            files.append(tmp_path / f"{names[number] if names else number}.png")
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(files[-1])
        return files

    return write
