"""The command that makes a stored plan again resolves to that very plan."""

import shlex
from itertools import pairwise

import click
import pytest

from qtlplat.catalog.command import command_words
from qtlplat.catalog.plan import RunPlan
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import resolve
from qtlplat.cli.commands.run import run_command
from qtlplat.cli.components import open_components
from qtlplat.cli.settings import Settings

DIGEST = "a" * 64


def planned(**request: object) -> RunPlan:
    registry, catalog = open_components(Settings())
    return resolve(Request(**request), registry, catalog).plan.bind(DIGEST)  # type: ignore[arg-type]


def replanned(words: list[str]) -> RunPlan:
    """The plan that the command line's own parser and resolver make of the words."""
    assert words[:2] == ["qtlplat", "run"]
    typed = run_command.make_context("run", words[2:], parent=click.Context(run_command)).params
    return planned(**{key: value for key, value in typed.items() if key in Request.__dataclass_fields__})


REQUESTS = [
    {"dataset": "steel-synth", "backbone": "lenet2", "head": "dressed5x3"},
    {
        "dataset": "steel-synth[per_class=3,images_per_kind=4]", "backbone": "lenet3",
        "head": "dressed[qubits=4,axis=Y]", "evaluator": "nested[folds=3,grouped=true]",
        "replace": "2", "seed": 5, "seeds": 3, "backbones": 2, "protocol": "paper",
        "epochs": 7, "pretrain_epochs": 9, "n_init": 4, "controls": "linear,shuffled",
        "device": "default.qubit[shots=10]",
    },
    {
        "dataset": "neu-det[root=/home/me/NEU-DET.zip]", "backbone": "lenet1", "head": "linear", "controls": "auto",
        "sets": ("pretraining.grouped=true", "training.learning_rate=1e-3"),
    },
]  # fmt: skip


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: str(r["head"]))
def test_the_command_of_a_plan_makes_the_same_plan(request_: dict[str, object]) -> None:
    plan = planned(**request_)
    words = command_words(plan.model_dump(mode="json"))
    again = replanned(shlex.split(shlex.join(words)))
    assert again.fingerprint == plan.fingerprint
    assert again.pretraining_fingerprint == plan.pretraining_fingerprint
    assert (again.seeds, again.controls, again.replace) == (plan.seeds, plan.controls, plan.replace)


def test_where_data_lies_is_left_out() -> None:
    plan = planned(dataset="neu-det[root=/home/me/NEU-DET.zip]", backbone="lenet2", head="linear")
    assert "home" not in shlex.join(command_words(plan.model_dump(mode="json")))


def test_a_pretraining_is_made_by_a_run_with_any_head() -> None:
    plan = planned(dataset="steel-synth", backbone="lenet2", head="dressed5x3", seed=3, n_init=2)
    kept = ("dataset", "backbone", "pretraining", "seed", "dataset_digest")
    stored = {key: value for key, value in plan.model_dump(mode="json").items() if key in kept}
    assert replanned(command_words(stored)).pretraining_fingerprint == plan.pretraining_fingerprint


VALUES = ["a,b]", 'say "x"', "back\\slash", "\\", "true", "1e3", "null", "", " x ", "ü", [1, "a,b"], None]


@pytest.mark.parametrize("value", VALUES)
def test_any_value_survives_the_way_through_a_shell(value: object) -> None:
    from qtlplat.catalog.references import parse_reference, parse_sets

    choice = {"component": "c", "provider": "dist", "options": {"key": value, "other": 1}, "locations": []}
    plan = dict.fromkeys(("dataset", "backbone", "head", "evaluator"), choice)
    words = shlex.split(shlex.join(command_words(plan)))
    reference = parse_reference(words[words.index("--head") + 1], "head")
    sets = [text for flag, text in pairwise(words) if flag == "-S"]
    given = reference.options | parse_sets(sets, ("dataset", "backbone", "head", "evaluator"))["head"]
    assert {name: found.value for name, found in given.items()} == {"key": value, "other": 1}
    assert reference.name == "dist:c"


def test_what_is_no_plan_is_refused() -> None:
    with pytest.raises(ValueError, match="no plan"):
        command_words({"seed": 0})
