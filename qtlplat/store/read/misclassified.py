"""Which samples the heads of runs get wrong, how often and by which of them: counted by the database."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, Text, and_, case, cast, distinct, func, literal, select
from sqlalchemy.engine import Connection

from qtlplat.conventions import HEAD
from qtlplat.store.core import schema
from qtlplat.store.core.dialect import among, json_float, number
from qtlplat.store.read.queries import Reader

MOST_NAMED = 500  # samples of which the details are asked for by name; of more, those of all are read


@dataclass(frozen=True)
class TakenFor:
    """A class that a sample was taken for. n: predictions; certainty: their mean probability, None if unknown."""

    label: int
    name: str
    n: int
    certainty: float | None


@dataclass(frozen=True)
class ByHead:
    """What heads of one name made of a sample: `wrong` of `tested` predictions."""

    head: str
    wrong: int
    tested: int


@dataclass(frozen=True)
class Mistake:
    """A sample that some head got wrong, in a dataset (by its digest).

    wrong of tested: predictions, one for each cell; wrong_runs of runs, wrong_heads of heads: those with at least one
    wrong prediction, of those that tested it; heads are identified by name. wrong_backbones of backbones: those on
    which more than half of its predictions are wrong; a backbone is a pretraining, whichever runs started from it.
    certainty: mean probability that was given to the predicted class where that was wrong. taken_for: most often
    first; by: worst head first.
    """

    dataset_digest: str
    sample_id: str
    source: str
    label: int
    name: str
    wrong: int
    tested: int
    wrong_runs: int
    runs: int
    wrong_heads: int
    heads: int
    wrong_backbones: int
    backbones: int
    certainty: float | None
    taken_for: tuple[TakenFor, ...]
    by: tuple[ByHead, ...]


@dataclass(frozen=True)
class Mistakes:
    """The worst samples first.

    samples, predictions: all that were tested; of them wrong_samples (by one cell or more), wrong_predictions.
    Each sample once: wrong_votes, those that more than half of their predictions get wrong, and tied_votes, half;
    mean_wrong, by the share of its predictions that are wrong. backbones: that heads were tested on. seen_by: a run
    that saw the data, by their digest.
    """

    worst: tuple[Mistake, ...]
    samples: int
    wrong_samples: int
    wrong_votes: int
    tied_votes: int
    mean_wrong: float
    predictions: int
    wrong_predictions: int
    backbones: int
    seen_by: Mapping[str, str]


def mistakes(reader: Reader, ids: Sequence[str], *, limit: int | None = None, only_by: str | None = None) -> Mistakes:
    """What the heads of runs (full ids) got wrong in their finished cells; controls are left out.

    Worst first: wrong in the largest share of the predictions, then in most, then with most certainty, then by id.
    only_by: a run of them: only what it gets wrong and none of the others that tested it.
    """
    found = reader.read(lambda connection: _read(connection, ids, limit, only_by), ids)
    return found or Mistakes((), 0, 0, 0, 0, 0.0, 0, 0, 0, {})


def _read(connection: Connection, ids: Sequence[str], limit: int | None, only_by: str | None) -> Mistakes:
    samples = list(connection.execute(_by_sample(ids, only_by)))
    wrong = [row for row in samples if row.wrong]
    if only_by:
        wrong = [row for row in wrong if row.mine == row.wrong and row.tested > row.tested_by_me]
    shown = wrong[:limit]
    seen_by, names = _of_data(connection, ids)
    details = _details(connection, ids, shown)
    return Mistakes(
        tuple(_mistake(row, details[row.digest, row.sample_id], names.get(row.digest, ())) for row in shown),
        len(samples),
        len(wrong),
        sum(2 * row.wrong > row.tested for row in wrong),
        sum(2 * row.wrong == row.tested for row in wrong),
        math.fsum(row.wrong / row.tested for row in wrong),
        sum(row.tested for row in samples),
        sum(row.wrong for row in wrong),
        connection.scalar(select(func.count(distinct(_cells(ids).c.backbone)))) or 0,
        seen_by,
    )


def _cells(ids: Sequence[str]) -> Any:
    """The finished cells of the heads of runs, with the data and the head's name."""
    cells, runs, components = schema.cells.c, schema.runs.c, schema.components.c
    head = select(components.name).where(components.run_id == runs.id, components.role == "head").scalar_subquery()
    # of runs from elsewhere the pretraining may be unknown: their backbones count by number
    number_in_run = cells.run_id + literal("/") + cast(cells.backbone_index, Text)
    backbone = func.coalesce(cells.pretraining, number_in_run).label("backbone")
    query = select(cells.run_id, cells.position, runs.dataset_digest.label("digest"), head.label("head"), backbone)
    return (
        query.join_from(schema.runs, schema.cells, cells.run_id == runs.id)
        .where(runs.id.in_(among(ids)), cells.variant == HEAD, cells.status == "finished")
        .cte("tested_cells")
    )


def _by_sample(ids: Sequence[str], only_by: str | None) -> Select[Any]:
    """Counts for every sample that was tested, the worst first."""
    cells, predictions = _cells(ids), schema.predictions.c
    is_wrong = predictions.label != predictions.predicted
    tested, wrong = func.count().label("tested"), func.sum(case((is_wrong, 1), else_=0)).label("wrong")
    certainty = func.avg(case((is_wrong, _probability()))).label("certainty")
    share = func.sum(case((is_wrong, 1.0), else_=0.0)) / func.count()
    mine: list[ColumnElement[Any]] = []
    if only_by:
        is_mine = predictions.run_id == only_by
        mine = [
            func.sum(case((and_(is_mine, is_wrong), 1), else_=0)).label("mine"),
            func.sum(case((is_mine, 1), else_=0)).label("tested_by_me"),
        ]
    return (
        select(
            cells.c.digest, predictions.sample_id, predictions.source, predictions.label,
            tested, wrong, certainty,
            func.count(distinct(predictions.run_id)).label("runs"),
            func.count(distinct(case((is_wrong, predictions.run_id)))).label("wrong_runs"),
            func.count(distinct(cells.c.head)).label("heads"),
            func.count(distinct(case((is_wrong, cells.c.head)))).label("wrong_heads"),
            *mine,
        )
        .join_from(cells, schema.predictions, _of_cell(cells))
        .group_by(cells.c.digest, predictions.sample_id, predictions.source, predictions.label)
        .order_by(
            share.desc(), wrong.desc(), certainty.desc().nulls_last(), predictions.sample_id, cells.c.digest
        )
    )  # fmt: skip


def _details(connection: Connection, ids: Sequence[str], shown: Sequence[Row[Any]]) -> Mapping[Any, list[Row[Any]]]:
    """For each of the samples: how often each head on each backbone gave each class, and how certainly."""
    cells, predictions = _cells(ids), schema.predictions.c
    n, certainty = func.count().label("n"), func.avg(_probability()).label("certainty")
    key = cells.c.digest, predictions.sample_id, cells.c.head, cells.c.backbone, predictions.predicted
    query = (
        select(*key, n, certainty)
        .join_from(cells, schema.predictions, _of_cell(cells))
        .group_by(*key)
        .order_by(cells.c.head, predictions.predicted, cells.c.backbone)
    )
    names = sorted({row.sample_id for row in shown})
    if len(names) <= MOST_NAMED:
        query = query.where(predictions.sample_id.in_(names))
    found = defaultdict(list)
    for row in connection.execute(query):
        found[row.digest, row.sample_id].append(row)
    return found


def _of_cell(cells: Any) -> ColumnElement[bool]:
    predictions = schema.predictions.c
    return and_(predictions.run_id == cells.c.run_id, predictions.cell == cells.c.position)


def _probability() -> ColumnElement[Any]:
    """The probability that the predicted class was given; NULL if it is not finite."""
    predictions = schema.predictions.c
    place = cast(literal("$[") + cast(predictions.predicted, Text) + literal("]"), Text)
    return number(json_float(predictions.probabilities, place))


def _of_data(connection: Connection, ids: Sequence[str]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """By the digest of the data: the last of the runs that saw them, and the names of the labels, where known."""
    runs = schema.runs.c
    query = select(runs.dataset_digest, runs.id, runs.classes).where(runs.id.in_(among(ids)))
    rows = connection.execute(query.order_by(runs.id)).all()
    names = {row.dataset_digest: tuple(map(str, row.classes)) for row in rows if row.classes}
    return {row.dataset_digest: row.id for row in rows}, names


def _mistake(row: Row[Any], details: Sequence[Row[Any]], names: Sequence[str]) -> Mistake:
    def name(label: int) -> str:
        return names[label] if 0 <= label < len(names) else str(label)

    given: dict[int, list[Row[Any]]] = defaultdict(list)
    heads: dict[str, list[Row[Any]]] = defaultdict(list)
    balance: dict[str, int] = defaultdict(int)  # by backbone: wrong predictions minus right ones
    for part in details:
        heads[part.head].append(part)
        balance[part.backbone] += part.n if part.predicted != row.label else -part.n
        if part.predicted != row.label:
            given[part.predicted].append(part)
    taken_for = [
        TakenFor(label, name(label), sum(part.n for part in parts), _mean(parts)) for label, parts in given.items()
    ]
    by = [
        ByHead(head or "", sum(p.n for p in parts if p.predicted != row.label), sum(p.n for p in parts))
        for head, parts in heads.items()
    ]
    return Mistake(
        row.digest, row.sample_id, row.source, row.label, name(row.label), row.wrong, row.tested, row.wrong_runs,
        row.runs, row.wrong_heads, row.heads, sum(n > 0 for n in balance.values()), len(balance), row.certainty,
        tuple(sorted(taken_for, key=lambda one: (-one.n, one.label))),
        tuple(sorted(by, key=lambda one: (-one.wrong / one.tested, -one.wrong, one.head))),
    )  # fmt: skip


def _mean(parts: Sequence[Row[Any]]) -> float | None:
    known = [(part.certainty, part.n) for part in parts if part.certainty is not None]
    total = sum(n for _, n in known)
    return sum(value * n for value, n in known) / total if total else None
