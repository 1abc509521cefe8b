"""The command line that makes a stored plan again: everything is spelled out, no preset or protocol is relied on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from qtlplat.catalog.references import parse_value
from qtlplat.conventions import ROLES

_BARE = re.compile(r"[A-Za-z_][\w.+-]*")
FLAGS = {"seeds": "n-seeds"}  # options that set fields of a plan, where they have other names
# options that have a flag of their own
_FLAGS = {
    ("training", "epochs"): "--epochs",
    ("pretraining", "epochs"): "--pretrain-epochs",
    ("pretraining", "n_init"): "--n-init",
}


def command_words(plan: Mapping[str, Any], head: str = "linear") -> list[str]:
    """The words of a ``qtlplat run`` that has this plan, as stored; options that say where data lies are left out.

    A pretraining has no head, and none is needed to tell its weights: `head` is trained on them. Where it saw a part of
    the data only, the run that it was made for makes it again, and no other. Raises ValueError where a plan names no
    dataset or backbone.
    """
    if not all(role in plan for role in ("dataset", "backbone")):
        raise ValueError("this is no plan of a run or a pretraining")
    words, sets = ["qtlplat", "run"], []
    for role in ROLES:
        choice = plan.get(role)
        if choice is None:
            words += [f"--{role}", head] if role == "head" else []
            continue
        hidden = choice.get("locations", ())
        options = {key: value for key, value in choice["options"].items() if key not in hidden}
        inside = ",".join(f"{key}={_text(value)}" for key, value in options.items() if _fits_brackets(value))
        words += [f"--{role}", f"{choice['provider']}:{choice['component']}" + (f"[{inside}]" if inside else "")]
        sets += [f"{role}.{key}={_text(value)}" for key, value in options.items() if not _fits_brackets(value)]
    for name in ("replace", "seed", "seeds", "device", "accelerator"):
        if name in plan:
            words += [f"--{FLAGS.get(name, name)}", str(plan[name])]
    if plan.get("controls"):
        words += ["--controls", ",".join(plan["controls"])]
    for part, key, value in _trained(plan):
        flag = _FLAGS.get((part, key))
        if flag:
            words += [flag, _text(value)]
        else:
            sets.append(f"{part}.{key}={_text(value)}")
    return [*words, *(word for text in sets for word in ("-S", text))]


def _trained(plan: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for part in ("training", "pretraining"):
        for key, value in plan.get(part, {}).items():
            yield part, key, value


def _text(value: Any) -> str:
    """A value as an option takes it: JSON, without quotes where the text cannot be mistaken for anything else."""
    if isinstance(value, str) and _BARE.fullmatch(value) and parse_value(value) == value:
        return value
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _fits_brackets(value: Any) -> bool:
    """Whether the brackets of a reference can be taken apart again around this value."""
    return "\\" not in _text(value)
