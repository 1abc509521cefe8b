"""The last sections: the data, the environment, and how to make every number again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtlplat.conventions import short
from qtlplat_reports.figures.stored import StoredRun
from qtlplat_reports.report.document import Block, Column, Commands, Section, Table, Text
from qtlplat_reports.report.material import Audit, Material
from qtlplat_reports.report.numbers import count, percent
from qtlplat_reports.report.side_by_side import side_by_side

MOST_DUPLICATES = 20
_HOW = (
    "Each command spells out the stored plan, so that later presets and defaults do not change it. With the same "
    "versions on the same kind of machine it gives the same numbers. Options that say where data lies are no part of a "
    "plan: add your own. What is stored of a run: qtlplat show ID"
)


def data(material: Material) -> Section:
    """What an audit of the datasets says, where one was asked for, and the same head on several datasets."""
    blocks = [block for audit in material.audits for block in _audited(audit, material)]
    if not blocks:
        blocks = [Text("The data was not audited for this report: add --audit, or see qtlplat data audit.")]
    return Section("data", "Data", (*blocks, *side_by_side(material.heads, "dataset", material.metric)))


def _audited(audit: Audit, material: Material) -> list[Block]:
    runs = " ".join(short(stored.run.id) for stored in material.runs if stored.run.dataset_digest == audit.digest)
    intro = f"{audit.name}, sha256 {audit.digest[:12]}, used by {runs}"
    facts = audit.facts
    if facts is None:
        return [Text(f"{intro}: not audited, {audit.why}.")]
    blocks: list[Block] = [Text(f"{intro}."), *(Text(finding) for finding in facts["findings"])]
    sets = facts["duplicate_sets"]
    sizes = [("images", facts["images"]), *((f"of {name}", n) for name, n in facts["class_counts"].items())]
    sizes += [("source images", facts["groups"]), ("sets of duplicates", len(sets))]
    rows = tuple((name, count(value)) for name, value in sizes)
    blocks.append(Table("Samples", (Column("what"), Column("number", "number")), rows))
    if sets:
        listed = tuple(
            (one["grade"], f"{one['similarity']:.2f}", ", ".join(one["samples"])) for one in sets[:MOST_DUPLICATES]
        )
        left = len(sets) - len(listed)
        notes = (f"{left} more are listed by qtlplat data audit",) if left else ()
        columns = (Column("evidence"), Column("similarity", "number"), Column("samples", "sentence"))
        blocks.append(Table("Duplicates", columns, listed, notes))
    blocks.append(_shortcuts(facts["shortcuts"]))
    return blocks


def _shortcuts(scores: list[Mapping[str, Any]]) -> Table:
    scored = (Column("F1 %", "number"), Column("± sd", "number"), Column("balanced accuracy %", "number"))
    columns = (Column("features"), Column("model"), *scored)
    rows = tuple(
        (s["features"], s["model"], percent(s["f1"]), percent(s["f1_sd"]), percent(s["balanced_accuracy"]))
        for s in scores
    )
    return Table("What trivial features alone reach, under grouped folds", columns, rows)


def environment(material: Material) -> Section:
    """Versions and what computed; a fact that all runs share stands there once."""
    values: dict[tuple[str, str], list[str]] = {}
    having: dict[str, int] = {}
    order: dict[str, None] = {}
    for stored in material.runs:
        for name, value in material.environments.get(stored.run.id, {}).items():
            values.setdefault((name, value), []).append(short(stored.run.id))
            having[name] = having.get(name, 0) + 1
            order[name] = None
    rows = tuple(
        (name, value, "all" if len(runs) == len(material.runs) else " ".join(runs))
        for known in order
        for (name, value), runs in values.items()
        if name == known
    )
    columns = (Column("what"), Column("value", "sentence"), Column("runs", "runs"))
    words = Text("Host names, users and paths are left out on purpose.")
    if not rows:
        return Section("environment", "Environment", (Text("No run has stored its environment."),))
    return Section("environment", "Environment", (words, Table("What the runs ran on", columns, rows)))


def rerun(material: Material) -> Section:
    """The command of every run, from its plan; what was typed then."""
    makers: dict[str, list[str]] = {}
    for stored in material.heads:
        for parent in stored.backbones:
            makers.setdefault(short(parent.id), []).append(short(stored.run.id))
    own = [stored for stored in material.runs if short(stored.run.id) not in makers]
    lines = [
        (short(stored.run.id), _what(stored), material.commands[stored.run.id])
        for stored in own
        if stored.run.id in material.commands
    ]
    blocks: list[Block] = [Text(_HOW), Commands(tuple(lines))]
    if makers:
        columns = (Column("backbone", "runs"), Column("is made by the command of", "runs"))
        rows = tuple((parent, " ".join(dict.fromkeys(runs))) for parent, runs in makers.items())
        blocks.append(Table("Where backbones come from", columns, rows))
    typed = [(short(s.run.id), material.requests[s.run.id]) for s in own if s.run.id in material.requests]
    if typed:
        requests = tuple((run, f"qtlplat {words}") for run, words in typed)
        columns = (Column("run", "runs"), Column("request", "sentence"))
        blocks.append(Table("As it was asked for", columns, requests, ("without paths and the store's place",)))
    return Section("rerun", "How to make every number again", tuple(blocks))


def _what(stored: StoredRun) -> str:
    if stored.run.kind == "run":
        return stored.name
    if "samples" in stored.run.plan:
        return f"{stored.name}, of a fold of a run that is not in this report: only that run makes it"
    return f"{stored.name}; any head makes it, for the backbone comes first"
