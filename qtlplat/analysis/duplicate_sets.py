"""Duplicates as sets, by the strength of the evidence, and what differing classes in them mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.contact_sheet import SheetRow, Tile, sheet
from qtlplat.analysis.duplicates import Duplicates
from qtlplat.contracts import ImageSet
from qtlplat.conventions import counted

if TYPE_CHECKING:
    from PIL.Image import Image

# From the strongest evidence to the weakest.
IDENTICAL, COPY, NEAR = GRADES = ("identical", "copy", "near")
# What JPEG of quality 75, half the size or another brightness leaves; no two of 1,797 handwritten digits reach it.
COPY_SIMILARITY = 0.9
ACROSS = 8  # tiles in a row of the sheet

NAMES = {IDENTICAL: "identical pictures", COPY: "copies", NEAR: "near duplicates"}
MEANING = {
    COPY: "the same picture encoded, resized, lit or turned differently, or the same object taken again",
    NEAR: "often the same object taken again; some are only alike",
}
CONTRADICTION = {
    IDENTICAL: "at least one label is wrong, unless pictures do not show their class",
    COPY: "probably a wrong label, unless the class is a detail or depends on the rotation",
    NEAR: "this does not show that a label is wrong: look at them",
}


@dataclass(frozen=True)
class DuplicateSet:
    """Samples of which every two are duplicates of each other.

    samples: indices, in order; grade: that of its weakest pair; similarity: the least of its pairs; contradiction: the
    strongest grade of two samples of different classes, '' where all have the same class.
    """

    samples: tuple[int, ...]
    grade: str
    similarity: float
    contradiction: str


def grade_of(similarity: float) -> str:
    """Of a pair whose pixels differ."""
    return COPY if similarity >= COPY_SIMILARITY else NEAR


def duplicate_sets(found: Duplicates, labels: Sequence[int]) -> list[DuplicateSet]:
    """Disjoint sets, those with different classes first, then by grade and similarity.

    Complete linkage: the most similar pairs are joined first, and two sets only if all their members are pairs, so that
    likenesses cannot chain. A pair across two sets is in none.
    """
    similarity = {(pair.first, pair.second): pair.similarity for pair in found.near}
    leader = {i: samples[0] for samples in found.exact for i in samples}
    for pair in found.near:
        leader |= {pair.first: leader.get(pair.first, pair.first), pair.second: leader.get(pair.second, pair.second)}
    home = {first: [first] for first in leader.values()}
    for pair in found.near:
        one, other = home[pair.first], home[pair.second]
        if one is not other and all((min(i, j), max(i, j)) in similarity for i in one for j in other):
            one += other
            home.update(dict.fromkeys(other, one))
    members: dict[int, list[int]] = {}
    for i, first in sorted(leader.items()):
        members.setdefault(home[first][0], []).append(i)

    def evidence(i: int, j: int) -> tuple[str, float]:
        low, high = sorted((leader[i], leader[j]))
        value = similarity.get((low, high), 1.0)
        return IDENTICAL if low == high else grade_of(value), value

    sets = []
    for samples in members.values():
        pairs = {(i, j): evidence(i, j) for i, j in combinations(samples, 2)}
        if pairs:
            torn = [grade for (i, j), (grade, _) in pairs.items() if labels[i] != labels[j]]
            weakest = max((grade for grade, _ in pairs.values()), key=GRADES.index)
            least = min(value for _, value in pairs.values())
            sets.append(DuplicateSet(tuple(samples), weakest, least, min(torn, key=GRADES.index, default="")))
    order = (*GRADES, "")
    return sorted(sets, key=lambda s: (order.index(s.contradiction), GRADES.index(s.grade), -s.similarity, s.samples))


def findings_on_duplicates(sets: Sequence[DuplicateSet]) -> list[str]:
    """What follows from the sets, and no more than that."""
    lines = []
    for grade, name in NAMES.items():
        own = [one for one in sets if one.grade == grade]
        if own:
            meaning = f": {MEANING[grade]}" if grade in MEANING else ""
            lines.append(f"{counted(len(own), 'set')} of {name}, {sum(len(s.samples) for s in own)} samples{meaning}")
    for grade, name in NAMES.items():
        if torn := sum(one.contradiction == grade for one in sets):
            lines.append(f"{counted(torn, 'set')} with {name} of different classes: {CONTRADICTION[grade]}")
    return lines


def as_rows(images: ImageSet, sets: Sequence[DuplicateSet]) -> list[dict[str, Any]]:
    """The sets for JSON: sample ids, the class of each, grade, similarity, contradiction or None."""
    return [
        {
            "samples": [images.sample_ids[i] for i in one.samples],
            "classes": [images.class_names[images.labels[i]] for i in one.samples],
            "grade": one.grade,
            "similarity": one.similarity,
            "contradiction": one.contradiction or None,
        }
        for one in sets
    ]


def duplicate_sheet(images: ImageSet, rows: Sequence[Mapping[str, Any]]) -> Image:
    """A contact sheet of the rows of `as_rows`, eight tiles across; id and class below each tile."""
    at = {name: i for i, name in enumerate(images.sample_ids)}
    found = []
    for row in rows:
        tiles = [
            Tile(images.images[at[name]], (name, class_name))
            for name, class_name in zip(row["samples"], row["classes"], strict=True)
        ]
        words = f"{row['grade']}, similarity {row['similarity']:.2f}"
        title = f"{words}, different classes" if row["contradiction"] else words
        for start in range(0, len(tiles), ACROSS):
            found.append(SheetRow("" if start else title, tiles[start : start + ACROSS]))
    return sheet(found)
