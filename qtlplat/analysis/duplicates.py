"""Samples that show the same picture, exactly or nearly, and the groups that this joins; judges nothing.

Near duplicates are found in three steps. Every image is averaged down to 64 x 64, and its cosine spectrum between 3 and
31 half-waves per side becomes one row of numbers, each multiplied by its frequency: uneven light, brightness and
contrast are gone, and no frequency outweighs the others. One matrix product compares all rows; flips and quarter turns
of an image are changes of sign and a transposition of its spectrum. What agrees is looked at again in 8 x 8 tiles: in
a copy nearly every tile agrees, while two different scratches at the same place agree where the scratch is and nowhere
else. Last, the rows are compared with each number divided by its root mean square over the dataset: structures that
many of its images share, such as a frame or the direction of grinding, count for little. A pair's similarity is the
least of the three agreements.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtlplat.contracts import ImageSet

# Calibrated on five datasets, see docs/how-to/audit-data.md: copies by JPEG of quality 50, half the size or noise of 3
# gray levels are above 0.7 where pictures have structure; of pairs of different pictures at most 0.12 % reach 0.6.
LEAST_SIMILARITY = 0.6
LEAST_SIDE = 32  # pixels; what is smaller has too few of them to tell a copy from a likeness
SIDE, TILE = 64, 8  # of the averaged image and of a tile, averaged pixels
LOWEST, HIGHEST = 3, 31  # half-waves per side
ROWS, PAIRS = 1024, 4096  # at once, for memory's sake

Floats = npt.NDArray[np.float32]

# how the second picture of a pair is turned into the first; images (..., n, n)
TURNS: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda x: x,
    "mirrored left to right": lambda x: x[..., ::-1],
    "mirrored top to bottom": lambda x: x[..., ::-1, :],
    "turned by 180 degrees": lambda x: x[..., ::-1, ::-1],
    "turned by 90 degrees": lambda x: np.rot90(x, axes=(-2, -1)),
    "mirrored at the diagonal": lambda x: np.swapaxes(x, -2, -1),
    "mirrored at the other diagonal": lambda x: np.swapaxes(x[..., ::-1, ::-1], -2, -1),
}
QUARTER = "turned by 90 degrees"
SQUARE_ONLY = tuple(TURNS)[4:]


@dataclass(frozen=True)
class NearPair:
    """Two samples that show nearly the same picture.

    first, second: indices, first < second; similarity: `least` to 1; turn: how one becomes the other, 'none' if they
    agree as they are (a turn by 90 degrees may go either way).
    """

    first: int
    second: int
    similarity: float
    turn: str


@dataclass(frozen=True)
class Duplicates:
    """exact: indices of samples with equal pixels, at least two at a time, in order.

    near: pairs that are nearly the same, most similar first; of samples with equal pixels only the first is compared.
    """

    exact: tuple[tuple[int, ...], ...]
    near: tuple[NearPair, ...]


def find_duplicates(images: ImageSet, least: float = LEAST_SIMILARITY) -> Duplicates:
    """All samples of equal pixels, and all pairs that differ by no more than a copy does.

    A copy may be re-encoded, brighter, darker, of another contrast, slightly noisy or sharper, mirrored or turned by
    quarters. Not found: other sections and scales of the same scene, copies of which much is saturated, and anything
    but equal pixels among images of fewer than 32 pixels a side.

    least: similarity of a near pair.
    """
    exact = _exact(images)
    later = {index for same in exact for index in same[1:]}
    first = np.array([i for i in range(len(images)) if i not in later], np.int64)
    near = _near(images, first, least) if min(images.shape[1:]) >= LEAST_SIDE else []
    return Duplicates(exact, tuple(sorted(near, key=lambda p: (-p.similarity, p.first, p.second))))


def joined_groups(images: ImageSet, duplicates: Duplicates | None = None) -> tuple[str, ...]:
    """The group of each sample, the groups of duplicates being one: N names.

    Pairs are joined over chains, so that no split divides a pair: a group that is too large makes folds uneven, while a
    divided pair would let a test sample be trained on. A joined group has the name of its first member in alphabetical
    order, whatever the order of the samples.

    duplicates: by default those that `find_duplicates` finds.
    """
    found = find_duplicates(images) if duplicates is None else duplicates
    leader = {name: name for name in images.groups}

    def root(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    links = [(same[0], other) for same in found.exact for other in same[1:]]
    links += [(pair.first, pair.second) for pair in found.near]
    for one, other in links:
        low, high = sorted((root(images.groups[one]), root(images.groups[other])))
        leader[high] = low
    return tuple(root(name) for name in images.groups)


def _exact(images: ImageSet) -> tuple[tuple[int, ...], ...]:
    found: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(images.images):
        found[hashlib.sha256(np.ascontiguousarray(image).data).digest()].append(index)
    return tuple(tuple(same) for same in found.values() if len(same) > 1)


def _near(images: ImageSet, chosen: npt.NDArray[np.int64], least: float) -> list[NearPair]:
    small = _averaged(images, chosen)
    _, height, width = images.shape
    best: dict[tuple[int, int], NearPair] = {}
    rows = _spectra(small)
    usual = np.sqrt(np.mean(rows**2, axis=0))
    unusual = 1 / np.maximum(usual + np.median(usual), 1e-12)
    for turn, turned in TURNS.items():
        if turn in SQUARE_ONLY and height != width:
            continue
        others = _spectra(turned(small))
        for i, j, agreement in _candidates(rows, others, least, both=turn == QUARTER):
            similarity = np.minimum(agreement, _tiles_agree(small[i], turned(small[j])))
            similarity = np.minimum(similarity, _cosines(rows[i] * unusual, others[j] * unusual))
            for k in np.flatnonzero(similarity >= least):
                low, high = sorted((int(chosen[i[k]]), int(chosen[j[k]])))
                pair = NearPair(low, high, min(1.0, float(similarity[k])), turn)
                if (low, high) not in best or pair.similarity > best[low, high].similarity:
                    best[low, high] = pair
    return list(best.values())


def _averaged(images: ImageSet, chosen: npt.NDArray[np.int64]) -> Floats:
    """float32 (n, 64, 64): means over channels and over pixels, each weighted with its share of the area."""
    down, right = (_weights(length) for length in images.shape[1:])
    small = np.empty((len(chosen), SIDE, SIDE), np.float32)
    for start in range(0, len(chosen), 128):
        part = slice(start, start + 128)
        small[part] = down @ images.images[chosen[part]].mean(axis=1, dtype=np.float32) @ right.T
    return small


def _weights(length: int) -> Floats:
    """(64, length): row r averages the pixels under the r-th of 64 equal parts of the axis."""
    edges = np.arange(SIDE + 1) * length / SIDE
    pixels = np.arange(length)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.maximum(covered, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _spectra(small: Floats) -> Floats:
    """Rows of length 1 (0 for an image without structure), made of weighted cosine coefficients."""
    from scipy.fft import dctn

    n = HIGHEST + 1
    frequency = np.hypot(*np.mgrid[:n, :n]).astype(np.float32)
    weight = np.where(frequency >= LOWEST, frequency, 0)
    rows = (dctn(small, axes=(1, 2), norm="ortho")[:, :n, :n] * weight).reshape(len(small), -1)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # below a hundredth of a gray level there is rounding, and no picture
    flat = np.sqrt(np.mean((small - small.mean(axis=(1, 2), keepdims=True)) ** 2, axis=(1, 2))) < 0.01
    return np.asarray(np.where(flat[:, None], 0, rows / np.maximum(lengths, 1e-12)), np.float32)


def _candidates(
    rows: Floats, others: Floats, least: float, *, both: bool
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats]]:
    """Pairs (i, j) whose rows agree, in portions: i < j, or with `both` all i != j."""
    for start in range(0, len(rows), ROWS):
        agreement = rows[start : start + ROWS] @ others.T
        i, j = np.nonzero(agreement >= least)
        values = agreement[i, j]
        i += start
        keep = (i != j) if both else (i < j)
        i, j, values = i[keep], j[keep], values[keep]
        for at in range(0, len(i), PAIRS):
            part = slice(at, at + PAIRS)
            yield i[part], j[part], values[part]


def _cosines(a: Floats, b: Floats) -> Floats:
    """Of the angles between the rows of a and b."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(lengths, 1e-12), np.float32)


def _tiles_agree(a: Floats, b: Floats) -> Floats:
    """Mean correlation of the tiles of a and b (n, 64, 64); a tile without structure counts as 0."""
    one, other = _tiles(a), _tiles(b)
    return np.asarray((one * other).sum(axis=2).mean(axis=1), np.float32)


def _tiles(small: Floats) -> Floats:
    """(n, tiles, pixels of a tile), each tile with mean 0 and length 1."""
    n, count = len(small), SIDE // TILE
    tiles = small.reshape(n, count, TILE, count, TILE).swapaxes(2, 3).reshape(n, count * count, TILE * TILE)
    tiles = tiles - tiles.mean(axis=2, keepdims=True)
    return np.asarray(tiles / np.maximum(np.linalg.norm(tiles, axis=2, keepdims=True), 1e-6), np.float32)
