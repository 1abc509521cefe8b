"""Which names a store knows: metrics, options, paths of plans, surroundings; and the error for one that it does not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from qtlplat.conventions import ROLES
from qtlplat.metrics import SHIPPED
from qtlplat.store.core import dialect, schema
from qtlplat.store.read.filters.names import FUNCTIONS, written

METRICS = tuple(SHIPPED)  # every run has them; evaluators add their own


class UnknownFieldError(Exception):
    """A field that there is not. near: names that may have been meant; notes: lines with all there are."""

    def __init__(self, near: Iterable[str], notes: Sequence[str]) -> None:
        self._near, self._notes = near, notes

    def lines(self, asked: str) -> list[str]:
        """What to say besides the name."""
        close = get_close_matches(asked[:100], sorted(set(self._near)), n=3, cutoff=0.5)
        return [*([f"did you mean: {', '.join(close)}"] if close else []), *self._notes]


class KnownNames:
    """Looks names up, in a transaction; a store without runs knows them all. simple: names of every store's fields."""

    def __init__(self, connection: Connection, simple: Collection[str] = ()) -> None:
        self._connection, self._simple = connection, simple

    @cached_property
    def _any(self) -> bool:
        return self._found(sa.select(schema.runs.c.id))

    def metric(self, name: str) -> bool:
        """Whether any cell has that metric."""
        return name in METRICS or self._has(schema.run_metrics, schema.run_metrics.c.name == name)

    def variant(self, name: str) -> bool:
        """Whether any cell belongs to that control."""
        averages = schema.run_metrics.c  # has an index, and the shipped metrics of every variant
        trained = self._has(schema.run_metrics, averages.name.in_(METRICS), averages.variant == name)
        return trained or self._has(schema.cells, schema.cells.c.variant == name)

    def option(self, role: str, names: Sequence[str]) -> bool:
        """Whether any component of a role has an option of that name."""
        table = schema.components.c
        return self._has(schema.components, table.role == role, dialect.json_there(table.options, dialect.path(names)))

    def planned(self, names: Sequence[str]) -> bool:
        """Whether any plan has something at that path."""
        return self._has(schema.runs, dialect.json_there(schema.runs.c.plan, dialect.path(names)))

    def of_epochs(self, name: str) -> bool:
        """Whether any cell's first epoch has a value of that name."""
        first = self._first_epochs(dialect.json_there(schema.epochs.c.further, dialect.path([name])))
        return name in schema.EPOCH_COLUMNS or not self._any or self._found(first)

    def surrounding(self, name: str) -> str | None:
        """The stored name that is meant: the name itself, with spaces for _, or of that package's version."""
        table = schema.environment
        for stored in (name, name.replace("_", " "), f"version of {name}"):
            if self._has(table, table.c.name == stored):
                return stored
        return None

    def metrics(self) -> list[str]:
        """All metrics, as they are asked for: in quotes where the plain name means something else."""
        names = {*METRICS, *self._all(sa.select(schema.run_metrics.c.name).distinct())}
        spreads = {f"{name}_sd" for name in names}
        return [written(name, quoted=name in self._simple or name in spreads) for name in sorted(names)]

    def variants(self) -> list[str]:
        """All variants, as they are asked for."""
        return sorted(map(written, self._all(sa.select(schema.cells.c.variant).distinct())))

    def options(self, role: str) -> list[str]:
        """Names of all options of a role."""
        names = dialect.names_in(schema.components.c.options)
        query = sa.select(names.c.key).select_from(schema.components.join(names, sa.true()))
        return sorted(map(written, self._all(query.where(schema.components.c.role == role).distinct())))

    def plans(self) -> list[str]:
        """Paths in plans, one or two names deep, without those of components."""
        query = sa.select(schema.runs.c.plan).order_by(schema.runs.c.created.desc()).limit(20)
        found: set[str] = set()
        for name, value in (item for plan in self._all(query) for item in plan.items() if item[0] not in ROLES):
            inside = isinstance(value, dict)
            found |= {f"{written(name)}.{written(inner)}" for inner in value} if inside else {written(name)}
        return sorted(found)

    def epoch_values(self) -> list[str]:
        """Names of all values of epochs."""
        query = self._first_epochs(schema.epochs.c.further != {})
        return sorted({*schema.EPOCH_COLUMNS, *(written(name) for row in self._all(query) for name in row)})

    def surroundings(self) -> list[str]:
        """Names of what is stored of the environment."""
        names = self._all(sa.select(schema.environment.c.name).distinct())
        return sorted({written(name.removeprefix("version of ").replace(" ", "_")) for name in names})

    def unknown(self) -> UnknownFieldError:
        """The error that names everything there is, kind by kind."""
        metrics, plans = self.metrics(), self.plans()
        options = [f"{role}.{name}" for role in ROLES for name in self.options(role)]
        lines = [
            f"of every run: {', '.join(sorted(self._simple))}",
            f"metrics: {', '.join(metrics)}; over cells and epochs: {', '.join(FUNCTIONS)}, as in min(f1)",
            f"options: {', '.join(options)}",
            f"plan: {', '.join(plans)}",
            "further: head.component, head.version, seconds.STAGE, env.NAME, f1@CONTROL",
        ]
        return UnknownFieldError([*self._simple, *metrics, *options, *plans], lines)

    def _first_epochs(self, condition: dialect.Expression) -> sa.Select[Any]:
        cells, epochs = schema.cells.c, schema.epochs.c
        same = (epochs.run_id == cells.run_id) & (epochs.cell == cells.position) & epochs.epoch.in_((0, 1))
        return sa.select(epochs.further).join_from(schema.cells, schema.epochs, same).where(condition)

    def _has(self, table: sa.Table, *conditions: dialect.Expression) -> bool:
        return not self._any or self._found(sa.select(sa.literal(1)).select_from(table).where(*conditions))

    def _found(self, query: sa.Select[Any]) -> bool:
        return self._connection.execute(query.limit(1)).first() is not None

    def _all(self, query: sa.Select[Any]) -> list[Any]:
        return list(self._connection.execute(query).scalars())
