"""What is asked for: by options, by a file, or by the name of a stored sweep; and what of it is stored. No torch."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qtlplat.conventions import counted
from qtlplat.errors import UsageError, safe_repr
from qtlplat.store.core.sweep_records import NewSweep, SweepRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import find_sweep, member_states, named_sweep
from qtlplat.store.write.writer import Writer
from qtlplat_sweeps.definition import Kitchen, chosen_points, members_of, own_name, same_points
from qtlplat_sweeps.grid import AS_THEY_ARE, REFERENCES, SCALARS, make_grid

LONGEST_NAME = 80
COMMANDS = ("list", "retry", "rm", "show", "start", "status")  # no sweep can be called so
_LISTS = (*REFERENCES, "controls", "train_sizes")
_RENAMED = {"n_seeds": "seeds", "zip": "zipped"}


@dataclass(frozen=True)
class Asked:
    """What a command asks for. options: texts by field of a request; zipped, only: as of `--zip` and `--only`."""

    name: str | None
    options: Mapping[str, Any]
    zipped: Sequence[str] = ()
    only: str = ""


def with_file(path: Path, asked: Asked) -> Asked:
    """The same with the options of a TOML file, where the command line has none.

    Raises UsageError for a file that cannot be read, or a key that is no option.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{safe_repr(str(path))} cannot be read: {error}", where="--file", fix="it is TOML") from None
    found: dict[str, Any] = {}
    for key, value in content.items():
        field = _RENAMED.get(name := key.replace("-", "_"), name)
        if field == "set" and isinstance(value, dict):
            found["sets"] = tuple(f"{option}={_typed(one, '|')}" for option, one in value.items())
        elif field in ("name", "only", "zipped", "tune"):
            found[field] = _of_kind(value, field, key, path)
        elif field in (*REFERENCES, *SCALARS, *AS_THEY_ARE):
            found[field] = _typed(value, "," if field in _LISTS else "|")
        else:
            fix = "its keys are the options of qtlplat sweep, name and [set]"
            raise UsageError(f"unknown key {safe_repr(key)}", where=str(path), fix=fix)
    sets = (*found.get("sets", ()), *asked.options.get("sets", ()))
    options = {key: value for key, value in found.items() if key not in ("name", "only", "zipped")}
    return Asked(
        asked.name or found.get("name"),
        {**options, **asked.options} | ({"sets": sets} if sets else {}),
        asked.zipped or found.get("zipped", ()),
        asked.only or found.get("only", ""),
    )


def _of_kind(value: Any, field: str, key: str, path: Path) -> Any:
    """A value that is no list of values; raises UsageError for one of another type."""
    if field == "zipped":
        value = tuple(value if isinstance(value, list) else [value])
    kind, called = (bool, "true or false") if field == "tune" else (str, "a text")
    if not all(isinstance(one, kind) for one in (value if field == "zipped" else [value])):
        raise UsageError(f"{key} = {safe_repr(value)} is not {called}", where=str(path), fix=f"write {called}")
    return value


def _typed(value: Any, separator: str) -> str:
    """A value of a file as it is typed; a list becomes several."""
    if isinstance(value, list):
        return separator.join(_typed(one, separator) for one in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def wanted(reader: Reader, asked: Asked, kitchen: Kitchen, stale: str | None) -> NewSweep:
    """The sweep that is asked for: by options, or by the name of a stored one alone.

    Args:
        reader: Of the store.
        asked: What was typed.
        kitchen: What plans are made with.
        stale: 'keep' or 'redo' finished members whose fingerprint is another one now; None to refuse.

    Raises:
        UsageError: nothing is asked for; the name is of another sweep; finished members would get other numbers; or as
            `make_grid` and `members_of`.
    """
    if not asked.options and not asked.zipped and not asked.only:
        if asked.name is None:
            raise UsageError("nothing is asked for", where="qtlplat sweep", fix="add --head 'dressed[qubits=2..5]'")
        stored = named_sweep(reader, asked.name).content
        again = members_of([(row.point, row.request) for row in stored.members], kitchen)
        return _matched(reader, NewSweep(stored.name, stored.definition, tuple(again)), stale)
    grid = make_grid(asked.options, asked.zipped)
    points = chosen_points(grid, asked.only)
    name = own_name(points) if asked.name is None else _checked_name(asked.name)
    members = tuple(members_of([(point.at, point.request) for point in points], kitchen))
    definition = {
        "options": {key: list(value) if isinstance(value, tuple) else value for key, value in asked.options.items()},
        "zip": list(asked.zipped),
        "only": asked.only,
        "axes": {axis: list(values) for axis, values in grid.axes.items()},
    }
    new = NewSweep(name, definition, members)
    known = stored_as(reader, name)
    if known is not None and not same_points(known.content, members):
        raise UsageError(
            f"there is a sweep {name} that asks for something else: {_difference(known.content, new)}",
            where=name,
            fix=f"choose another name, or: qtlplat sweep rm {name} (its runs stay, and are found again)",
        )
    return _matched(reader, new, stale)


def stored_as(reader: Reader, name: str) -> SweepRecord | None:
    """The sweep with exactly this name."""
    known = find_sweep(reader, name)
    return known if known is not None and known.content.name == name else None


def _checked_name(name: str) -> str:
    if name in COMMANDS:
        raise UsageError(f"{safe_repr(name)} is a command of qtlplat sweep", where="NAME", fix="choose another name")
    if not name.isprintable() or not name[:1].isalnum() or name != name.strip() or len(name) > LONGEST_NAME:
        raise UsageError(f"{safe_repr(name)} is no name for a sweep", where="NAME", fix="letters, digits and dashes")
    return name


def _difference(stored: NewSweep, new: NewSweep) -> str:
    """In which axis two sweeps differ, in words."""
    old, now = stored.definition.get("axes", {}), new.definition["axes"]
    for axis in dict.fromkeys([*old, *now]):
        if old.get(axis) != now.get(axis):
            parts = ["|".join(map(str, one.get(axis, ()))) or "one value" for one in (old, now)]
            return f"{axis} is {parts[0]} there, not {parts[1]}"
    return f"{counted(len(stored.members), 'member')} there, {len(new.members)} here, or with other options"


def _matched(reader: Reader, new: NewSweep, stale: str | None) -> NewSweep:
    """The sweep with the fingerprints of now, or with those of finished members of earlier code."""
    known = stored_as(reader, new.name)
    if known is None:
        return new
    pairs = list(zip(member_states(reader, known), new.members, strict=True))
    changed = [one for one, now in pairs if one.member.fingerprint != now.fingerprint]
    if not changed:
        return known.content
    old = [one for one in changed if one.state == "finished"]
    if old and stale is None:
        raise UsageError(
            f"code, data or defaults have changed since sweep {new.name} was stored: "
            f"{counted(len(old), 'finished member')} would get other numbers",
            where=new.name,
            fix="--stale keep leaves them as they are, --stale redo trains them again",
        )
    kept = {} if stale == "redo" else {one.member.position: one.member for one in old}
    members = tuple(kept.get(member.position, member) for member in new.members)
    return replace(new, definition=known.content.definition, members=members)


def stored(reader: Reader, sweep: NewSweep) -> SweepRecord:
    """The sweep as it is stored now; an earlier one of that name gives way, its runs stay."""
    known = stored_as(reader, sweep.name)
    if known is None or known.id != sweep.id:
        with Writer(reader.location) as writer:
            writer.add_sweep(sweep)
            if known is not None:
                writer.remove_sweep(known.id)
    return named_sweep(reader, sweep.id)
