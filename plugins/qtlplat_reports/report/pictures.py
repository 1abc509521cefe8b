"""The figures of a report: drawn where matplotlib is there, otherwise told how to get them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from qtlplat.analysis.markup import plain
from qtlplat.command_hints import shell_word
from qtlplat.conventions import short
from qtlplat.errors import ConfigError, DataError, UsageError
from qtlplat.metrics import Metric
from qtlplat_reports.figures.stored import F1, StoredRun
from qtlplat_reports.report.document import Block, Picture, Section, Text
from qtlplat_reports.report.material import Material

if TYPE_CHECKING:
    from qtlplat.store.core.records import RunRecord

LONGEST_LABEL = 40  # characters of a component's name in a figure
MOST_RUNS = 12  # with figures of their own; more would make the file large and tell nobody more
MISSING = "The figures need matplotlib: pip install 'qtlplat[plot]', then make the report again."


def pictures(material: Material, *, drawn: bool) -> Section:
    """A metric against parameters, convergence, paired differences. drawn: False if only their commands are wanted."""
    blocks: list[Block] = []
    scored = [stored for stored in material.heads if stored.finished() and "model_total" in stored.run.parameters]
    shown = [stored for stored in material.heads if stored.epochs][:MOST_RUNS]
    controlled = [stored for stored in shown if len(stored.variants) > 1]
    wanted = [("pareto", scored[:MOST_RUNS], f"{material.metric.title} against parameters")] if scored else []
    wanted += [("differences", [stored], f"Controls minus their head, {stored.name}") for stored in controlled]
    wanted += [("convergence", [stored], f"Convergence of {stored.name}") for stored in shown]
    if drawn and wanted and not can_draw():
        blocks.append(Text(MISSING))
        drawn = False
    blocks += [_picture(kind, runs, caption, material.metric, drawn) for kind, runs, caption in wanted]
    left = len(material.heads) - len(shown)
    if left > 0:
        blocks.append(Text(f"{left} runs have no figure of their own here: qtlplat plot ID draws them."))
    return Section("figures", "Figures", tuple(blocks) or (Text("There is nothing to draw."),))


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    from qtlplat_reports.figures.style import require_matplotlib

    try:
        require_matplotlib()
    except ConfigError:
        return False
    return True


def _labelled(stored: StoredRun) -> StoredRun:
    """A run, and its backbones, with names that leave room for the drawing."""
    return replace(stored, run=_shortened(stored.run), backbones=tuple(map(_shortened, stored.backbones)))


def _shortened(run: RunRecord) -> RunRecord:
    return replace(run, components={r: replace(c, name=_cut(plain(c.name))) for r, c in run.components.items()})


def _cut(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"


def _picture(kind: str, runs: Sequence[StoredRun], caption: str, metric: Metric, drawn: bool) -> Block:
    ids = [short(stored.run.id) for stored in runs]
    caption = f"{caption} (run{'s' if len(ids) > 1 else ''} {', '.join(ids)})"
    of = "" if metric is F1 else f" --metric {shell_word(metric.name)}"
    command = f"qtlplat plot {' '.join(ids)} --kind {kind}{of} -o {kind}-{ids[0]}.svg"
    if not drawn:
        return Picture(caption, command)
    from qtlplat_reports.figures import draw
    from qtlplat_reports.figures.files import inline_svg

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter that the font lacks becomes a box; the caption has it
            figure = draw(kind, [_labelled(stored) for stored in runs], metric=metric.name)
            return Picture(caption, command, inline_svg(figure, caption))
    except (DataError, UsageError) as error:
        return Text(f"{caption}: not drawn, {error.what}.")
