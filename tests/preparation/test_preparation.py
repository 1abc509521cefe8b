"""The rules of the preparation, on small hand-made images."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError

from qtlplat import AnnotatedImage, Box, DataError, PreparationOptions, prepare
from qtlplat.crops import around_defect, defect_free

GRAY, WHITE = 90, 255


def source(id_, *boxes, label=None, shape=(60, 60), shade=GRAY):
    """An image that is white in its boxes and `shade` elsewhere."""
    pixels = np.full(shape, shade, np.uint8)
    label = label or id_.rpartition("_")[0]
    made = tuple(box if isinstance(box, Box) else Box(label, *box) for box in boxes)
    for box in made:
        pixels[box.ymin : box.ymax, box.xmin : box.xmax] = WHITE
    return AnnotatedImage(id_, pixels, label, made)


def small(**changes):
    return PreparationOptions(**{"per_class": 2, "size": 32, "min_side": 20, **changes})


def four():
    """Four images, told apart by their shade, each with a box in the middle that leaves room at both sides."""
    return [source(f"scratches_{i}", (25, 10, 35, 50), shade=10 * i) for i in range(1, 5)]


def test_anomalies_are_whole_images_and_normals_hold_no_defect():
    data = prepare(four(), small(size=60, per_class=4))
    assert data.class_names == ("normal", "anomalous")
    assert data.labels.tolist() == [1] * 4 + [0] * 4
    whole = {s.id: s.pixels for s in four()}
    for image, id_ in zip(data.images[:4, 0], data.sample_ids, strict=False):
        np.testing.assert_array_equal(image, whole[id_])
    assert data.images[4:].max() < WHITE


def test_samples_are_resized_and_named_after_their_source():
    data = prepare(four(), small())
    assert data.images.shape == (4, 1, 32, 32)
    samples = zip(data.sample_ids, data.groups, data.labels, data.images, strict=True)
    for id_, group, label, image in samples:
        stem, mark, number = id_.partition("#normal-")
        assert (bool(mark), number.isdigit()) == ((False, False) if label else (True, True))
        assert stem == group
        assert image.min() == 10 * int(stem.rpartition("_")[2])


def test_boxes_of_every_class_are_kept_out_of_normals():
    foreign = source("patches_1", (0, 0, 30, 60), Box("inclusion", 30, 0, 60, 30))
    data = prepare([foreign], small(per_class=1, min_side=16))
    assert data.images[1].max() < WHITE
    assert data.notes["boxes of another class"] == "in 1 of 1 images"


def test_dropped_classes_yield_neither_anomalies_nor_crops():
    crazed = [source(f"crazing_{i}", (0, 0, 10, 10)) for i in range(3)]
    data = prepare([*four(), *crazed], small(per_class=4))
    assert not any("crazing" in id_ for id_ in data.sample_ids)
    assert data.notes["sources dropped"] == "3: crazing 3"
    assert data.notes["sources kept"] == "4: scratches 4"


def test_identical_images_share_a_group_and_their_boxes():
    one = source("patches_1", (0, 0, 30, 60))
    same = AnnotatedImage("patches_2", one.pixels.copy(), "patches", (Box("patches", 35, 0, 60, 60),))
    other = source("patches_3", (0, 0, 30, 60), shade=50)
    data = prepare([one, same, other], small(per_class=1))
    assert data.notes["identical images"] == "patches_1=patches_2"
    # what the second image's boxes cover is no normal in the first one either
    assert all(g == "patches_3" for g, label in zip(data.groups, data.labels, strict=True) if label == 0)
    whole = prepare([one, same, *four()], small(per_class=6))
    assert dict(zip(whole.sample_ids, whole.groups, strict=True))["patches_2"] == "patches_1"


def test_the_same_options_give_the_same_digest_in_any_order_of_the_sources():
    first = prepare(four(), small()).digest
    assert prepare(reversed(four()), small()).digest == first
    assert prepare(four(), small(seed=1)).digest != first


def test_a_larger_draw_holds_the_smaller_one_and_anomalies_do_not_depend_on_crops():
    few, more = prepare(four(), small()), prepare(four(), small(per_class=3))
    assert set(few.sample_ids) < set(more.sample_ids)
    assert prepare(four(), small(min_side=24)).sample_ids[:2] == few.sample_ids[:2]


@pytest.mark.parametrize(
    ("options", "found", "fix"),
    [
        ({"per_class": 9}, "4 images with a defect found, 9 per class", "pass -S dataset.per_class=N with N at most 4"),
        (
            {"per_class": 3, "min_side": 60},
            "0 defect-free crops found, 3 per class",
            "pass -S dataset.min_side=N with N below 60",
        ),
    ],
)
def test_too_few_samples_say_how_many_there_are_and_what_to_change(options, found, fix):
    with pytest.raises(DataError, match=found) as caught:
        prepare(four(), small(**options))
    assert caught.value.fix == fix
    assert "4 images" in caught.value.where


def test_regions_that_are_ignored_are_neither_defects_nor_free_of_one():
    plain = source("patches_1", (0, 0, 10, 60))
    region = Box("patches", 10, 0, 60, 30)
    odd = replace(plain, ignored=(region,))
    crops = {number: prepare([one], small(per_class=1)) for number, one in enumerate((plain, odd))}
    assert crops[0].notes["crop sides"] != crops[1].notes["crop sides"]
    with pytest.raises(DataError, match="0 defect-free crops found"):  # nobody has said where its defect is
        prepare([replace(odd, boxes=())], small(per_class=1))
    with pytest.raises(DataError, match="leaves the image"):
        prepare([replace(plain, ignored=(Box("patches", 0, 0, 999, 9),))], small(per_class=1))


def test_variants_of_one_picture_share_its_name_as_their_group():
    variants = [replace(one, source="picture") for one in four()]
    assert set(prepare(variants, small()).groups) == {"picture"}
    twin = replace(variants[3], id="scratches_5", source="copy")  # the same pixels under another name
    linked = prepare([*variants, twin, replace(source("scratches_6", (0, 0, 9, 9)), source="copy")], small(per_class=6))
    assert set(linked.groups) == {"copy"}


def test_an_image_without_boxes_is_an_anomaly_but_gives_no_normals():
    data = prepare([source("patches_1"), source("patches_2", (0, 0, 10, 60))], small(per_class=1))
    assert data.groups[1] == "patches_2"
    assert data.notes["images without a box"] == "1"


def test_all_contradictions_of_the_sources_are_told_at_once():
    twice = [source("patches_1", (0, 0, 5, 5))] * 2
    outside = AnnotatedImage("patches_2", np.zeros((9, 9), np.uint8), "patches", (Box("patches", 0, 0, 10, 9),))
    floats = AnnotatedImage("patches_3", np.zeros((9, 9)), "patches", ())
    with pytest.raises(DataError) as caught:
        prepare([*twice, outside, floats], small())
    assert [(p.where, p.field) for p in caught.value.problems] == [
        ("patches_1", "id"),
        ("patches_2", "boxes[0]"),
        ("patches_3", "pixels"),
    ]


def test_the_papers_preparation_is_the_default():
    options = PreparationOptions()
    assert (options.per_class, options.size, options.drop_classes) == (1103, 200, ("crazing", "pitted_surface"))


def test_every_option_has_a_description_and_no_unknown_one_is_taken():
    assert all(field.description for field in PreparationOptions.model_fields.values())
    with pytest.raises(ValidationError):
        PreparationOptions(crop="all")


@st.composite
def boxed_images(draw):
    width, height = draw(st.integers(20, 60)), draw(st.integers(20, 60))
    boxes = []
    for _ in range(draw(st.integers(1, 6))):
        xmin, ymin = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        xmax, ymax = draw(st.integers(xmin + 1, width)), draw(st.integers(ymin + 1, height))
        boxes.append(Box("patches", xmin, ymin, xmax, ymax))
    return width, height, boxes


def defects(width, height, boxes, margin):
    mask = np.zeros((height, width), bool)
    for b in boxes:
        mask[max(0, b.ymin - margin) : b.ymax + margin, max(0, b.xmin - margin) : b.xmax + margin] = True
    return mask


@given(boxed_images(), st.integers(8, 20), st.integers(0, 4), st.floats(1, 3), st.floats(0, 0.9))
@settings(deadline=None, max_examples=50)
def test_crops_keep_every_rule(image, min_side, margin, max_aspect, max_overlap):
    width, height, boxes = image
    options = PreparationOptions(min_side=min_side, margin=margin, max_aspect=max_aspect, max_overlap=max_overlap)
    crops = defect_free((height, width), boxes, options)
    mask = defects(width, height, boxes, margin)
    cover = []
    for left, top, right, bottom in crops:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert not mask[top:bottom, left:right].any()
        sides = right - left, bottom - top
        assert min(sides) >= min_side
        assert max(sides) <= max_aspect * min(sides)
        cover.append(np.zeros_like(mask))
        cover[-1][top:bottom, left:right] = True
    for a, b in combinations(cover, 2):
        assert (a & b).sum() <= max_overlap * min(a.sum(), b.sum())


@given(boxed_images(), st.integers(8, 20), st.integers(0, 4))
@settings(deadline=None, max_examples=50)
def test_the_first_crop_is_as_large_as_the_largest_empty_square(image, min_side, margin):
    width, height, boxes = image
    crops = defect_free((height, width), boxes, PreparationOptions(min_side=min_side, margin=margin))
    free = ~defects(width, height, boxes, margin)
    largest = np.zeros((height + 1, width + 1), int)  # side of the largest empty square that ends at a pixel
    for y, x in np.argwhere(free):
        largest[y + 1, x + 1] = 1 + min(largest[y, x], largest[y, x + 1], largest[y + 1, x])
    side = largest.max()
    assert [right - left for left, _, right, _ in crops[:1]] == ([side] if side >= min_side else [])


def matched(**changes):
    return small(**{"normals": "matched", "per_class": 4, **changes})


def test_matched_anomalies_have_the_sizes_of_the_normals_and_show_a_defect():
    data = prepare(four(), matched())
    factors = data.facts["resize_factor"]
    assert sorted(factors[data.labels == 0]) == sorted(factors[data.labels == 1])
    for image, label in zip(data.images[:, 0], data.labels, strict=True):
        assert (image.max() == WHITE) == bool(label)


def test_matching_changes_the_anomalies_alone():
    whole, crops = prepare(four(), small(per_class=4)), prepare(four(), matched())
    np.testing.assert_array_equal(whole.images[4:], crops.images[4:])
    assert whole.sample_ids[4:] == crops.sample_ids[4:]
    assert whole.groups == crops.groups
    assert [f"{id_}#anomalous" for id_ in whole.sample_ids[:4]] == list(crops.sample_ids[:4])
    assert whole.digest != crops.digest
    assert crops.notes["anomalous crops"].startswith("0 of 4 hold a whole box; ")
    assert "anomalous crops" not in whole.notes


def test_matching_is_deterministic_in_any_order_of_the_sources():
    first = prepare(four(), matched()).digest
    assert prepare(reversed(four()), matched()).digest == first
    assert prepare(four(), matched(seed=1)).digest != first


def test_an_image_without_boxes_gives_no_matched_anomaly():
    sources = [source("patches_1"), source("patches_2", (0, 0, 10, 60))]
    assert prepare(sources, matched(per_class=1)).groups == ("patches_2", "patches_2")
    with pytest.raises(DataError, match="1 images with a defect found, 2 per class"):
        prepare(sources, matched(per_class=2))


def test_the_resize_factor_is_recorded_and_is_no_part_of_the_digest():
    data = prepare(four(), small())
    # whole images of 60 pixels and crops of 25 become 32
    np.testing.assert_allclose(data.facts["resize_factor"], [32 / 60] * 2 + [32 / 25] * 2, rtol=1e-12)
    assert replace(data, facts={}).digest == data.digest
    assert prepare(four(), small(size=60)).facts["resize_factor"][0] == 1


@pytest.mark.parametrize(
    ("fact", "told"),
    [
        (np.zeros(4, np.float32), r"must be float64 \(4,\), is float32 \(4,\)"),
        (np.zeros(3), r"is float64 \(3,\)"),
        (np.array([0, 1, 2, np.nan]), "not finite"),
        ([1.0] * 4, "is list"),
    ],
)
def test_facts_are_finite_numbers_one_for_each_sample(fact, told):
    with pytest.raises(DataError, match=rf"facts\['age'\]: .*{told}"):
        replace(prepare(four(), small()), facts={"age": fact})


@given(boxed_images(), st.integers(8, 80), st.integers(8, 80), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=50)
def test_a_crop_around_a_defect_holds_as_much_of_one_as_goes_in(image, wide, high, seed):
    width, height, boxes = image
    (left, top, right, bottom), share = around_defect((height, width), boxes, (wide, high), np.random.default_rng(seed))
    assert (right - left, bottom - top) == (min(wide, width), min(high, height))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    held, fits = [], []
    for b in boxes:
        area = (b.xmax - b.xmin) * (b.ymax - b.ymin)
        across, down = min(right, b.xmax) - max(left, b.xmin), min(bottom, b.ymax) - max(top, b.ymin)
        held.append(max(0, across) * max(0, down) / area)
        fits.append(min(wide, b.xmax - b.xmin) * min(high, b.ymax - b.ymin) / area)
    assert share == pytest.approx(max(fits), rel=1e-12)
    assert max(held) >= share - 1e-12


def test_every_position_around_a_defect_is_drawn():
    rng = np.random.default_rng(0)
    drawn = {around_defect((20, 40), [Box("x", 10, 5, 14, 15)], (8, 8), rng)[0][:2] for _ in range(400)}
    assert drawn == {(left, top) for left in range(6, 11) for top in range(5, 8)}
