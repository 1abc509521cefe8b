"""From points to members: every plan is resolved and bound to its data before anything starts. No torch here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from qtlplat.analysis.sweep_points import point_text
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.plan import ComponentChoice, canonical_json
from qtlplat.catalog.registry import Registry
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import Known, Resolved, resolve
from qtlplat.conventions import counted
from qtlplat.errors import ConfigError, QtlplatError, UsageError
from qtlplat.progress import Progress
from qtlplat.runs.prepared_images import Dataset
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.sweep_records import MemberRow, NewSweep
from qtlplat.store.read.filters.matching import matching
from qtlplat_sweeps.grid import Grid, Point

MOST_TOLD = 6  # wrong points in a message
_FIELDS = {field.name for field in fields(Request)}


@dataclass(frozen=True)
class Kitchen:
    """What plans are made with."""

    registry: Registry
    catalog: Catalog
    location: StoreLocation
    progress: Progress
    keep: bool = True


def request_of(stored: Mapping[str, Any]) -> Request:
    """The request of a member, as it is stored."""
    given = {name: value for name, value in stored.items() if name in _FIELDS}
    return Request(**{**given, "sets": tuple(given.get("sets", ()))})


def chosen_points(grid: Grid, only: str) -> list[Point]:
    """The points that a filter over what varies selects; a name's last part is enough where it is of one axis.

    Raises UsageError if the filter cannot be read, or selects nothing.
    """
    if not only:
        return list(grid.points)
    short = {axis.rpartition(".")[2]: axis for axis in grid.axes}
    rows = [{**point.at, **{name: point.at.get(axis) for name, axis in short.items()}} for point in grid.points]
    try:
        places = matching(rows, {*grid.axes, *short}, only)
    except UsageError as error:
        error.where, error.fix = "--only", f"what varies: {', '.join(grid.axes) or 'nothing'}"
        raise
    if not places:
        raise UsageError("no combination is left", where=f"--only {only}", fix=f"what varies: {', '.join(grid.axes)}")
    return [grid.points[i] for i in places]


def members_of(requests: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], kitchen: Kitchen) -> list[MemberRow]:
    """A member for every point, with the fingerprint of its run.

    Args:
        requests: Values of what varies and options of `qtlplat run`, of each point.
        kitchen: What plans are made with. Datasets are read unless their digest is known.

    Raises:
        UsageError: a point names what does not exist; ConfigError: or has wrong options. All of them at once.
        DataError: a dataset is wrong.
    """
    plans = _resolved(requests, kitchen)
    digests = _digests(plans, kitchen)
    found = []
    for position, ((at, request), resolved) in enumerate(zip(requests, plans, strict=True)):
        plan = resolved.plan.bind(digests[data_key(resolved.plan.dataset)])
        found.append(MemberRow(position, plan.fingerprint, plan.pretraining_fingerprint, dict(at), dict(request)))
    _refuse_repeated(found)
    return found


def _refuse_repeated(members: Sequence[MemberRow]) -> None:
    """Refuse points that mean the same run: their scores would count as those of different settings."""
    first: dict[str, MemberRow] = {}
    for member in members:
        earlier = first.setdefault(member.fingerprint, member)
        if earlier is not member:
            points = " and ".join(point_text(one.point) or "every point" for one in (earlier, member))
            raise UsageError(
                f"two points mean the same run: {points}",
                where="the sweep",
                fix="name each value once, and set no option that varies in a second place",
            )


def _resolved(requests: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], kitchen: Kitchen) -> list[Resolved]:
    plans, wrong = [], list[tuple[str, QtlplatError]]()
    told: set[str] = set()
    known = Known()
    for at, request in requests:
        try:
            resolved = resolve(request_of(request), kitchen.registry, kitchen.catalog, known)
        except QtlplatError as error:
            wrong.append((point_text(at), error))
            continue
        for line in resolved.notes:
            if line not in told:
                kitchen.progress.note(line)
                told.add(line)
        plans.append(resolved)
    if wrong:
        raise _refused(wrong, len(requests))
    return plans


def _refused(wrong: Sequence[tuple[str, QtlplatError]], points: int) -> QtlplatError:
    """All that is wrong, each once, with the first point that has it."""
    if points == 1:
        return wrong[0][1]
    first: dict[str, tuple[str, QtlplatError, int]] = {}
    for at, error in wrong:
        known = first.get(error.what)
        first[error.what] = (known[0], known[1], known[2] + 1) if known else (at, error, 1)
    lines = []
    for what, (at, _, number) in list(first.items())[:MOST_TOLD]:
        others = f" and {number - 1} more" if number > 1 else ""
        lines += [f"  {at or 'every point'}{others}: {what.splitlines()[0]}", *what.splitlines()[1:]]
    kind = UsageError if all(isinstance(error, UsageError) for _, error in wrong) else ConfigError
    of = counted(points, "point")
    fix = next((error.fix for _, error in wrong if error.fix), "")
    return kind("\n".join([f"{len(wrong)} of {of} cannot be trained", *lines]), where="the sweep", fix=fix)


def data_key(choice: ComponentChoice) -> str:
    """Which data a dataset with its options reads, and from where."""
    return canonical_json([choice.identity(), {name: choice.options[name] for name in choice.locations}])


def _digests(plans: Sequence[Resolved], kitchen: Kitchen) -> dict[str, str]:
    """The digest of every dataset, by its choice; the images are read where it is not known."""
    found: dict[str, str] = {}
    for resolved in plans:
        if (key := data_key(resolved.plan.dataset)) in found:
            continue
        dataset = Dataset(resolved.specs["dataset"], resolved.options["dataset"], kitchen.location.files)
        digest = dataset.digest()
        if digest is None:
            with kitchen.progress.stage(f"reading {resolved.plan.dataset.name}", 1) as stage:
                digest = dataset.images(keep=kitchen.keep).digest
                stage.advance()
        found[key] = digest
    return found


def own_name(points: Sequence[Point]) -> str:
    """The name of a sweep that was given none: the same for the same points."""
    text = canonical_json([[point.at, point.request] for point in points])
    return f"sweep-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def same_points(sweep: NewSweep, members: Sequence[MemberRow]) -> bool:
    """Whether a stored sweep asks for these points, whatever their code and data are."""

    def asked(rows: Sequence[MemberRow]) -> list[str]:
        return [canonical_json([row.point, row.request]) for row in rows]

    return asked(sweep.members) == asked(members)
