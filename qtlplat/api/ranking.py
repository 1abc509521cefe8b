"""The best run of every group, and the runs that no other beats; compared only with runs that were tested alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from typing import TYPE_CHECKING, Any

from qtlplat.analysis.best import Best, are_numbers, best_of
from qtlplat.analysis.pareto import unbeaten
from qtlplat.api.picking import Choice, honest_choice
from qtlplat.errors import UsageError
from qtlplat.store.read.conditions import Condition, ambiguous, mixed_facts, mixture, named_conditions
from qtlplat.store.read.filters.directions import directions
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import finished_members, named_sweep

if TYPE_CHECKING:
    from qtlplat.catalog.catalog import Catalog

BY = ("backbone", "head")
SIGNS = {":+": False, ":-": True}


@dataclass(frozen=True)
class Ranking:
    """The best run of every group.

    found: the best group first; by: the fields that make a group;
    left_out: finished runs without a finite value; tested: how the others were tested; mixed: whether a group holds
    runs that were not tested alike, whose scores are not comparable; choice: what to expect of the picked runs.
    """

    found: tuple[Best, ...]
    by: tuple[str, ...]
    lower_is_better: bool
    left_out: int
    tested: tuple[Condition, ...]
    mixed: bool
    choice: Choice = field(default_factory=Choice)

    @property
    def facts(self) -> dict[str, Any]:
        """What was mixed, for programs: `datasets`, `evaluators`, `mixed`."""
        return {**mixed_facts(self.tested), "mixed": self.mixed}

    @property
    def remark(self) -> str:
        """What a reader must know of the mixture, in one line; '' where all runs were tested alike."""
        words = mixture(self.tested)
        if not words:
            return ""
        if self.mixed:
            return f"these runs use {words}: their scores are not comparable; {self._apart()}, or use --where"
        return f"these runs use {words}: each is compared only with runs of the same data and evaluator"

    def _apart(self) -> str:
        """What to type to have runs compared only with those that were tested alike."""
        datasets, evaluators = (ambiguous(self.tested, role) for role in ("dataset", "evaluator"))
        if evaluators:  # which of their options differ is not known here
            return "leave --by out"
        fields = ["dataset_digest" if datasets else "dataset", "evaluator", *self.by]
        return f"try --by {','.join(field for field in dict.fromkeys(fields) if not (datasets and field == 'dataset'))}"


def best_runs(
    reader: Reader,
    metric: str = "f1",
    by: Sequence[str] | None = None,
    where: str = "",
    *,
    sweep: str | None = None,
    higher_is_better: bool | None = None,
    honest: bool | None = None,
    catalog: Callable[[], Catalog] | None = None,
) -> Ranking:
    """The best finished run of every group.

    Args:
        reader: of the store.
        metric: a metric or field that is a number.
        by: the fields that make a group; None: backbone and head, of runs with the same data and the same evaluator.
        where: a filter.
        sweep: the name of a stored sweep, or the beginning of its id, whose members are the candidates; None: all runs.
        higher_is_better: the direction of the metric; None: as the evaluators declared it.
        honest: as `everything` of `picking.honest_choice`.
        catalog: as there.

    Raises:
        UsageError: For an invalid field or filter, an unknown sweep, and a metric whose direction no evaluator
            declared.
    """
    fields = list(by if by is not None else BY)
    finished = reader.finished_runs([*fields, metric, "run", "condition"], where, "--metric and --by")
    columns, keys = finished.values, finished.keys
    if sweep is not None:
        members = finished_members(reader, named_sweep(reader, sweep))
        kept = [run in members for run in columns["run"]]
        columns, keys = (
            {name: tuple(compress(values, kept)) for name, values in one.items()} for one in (columns, keys)
        )

    def judged() -> list[str]:
        return list(compress(columns["run"], are_numbers(columns[metric])))

    if higher_is_better is None:
        lower = directions(reader, [metric], judged, lambda _: "--minimize or --maximize says it", "--metric")
    else:
        lower = {metric: not higher_is_better}
    less = lower.get(metric, False)
    split = {name: keys[name] for name in (["condition", *fields] if by is None else fields)}
    found, left_out = best_of(columns, metric, split, lower_is_better=less, newest_first=reader.newest_first)
    tested = named_conditions(reader, {condition for best in found for condition in best.conditions})
    kinds = set(tested.values())
    roles = [role for role in ("dataset", "evaluator") if by is None and len({getattr(k, role) for k in kinds}) > 1]
    named = [
        replace(
            best,
            group={role: getattr(tested[best.group["condition"]], role) for role in roles}
            | {name: best.group[name] for name in fields},
        )
        for best in found
    ]
    mixed = any(len(best.conditions) > 1 for best in found)
    choice = honest_choice(
        reader, named, metric, tested=tested, lower_is_better=less, everything=honest, catalog=catalog
    )
    return Ranking(tuple(named), (*roles, *fields), less, left_out, tuple(kinds), mixed, choice)


@dataclass(frozen=True)
class Front:
    """The finished runs that have a number in every field.

    listed: those that no other beats, or all, each with whether none does; the best of the first field first.
    lower: whether less is better, by field; judged: how many they are in all; left_out: finished runs that lack a
    number; tested: how the others were tested.
    """

    listed: tuple[tuple[Mapping[str, Any], bool], ...]
    lower: Mapping[str, bool]
    judged: int
    left_out: int
    tested: tuple[Condition, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """How the runs were tested, for programs: `datasets`, `evaluators`."""
        return mixed_facts(self.tested)

    @property
    def remark(self) -> str:
        """What a reader must know of the mixture, in one line; '' where all runs were tested alike."""
        words = mixture(self.tested)
        return f"these runs use {words}: a run is dominated only by runs with the same ones" if words else ""


def front_runs(
    reader: Reader, fields: Sequence[str], where: str = "", also: Collection[str] = (), *, everything: bool = False
) -> Front:
    """The finished runs, and which of them no other beats that has the same data and evaluator.

    Args:
        reader: of the store.
        fields: two or more; ``name:+`` and ``name:-`` say that more, or less, is better.
        where: a filter.
        also: further fields to read of each run.
        everything: list the dominated runs too.

    Raises:
        UsageError: As `best_runs`, and for fewer than two fields.
    """
    signs = {}
    for given in fields:
        name, sign = (given[:-2], given[-2:]) if given[-2:] in SIGNS else (given, "")
        signs[name] = sign
    if len(signs) < 2:
        raise UsageError(
            "a Pareto front needs two fields or more", where="qtlplat pareto", fix="qtlplat pareto f1 parameters"
        )
    columns = reader.finished_runs([*signs, *also, "run", "condition", "created"], where, "FIELD").values
    runs, conditions, created = columns["run"], columns["condition"], columns["created"]
    judged = [are_numbers(columns[name]) for name in signs]
    known = [place for place, one in enumerate(zip(*judged, strict=True)) if all(one)]
    open_ = [name for name, sign in signs.items() if not sign]
    declared = directions(
        reader, open_, lambda: [runs[place] for place in known],
        lambda name: f"{name}:- where less is better, or {name}:+", "FIELD",
    )  # fmt: skip
    lower = {name: SIGNS[sign] if sign else declared.get(name, False) for name, sign in signs.items()}
    alike: dict[str, list[int]] = defaultdict(list)
    for place in known:
        alike[conditions[place]].append(place)
    kept: set[int] = set()
    for places in alike.values():
        values = zip(*([columns[name][place] for place in places] for name in lower), strict=True)
        kept.update(compress(places, unbeaten(list(values), list(lower.values()))))
    first = next(iter(lower))
    listed = sorted(known if everything else kept, key=lambda place: runs[place])
    listed.sort(key=lambda place: created[place], reverse=True)
    listed.sort(key=lambda place: columns[first][place] * (1 if lower[first] else -1))
    shown = list(dict.fromkeys([*signs, "run", *also]))
    rows = tuple(
        ({name: columns[name][place] for name in shown} | {"status": "finished"}, place in kept) for place in listed
    )
    tested = set(named_conditions(reader, alike.keys()).values())
    return Front(rows, lower, len(known), len(runs) - len(known), tuple(tested))
