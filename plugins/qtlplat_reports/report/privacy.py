"""What a report leaves out of stored texts: where files lie, whose they are, and which machine it was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtlplat.conventions import NUMERICS, VARIABLE

if TYPE_CHECKING:
    from qtlplat.store.core.records import ComponentRow, RunRecord
    from qtlplat_reports.figures.sweeps import StoredSweep

# facts of an environment that say how numbers came about; the others say where and by whom
PUBLIC = (
    "python", "platform", "processor", "cpus", "vector instructions", "threads", "accelerator", "device", "git commit",
    "engine", "engine chosen because", "gradient method", "shots", "shots repeat",
    "cells are stacked", *NUMERICS,
)  # fmt: skip
PUBLIC_PREFIXES = ("version of ", VARIABLE)
_EDGE = r"[^\s\[\],=:;'\"<>()]"
_PATH = re.compile(rf"(?:\b[A-Za-z]:)?{_EDGE}*[/\\]{_EDGE}*")
_WHOLE_PATH = re.compile(rf"(?:\b[A-Za-z]:[/\\]|(?<!\w)~?/|\\\\){_EDGE}+")
_QUOTED_PATH = re.compile(r"(['\"])(?:[A-Za-z]:)?[^'\"]*[/\\][^'\"]*\1")
_SECRET_FLAGS = re.compile(r"(?:^|\s)(?:--store|--registry)(?:=|\s+)(?:'[^']*'|\"[^\"]*\"|\S+)")


def without_paths(text: str) -> str:
    """A message without the paths in it: each becomes ``…``. A slash between words stays."""
    return _WHOLE_PATH.sub("…", _QUOTED_PATH.sub("…", text))


def request(command: str) -> str:
    """A stored command line without the store, the registry and anything that looks like a path."""
    return _PATH.sub("…", _QUOTED_PATH.sub("…", _SECRET_FLAGS.sub("", command))).strip()


def public_facts(environment: Mapping[str, str]) -> dict[str, str]:
    """The facts that a report may show, in the order of `PUBLIC`, then the others by name."""
    known = [name for name in PUBLIC if name in environment]
    further = sorted(name for name in environment if name.startswith(PUBLIC_PREFIXES))
    return {name: without_paths(environment[name]) for name in [*known, *further]}


def public_run(run: RunRecord) -> RunRecord:
    """A run whose component names say nothing of where data lies, without host and process."""
    components = {role: _public_component(row, run.plan) for role, row in run.components.items()}
    return replace(run, components=components, error=without_paths(run.error), host="", pid=None)


def _public_component(row: ComponentRow, plan: Mapping[str, Any]) -> ComponentRow:
    """A component whose name is as it was asked for, without the options that say where."""
    planned = plan.get(row.role)
    hidden = planned.get("locations", ()) if isinstance(planned, Mapping) else ()
    name = row.name
    if any(f"{option}=" in name for option in hidden) or _QUOTED_PATH.search(name) or _WHOLE_PATH.search(name):
        name = name.partition("[")[0]
    options = {key: value for key, value in row.options.items() if key not in hidden}
    return replace(row, name=name, options=options)


def public_sweep(sweep: StoredSweep) -> StoredSweep:
    """A sweep whose values and errors say nothing of where data lies; values that become alike have numbers."""
    shown: dict[str, dict[str, Any]] = {}
    for axis, values in sweep.axes.items():
        texts = [request(value) if isinstance(value, str) else value for value in values]
        shown[axis] = {
            repr(value): f"{text} ({i + 1})" if isinstance(text, str) and texts.count(text) > 1 else text
            for i, (value, text) in enumerate(zip(values, texts, strict=True))
        }

    def public(row: Mapping[str, Any]) -> dict[str, Any]:
        point = {axis: shown[axis][repr(value)] for axis, value in row["point"].items()}
        return {**row, "point": point, "error": row["error"] and without_paths(row["error"])}

    axes = {axis: tuple(shown[axis][repr(value)] for value in values) for axis, values in sweep.axes.items()}
    return replace(sweep, axes=axes, rows=tuple(map(public, sweep.rows)))
