"""The experiment store in Python: runs found by the filter language, and what is stored of each."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtlplat.api import rows
from qtlplat.api.error_notes import explained
from qtlplat.api.records import Records
from qtlplat.api.stored_run import Run
from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import RunKind
from qtlplat.store.read.filters.names import unquoted
from qtlplat.store.read.queries import Reader

if TYPE_CHECKING:
    from qtlplat.analysis.best import Best
    from qtlplat.analysis.comparison import ComparisonRow


@explained
def open_store(place: str | os.PathLike[str] | None = None) -> Store:
    """The experiment store, found as the command line finds it; nothing is created or held open.

    Args:
        place: A file, a directory or a URL, as for ``--store``; None for QTLPLAT_STORE, a ``.qtlplat`` directory here
            or above, or the user's data directory. A store that does not exist yet reads as an empty one.

    Raises:
        UsageError: The place is empty.
        ConfigError: It names no store.
    """
    if place is None:
        return Store(find_store(os.environ.get("QTLPLAT_STORE"), asked="QTLPLAT_STORE"))
    if not os.fspath(place):
        raise UsageError("'' names no store", where="place", fix="name a file, or None for the default store")
    return Store(find_store(os.fspath(place)))


def _check_limit(limit: int | None) -> None:
    """Refuse a negative number of rows, by which SQLite means all of them."""
    if limit is not None and limit < 0:
        raise UsageError(f"the limit is {limit}, a number of rows is 0 or more", where="limit", fix="None for all")


class Store:
    """A store, as `open_store` finds it. Every method raises StoreError for a damaged or a foreign file.

    Attributes:
        location: Where it is.
    """

    def __init__(self, location: StoreLocation) -> None:
        self.location = location
        self._reader = Reader(location)

    def __repr__(self) -> str:
        return f"<qtlplat store {self.location.name}>"

    @explained
    def runs(
        self, where: str = "", *, sort: str = "", limit: int | None = None, kind: RunKind | None = None
    ) -> Records[Run]:
        """Stored runs, newest first.

        Args:
            where: A filter, as of ``--where``: ``"head = 'dressed5x3' and f1 > 0.97"``.
            sort: A field of the filter language, with '-' in front for descending.
            limit: At most so many; None for all.
            kind: 'run' or 'pretraining'; None for both.

        Raises:
            UsageError: A filter, field or limit cannot be understood.
        """
        _check_limit(limit)
        records = self._reader.runs(limit, kind, where=where, sort=sort)
        return Records((Run(self._reader, record) for record in records), lambda run: rows.run_row(run.record))

    @explained
    def run(self, reference: str) -> Run:
        """One run.

        Args:
            reference: The beginning of its id, ``@last``, ``@-2``, ``@best:f1`` or ``@tag:x``.

        Raises:
            UsageError: No run is meant, or several.
        """
        return Run(self._reader, self._reader.run(self._reader.resolve(reference)))

    @explained
    def table(
        self, fields: Sequence[str], where: str = "", *, sort: str = "", limit: int | None = None
    ) -> Records[Mapping[str, Any]]:
        """Values by field, one row per run. Quicker than `runs` if a store is large: nothing else is read.

        Args:
            fields: Of the filter language: ``["run", "head.layers", "f1", "min(f1)"]``.
            where: A filter, as of `runs`.
            sort: A field, as of `runs`.
            limit: At most so many; None for all.

        Raises:
            UsageError: A filter, field or limit cannot be understood.
        """
        if isinstance(fields, str):  # which is a sequence of texts, too: its letters
            raise UsageError(f"fields is the text {safe_repr(fields)}, not a list", where="fields", fix=f"[{fields!r}]")
        if not fields:
            raise UsageError("no field is named", where="fields", fix='for example: ["run", "head.layers", "f1"]')
        _check_limit(limit)
        return Records(self._reader.table(fields, where=where, sort=sort, limit=limit, place="fields"), dict)

    @explained
    def sql(self, query: str, *, seconds: float = 60.0) -> Records[Mapping[str, Any]]:
        """The rows of one reading statement of SQL, over the documented tables and views.

        Args:
            query: The statement.
            seconds: How long it may take.

        Raises:
            UsageError: It cannot be understood, does not only read, or takes too long.
        """
        from qtlplat.store.read.sql.sqlite import ask

        return Records(
            ask(self._reader, query, lambda names, rows: [dict(zip(names, row, strict=True)) for row in rows], seconds),
            dict,
        )

    @explained
    def compare(
        self,
        *runs: Run | str,
        metric: str = "f1",
        level: float = 0.95,
        rope: float = 0.01,
        detect: float = 0.01,
        higher_is_better: bool | None = None,
    ) -> Records[ComparisonRow]:
        """Compare runs with the first one, or the controls of a single run with its head, as `qtlplat compare`.

        The methods and their sources are on the page `docs/explanation/statistics.md`.

        Args:
            runs: As `run` takes them, or runs themselves.
            metric: Of every cell.
            level: Confidence level of tests and intervals, in (0, 1).
            rope: Region of practical equivalence, ± it, in the metric's units.
            detect: The difference to see, in the metric's units.
            higher_is_better: Direction of the metric; None for what the runs' evaluators declared.

        Raises:
            UsageError: There is nothing to compare with, or no evaluator declared the direction.
        """
        from qtlplat.analysis.comparison import Asked
        from qtlplat.analysis.several_metrics import compare_by_metrics
        from qtlplat.analysis.sides import opposed
        from qtlplat.store.read.loaded import gather

        if not runs:
            raise UsageError("no run is named", where="compare", fix='for example: compare("@-2", "@last")')
        ids = [run.id if isinstance(run, Run) else self._reader.resolve(run) for run in runs]
        first, others = opposed(gather(self._reader, list(dict.fromkeys(ids)), training=True), twice=len(ids) > 1)
        asked = Asked(unquoted(metric), level, rope, detect, higher_is_better)
        return Records(compare_by_metrics(first, others, asked), lambda row: row.form())

    @explained
    def best(
        self,
        metric: str = "f1",
        by: Sequence[str] | None = None,
        where: str = "",
        *,
        sweep: str | None = None,
        higher_is_better: bool | None = None,
    ) -> Records[Best]:
        """The best finished run of every group, the best group first, as `qtlplat best`.

        The value of the best of several runs was picked on the folds that it is the mean of. The rows of
        ``rows()`` also have `honest`, what to expect of it on new samples, its `interval` and `method`; None if
        that cannot be said. A UserWarning says if groups of `by` mix data or evaluators.

        Args:
            metric: A metric or field that is a number.
            by: The fields that make a group; None for backbone and head, of runs with the same data and the same
                evaluator: other scores are not comparable.
            where: A filter, as of `runs`.
            sweep: A sweep, by its name or the beginning of its id, whose members are the candidates; None for all runs.
            higher_is_better: Direction of the metric; None for what the runs' evaluators declared.

        Raises:
            UsageError: An argument cannot be understood, or no evaluator declared the direction.
        """
        from qtlplat.api.ranking import BY, best_runs

        ranking = best_runs(self._reader, metric, by, where, sweep=sweep, higher_is_better=higher_is_better)
        if ranking.mixed:
            warnings.warn(ranking.remark, stacklevel=3)
        picked = {one.run: one.form() for one in ranking.choice.groups}

        def row(one: Best) -> dict[str, Any]:
            values = {name: one.group[name] for name in (by if by is not None else BY)} | {metric: one.value}
            told = {"run": one.run, "status": "finished", "runs": one.runs, "median": one.median}
            return {**values, **told, **picked[one.run]}

        return Records(ranking.found, row)

    @explained
    def pareto(self, *fields: str, where: str = "") -> Records[Mapping[str, Any]]:
        """The Pareto-optimal runs among those with the same data and evaluator, as `qtlplat pareto`.

        Args:
            fields: Two or more; ``name:+`` and ``name:-`` say that more, or less, is better.
            where: A filter, as of `runs`.

        Raises:
            UsageError: As `best`, and if there are fewer than two fields.
        """
        from qtlplat.api.ranking import front_runs

        kept = [row for row, best in front_runs(self._reader, fields, where, ("dataset", "evaluator")).listed if best]
        return Records(kept, dict)
