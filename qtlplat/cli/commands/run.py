"""`qtlplat run`: parse the request, have it prepared and executed, print what the store now says. No SQL here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.renamed import old_option, sets_option
from qtlplat.cli.render.columns import Column, text, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import clean, note, say
from qtlplat.cli.settings import Settings, add_common_options, pass_settings, store_patience, suggest
from qtlplat.cli.stores import asked_store, name_store
from qtlplat.command_hints import shell_word
from qtlplat.contracts import ROLES
from qtlplat.conventions import counted, short
from qtlplat.specs import HeadSpec

if TYPE_CHECKING:
    from qtlplat.catalog.catalog import Catalog
    from qtlplat.catalog.resolve import Resolved

SEVERAL, FEWEST = 5, 3  # backbones that the last lines suggest, and without which there is no general verdict


@click.command("run")
@click.option("--dataset", metavar="D", help="The dataset. Default: the first available one of the registry.")
@click.option("--backbone", metavar="B", help="The network whose features are used.")
@click.option("--head", metavar="H", help="What replaces its dense layers, e.g. dressed5x3 or 'dressed[qubits=4]'.")
@click.option("--evaluator", metavar="E", help="Which cells are trained and tested, e.g. kfold6.")
@click.option("--protocol", metavar="P", help="How backbone and head are trained: standard, paper, or your own.")
@click.option("--replace", metavar="all|K", help="How many trailing dense layers the head replaces. Default: all.")
@click.option("--seed", type=int, help="Everything random follows from it. Default: 0.")
@click.option(
    "--n-seeds", "seeds", type=int, metavar="N", help="Repeat all folds with N seeds from --seed on. Default: 1."
)
@click.option(
    "--backbones",
    type=int,
    metavar="N",
    help="Pretrain N independent backbones, and train all folds and seeds on each. Default: 1.",
)
@click.option("--epochs", type=int, help="Epochs of the head.")
@click.option("--pretrain-epochs", type=int, help="At most so many epochs of the backbone.")
@click.option("--n-init", type=int, help="Random initialisations of the backbone; the best one is kept.")
@click.option(
    "--device", metavar="DEV", help="What runs the circuit: auto, compiled, or a PennyLane device. Default: auto."
)
@click.option("--accelerator", type=click.Choice(["cpu", "cuda"]), help="Where torch computes. Default: cpu.")
@click.option(
    "--controls",
    metavar="none|auto|A,B",
    help="Baselines on the same cells: auto, or some of linear, mlp, identity, unentangled, frozen, shuffled, "
    "and the others of qtlplat ls controls.",
)
@click.option(
    "--train-sizes",
    metavar="A,B",
    help="Also train on these shares of each training part, e.g. 0.1,0.25,0.5, and show how much data a head needs.",
)
@click.option(
    "--tune",
    is_flag=True,
    help="Choose learning rate and epochs of the head and of every control, by cross-validation in each training part.",
)
@click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Threads of torch. Default: OMP_NUM_THREADS, or one per core unless one thread alone pretrains much faster.",
)
@sets_option
@click.option("--dry-run", is_flag=True, help="Show plan, cells and parameter counts; train and store nothing.")
@click.option(
    "--reuse",
    is_flag=True,
    help="Print the finished run with this fingerprint instead, if there is one; wait for one that is running.",
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Give the run this tag (repeat for more).")
@click.option("--note", "remark", metavar="TEXT", help="Note this on the run.")
@store_patience
@click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")
@old_option("--needed", "--reuse", "reuse", is_flag=True)
@old_option("--seeds", "--n-seeds", "seeds", type=int)
@old_option("--inits", "--n-init", "n_init", type=int)
@pass_settings
def run_command(
    settings: Settings,
    /,
    dry_run: bool,
    reuse: bool,
    tags: tuple[str, ...],
    remark: str | None,
    threads: int | None,
    as_json: bool,
    **request: Any,
) -> None:
    """Train a head on a frozen backbone and store the result.

    The backbone is pretrained once (a run of its own, found again by content), its features are computed once, and
    one head per cell is trained on them. What is left out comes from the registry's defaults. Tags and the note are no
    part of the plan; a run that --reuse finds gets them too.

    Several runs may start at once: a backbone that two of them need is pretrained by one, and the other waits for it.
    """
    from qtlplat.catalog.request import Request
    from qtlplat.cli.components import open_components
    from qtlplat.cli.render.progress import make_progress
    from qtlplat.runs.service import Service, checked_remarks
    from qtlplat.store.read.queries import Reader
    from qtlplat.store.read.serialize import short_form

    remarks = checked_remarks(tags, remark)
    location = asked_store(settings)
    registry, catalog = open_components(settings)
    service = Service(location, registry, catalog, make_progress(settings.verbosity), threads)
    resolved = service.resolve(Request(**request))
    _tell_plan(settings, resolved)
    if dry_run:
        _print_dry_run(service.dry_run(resolved), as_json)
        return
    run = service.run(resolved, remarks, reuse=reuse, before_work=lambda: name_store(location))
    reader = Reader(location)
    if as_json:
        write_json(short_form(reader.run(run)))
    else:
        from qtlplat.cli.commands.show import read_run

        _print_result(read_run(reader, run), request, catalog)


add_common_options(run_command)


def _tell_plan(settings: Settings, resolved: Resolved) -> None:
    from qtlplat.cli.render.show_tables import component_line

    if settings.verbosity >= 0:
        plan = resolved.plan
        for line in resolved.notes:
            note(line)
        note(f"{plan.backbone.name} + {plan.head.name} on {plan.dataset.name}, {plan.evaluator.name}, seed {plan.seed}")
    if settings.verbosity > 0:
        for role in ROLES:
            note(f"  {role}: {component_line(getattr(plan, role).public())}")
        for part in filter(None, (plan.training, plan.pretraining, plan.tuning)):
            note(f"  {type(part).__name__}: {text(part.model_dump())}")


def _print_dry_run(facts: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        write_json(facts)
        return
    from qtlplat.cli.render.show_tables import cell_columns, component_line, params

    for role in ("dataset", "backbone", "head", "evaluator"):
        say(f"{role:<12} {clean(component_line(facts[role]))}")
    for part in ("training", "pretraining", *(["tuning"] if "tuning" in facts else [])):
        say(f"{part:<12} {text(facts[part])}")
    say(f"{'fingerprint':<12} {facts['fingerprint'][:12]}", "", "cells")
    sizes = [Column(key, key.removeprefix("n_"), right=True) for key in ("n_train", "n_test")]
    emit(facts["cells"], [*cell_columns(facts["cells"]), *sizes])
    say("", "parameters")
    params(facts)


def _print_result(run: Mapping[str, Any], request: Mapping[str, Any], catalog: Catalog) -> None:
    """Folds with mean ± sd, parameter counts, the id and next commands; everything as read back from the store."""
    from qtlplat.cli.render.run_columns import head_cells_in_words, mean_sd, reach, show_mean_sd
    from qtlplat.cli.render.show_tables import cells, params

    say("cells")
    cells(run, every=False)
    say("", "parameters")
    params(run)
    of = "mean ± sd of " if len(run["metrics"]["f1"]["values"]) > 1 else ""
    spreads = ((name, mean_sd(run["metrics"][key])) for key, name in (("f1", "F1"), ("accuracy", "accuracy")))
    scores = [f"{name} {show_mean_sd(spread)}" for name, spread in spreads if spread is not None]
    took = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in run["seconds"].items() if seconds is not None)
    say("", f"run {run['run']}: {', '.join(scores)} ({of}{head_cells_in_words(run)}); {took}")
    if words := reach(run):
        say(words)
    if run["backbones"] == 1:
        say(_general_answer(run))
    known = short(run["run"])
    say("next:")
    say(suggest(f"  qtlplat show {known}"))
    if run["parameters"]["controls"]:
        say(suggest(f"  qtlplat compare {known}"))
    say(f"  {_again(run, request, head=_other_head(run, catalog))}")
    if run["backbones"] == 1:
        controls = {} if run["parameters"]["controls"] else {"controls": "auto"}
        say(f"  {_again(run, request, backbones=SEVERAL, **controls)}")


def _general_answer(run: Mapping[str, Any]) -> str:
    """What a comparison takes that is about more than the one backbone of a run."""
    from qtlplat.store.read.serialize import head_cells

    cells = head_cells(run["cells"])
    seeds, folds = (len({cell[key] for cell in cells}) for key in ("seed", "fold"))
    design = f"{SEVERAL} backbones × {counted(seeds, 'seed')} × {counted(folds, 'fold')}"
    return (
        f"a general answer takes {FEWEST} or more backbones, better {SEVERAL}, with controls: {design}; "
        "compare then says how many it takes to see a difference of 1 point"
    )


def _other_head(run: Mapping[str, Any], catalog: Catalog) -> str:
    """A head of the other sort, classical or quantum: it trains on the same features."""
    quantum = run["parameters"]["head"]["vqc"] > 0
    heads = [c.spec for c in catalog.components("head")]
    return next((spec.name for spec in heads if isinstance(spec, HeadSpec) == quantum), str(run["head"]["name"]))


def _again(run: Mapping[str, Any], request: Mapping[str, Any], **changes: object) -> str:
    """The same command with other options."""
    names = {role: run[role]["name"] for role in ("backbone", "head")}
    given = {**names, **{name: value for name, value in request.items() if value is not None}, **changes}
    words = ["qtlplat", "run"]
    for option in run_command.params:
        values = given.get(option.name or "")
        for value in values if isinstance(values, tuple) else [values]:
            # options of the head that was may not fit another head
            if value and isinstance(value, bool):
                words.append(option.opts[0])
            elif (
                value is not None
                and not isinstance(value, bool)
                and not ("head" in changes and str(value).startswith("head."))
            ):
                words += [option.opts[0], shell_word(str(value))]
    return suggest(" ".join(words))
