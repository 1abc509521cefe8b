"""The command line that makes a stored plan again: everything is spelled out, no preset or protocol is relied on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtlplat.catalog.references import reference_text, value_text
from qtlplat.conventions import ROLES

FLAGS = {
    "seeds": "n-seeds",
    "train_sizes": "train-sizes",
}  # options of plan fields, if their names differ
# options that have a flag of their own, of the name of a request's field
TRAINING_FLAGS = {
    ("training", "epochs"): "--epochs",
    ("pretraining", "epochs"): "--pretrain-epochs",
    ("pretraining", "n_init"): "--n-init",
}


def command_words(plan: Mapping[str, Any], head: str = "linear") -> list[str]:
    """The words of a ``qtlplat run`` that has this plan, as stored; options that say where data lies are left out.

    A pretraining has no head, and none is needed to tell its weights: `head` is trained on them. Where it saw a part of
    the data only, the run that it was made for makes it again, and no other. Raises ValueError if a plan names no
    dataset or backbone.
    """
    if not all(role in plan for role in ("dataset", "backbone")):
        raise ValueError("this is no plan of a run or a pretraining")
    words = ["qtlplat", "run"]
    for role in ROLES:
        choice = plan.get(role)
        if choice is None:
            words += [f"--{role}", head] if role == "head" else []
            continue
        hidden = choice.get("locations", ())
        options = {key: value for key, value in choice["options"].items() if key not in hidden}
        words += [f"--{role}", reference_text(f"{choice['provider']}:{choice['component']}", options)]
    for name in ("replace", "seed", "seeds", "backbones", "device", "accelerator"):
        if name in plan:
            words += [f"--{FLAGS.get(name, name)}", str(plan[name])]
    if len(sizes := plan.get("train_sizes", ())) > 1:
        words += ["--train-sizes", ",".join(f"{size:g}" for size in sizes)]
    if plan.get("controls"):
        words += ["--controls", ",".join(plan["controls"])]
    chosen = ("learning_rate", "epochs") if plan.get("tuning") else ()
    for part in ("training", "pretraining", "tuning"):
        for key, value in (plan.get(part) or {}).items():
            if part == "training" and key in chosen:
                continue
            flag = TRAINING_FLAGS.get((part, key))
            words += [flag, value_text(value)] if flag else ["-S", f"{part}.{key}={value_text(value)}"]
    return words
