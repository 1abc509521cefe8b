"""`qtlplat bench verdict`: how often comparisons are wrong. No torch when imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    from qtlplat_bench.same_plan_runs import Trained

# Small images, so that a backbone takes seconds. What a score varies by must let five backbones show 5 points: 1,200
# samples of high contrast keep folds and backbones alike, and ten folds leave nine degrees of freedom.
PLAN: dict[str, Any] = {
    "dataset": "steel-synth",
    "backbone": "lenet2",
    "head": "linear",
    "pretrain_epochs": 4,
    "options": {
        "dataset.size": 100, "dataset.contrast": 2, "dataset.per_class": 600, "dataset.images_per_kind": 160,
    },
}  # fmt: skip
OTHER_HEAD = "svm-rbf"  # no unit of which can die, as those of an MLP do in short trainings
SAME_FOLDS, OTHER_FOLDS, OTHER_ROUNDING = "same folds", "other folds", "same seed, other rounding"
DESIGNS: dict[str, dict[str, Any]] = {
    SAME_FOLDS: {"evaluator": "kfold[folds=10,shuffle=false]", "controls": OTHER_HEAD},
    OTHER_FOLDS: {"evaluator": "kfold[folds=10]"},
}
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

    Trains --runs runs of one plan with the seeds 0, 1, ..., in processes that round in different ways, and repeats the
    first one in each of them. They differ by chance alone. All pairs are compared: a difference that is found is false.
    Simulated pairs have the components of variance of these runs, without a difference and with a planted one. Runs are
    stored, and found again when the command is repeated.
    """
    name_store(asked_store(settings))
    say = notes(settings)
    sides = _sides(settings, _trained(settings, runs, backbones, say))
    found = bench_verdict(sides, metric, backbones, simulated, differences, say)
    if as_json:
        write_json(found)
        return
    emit([row | {"what": _named(row)} for row in found["rows"]], COLUMNS)
    for line in _lines(found):
        say(line)


def _trained(settings: Settings, runs: int, backbones: int, say: Callable[[str], None]) -> dict[str, list[Trained]]:
    """The runs of each design; trained now where the store has no such run."""
    from qtlplat_bench.same_plan_runs import ROUNDINGS, Order, rounding_of, spelled, train

    found: dict[str, list[Trained]] = {design: [] for design in (*DESIGNS, OTHER_ROUNDING)}
    for number, rounding in enumerate(ROUNDINGS):

        def keep(one: Trained, rounding: Mapping[str, str] = rounding) -> None:
            what = "repeated" if one.seed is None else f"{one.of}, run {one.seed + 1} of {runs}"
            say(f"{what}, {spelled(rounding)}: {one.run}")
            found[OTHER_ROUNDING if one.seed is None else one.of].append(one)

        seeds = [seed for seed in range(runs) if rounding_of(seed) == number]
        repeated = [one.run for one in found[SAME_FOLDS] if one.seed == 0]
        order = Order(settings.store, settings.registry, {**PLAN, "backbones": backbones}, DESIGNS, seeds, repeated)
        train(order, rounding, keep)
    first = [one for one in found[SAME_FOLDS] if one.seed == 0]
    return found | {OTHER_ROUNDING: [*first, *found[OTHER_ROUNDING]]}


def _sides(settings: Settings, trained: dict[str, list[Trained]]) -> dict[str, list[dict[str, Side]]]:
    """The head and its control of every run, by design and variant."""
    from qtlplat.analysis.sides import variants
    from qtlplat.metrics import declared_metrics
    from qtlplat.store.read.loaded import gather
    from qtlplat.store.read.queries import Reader

    reader = Reader(asked_store(settings))
    return {
        design: [
            {side.variant: side for side in variants(one.run, one.cells, (), declared_metrics(one.environment))}
            for one in gather(reader, [one.run for one in sorted(runs, key=lambda one: one.seed or 0)])
        ]
        for design, runs in trained.items()
    }


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
    independent = independent_pairs(simulation, len(first), backbones)
    real = []
    for design, sides in runs.items():
        n, found, without = real_pairs([one[HEAD] for one in sides], metric, say)
        # runs with the same seed are nearly the same run
        effective = 1.0 if design == OTHER_ROUNDING else independent
        further = {"design": design, "backbones": backbones, "without_verdict": without, "independent": effective}
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
        "independent ones, which the interval takes into account; those with the same seed, as much as one",
    ]
    if without := sum(row.get("without_verdict", 0) for row in found["rows"]):
        lines.append(f"{counted(without, 'pair')} got no verdict")
    for name, of in (("a score", "values"), ("a difference of two heads on one backbone", "differences")):
        parts = found["components"][of]
        sd = ", ".join(f"{source} {parts[source] ** 0.5:.4f}" for source in ("backbone", "fold", "rest"))
        lines.append(f"standard deviations of {name} in these runs, used in the simulation: {sd}")
    return lines
