"""What a plugin changes about the process is put back behind its import and behind each call into it."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import signal
import sys
import textwrap
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import sklearn
import torch
from faulty_components import instead
from outcome import apart, assert_fine, assert_inert, assert_refused, at_most, here
from sampling import sampled
from state_changes import CHANGES, ELSEWHERE, FOR_GOOD, IMPORTS, all_changes

from qtlplat.catalog import returned
from qtlplat.catalog.contained import contained
from qtlplat.catalog.process_state import OFTEN, STATES
from qtlplat.catalog.state import Snapshot, put_back, same, take_snapshot
from qtlplat.contracts import Circuit
from qtlplat.errors import PluginError
from qtlplat.plugin_modules import called

Faulty = Callable[..., None]
BUILT_IN = "run --dataset steel-synth[per_class=12] --backbone lenet2 --head linear --evaluator kfold[folds=2]".split()
BUILT_IN += "--epochs 2 --pretrain-epochs 1 --json".split()
OWN = "run --dataset squares --backbone net --head dense --evaluator half --epochs 2 --pretrain-epochs 1 --json".split()


ENVIRONMENT = next(state for state in STATES if state.name == "environment variables")
PYTEST = b"PYTEST_CURRENT_TEST"


@pytest.fixture(autouse=True)
def before(install: object, elsewhere: Path) -> Any:
    """Whatever a test leaves behind is a failure here, and not in another test."""
    assert all((torch, qml, sklearn, asyncio, multiprocessing))  # imported: their states are looked at
    state = take_snapshot(STATES)
    yield state
    changed = changes(state)
    put_back(state)
    assert changed == []


def changes(before: Snapshot) -> list[str]:
    """What differs from a snapshot, but for what pytest itself says in the environment."""
    found = [state.name for state, value in before.items() if not same(value, state.value())]
    now = {name: value for name, value in os.environb.items() if name != PYTEST}
    then = {name: value for name, value in before[ENVIRONMENT].items() if name != PYTEST}
    return [name for name in found if name != ENVIRONMENT.name or now != then]


def test_every_entry_has_a_change_that_is_tried() -> None:
    assert CHANGES.keys() | ELSEWHERE | {FOR_GOOD} == {state.name for state in STATES}
    assert len({state.name for state in STATES}) == len(STATES)


@pytest.mark.sampled(30)
@pytest.mark.parametrize("name", CHANGES)
def test_an_entry_is_noticed_and_put_back(name: str, before: Snapshot) -> None:
    kept: dict[str, object] = {}
    with contained():
        exec(IMPORTS + CHANGES[name], kept)
        assert name in changes(before)
    assert changes(before) == []


@pytest.fixture
def interop(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Torch takes this number once for a process: here a stand-in, which each test can set once."""
    before = torch.get_num_interop_threads()
    threads = [before]

    def set_once(number: int) -> None:
        if len(threads) > 1:
            raise RuntimeError("cannot set number of interop threads")
        threads.append(number)

    monkeypatch.setattr(torch, "get_num_interop_threads", lambda: threads[-1])
    monkeypatch.setattr(torch, "set_num_interop_threads", set_once)
    yield
    threads[:] = [before]


SETS_IT = "import torch; torch.set_num_interop_threads(9)"


def test_what_cannot_be_put_back_costs_the_plugin(faulty: Faulty, interop: None) -> None:
    faulty(f"\n{SETS_IT}\n")
    assert_fine(here("info", "kfold"), f"faulty-lab is left out: it changes what cannot be put back: {FOR_GOOD}")


def test_what_cannot_be_put_back_is_an_error_where_the_plugin_is_named(faulty: Faulty, interop: None) -> None:
    faulty(f"\n{SETS_IT}\n")
    assert_refused(here("info", "faulty-lab:dense"), 4, FOR_GOOD, "faulty-lab")


def test_what_cannot_be_put_back_behind_a_call_names_the_plugin(faulty: Faulty, interop: None) -> None:
    faulty(instead("check", "options", f"{SETS_IT}; return []"))
    assert_refused(here("data", "check", "squares"), 4, FOR_GOOD, "faulty-lab")


def numbers(text: str) -> Any:
    """What a run's JSON says, without what differs from run to run."""
    found = json.loads(text)
    return {key: found[key] for key in ("metrics", "parameters")}


@pytest.mark.slow
def test_an_unused_plugin_that_changes_everything_changes_no_run(faulty: Faulty, before: Snapshot) -> None:
    plain = here(*BUILT_IN, "--store", "a.db")
    assert_fine(plain)
    faulty(all_changes() + "\nchange_all(); print('loud')\n")
    changed = here(*BUILT_IN, "--store", "b.db")
    assert_fine(changed)
    assert numbers(changed.out) == numbers(plain.out)


CALLS = ["load", "build_backbone", "build_head", "forward", "cells", "metrics"]


@pytest.mark.parametrize("function", sampled(CALLS, 3))
@pytest.mark.sampled(1)
def test_a_call_that_changes_everything_changes_no_number(function: str, faulty: Faulty, elsewhere: Path) -> None:
    # a head that looks at values is called in every step
    looks = "\n\ndef forward(self, x, torch):\n    float(x.sum()); return self.layer(x)\n"
    flag = elsewhere / "now"
    drawn = ("torch's random numbers", "numpy's random numbers", "random's random numbers")
    # a model that is built may draw from all of them
    faulty(
        looks
        + all_changes(*drawn[: 3 if function.startswith("build") else 1])
        + f"\n\nsound = {function}\n\ndef {function}(*arguments, **named):\n"
        f"    made = sound(*arguments, **named)\n    if __import__('os').path.exists({str(flag)!r}):\n"
        "        change_all(); print('loud')\n    return made\n"
    )
    plain = here(*OWN, "--store", "a.db")
    assert_fine(plain)
    flag.touch()
    changed = here(*OWN, "--store", "b.db")
    assert_fine(changed)
    assert numbers(changed.out) == numbers(plain.out)
    assert "loud" in changed.err


def test_a_module_in_training_is_checked_for_what_the_next_step_depends_on() -> None:
    with contained():  # as all training is
        inside = take_snapshot(OFTEN)
        for state in OFTEN:
            kept: dict[str, object] = {}
            called(exec, IMPORTS + CHANGES[state.name], kept)
            assert [one.name for one, value in inside.items() if not same(value, one.value())] == [], state.name


def test_a_library_that_is_imported_by_a_plugin_is_left_as_it_was_imported(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as meanwhile:
        for name in [name for name in sys.modules if name.partition(".")[0] == "asyncio"]:
            meanwhile.delitem(sys.modules, name)
        with contained():
            import asyncio as fresh

            fresh.set_event_loop_policy(fresh.DefaultEventLoopPolicy())
    assert fresh is not asyncio
    assert fresh.events._event_loop_policy is None  # type: ignore[attr-defined]


LOUD = """
import atexit, ctypes, logging, os, sys
print("print"); sys.stdout.write("write"); sys.__stdout__.write("underlying"); os.write(1, b"descriptor")
os.system("echo child"); ctypes.CDLL(None).printf(b"from C"); sys.stderr.close(); os.close(1)
sys.stdout = sys.stderr = sys.__stdout__ = None
atexit.register(sys.exit, 5); atexit.register(os._exit, 5)
atexit.register(print, "farewell"); atexit.register(os.write, 1, b"farewell")
"""


def test_what_is_written_to_any_stdout_leaves_json_valid_and_the_exit_code_as_it_is(
    faulty: Faulty, tmp_path: Path
) -> None:
    faulty(LOUD)
    done = apart("ls", "heads", "--json", environment={"PYTHONPATH": str(tmp_path / "site")})
    assert done.code == 0, done.err
    assert {"dense", "linear"} <= {row["name"] for row in json.loads(done.out)}
    for words in ("print", "write", "underlying", "descriptor", "child", "from C", "farewell"):
        assert words in done.err
    assert "Traceback" not in done.err


RAW = """
import os
def raw(name): os.write(1, (name + "\\n{").encode())
raw("at import")
"""
CALLED = {  # functions of the sound plugin that a run calls: their arguments, and an expression for what they return
    "load": ("options", "squares(2 * options.per_class)"),
    "features": ("torch", "torch.nn.Sequential(torch.nn.MaxPool2d(4), torch.nn.Flatten())"),
    "extra": ("self, torch", "None"),
    "forward": ("self, x, torch", "self.layer(x + 0 * float(x.sum()))"),  # looks at values: called in every step
    "metrics": ("labels, probabilities", "{'sharpness': float(probabilities.max(1).mean())}"),
}


@pytest.mark.slow
def test_a_run_whose_plugin_writes_to_the_descriptor_of_stdout_prints_json_alone(
    faulty: Faulty, tmp_path: Path
) -> None:
    functions = (instead(f, given, f"raw('in {f}')\nreturn {value}") for f, (given, value) in CALLED.items())
    faulty(RAW + "".join(functions))
    run = "run --dataset squares --backbone net --head dense --evaluator half --epochs 2 --pretrain-epochs 1 --json"
    environment = {"PYTHONPATH": str(tmp_path / "site"), "OMP_NUM_THREADS": "1"}
    done = apart(*run.split(), "--store", "s.db", environment=environment, seconds=300)
    assert done.code == 0, done.err
    assert json.loads(done.out)["status"] == "finished"
    for name in ("at import", *(f"in {function}" for function in CALLED)):
        assert name in done.err, name


@pytest.mark.parametrize("answer", ["pass", "raise ValueError('mine')", "import os; os._exit"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130)])
def test_a_signal_in_a_plugin_is_obeyed_whatever_the_plugin_makes_of_it(
    name: str, code: int, answer: str, faulty: Faulty
) -> None:
    body = f"""
        import os, signal
        try:
            os.kill(os.getpid(), signal.{name})
            for _ in range(1000): pass
        except BaseException:
            {answer}
        return []
    """
    faulty(instead("check", "options", textwrap.dedent(body).strip()))
    assert here("data", "check", "squares").code == code


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "GeneratorExit", "__import__('qtlplat').errors.Terminated"])
def test_a_raise_is_no_signal(error: str, faulty: Faulty) -> None:
    faulty(instead("check", "options", f"raise {error}"))
    assert_refused(here("data", "check", "squares"), 4, error.rpartition(".")[2], "faulty-lab")


def test_signal_handlers_are_ours_again_behind_a_signal(before: Snapshot) -> None:
    with pytest.raises(KeyboardInterrupt), contained():
        signal.raise_signal(signal.SIGINT)
    assert changes(before) == []


def test_an_error_of_ours_passes() -> None:
    with pytest.raises(PluginError, match="mine"), contained():
        raise PluginError("mine")


BREAKS = {
    "len": "import builtins; builtins.len = lambda x: 3",
    "isinstance": "import builtins; builtins.isinstance = lambda *a: True",
    "no len": "import builtins; del builtins.len",
    "open and a raise": "import builtins; builtins.open = builtins.type = None; 1 / 0",
    "isinstance and a raise": "import builtins; builtins.isinstance = lambda *a: 1 / 0; 1 / 0",
    "all modules": "import sys; sys.modules.clear()",
    "streams": "import sys; del sys.stdout, sys.stderr",
    "the end": "import os; os._exit(0)",
    "the end within a try": "import os\ntry: os._exit(0)\nexcept BaseException: pass",
}


@pytest.mark.parametrize("code", BREAKS.values(), ids=BREAKS)
def test_an_import_that_breaks_python_costs_the_plugin_alone(code: str, faulty: Faulty) -> None:
    faulty(f"\n{code}\n")
    done = here("ls", "heads", "--json")
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "linear" in {row["name"] for row in json.loads(done.out)}


@pytest.mark.parametrize("code", BREAKS.values(), ids=BREAKS)
def test_a_call_that_breaks_python_is_the_plugins_error(code: str, faulty: Faulty) -> None:
    body = code.replace("\n", "\n    ")
    faulty(f"\n\ndef check(options):\n    {body}\n    raise ValueError('mine')\n")
    assert_refused(here("data", "check", "squares"), 4, "faulty-lab")


def test_a_process_that_a_plugin_forks_is_no_second_command(faulty: Faulty, tmp_path: Path) -> None:
    faulty("\nimport os; os.fork()\n")
    done = apart("ls", "heads", "--json", environment={"PYTHONPATH": str(tmp_path / "site")})
    assert done.code == 0, done.err
    assert json.loads(done.out)


def test_files_that_a_plugin_closes_are_an_error_not_an_empty_answer(faulty: Faulty, tmp_path: Path) -> None:
    faulty("\nimport os; os.closerange(3, 1000)\n")
    done = apart("ls", "heads", "--json", environment={"PYTHONPATH": str(tmp_path / "site")})
    assert_refused(done, 5)
    assert "faulty-lab is left out: it changes what cannot be put back: files that were open" in done.err


IN_FORWARD = {
    "len is replaced": "import builtins; builtins.len = lambda x: 3",
    "isinstance is replaced": "import builtins; builtins.isinstance = lambda *a: True",
    "no file may be opened": "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (3, r.getrlimit(r.RLIMIT_NOFILE)[1]))",
    "no file may be written": "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (0, r.getrlimit(r.RLIMIT_FSIZE)[1]))",
    "stdout and stderr are closed": "import os; os.closerange(1, 3)",
    "another directory": "import os; os.chdir('/')",
}


@pytest.mark.parametrize("change", sampled(IN_FORWARD.values(), 3), ids=IN_FORWARD)
@pytest.mark.sampled(1)
def test_what_a_forward_breaks_behind_its_last_line_is_put_back_before_anything_else_happens(
    change: str, faulty: Faulty, elsewhere: Path
) -> None:
    flag = elsewhere / "now"
    looks = "    y = self.layer(x); float(y.detach().sum())\n"  # looking at values, it is called in every step
    then = f"    if __import__('os').path.exists({str(flag)!r}):\n        {change}\n"
    faulty(f"\n\ndef forward(self, x, torch):\n{looks}{then}    return y\n")
    plain = here(*OWN, "--store", "a.db")
    assert_fine(plain)
    flag.touch()
    changed = here(*OWN, "--store", "b.db")
    assert_fine(changed)
    assert numbers(changed.out) == numbers(plain.out)


FORKS = {
    "fork": "import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)",
    "multiprocessing": "import multiprocessing as m\np = m.get_context('fork').Process()\np.start()\np.join()",
}


@pytest.mark.parametrize("body", sampled(FORKS.values(), 2), ids=FORKS)
def test_a_forward_that_forks_is_refused(body: str, faulty: Faulty) -> None:
    faulty(instead("forward", "self, x, torch", f"{body}\nreturn self.layer(x)"))
    with at_most(60):
        assert_refused(here(*OWN, "--store", "a.db"), 4, "must not fork the process", "subprocess", "faulty-lab")


def test_a_module_that_seeds_torch_while_it_is_trained_is_refused() -> None:
    with contained(), pytest.raises(PluginError, match="seeds torch's global generator"):
        called(torch.manual_seed, 3)


@pytest.mark.parametrize("seed", ["torch.manual_seed(1)", "numpy.random.seed(1)", "random.seed(1)", "torch.rand(3)"])
def test_the_function_of_a_circuit_has_random_numbers_of_its_own(seed: str) -> None:
    import random

    names = {"torch": torch, "numpy": np, "random": random}
    drawn: list[float] = []

    def function() -> None:
        eval(seed, names)
        drawn.append(float(torch.rand(())) + np.random.rand() + random.random())

    circuit = returned.circuit(Circuit(function, 1, {"w": (1,)}, 1, 1))

    def after() -> tuple[float, float, float]:
        return float(torch.rand(())), np.random.rand(), random.random()

    with contained():
        torch.manual_seed(7), np.random.seed(7), random.seed(7)
        first = after()
        torch.manual_seed(7), np.random.seed(7), random.seed(7)
        circuit.function()
        circuit.function()
        assert after() == first
    assert drawn[0] != drawn[1]  # what differs from call to call is seen to


AT_WORK = {
    "a thread": (
        "threading.Thread(target=work, name='busy \\x1b').start()",
        "ended although a thread was still at work: 'busy \\x1b'",
    ),
    "a daemon thread": ("threading.Thread(target=work, daemon=True).start()", ""),
    "a pool": (
        "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(1); pool.submit(work)",
        "ended although a thread was still at work: 'ThreadPoolExecutor-0_0'",
    ),
    "a process": (
        "import multiprocessing\n"
        "multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,), name='busy').start()",
        "ended although a process was still at work: 'busy'",
    ),
    "a function for the end": (
        "import atexit; atexit.register(time.sleep, 60)",
        "ended although a function for the end of the process was still at work",
    ),
    "a log that is held": (
        "import logging\nheld = logging.StreamHandler()\n"
        "threading.Thread(target=lambda: (held.acquire(), time.sleep(60)), daemon=True).start()",
        "ended although a function for the end of the process was still at work",
    ),
}
WORK = """
import threading, time, sys

def work():
    while True:
        print("\\x1b[31mfrom a thread")

"""


@pytest.mark.parametrize(("starts", "told"), sampled(AT_WORK.values(), 3), ids=AT_WORK)
@pytest.mark.sampled(1)
def test_what_a_plugin_leaves_at_work_neither_writes_answers_nor_keeps_nor_crashes_the_command(
    starts: str, told: str, faulty: Faulty, tmp_path: Path
) -> None:
    faulty(WORK + starts + "\n")
    program = "from qtlplat.cli import ending; from qtlplat.cli.app import main; ending.PATIENCE = 0.3; main()"
    done = apart("ls", "heads", "--json", environment={"PYTHONPATH": str(tmp_path / "site")}, program=program)
    assert done.code == 0, done.err
    assert json.loads(done.out)
    assert told in done.err
    assert_inert(done)


def test_a_stream_that_is_replaced_stays_for_the_threads_that_are_printing_on_it() -> None:
    """CPython's `print` would crash on one that is freed meanwhile."""
    with contained():
        seen = weakref.ref(sys.stdout)
    gc.collect()
    assert seen() is not None
