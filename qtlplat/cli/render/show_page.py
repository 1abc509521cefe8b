"""The page of one run: what it is at a glance, then its tables, where it comes from and what to type next."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from qtlplat.cli.render.columns import text
from qtlplat.cli.render.run_columns import age, head_cells_in_words, mean_sd, progress_words, reach, show_mean_sd
from qtlplat.cli.render.show_tables import cells, component_line, curve, params, section, tuning
from qtlplat.cli.render.terminal import clean, note, say, stdout_console
from qtlplat.conventions import HEAD, counted, leakage_line, short

NAME_WIDTH = 13  # of the names before the lines of a headline
SURROUNDINGS = ("qtlplat", "torch", "pennylane")  # packages whose versions stand on the page
SCORES = ("f1", "accuracy")


def page(run: Mapping[str, Any]) -> None:
    """The whole page."""
    _lines(_glance(run))
    section("components")
    _lines(_components(run))
    section("cells")
    cells(run, leaks=False)
    if run["epochs"]:
        section("curves (first value, shape, last value)")
        curve(run)
    if run["candidates"]:
        section("tuning (chosen within the training part of each cell)")
        tuning(run)
    if run["selection"]:
        from qtlplat.analysis.selection import selection_line

        section("which epoch was kept")
        say(selection_line(run["selection"]))
    if run["parameters"]:
        section("parameters")
        params(run)
    section("lineage")
    _lineage(run)
    section("environment")
    _lines(_environment(run))
    next_commands(run)


def _glance(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Identity, status, score, controls, leakage, tags and notes of the run."""
    yield "run", f"{run['run']}  {run['kind']}  {run['status']}"
    yield "what", _what(run)
    if run["error"]:
        yield "error", run["error"]
    if run["progress"]:
        yield "progress", progress_words(run["progress"])
    if score := _score(run):
        yield "score", score
    if run["kind"] == "run" and (words := reach(run)):
        yield "backbones", words
    if against := _against_controls(run):
        yield "controls", against
    if leakage := leakage_line(run):
        yield "leakage", leakage.removeprefix("leakage: ")
    if run.get("trashed"):
        yield "trash", f"since {run['trashed']}; it is listed nowhere"
    if run.get("tags"):
        yield "tags", ", ".join(run["tags"])
    for number, line in enumerate((run.get("note") or "").splitlines()):
        yield " " if number else "note", line
    when = f"{run['created']} ({age(run['created'])})" if sys.stdout.isatty() else run["created"]
    yield "created", when
    if seconds := {name: value for name, value in run["seconds"].items() if value is not None}:
        yield "seconds", text(seconds)
    if run["status"] == "running":
        yield "owner", f"process {run['pid']} on {run['host']}"
    for owner in run["owners"][1:]:
        changed = "; ".join(f"{name}: {before} -> {after}" for name, (before, after) in owner["drift"].items())
        yield "resumed", f"{owner['since']}{', although changed: ' + changed if changed else ''}"


def _what(run: Mapping[str, Any]) -> str:
    names = {role: run[role]["name"] for role in ("dataset", "backbone", "head", "evaluator") if run[role]}
    backbone, dataset = names.get("backbone", "?"), names.get("dataset", "?")
    if run["kind"] == "pretraining":
        return f"backbone {backbone}, pretrained on {dataset}"
    replaced = run["parameters"].get("replaced_layers")
    layers = f", in place of {counted(replaced, 'dense layer')}" if replaced else ""
    return f"{names.get('head', '?')} on {backbone}{layers}; {dataset}, {names.get('evaluator', '?')}"


def _score(run: Mapping[str, Any]) -> str:
    """F1 and accuracy, over as many cells; '' where no cell has finished."""
    shown = [
        f"{'F1' if name == 'f1' else name} {show_mean_sd(spread)}"
        for name in SCORES
        if (spread := mean_sd(run["metrics"].get(name))) is not None
    ]
    if not shown:
        return ""
    n = max(len(spread["values"]) for spread in run["metrics"].values())
    of = head_cells_in_words(run) if run["kind"] == "run" else counted(n, "initialisation")
    return f"{', '.join(shown)} ({'mean ± sd of ' if n > 1 else ''}{of})"


def _against_controls(run: Mapping[str, Any]) -> str:
    """How much more F1 the head has than each control, by the means over their finished cells."""
    from qtlplat.store.read.serialize import by_variant

    means = {
        name: facts["metrics"]["f1"]["mean"] for name, facts in by_variant(run["cells"]).items() if facts["metrics"]
    }
    own = means.pop(HEAD, None)
    if own is None or not means:
        return ""
    return f"F1 of the head is {', '.join(f'{own - mean:+.4f} against {name}' for name, mean in means.items())}"


def _components(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for role in ("dataset", "backbone", "head", "evaluator"):
        if run[role]:
            yield role, component_line(run[role])
    yield "seed", str(run["seed"])
    yield "fingerprint", run["fingerprint"][:12]


def _environment(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """One line; `show --env` has everything."""
    known = run["environment"]
    versions = [f"{name} {known[key]}" for name in SURROUNDINGS if (key := f"version of {name}") in known]
    python = [f"python {known['python']}"] if "python" in known else []
    threads = [counted(int(known["threads"]), "thread")] if known.get("threads", "").isdecimal() else []
    machine = [known[name] for name in ("processor", "accelerator", "engine") if name in known]
    commit = [f"commit {known['git commit'][:8]}"] if "git commit" in known else []
    yield "", ", ".join([*versions, *python, *machine, *threads, *commit]) or "unknown"


def _lineage(run: Mapping[str, Any]) -> None:
    """Data -> what it builds on -> this run -> what builds on it: a tree on terminals, a line each elsewhere."""
    places = _places(run)
    above = sorted(run["lineage"]["parents"], key=lambda one: places.get(one["run"], ((), ""))[0])
    below = run["lineage"]["children"]
    data = f"data {run['dataset_digest'][:12] or 'unknown'}"
    own = f"this {run['kind']} {run['run']}"
    count = run["lineage"]["count"]
    others = [f"and {n} older"] if (n := count["parents"] - len(above)) > 0 else []
    rest = [f"and {n} older"] if (n := count["children"] - len(below)) > 0 else []
    if not sys.stdout.isatty():
        for line in (data, *(_relative(one, places) for one in above), *others, own):
            say(line)
        for line in (*map(_below, below), *rest):
            say(f"  {clean(line)}")
        return
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(clean(data)))
    here, backbones = tree, [one for one in above if one["role"] == "pretraining"]
    for relative in above:
        branch = tree.add(Text(clean(_relative(relative, places))))
        if backbones == [
            relative
        ]:  # the cells share it; where they have backbones of their own, all stand side by side
            here = branch
    for line in others:
        tree.add(Text(clean(line)))
    here = here.add(Text(clean(own), style="bold"))
    for line in (*map(_below, below), *rest):
        here.add(Text(clean(line)))
    stdout_console().print(tree)


Place = tuple[tuple[int, ...], str]  # where it is sorted, and the words


def _places(run: Mapping[str, Any]) -> dict[str, Place]:
    """By pretraining: which backbone of several it is, and the folds whose own it is."""
    cells: dict[str, list[Mapping[str, Any]]] = {}
    for cell in run["cells"]:
        if run["kind"] == "run" and cell["pretraining"]:
            cells.setdefault(cell["pretraining"], []).append(cell)
    numbers, seeds = ({cell[key] for own in cells.values() for cell in own} for key in ("backbone_index", "seed"))
    places: dict[str, Place] = {}
    for pretraining, own in cells.items():
        number, seed, fold = (own[0][key] for key in ("backbone_index", "seed", "fold"))
        words = [f"backbone {number}"] if len(numbers) > 1 else []
        if len(cells) > len(numbers):  # pretrained within folds
            words += [f"fold {fold}", *([f"seed {seed}"] if len(seeds) > 1 else [])]
        places[pretraining] = (number, seed, fold), ", ".join(words)
    return places


def _relative(one: Mapping[str, Any], places: Mapping[str, Place]) -> str:
    """A run that this one builds on, or does again."""
    role = f"replay of {one['kind']}" if one["role"] == "replay" else one["role"]
    words = places.get(one["run"], ((), ""))[1]
    return f"{role} {one['run']}  {one['backbone'] or ''}  {one['status']}" + (f"  {words}" if words else "")


def _below(one: Mapping[str, Any]) -> str:
    """A run that builds on this one, or repeats it."""
    role = "replayed as" if one["role"] == "replay" else one["kind"]
    what = f"{one['head']} on {one['backbone']}" if one["head"] else one["backbone"] or ""
    return f"{role} {one['run']}  {what}  {one['status']}"


def next_commands(run: Mapping[str, Any]) -> None:
    """What is likely to be typed next, on stderr."""
    known = short(run["run"])
    lines = [f"qtlplat show {known} --plan", f"qtlplat show {known} --json"]
    if run["status"] == "finished":
        lines.insert(0, f"qtlplat replay {known} --verify")
    if run["pretraining"]:
        lines.insert(0, f"qtlplat show {short(run['pretraining'])}")
    if run["parameters"].get("controls"):
        lines.insert(0, f"qtlplat compare {known}")
    if run["status"] in ("failed", "interrupted"):
        lines.insert(0, f"qtlplat resume {known}")
    if run["status"] == "running":
        lines.insert(0, "qtlplat runs --watch")
    note("next: " + "   ".join(lines))


def _lines(pairs: Iterator[tuple[str, str]] | Sequence[tuple[str, str]]) -> None:
    """Names and what they stand for; broken to the width of a terminal, one line each elsewhere."""
    for name, value in pairs:
        start = f"{name:<{NAME_WIDTH}}" if name else ""
        line = clean(value)
        if sys.stdout.isatty():
            width = max(20, shutil.get_terminal_size().columns - len(start))
            line = textwrap.fill(line, width, break_on_hyphens=False).replace("\n", "\n" + " " * len(start))
        say(*f"{start}{line}".split("\n"))
