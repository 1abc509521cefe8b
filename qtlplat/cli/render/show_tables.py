"""The tables of a run's page, which other commands print too: cells, controls, curves, parameters, environment."""

from __future__ import annotations

import math
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qtlplat.analysis.convergence import chosen, convergence_lines, grids
from qtlplat.cli.render.column_fit import fitting
from qtlplat.cli.render.columns import Column, text, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.run_columns import mean_sd, show_mean_sd
from qtlplat.cli.render.terminal import say
from qtlplat.conventions import HEAD, leakage_line, mean_std, share_of
from qtlplat.metrics import SHIPPED

BLOCKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 40
# of parameter counts
COUNT_LABELS = {
    "backbone_total": "backbone",
    "replaced_layers": "replaced layers",
    "kept": "frozen",
    "head.pre_net": "pre-net",
    "head.vqc": "circuit",
    "head.post_net": "post-net",
    "head.total": "trainable",
    "model_total": "whole model",
    "reduction_percent_model": "reduction, whole model %",
    "reduction_percent_replaced": "reduction, Eq. 7 %",
}
CURVES = ("test_loss", "test_accuracy")
FIRST = ("f1", "accuracy", "roc_auc", "loss")  # metrics that a table has room for: classes, ranks, probabilities


def sparkline(values: Sequence[float], width: int) -> str:
    """Values as blocks from their least to their greatest, at most `width` of them; '×' where one is not finite."""
    size = max(1, math.ceil(len(values) / width))
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    means = [sum(group) / len(group) for group in groups]
    finite = [m for m in means if math.isfinite(m)]
    low, span = (min(finite), max(finite) - min(finite)) if finite else (0.0, 0.0)

    def block(value: float) -> str:
        if not math.isfinite(value):
            return "×"
        return BLOCKS[round((value - low) / span * (len(BLOCKS) - 1)) if span else 0]

    return "".join(map(block, means))


def component_line(component: Mapping[str, Any]) -> str:
    """A component on one line: the requested name, its component, options and provider."""
    options = text(component["options"])
    inside = f"[{options}]" if options else ""
    return f"{component['name']} = {component['component']}{inside}  ({component['provider']} {component['version']})"


def cells(run: Mapping[str, Any], *, leaks: bool = True, every: bool = True) -> None:
    """The head's cells with their metrics, their mean and its ± sd, then the controls and, on request, the leakage.

    every: all metrics; else those of `FIRST` and the evaluator's own.
    """
    from qtlplat.store.read.serialize import head_cells

    order = [*FIRST, *(name for name in SHIPPED if name not in FIRST)]
    names = [name for name in (order if every else FIRST) if name in run["metrics"]]
    names += sorted(run["metrics"].keys() - SHIPPED.keys())
    rows: list[dict[str, Any]] = [
        {**{k: v for k, v in cell.items() if k != "metrics"}, **{f"metric {k}": v for k, v in cell["metrics"].items()}}
        for cell in head_cells(run["cells"])
    ]
    fixed = cell_columns(rows)
    if rows and names:
        for title, key in (("mean", "mean"), ("± sd", "std")):
            rows.append({fixed[0].key: title, **{f"metric {name}": run["metrics"][name][key] for name in names}})
    sizes = [Column("n_train", "train", right=True), Column("n_test", "test", right=True), Column("status", "status")]
    values = [Column(f"metric {n}", n, right=True, show="{:.4f}".format) for n in names]
    columns = [*fixed, *sizes, *values, Column("seconds", "seconds", right=True)]
    if sys.stdout.isatty():
        spare = [column.key for column in reversed(values) if column.title not in FIRST]
        least = ("seconds", "n_train", "n_test", *spare, fixed[-1].key)
        columns = fitting(rows, columns, shutil.get_terminal_size().columns, least)
    emit(rows, columns, empty="no cells")
    controls(run, names)
    learning_curves(run)
    if leaks and (line := leakage_line(run)):
        say(line)
    for line in convergence_lines(run):
        say(line)


def cell_columns(cells: Sequence[Mapping[str, Any]]) -> list[Column]:
    """What identifies a cell: fold and seed, after the backbone where a run has several."""
    backbone = [Column("backbone_index", "backbone")] if any(cell["backbone_index"] for cell in cells) else []
    return [*backbone, Column("fold", "fold"), Column("seed", "seed", right=True)]


def controls(run: Mapping[str, Any], names: Sequence[str]) -> None:
    """The controls: trainable parameters, mean ± sd of each metric; empty if there are none."""
    from qtlplat.store.read.serialize import by_variant

    found = by_variant(run["cells"])
    if not found.keys() - {HEAD}:
        return
    counts = {HEAD: run["parameters"].get("head", {}).get("total"), **run["parameters"].get("controls", {})}
    rows = [
        {
            "variant": name,
            "trainable": counts.get(name),
            "n": facts["n"],
            **{f"metric {metric}": mean_sd(facts["metrics"].get(metric)) for metric in names},
        }
        for name, facts in found.items()
    ]
    section("the head and its controls, on the same cells (mean ± sd)")
    counted = [Column("trainable", "trainable", right=True), Column("n", "n", right=True)]
    values = [Column(f"metric {name}", name, right=True, show=show_mean_sd) for name in names]
    columns = [Column("variant", "variant"), *counted, *values]
    if sys.stdout.isatty():
        spare = [column.key for column in reversed(values[2:])]
        columns = fitting(rows, columns, shutil.get_terminal_size().columns, (*spare, "n", "trainable"))
    emit(rows, columns)


def learning_curves(run: Mapping[str, Any]) -> None:
    """F1 by number of training samples, and how much data the head needs; nothing without shares of the samples."""
    if all(share_of(cell["variant"]) == 1 for cell in run["cells"]):
        return
    from qtlplat.analysis.learning_curves import curves, means, ratio_lines  # with NumPy: not for other pages

    found = curves(run["cells"], "f1")
    if not found:
        return
    section("f1 by number of training samples, on the same test samples (mean ± sd)")
    rows = []
    for size in means([score for scores in found.values() for score in scores]):
        of_size = {name: [s.value for s in scores if s.size == size] for name, scores in found.items()}
        rows.append({"size": size, **{name: mean_std(values) for name, values in of_size.items()}})

    def shown(spread: tuple[float, float | None]) -> str:
        return f"{spread[0]:.4f}" + (f" ± {spread[1]:.4f}" if spread[1] is not None else "")

    emit(rows, [Column("size", "train", right=True), *(Column(n, n, right=True, show=shown) for n in found)])
    backbones = len({cell["backbone_index"] for cell in run["cells"]})
    for line in ratio_lines(found, "f1"):
        say(line if backbones > 1 else f"{line}, for this backbone only")


def curve(run: Mapping[str, Any]) -> None:
    """Loss and accuracy of every cell over its epochs: first value, shape, last value."""
    from qtlplat.store.read.serialize import head_cells

    by_cell: dict[int, list[Mapping[str, Any]]] = {}
    for epoch in run["epochs"]:
        by_cell.setdefault(epoch["cell"], []).append(epoch)
    # room for the first columns, and for two numbers beside each line of blocks
    room = (shutil.get_terminal_size().columns - 26) // len(CURVES) - 15 if sys.stdout.isatty() else SPARK_WIDTH
    width = max(8, min(SPARK_WIDTH, room))
    rows = []
    for cell in head_cells(run["cells"]):
        epochs = by_cell.get(cell["position"], [])
        identity = {key: cell[key] for key in ("backbone_index", "fold", "seed")}
        row: dict[str, Any] = {**identity, "epochs": len(epochs)}
        for name in CURVES:
            values = [epoch[name] for epoch in epochs if name in epoch]
            if values:
                row[name] = f"{values[0]:.3f} {sparkline(values, width)} {values[-1]:.3f}"
        rows.append(row)
    shown = [Column(name, name) for name in CURVES if any(name in row for row in rows)]
    emit(rows, [*cell_columns(rows), Column("epochs", "epochs", right=True), *shown], empty="no epochs")


def tuning(run: Mapping[str, Any]) -> None:
    """What each variant was trained with: how often a learning rate or options were the best, epochs and loss there."""
    rows = []
    for name, ones in chosen(run).items():
        counts = Counter(_candidate(one) for one in sorted(ones, key=lambda one: int(one["number"])))
        epochs = sorted(one["epochs"] for one in ones if one["epochs"] is not None)
        rows.append(
            {
                "variant": name,
                "best": ", ".join(f"{words} ({n} of {len(ones)})" for words, n in counts.items()),
                "epochs": "-".join(map(str, dict.fromkeys([*epochs[:1], *epochs[-1:]]))),
                "loss": sum(one["loss"] for one in ones) / len(ones),
            }
        )
    names = {"variant": "variant", "best": "learning rate or options (cells)", "epochs": "epochs", "loss": "inner loss"}
    emit(rows, [Column(key, title, right=key == "loss") for key, title in names.items()])
    if not (grid := run["plan"].get("tuning")):
        return
    tried = ", ".join(f"{rate:g}" for rate in grid["learning_rates"])
    say(f"tried for each cell: learning rates {tried}, up to {grid['epochs']} epochs, {grid['folds']} inner folds")
    for name, options in grids(run).items():
        say(f"tried for {name}: " + "; ".join(f"{key} = {', '.join(map(_plain, of))}" for key, of in options.items()))


def _candidate(one: Mapping[str, Any]) -> str:
    """A learning rate, or the options of a control with a solver of its own."""
    if one["options"]:
        return ", ".join(f"{name} = {_plain(value)}" for name, value in one["options"].items())
    return f"{one['learning_rate']:g}"


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def params(run: Mapping[str, Any]) -> None:
    """The parameter counts, in the words of the reports."""
    _pairs({_in_words(name): value for name, value in _flat(run["parameters"])}, "no parameter counts")


def _in_words(name: str) -> str:
    """The label of a parameter count."""
    part, _, control = name.partition(".")
    return f"trainable in control {control}" if part == "controls" else COUNT_LABELS.get(name, name)


def plan(run: Mapping[str, Any]) -> None:
    """The resolved plan, as JSON: it is nested, and this is what its fingerprint was made of."""
    write_json(run["plan"])


def env(run: Mapping[str, Any]) -> None:
    """What surrounded the run."""
    _pairs(run["environment"], "no environment")


def _pairs(values: Mapping[str, Any], empty: str) -> None:
    rows = [{"name": name, "value": value} for name, value in _flat(values)]
    right = all(isinstance(row["value"], int | float) for row in rows)
    emit(rows, [Column("name", "name"), Column("value", "value", right=right)], empty=empty)


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in values.items():
        key = f"{prefix}{name}"
        found += _flat(value, f"{key}.") if isinstance(value, Mapping) else [(key, value)]
    return found


def section(title: str) -> None:
    """A title, behind an empty line."""
    say("", f"{title}")
