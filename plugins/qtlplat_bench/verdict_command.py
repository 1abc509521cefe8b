"""`qtlplat bench verdict`: how often comparisons are wrong. No torch when imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import asked_store, name_store
from qtlplat.conventions import HEAD, counted, strict
from qtlplat_bench.command_options import SIZE, json_flag, notes

if TYPE_CHECKING:
    from qtlplat.analysis.sides import Side

# small, so that a run takes seconds; scores vary the more
PLAN: dict[str, Any] = {
    "backbone": "lenet2",
    "head": "linear",
    "controls": "svm-rbf",
    "epochs": 20,
    "pretrain_epochs": 6,
    "options": {"dataset.per_class": 100, "dataset.images_per_kind": 40},
}
OTHER_HEAD = "svm-rbf"  # no unit of which can die, as those of an MLP do in short trainings
FOLDS = {"same folds": "kfold[folds=6,shuffle=false]", "other folds": "kfold[folds=6]"}
SIMULATED_BACKBONES = (3, 5, 10)


def _interval(value: Sequence[float]) -> str:
    return f"{100 * value[0]:.1f} to {100 * value[1]:.1f} %"


COLUMNS = (
    Column("what", "pairs of"),
    Column("backbones", "backbones", right=True),
    Column("difference", "difference", right=True, show=lambda value: f"{value:g}"),
    Column("pairs", "pairs", right=True),
    Column("rejected", "found different", right=True),
    Column("rate", "rate", right=True, show=lambda value: f"{100 * value:.1f} %"),
    Column("interval", "95 % interval", right=True, show=_interval),
)


@click.command("verdict")
@click.option(
    "--runs", type=click.IntRange(3), default=12, show_default=True, metavar="N", help="Same-plan runs to train."
)
@click.option(
    "--backbones", type=click.IntRange(2), default=3, show_default=True, metavar="N", help="Backbones of each run."
)
@click.option("--metric", default="f1", show_default=True, metavar="NAME", help="The metric to compare.")
@click.option(
    "--simulated", type=SIZE, default=1000, show_default=True, metavar="N", help="Simulated pairs in each setting."
)
@click.option(
    "--difference",
    "differences",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    default=(0.05,),
    show_default="0.05",
    metavar="X",
    help="Plant a difference of X in simulated pairs. Repeatable.",
)
@json_flag
@pass_settings
def verdict(
    settings: Settings,
    /,
    runs: int,
    backbones: int,
    metric: str,
    simulated: int,
    differences: tuple[float, ...],
    as_json: bool,
) -> None:
    """Measure how often `compare` is wrong.

    Trains --runs runs of one plan with the seeds 0, 1, ..., which differ by chance alone, and compares all pairs: a
    difference that is found is false. Simulated pairs have the components of variance of these runs, without a
    difference and with a planted one. Runs are stored, and found again when the command is repeated.
    """
    name_store(asked_store(settings))
    say = notes(settings)
    sides = {folds: _trained(settings, evaluator, runs, backbones, say) for folds, evaluator in FOLDS.items()}
    found = bench_verdict(sides, metric, backbones, simulated, differences, say)
    if as_json:
        write_json(found)
        return
    emit([row | {"what": _named(row)} for row in found["rows"]], COLUMNS)
    for line in _lines(found):
        say(line)


def _trained(
    settings: Settings, evaluator: str, runs: int, backbones: int, say: Callable[[str], None]
) -> list[dict[str, Side]]:
    """The head and its control of every run, by variant; trained now where the store has no such run."""
    from qtlplat.analysis.sides import variants
    from qtlplat.api.run import run
    from qtlplat.api.store import open_store
    from qtlplat.metrics import declared_metrics
    from qtlplat.store.read.loaded import gather
    from qtlplat.store.read.queries import Reader

    location = asked_store(settings)
    store, ids = open_store(location.name), []
    for seed in range(runs):
        trained = run(
            dataset="steel-synth", evaluator=evaluator, seed=seed, backbones=backbones, reuse=True, store=store,
            tags=["bench"], registry=settings.registry, **PLAN,
        )  # fmt: skip
        say(f"{evaluator}: run {seed + 1} of {runs}, {trained.id}")
        ids.append(trained.id)
    return [
        {side.variant: side for side in variants(one.run, one.cells, (), declared_metrics(one.environment))}
        for one in gather(Reader(location), ids)
    ]


def bench_verdict(
    runs: dict[str, list[dict[str, Side]]],
    metric: str,
    backbones: int,
    pairs: int,
    differences: Sequence[float],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """What is printed as JSON. runs: by how their folds relate, the sides of each run by variant."""
    from qtlplat_bench.verdict import Simulation, independent_pairs, measured, rate, real_pairs, simulated

    first = next(iter(runs.values()))
    of = measured([sides[HEAD] for sides in first], [sides[OTHER_HEAD] for sides in first], metric)
    say(f"simulating sets of {counted(len(first), 'run')}: pairs that share a run depend on each other")
    simulation = Simulation(of)
    effective = independent_pairs(simulation, len(first), backbones)
    real = []
    for folds, sides in runs.items():
        n, found, without = real_pairs([one[HEAD] for one in sides], metric, say)
        further = {"design": folds, "backbones": backbones, "without_verdict": without, "independent": effective}
        real.append(rate(found, n, effective, **further))
    rows = simulated(simulation, (0.0, *differences), SIMULATED_BACKBONES, pairs, say)
    none, planted = ([row for row in rows if bool(row["difference"]) is is_planted] for is_planted in (False, True))
    return {
        "real": real[0],
        "simulated": rate(sum(row["rejected"] for row in none), sum(row["pairs"] for row in none)),
        "power": [{key: row[key] for key in ("difference", "backbones", "seeds", "rate", "design")} for row in planted],
        "metric": metric,
        "components": strict({"values": of.values.form(), "differences": of.differences.form()}),
        "rows": [*real, *none, *planted],
    }


def _named(row: dict[str, Any]) -> str:
    kind = "same-plan runs" if "independent" in row else "simulated"
    return f"{kind}, {row['design']}"


def _lines(found: dict[str, Any]) -> list[str]:
    """What a reader must know of the numbers."""
    real = found["real"]
    lines = [
        "between same-plan runs, and simulated pairs without a difference, all differences that are found are false: "
        "at most 5 % should be",
        f"the {real['pairs']} pairs of same-plan runs share runs: they tell as much as {real['independent']:.0f} "
        "independent ones, which the interval takes into account",
    ]
    if without := sum(row.get("without_verdict", 0) for row in found["rows"]):
        lines.append(f"{counted(without, 'pair')} got no verdict")
    for name, of in (("a score", "values"), ("a difference of two heads on one backbone", "differences")):
        parts = found["components"][of]
        sd = ", ".join(f"{source} {parts[source] ** 0.5:.4f}" for source in ("backbone", "fold", "rest"))
        lines.append(f"standard deviations of {name} in these runs, used in the simulation: {sd}")
    return lines
