"""A dataset's images are prepared once, kept next to the store, and prepared again if anything has changed."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from qtlplat import DatasetSpec, ImageSet, Options, PluginError
from qtlplat.catalog.catalog import open_catalog
from qtlplat.catalog.provider import Component, Provider
from qtlplat.runs import prepared_images
from qtlplat.runs.prepared_images import Dataset
from qtlplat_steel_synth.options import SteelSynthOptions

PROVIDER = Provider("pictures", "1.0", "pictures", "pictures")


class PictureOptions(Options):
    root: Path
    bright: int = 0


class Pictures:
    """A dataset of files. calls: how often it was loaded."""

    def __init__(self) -> None:
        self.calls = 0

    def load(self, options: PictureOptions) -> ImageSet:
        self.calls += 1
        files = sorted(options.root.rglob("*.png"))
        pixels = np.stack([np.asarray(Image.open(file))[None] for file in files]) + np.uint8(options.bright)
        return ImageSet(
            images=pixels,
            labels=np.arange(len(files), dtype=np.int64) % 2,
            sample_ids=tuple(file.name for file in files),
            groups=tuple(f"é{file.stem}" for file in files),
            class_names=("no", "yes"),
            notes={"files": str(len(files))},
            facts={"third": np.arange(len(files)) / 3},
        )

    def component(self, **spec) -> Component:
        attributes = {"reads": lambda options: [options.root], **spec}
        made = DatasetSpec(name="pictures", summary="files", load=self.load, options=PictureOptions, **attributes)
        return Component(made, PROVIDER)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(prepared_images, "SETTLED", -1e9)  # the files are new
    (tmp_path / "data" / "below").mkdir(parents=True)
    for number in range(4):
        pixels = np.full((8, 8), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / ("below" if number % 2 else "") / f"{number}.png")
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data")
    return tmp_path / "data"


def same(one: ImageSet, other: ImageSet) -> bool:
    names = ("sample_ids", "groups", "class_names", "notes")
    return (
        one.digest == other.digest
        and all(getattr(one, name) == getattr(other, name) for name in names)
        and one.facts.keys() == other.facts.keys()
        and all(np.array_equal(one.facts[name], other.facts[name]) for name in one.facts)
    )


def test_images_are_prepared_once_and_mapped_the_next_time(root, tmp_path):
    pictures = Pictures()
    component, options = pictures.component(), PictureOptions(root=root)
    assert Dataset(component, options, tmp_path / "files").digest() is None
    first = Dataset(component, options, tmp_path / "files").images()
    again = Dataset(component, options, tmp_path / "files")
    assert again.digest() == first.digest
    assert same(again.images(), first)
    assert isinstance(again.images().images, np.ndarray)
    assert pictures.calls == 1


def a_file_changes(root: Path) -> None:
    """Its length and the time of its change stay."""
    file, before = root / "0.png", (root / "0.png").stat()
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "a file changes": a_file_changes,
    "a file goes": lambda root: (root / "below" / "1.png").unlink(),
    "a file comes": lambda root: shutil.copy(root / "0.png", root / "below" / "5.png"),
    "a file has another name": lambda root: (root / "0.png").rename(root / "9.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_images_are_prepared_again_where_a_file_has_changed(change, root, tmp_path):
    pictures = Pictures()
    component, options = pictures.component(), PictureOptions(root=root)
    first = Dataset(component, options, tmp_path / "files").images()
    CHANGES[change](root)
    now = Dataset(component, options, tmp_path / "files")
    assert now.digest() is None
    assert same(now.images(), pictures.load(options))
    assert now.images().digest != first.digest


@pytest.mark.parametrize("what", ["_own_code", "library_versions", "processor_model"])
def test_images_are_prepared_again_where_code_or_machine_has_changed(what, root, tmp_path, monkeypatch):
    pictures = Pictures()
    component, options = pictures.component(), PictureOptions(root=root)
    Dataset(component, options, tmp_path / "files").images()
    monkeypatch.setattr(prepared_images, what, lambda *_: "another")
    assert Dataset(component, options, tmp_path / "files").digest() is None


def test_other_options_are_other_images(root, tmp_path):
    pictures = Pictures()
    component = pictures.component()
    Dataset(component, PictureOptions(root=root), tmp_path / "files").images()
    assert Dataset(component, PictureOptions(root=root, bright=1), tmp_path / "files").digest() is None


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", None])
@pytest.mark.parametrize("ending", [".npy", ".json"])
def test_damaged_files_are_made_again(damage, ending, root, tmp_path):
    pictures = Pictures()
    component, options = pictures.component(), PictureOptions(root=root)
    first = Dataset(component, options, tmp_path / "files").images()
    (file,) = (tmp_path / "files").rglob(f"*{ending}")
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]) if damage is None else damage)
    assert same(Dataset(component, options, tmp_path / "files").images(), first)
    assert same(Dataset(component, options, tmp_path / "files").images(), first)
    assert pictures.calls == 2


def test_a_dataset_that_does_not_say_what_it_reads_is_loaded_every_time(root, tmp_path):
    pictures = Pictures()
    component, options = pictures.component(reads=None), PictureOptions(root=root)
    for _ in range(2):
        Dataset(component, options, tmp_path / "files").images()
    assert pictures.calls == 2
    assert not (tmp_path / "files").exists()


def test_nothing_is_kept_of_files_that_change_meanwhile_or_where_nothing_may_be_written(root, tmp_path, monkeypatch):
    pictures = Pictures()
    options = PictureOptions(root=root)
    Dataset(pictures.component(), options, tmp_path / "files").images(keep=False)

    def load(options):
        images = pictures.load(options)
        a_file_changes(root)
        return images

    changing = Component(
        DatasetSpec(name="pictures", summary="", load=load, options=PictureOptions, reads=lambda o: [o.root]), PROVIDER
    )
    Dataset(changing, options, tmp_path / "files").images()
    monkeypatch.setattr(prepared_images, "SETTLED", 1e9)
    Dataset(pictures.component(), options, tmp_path / "files").images()
    assert not (tmp_path / "files").exists()


def test_a_plugin_that_names_no_paths_is_named(root, tmp_path):
    with pytest.raises(PluginError, match="asking for the files that are read failed"):
        Dataset(Pictures().component(reads=lambda _: [3]), PictureOptions(root=root), tmp_path).digest()


@pytest.mark.slow
def test_the_synthetic_dataset_is_kept(tmp_path):
    _, catalog = open_catalog(None, tmp_path)
    component, options = catalog.component("dataset", "steel-synth"), SteelSynthOptions(per_class=4)
    first = Dataset(component, options, tmp_path).images()
    assert Dataset(component, options, tmp_path).digest() == first.digest == qtlplat_digest(options)


def qtlplat_digest(options: SteelSynthOptions) -> str:
    from qtlplat_steel_synth.surfaces import load

    return load(options).digest
