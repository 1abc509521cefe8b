"""The first sections: what was run, when and on what; what did not end; what picking on the test part is worth."""

from __future__ import annotations

from collections import Counter

from qtlplat.analysis.selection import selection
from qtlplat.conventions import SHORT, counted, short
from qtlplat_reports.figures.stored import StoredRun, backbones_in_words
from qtlplat_reports.report.columns import alone, score
from qtlplat_reports.report.document import Block, Column, Section, Table, Text
from qtlplat_reports.report.material import Material
from qtlplat_reports.report.numbers import count, percent, score as number, score_title, when

MOST_NAMED = 3  # runs in a sentence; more are told as all of them, and each in the tables
_NOTES = (f"run: the first {SHORT} characters of its id, which qtlplat show takes; cells: finished ones of the head",)


def headline(material: Material) -> Section:
    """Counts, times and data in sentences, then every run on a line."""
    if not material.runs:
        return Section("runs", "What was run", (Text("Nothing: only what needs no training was judged."),))
    heads, backbones = len(material.heads), len(material.backbones)
    states = Counter(stored.run.status for stored in material.runs)
    told = ", ".join(f"{n} {status}" for status, n in sorted(states.items(), key=lambda item: (-item[1], item[0])))
    first, last = (pick(stored.run.created for stored in material.runs) for pick in (min, max))
    kinds = [f"{counted(n, noun)} of {what}" for n, noun, what in
             ((heads, "run", "heads"), (backbones, "pretraining", "backbones")) if n]  # fmt: skip
    span = f"from {when(first)} to {when(last)}" if when(first) != when(last) else when(first)
    sentences = [f"{' and '.join(kinds)} ({told}), started {span} UTC."]
    for digest, name in _datasets(material).items():
        sentences.append(f"Data: {name}, sha256 {digest[:12]}.")
    sentences += backbones_in_words(material.heads)
    sentences += _warnings(material)
    several = len(_datasets(material)) > 1
    columns = (
        Column("run", "runs"), Column("kind"), Column("status"), Column("model"),
        *([Column("dataset")] if several else []), Column("evaluator"), Column(score_title(material.metric), "number"),
        Column("± sd", "number"), Column("cells", "number"), Column("started (UTC)"), Column("seconds", "number"),
    )  # fmt: skip
    rows = tuple(_line(stored, material, several) for stored in material.runs)
    table = Table("Runs", columns, rows, _NOTES)
    blocks: list[Block] = [*(Text(words) for words in sentences), table]
    return Section("runs", "What was run", (*blocks, *_unfinished(material)))


def _warnings(material: Material) -> list[str]:
    """What a reader must know before any score: which runs test what was seen before."""
    rows = [(short(stored.run.id), row) for stored in material.heads if (row := alone(stored, material.metric))]
    seen = {run: row.leakage for run, row in rows if row.leakage}
    sources = {run: row.group_leakage for run, row in rows if row.group_leakage}
    chosen = {run: row.selection_leakage for run, row in rows if row.selection_leakage}
    found = []
    for shares, what in (
        (seen, "the backbone was trained on a part of the test samples"),
        (sources, "the source image of a part of the test samples is in a training set"),
        (chosen, "the backbone's best epoch was chosen on a part of the test samples"),
    ):
        if shares:
            whose = ", ".join(f"{run} ({percent(share, 0)} %)" for run, share in shares.items())
            if len(shares) == len(rows) > MOST_NAMED:
                least, most = (percent(pick(shares.values()), 0) for pick in (min, max))
                whose = f"every run of a head ({least if least == most else f'{least} to {most}'} %)"
            found.append(f"Leakage: {what} in {whose}; such scores are optimistic.")
    return found


def _datasets(material: Material) -> dict[str, str]:
    """Names of the datasets by digest; runs may have called the same data by different names."""
    names: dict[str, dict[str, None]] = {}
    for stored in material.runs:
        if "dataset" in stored.run.components:
            names.setdefault(stored.run.dataset_digest, {})[stored.run.components["dataset"].name] = None
    return {digest: " = ".join(found) for digest, found in names.items()}


def _line(stored: StoredRun, material: Material, several: bool) -> tuple[str, ...]:
    run, names = stored.run, {role: row.name for role, row in stored.run.components.items()}
    if run.kind == "run":
        scored = score(alone(stored, material.metric), material.metric)
    else:
        kept = next((c for c in stored.finished() if c.position == material.kept.get(run.id)), None)
        value = kept.metrics.get(material.metric.name) if kept else None
        scored = (number(value, material.metric), "", str(len(stored.finished())))
    seconds = run.seconds.get("total")
    return (
        short(run.id), run.kind, run.status, stored.name, *([names.get("dataset", "")] if several else []),
        names.get("evaluator", ""), *scored, when(run.created), count(seconds),
    )  # fmt: skip


def _unfinished(material: Material) -> list[Table]:
    """Runs that are running, interrupted or failed, with the reason."""
    rows = []
    for stored in material.runs:
        run = stored.run
        if run.status == "finished":
            continue
        ended = {"running": "still running", "interrupted": "a signal, or its process is gone", "failed": "an error"}
        cells = f"{sum(cell.status == 'finished' for cell in stored.cells)} of {len(stored.cells)}"
        rows.append((short(run.id), run.kind, run.status, run.error or ended[run.status], cells, when(run.finished)))
    if not rows:
        return []
    columns = (
        Column("run", "runs"), Column("kind"), Column("status"), Column("what stopped it", "sentence"),
        Column("finished cells", "number"), Column("ended (UTC)"),
    )  # fmt: skip
    notes = ("only finished cells count in the tables of this report",)
    return [Table("Runs that are not finished", columns, tuple(rows), notes)]


def picking(material: Material) -> Section:
    """What picking the epoch and initialisation on the test part is worth, for every backbone."""
    rows = []
    for stored in material.backbones:
        options = stored.run.plan.get("pretraining", {})
        epochs = [{**epoch.values, "cell": epoch.cell, "epoch": epoch.epoch} for epoch in stored.epochs]
        facts = selection(epochs, options["monitor"]) if "monitor" in options else None
        if facts is None:
            continue
        best, validated = facts["by_test"], facts["by_validation"]
        rows.append(
            (
                short(stored.run.id),
                stored.name,
                facts["selected_by"],
                count(facts["initialisations"]),
                percent(best["test_accuracy"]),
                f"{best['epoch']} of {best['initialisation'] + 1}",
                percent(validated["test_accuracy"]) if validated else "",
                percent(facts["last_epochs"]),
                percent(facts["optimism"], signed=True),
            )
        )
    if not rows:
        return Section("picking", "Picking on the test part", (Text("No pretraining has stored test accuracies."),))
    columns = (
        Column("run", "runs"), Column("backbone"), Column("kept by"), Column("initialisations", "number"),
        Column("picked by test %", "number"), Column("epoch of initialisation", "number"),
        Column("picked by validation %", "number"), Column("last epochs %", "number"),
        Column("picking adds", "number"),
    )  # fmt: skip
    notes = (
        "test accuracy of the epoch with the best one, of the epoch that a validation part picks, and of the last "
        "epochs; picking adds: the first minus the second (minus the third where there is no second), in points",
    )
    return Section("picking", "Picking on the test part", (Table("Backbones", columns, tuple(rows), notes),))
