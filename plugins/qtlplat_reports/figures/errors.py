"""What a run gets wrong out of fold: the samples, and a contact sheet of them, most certain errors first."""

from __future__ import annotations

import statistics
import textwrap
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtlplat.analysis.designs import backbone_of
from qtlplat.conventions import HEAD
from qtlplat.errors import DataError, safe_repr as shown_text
from qtlplat_reports.figures.stored import StoredRun, missing, refuse_unknown_labels
from qtlplat_reports.figures.style import PAGE, SMALL, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from qtlplat.contracts import ImageSet
    from qtlplat.store.core.records import PredictionRow

COLUMNS, MOST = 6, 24  # tiles beside each other, and in all
TILE, LINE = 1.0, 1.86  # inches: side of an image, height of a line of images with what stands below
NAME = 19  # characters below a tile


@dataclass(frozen=True)
class Wrong:
    """A sample that was taken for something else.

    predicted: the wrong label that was given most often; wrong, tested: how often; certainty: mean probability that was
    given to the predicted label where it was wrong, 0 to 1. wrong_backbones of backbones: those on which more than half
    of its predictions are wrong.
    """

    sample_id: str
    group: str
    label: int
    predicted: int
    wrong: int
    tested: int
    certainty: float
    wrong_backbones: int
    backbones: int


@dataclass(frozen=True)
class Errors:
    """The errors of a run, worst first.

    predictions, samples: how many in all, right or wrong; classes: what labels are called, as `StoredRun.class_names`.
    """

    stored: StoredRun
    wrong: tuple[Wrong, ...]
    predictions: int
    samples: int
    classes: tuple[str, ...]


def out_of_fold_errors(stored: StoredRun) -> Errors:
    """The samples that the head's finished cells got wrong; raises DataError if there are no predictions.

    Worst first: wrong in the largest share of the cells that tested it, then by certainty, then by id.
    """
    cells = {cell.position: backbone_of(cell) for cell in stored.finished(HEAD)}
    by_sample: dict[str, list[PredictionRow]] = defaultdict(list)
    for row in stored.predictions:
        if row.cell in cells:
            by_sample[row.sample_id].append(row)
    if not by_sample:
        raise missing(stored, "predictions")
    refuse_unknown_labels(stored.predictions)
    found = []
    for sample_id, rows in by_sample.items():
        bad = [row for row in rows if row.predicted != row.label]
        if bad:
            predicted = min(Counter(row.predicted for row in bad).items(), key=lambda pair: (-pair[1], pair[0]))[0]
            certainty = statistics.fmean(row.probabilities[row.predicted] for row in bad)
            tested, lost = (Counter(cells[row.cell] for row in part) for part in (rows, bad))
            mostly = sum(2 * lost[backbone] > n for backbone, n in tested.items())
            found.append(
                Wrong(
                    sample_id, rows[0].group, rows[0].label, predicted, len(bad), len(rows), certainty, mostly,
                    len(tested),
                )
            )  # fmt: skip
    found.sort(key=lambda w: (-w.wrong / w.tested, -w.certainty, w.sample_id))
    k = max(len(row.probabilities) for rows in by_sample.values() for row in rows)
    return Errors(stored, tuple(found), sum(map(len, by_sample.values())), len(by_sample), stored.class_names(k))


@styled
def draw(errors: Errors, images: ImageSet, notes: Sequence[str] = ()) -> Figure:
    """A contact sheet of the worst errors, up to 24; raises DataError if the dataset lacks the samples.

    images: the dataset of the run; the caller has compared its digest with the stored one. notes: further lines of the
    caption.
    """
    shown = errors.wrong[:MOST]
    index = {sample_id: i for i, sample_id in enumerate(images.sample_ids)}
    absent = [wrong.sample_id for wrong in shown if wrong.sample_id not in index]
    if absent:
        raise DataError(
            f"the dataset has no sample {shown_text(absent[0])}",
            where=f"run {errors.stored.id}",
            fix="use the dataset that the run was tested on",
        )
    lines = max(1, -(-len(shown) // COLUMNS))
    height = LINE * lines if shown else 0.4
    figure = new_figure(PAGE, height, [*_caption(errors, len(shown)), *notes])
    figure.set_layout_engine("none")  # tiles have a fixed size, whatever stands below them
    total = figure.get_figheight()
    for i, wrong in enumerate(shown):
        left, top = 0.06 + (i % COLUMNS) * PAGE / COLUMNS, total - 0.06 - (i // COLUMNS) * LINE
        axes = figure.add_axes((left / PAGE, (top - TILE) / total, TILE / PAGE, TILE / total))
        pixels = images.images[index[wrong.sample_id]].transpose(1, 2, 0)
        coloured = pixels.shape[2] == 3
        axes.imshow(pixels if coloured else pixels[:, :, 0], cmap="gray", vmin=0, vmax=255, interpolation="none")
        axes.set_axis_off()
        often = "" if wrong.tested == 1 else f", {wrong.wrong} of {wrong.tested}"
        words = [
            *textwrap.wrap(shortened(wrong.sample_id, 2 * NAME), NAME, break_on_hyphens=False),
            f"true: {shortened(images.class_names[wrong.label], NAME - 6)}",
            f"given: {shortened(images.class_names[wrong.predicted], NAME - 7)}",
            f"p = {wrong.certainty:.2f}{often}",
            *([f"on {wrong.wrong_backbones} of {wrong.backbones} backbones"] if wrong.backbones > 1 else []),
        ]
        axes.text(0, -0.03, "\n".join(words), transform=axes.transAxes, va="top", fontsize=SMALL, linespacing=1.1)
    if not shown:
        figure.text(0.5, 0.8, "no errors", ha="center", va="top")
    return figure


def _caption(errors: Errors, shown: int) -> list[str]:
    of = f"{shown} of {len(errors.wrong)} samples" if shown < len(errors.wrong) else f"{shown} samples"
    several = any(wrong.backbones > 1 for wrong in errors.wrong)
    on = ", and on how many backbones most predictions are wrong" if several else ""
    return [
        f"Run {errors.stored.run.id}, {errors.stored.name}: {of} that were taken for another class out of fold; "
        f"{errors.predictions} predictions of {errors.samples} samples in all. "
        f"Below each: id, true class, class given instead, and the probability p given to that{on}."
    ]
