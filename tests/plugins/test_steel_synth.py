"""Synthetic surfaces: deterministic, boxed tightly, prepared like NEU-DET and readable as NEU-DET."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from qtlplat_neu_det.annotation import CLASSES
from qtlplat_neu_det.options import NeuDetOptions
from qtlplat_neu_det.reader import check, read
from qtlplat_steel_synth import qtlplat_datasets
from qtlplat_steel_synth.options import SteelSynthOptions
from qtlplat_steel_synth.surfaces import KINDS, surface, surfaces, write_neu_det_layout

(SPEC,) = qtlplat_datasets()
FEW = SteelSynthOptions(images_per_kind=3, per_class=10)


def test_the_defaults_give_a_balanced_set_of_neu_dets_shape():
    data = SPEC.load(SPEC.options())
    assert data.shape == (1, 200, 200)
    assert np.bincount(data.labels).tolist() == [300, 300]
    assert {g.rpartition("_")[0] for g in data.groups} == {"inclusion", "patches", "rolled-in_scale", "scratches"}


def test_the_same_seed_gives_the_same_set_and_another_one_other_images():
    first = SPEC.load(FEW)
    assert SPEC.load(FEW).digest == first.digest
    other = SPEC.load(FEW.model_copy(update={"seed": 1}))
    assert not any(np.array_equal(a, b) for a in first.images for b in other.images)


def test_an_image_does_not_depend_on_how_many_others_are_drawn():
    more = {s.id: s for s in surfaces(FEW.model_copy(update={"images_per_kind": 4}), ["patches"])}
    for few in surfaces(FEW, ["patches"]):
        np.testing.assert_array_equal(few.pixels, more[few.id].pixels)
        assert few.boxes == more[few.id].boxes


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_enclose_the_defects_tightly(kind):
    for number in range(1, 16):
        _, defects, boxes = surface(kind, number, FEW)
        assert boxes
        assert kind in {b.label for b in boxes}
        outside = np.ones_like(defects, bool)
        for b in boxes:
            outside[b.ymin : b.ymax, b.xmin : b.xmax] = False
            inside = defects[b.ymin : b.ymax, b.xmin : b.xmax]
            assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
        assert not defects[outside].any()


def test_contrast_scales_the_defects_and_leaves_the_steel():
    steel, faint, _ = surface("patches", 1, FEW)
    same, strong, _ = surface("patches", 1, FEW.model_copy(update={"contrast": 2.0}))
    np.testing.assert_array_equal(steel, same)
    np.testing.assert_allclose(strong, 2 * faint, rtol=1e-12)


def test_some_images_hold_a_defect_of_another_class():
    sources = list(surfaces(SteelSynthOptions(), ["patches", "scratches"]))
    assert 0 < sum(b.label != s.label for s in sources for b in s.boxes) < len(sources) // 4


def test_unknown_kinds_are_refused():
    with pytest.raises(ValidationError, match="drop_classes"):
        SteelSynthOptions(drop_classes=("crasing",))


def test_written_files_are_a_sound_neu_det_with_the_same_boxes(tmp_path):
    root = write_neu_det_layout(tmp_path, FEW)
    assert check(NeuDetOptions(root=root, per_class=10)) == ()
    reading = read(root, CLASSES)
    drawn = {s.id: s for s in surfaces(FEW, list(KINDS))}
    assert {i.id for i in reading.images} == set(drawn)
    for image in reading.images:
        assert image.boxes == drawn[image.id].boxes
        # JPEG changes gray levels a little
        assert np.abs(image.pixels.astype(int) - drawn[image.id].pixels).mean() < 3


def test_an_existing_folder_is_not_overwritten(tmp_path):
    write_neu_det_layout(tmp_path, FEW.model_copy(update={"images_per_kind": 1}))
    with pytest.raises(FileExistsError):
        write_neu_det_layout(tmp_path, FEW)
