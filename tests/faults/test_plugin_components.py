"""A component that goes wrong when it is used: 4 and its plugin's name, before anything is trained or stored."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from faulty_components import BACKBONE, CIRCUIT, DATASET, EVALUATOR, HEAD, IMAGES, MODELS, OPTIONS, instead
from outcome import assert_fine, assert_inert, assert_refused, assert_sound, here
from sampling import crossed, sampled

Faulty = Callable[..., None]
RUN = (
    "run --dataset squares --backbone net --head dense --evaluator half --epochs 1 --pretrain-epochs 1 --store s.db"
).split()


def assert_blamed(words: str, *more: str) -> None:
    """The run is refused with the plugin's name before a store is made."""
    assert_refused(here(*RUN, *more), 4, words, "faulty-lab")
    assert not Path("s.db").exists()


def test_the_sound_plugin_runs(faulty: Faulty) -> None:
    faulty()
    assert_fine(here(*RUN))
    assert_sound(Path("s.db"))


@pytest.mark.parametrize("fault", sampled(DATASET, 4))
def test_a_dataset(fault: str, faulty: Faulty) -> None:
    changes, words = DATASET[fault]
    faulty(changes)
    assert_blamed(words)


@pytest.mark.parametrize("fault", sampled(IMAGES, 4))
def test_images_that_break_their_contract(fault: str, faulty: Faulty) -> None:
    changes, words = IMAGES[fault]
    faulty(instead("load", "options", f"return squares(16, {changes})"))
    assert_refused(here(*RUN), 3, words, "ImageSet", "faulty-lab")
    assert not Path("s.db").exists()


@pytest.mark.parametrize("fault", sampled(BACKBONE, 4))
def test_a_backbone(fault: str, faulty: Faulty) -> None:
    changes, words = BACKBONE[fault]
    faulty(changes)
    assert_blamed(words)


CANNOT_BE_BUILT = ("must return qtlplat.Backbone", "at least one dense block", "all torch modules")


@pytest.mark.parametrize("fault", sampled(BACKBONE, 9))
def test_info_of_a_broken_backbone(fault: str, faulty: Faulty) -> None:
    changes, words = BACKBONE[fault]
    faulty(changes)
    done = here("info", "net")
    if done.code == 0:  # that it does not run may be due to the images, which are larger than its own
        assert words not in CANNOT_BE_BUILT
        assert "parameters for images 1x200x200 of 2 classes\n  " in done.out
    else:
        assert_refused(done, 4, words, "faulty-lab")


@pytest.mark.parametrize("error", ["ConfigError('small')", "DataError('small', problems=[])"])
def test_info_of_a_backbone_that_takes_no_such_images_says_so(error: str, faulty: Faulty) -> None:
    body = f"from qtlplat.errors import ConfigError, DataError; raise {error}"
    faulty(instead("build_backbone", "options, input_shape, n_classes", body))
    done = here("info", "net")
    assert_fine(done)
    assert "small" in done.out


@pytest.mark.parametrize("fault", sampled(HEAD, 4))
@pytest.mark.sampled(15)
def test_a_head(fault: str, faulty: Faulty) -> None:
    changes, words = HEAD[fault]
    faulty(changes)
    assert_blamed(words)


@pytest.mark.parametrize("fault", sampled(CIRCUIT, 4))
def test_a_circuit(fault: str, faulty: Faulty) -> None:
    changes, words = CIRCUIT[fault]
    faulty(with_circuit(changes))
    assert_blamed(words)


def with_circuit(body: str) -> str:
    """The sound plugin with a quantum head; body: of the function that declares its circuit."""
    return (
        instead("circuit", "options", body)
        + "\n\ndef build_head(options, in_features, n_classes, circuit):\n    import torch\n"
        "    return torch.nn.Sequential(torch.nn.Linear(in_features, 1), circuit, torch.nn.Linear(1, n_classes))\n"
        "\n\ndef head_specs():\n    return [QuantumHeadSpec(name='dense', summary='s', build=build_head, "
        "options=HeadOptions, circuit=circuit)]\n"
    )


@pytest.mark.parametrize(
    ("fault", "device"),
    crossed(CIRCUIT, ["default.qubit", "lightning.qubit", "compiled", "default.mixed", "default.qubit[shots=5]"], 6),
)
@pytest.mark.sampled(7)
def test_a_circuit_on_a_device_that_was_named(fault: str, device: str, faulty: Faulty) -> None:
    faulty(with_circuit(CIRCUIT[fault][0]))
    for command in ([*RUN, "--device", device], ["info", "dense", "--device", device]):
        done = here(*command)
        assert_refused(done, done.code)
        assert done.code == 4
    assert not Path("s.db").exists()


@pytest.mark.parametrize("fault", sampled(EVALUATOR, 6))
@pytest.mark.sampled(9)
def test_an_evaluator(fault: str, faulty: Faulty) -> None:
    changes, words = EVALUATOR[fault]
    faulty(changes)
    assert_blamed(words)


@pytest.mark.parametrize(("fault", "kind"), crossed(OPTIONS, list(MODELS), 2))
def test_options_of_a_component(fault: str, kind: str, faulty: Faulty) -> None:
    changes, words = OPTIONS[fault]
    faulty("\n\n" + changes.format(Model=MODELS[kind]))
    assert_blamed(words)


@pytest.mark.parametrize("kind", sampled(MODELS, 3))
def test_a_default_that_is_changed_in_place(kind: str, faulty: Faulty) -> None:
    function = {"dataset": "load", "backbone": "build_backbone", "head": "build_head"}[kind]
    faulty(
        f"\n\nclass {MODELS[kind]}(Options):\n    per_class: int = 8\n    sizes: list[int] = []\n"
        f"\n\nsound_{function} = {function}\n"
        f"\n\ndef {function}(options, *rest):\n    options.sizes.append(1); return sound_{function}(options, *rest)\n"
    )
    assert_blamed(f"{kind} ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("return None", "TypeError"),
        ("return ['text']", "must return qtlplat.Problem, not str"),
        ("return [Problem(1, 2, 3)]", "must be text"),
        ("raise SystemExit(0)", "SystemExit"),
        ("yield Problem('a', 'b', 'c')\n1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_check_that_cannot_be_used(answer: str, words: str, faulty: Faulty) -> None:
    faulty(instead("check", "options", answer))
    assert_refused(here("data", "check", "squares"), 4, words, "faulty-lab")


@pytest.mark.parametrize("answer", sampled(["raise SystemExit(0)", "1 / 0", "return np.eye(2)", "return None"], 4))
@pytest.mark.sampled(1)
def test_a_default_dataset_that_cannot_look_is_not_at_hand(answer: str, faulty: Faulty, elsewhere: Path) -> None:
    faulty(instead("is_available", "options", answer))
    (elsewhere / ".qtlplat").mkdir()
    (elsewhere / ".qtlplat" / "registry.toml").write_text(
        "[defaults]\ndataset = ['squares', 'steel-synth[per_class=4]']"
    )
    done = here("data", "check")
    assert_fine(done)
    assert "steel-synth[per_class=4]: no problems found" in done.err


PRINTS = "print('loud \\x1b[31m')\nimport warnings; warnings.simplefilter('ignore')\n"
TURNS = (
    "import torch; torch.set_default_dtype(torch.float64); torch.set_num_threads(7); torch.set_grad_enabled(False)\n"
    "import os; os.chdir('/')\n"
)


@pytest.mark.parametrize("function", sampled(["load", "build_backbone", "build_head", "cells", "metrics"], 2))
def test_what_a_plugin_prints_and_turns_is_put_back(function: str, faulty: Faulty, elsewhere: Path) -> None:
    body = (PRINTS + TURNS).replace("\n", "\n    ")
    sound = f"sound_{function}(*arguments, **named)"
    # a head or backbone of float64 would be refused: what it built before it turned the switch is sound
    faulty(
        f"\n\nsound_{function} = {function}\n"
        f"\n\ndef {function}(*arguments, **named):\n    made = {sound}\n    {body}\n    return made\n"
    )
    before = torch.get_num_threads(), torch.get_default_dtype(), list(warnings.filters)
    done = here(*RUN, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert done.out.startswith("{")
    assert "loud" not in done.out
    assert "loud" in done.err
    assert (torch.get_num_threads(), torch.get_default_dtype(), list(warnings.filters)) == before
    assert torch.is_grad_enabled()
    assert Path.cwd() == elsewhere


@pytest.mark.parametrize(
    "names", sampled([r"('\x1b[31m', '[red]')", r"('a\nb', '<b>')", r"('=1+1', '\u202ex')", "('x' * 5000, 'y')"], 2)
)
def test_class_names_that_steer_are_shown_inert(names: str, faulty: Faulty) -> None:
    faulty(instead("load", "options", f"return squares(16, class_names={names})"))
    for command in (["data", "info", "squares"], RUN):
        done = here(*command)
        assert done.code == 0, done.err
        assert_inert(done)
