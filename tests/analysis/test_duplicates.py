"""Copies are found whatever was done to them, likenesses are not, and groups are joined over copies."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from qtlplat.analysis.duplicates import LEAST_SIMILARITY, TURNS, NearPair, find_duplicates, joined_groups
from qtlplat.contracts import ImageSet
from qtlplat_steel_synth.options import SteelSynthOptions
from qtlplat_steel_synth.surfaces import load

SHAPE = (100, 100)


def texture(seed, shape=SHAPE):
    """A rough surface with uneven light."""
    rng = np.random.default_rng(seed)
    grain = sum(gaussian_filter(rng.normal(size=shape), s) * s for s in (1, 3, 8))
    light = np.linspace(-20, 20, shape[0])[:, None] * rng.uniform(-1, 1)
    return np.clip(128 + 40 * grain / grain.std() + light, 0, 255).astype(np.uint8)


def image_set(pictures, groups=None, labels=None):
    n = len(pictures)
    return ImageSet(
        images=np.stack([p[None] if p.ndim == 2 else p for p in pictures]),
        labels=np.arange(n, dtype=np.int64) % 2 if labels is None else np.array(labels, np.int64),
        sample_ids=tuple(f"s{i}" for i in range(n)),
        groups=tuple(groups or (f"g{i}" for i in range(n))),
        class_names=("normal", "anomalous"),
    )


def jpeg(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file, formats=("JPEG",)))


def noisy(pixels):
    return np.clip(pixels + np.random.default_rng(9).normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)


CHANGES = {
    "encoded anew": jpeg,
    "darker": lambda p: (p * 0.8).astype(np.uint8),
    "flatter": lambda p: (p * 0.5 + 64).astype(np.uint8),
    "noisy": noisy,
    "less sharp": lambda p: gaussian_filter(p, 1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_whatever_was_done_to_it(change):
    pictures = [texture(i) for i in range(12)]
    found = find_duplicates(image_set([*pictures, CHANGES[change](pictures[5])]))
    assert found.exact == ()
    assert [(p.first, p.second, p.turn) for p in found.near] == [(5, 12, "none")]
    assert LEAST_SIMILARITY <= found.near[0].similarity <= 1


@pytest.mark.parametrize("turn", list(TURNS)[1:])
def test_a_mirrored_or_turned_copy_is_found_once_with_its_turn(turn):
    pictures = [texture(i) for i in range(6)]
    copy = np.ascontiguousarray(TURNS[turn](jpeg(pictures[2])))
    found = find_duplicates(image_set([*pictures, copy]))
    assert [(p.first, p.second, p.turn) for p in found.near] == [(2, 6, turn)]


def test_a_quarter_turn_is_found_in_either_direction():
    pictures = [texture(i) for i in range(4)]
    copy = np.ascontiguousarray(np.rot90(pictures[1], -1))
    assert [(p.first, p.second, p.turn) for p in find_duplicates(image_set([copy, *pictures])).near] == [
        (0, 2, "turned by 90 degrees")
    ]


def test_turns_lead_from_the_second_picture_to_the_first():
    """Each turn is a different one of the eight symmetries of a square, up to the direction of the quarter turn."""
    corner = np.arange(9).reshape(3, 3)
    seen = {turned(corner).tobytes() for turned in TURNS.values()} | {np.rot90(corner, -1).tobytes()}
    assert len(seen) == 8


def test_equal_pixels_are_exact_duplicates_and_are_not_listed_as_near_ones():
    a, b = texture(1), texture(2)
    found = find_duplicates(image_set([a, b, a, b, a, texture(3)]))
    assert found.exact == ((0, 2, 4), (1, 3))
    assert found.near == ()


def test_a_copy_of_an_exact_duplicate_is_compared_with_the_first_one():
    a = texture(1)
    found = find_duplicates(image_set([a, a, jpeg(a), texture(2)]))
    assert found.exact == ((0, 1),)
    assert [(p.first, p.second) for p in found.near] == [(0, 2)]


def test_different_textures_under_the_same_light_are_no_duplicates():
    light = np.linspace(0, 120, 100)[:, None]
    pictures = [np.clip(texture(i) * 0.2 + light, 0, 255).astype(np.uint8) for i in range(40)]
    assert find_duplicates(image_set(pictures)).near == ()


def test_two_different_scratches_at_the_same_place_are_no_duplicates():
    pictures = []
    for seed in range(8):
        picture = texture(seed) * 0.15
        picture[:, 45:52] += 150 + 0.3 * texture(50 + seed)[:, 45:52]
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    assert find_duplicates(image_set(pictures)).near == ()


@pytest.mark.slow
def test_synthetic_surfaces_hold_no_duplicates():
    found = find_duplicates(load(SteelSynthOptions()))
    assert (found.exact, found.near) == ((), ())


def test_images_without_structure_are_like_nothing():
    flat = [np.full(SHAPE, shade, np.uint8) for shade in (10, 80, 200)]
    found = find_duplicates(image_set([*flat, texture(1)]))
    assert (found.exact, found.near) == ((), ())


def test_images_of_few_pixels_are_compared_for_equality_alone():
    small = texture(1, (20, 40))
    found = find_duplicates(image_set([small, small, (small * 0.9).astype(np.uint8)]))
    assert found.exact == ((0, 1),)
    assert found.near == ()


def test_oblong_and_coloured_images_are_compared_too():
    pictures = [np.stack([texture(i, (60, 90))] * 3) for i in range(5)]
    copy = np.ascontiguousarray(pictures[3][:, :, ::-1])
    assert [(p.first, p.second, p.turn) for p in find_duplicates(image_set([*pictures, copy])).near] == [
        (3, 5, "mirrored left to right")
    ]


def test_groups_are_joined_over_chains_of_duplicates():
    a, b = texture(1), texture(2)
    pictures = [a, jpeg(a), b, b, texture(3), texture(4)]
    groups = ["z", "b", "b", "c", "c", "d"]  # a joins z and b, b joins b and c
    assert joined_groups(image_set(pictures, groups)) == ("b", "b", "b", "b", "b", "d")


def test_joined_groups_do_not_depend_on_the_order_of_the_samples():
    a = texture(1)
    pictures = [a, texture(2), jpeg(a), texture(3), noisy(a), texture(4)]
    groups = ["g5", "g4", "g3", "g2", "g1", "g4"]
    there = dict(zip(range(6), joined_groups(image_set(pictures, groups)), strict=True))
    order = [4, 2, 5, 0, 1, 3]
    back = joined_groups(image_set([pictures[i] for i in order], [groups[i] for i in order], [0, 1, 0, 1, 0, 1]))
    assert dict(zip(order, back, strict=True)) == there
    assert there[0] == there[2] == there[4] == "g1"


def test_without_duplicates_groups_stay_what_they_are():
    groups = ["x", "y", "x", "w"]
    assert joined_groups(image_set([texture(i) for i in range(4)], groups)) == tuple(groups)


def test_pairs_come_most_similar_first():
    a, b = texture(1), texture(2)
    found = find_duplicates(image_set([a, b, noisy(a), (b * 0.9).astype(np.uint8)]))
    assert [(p.first, p.second) for p in found.near] == [(1, 3), (0, 2)]
    assert found.near[0].similarity > found.near[1].similarity
    assert isinstance(found.near[0], NearPair)
