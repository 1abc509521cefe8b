"""Old names of options and commands work for one version, are not listed, and say the new one."""

import shlex

import pytest

from qtlplat.cli.app import _run
from qtlplat.cli.commands import run as run_module
from qtlplat.errors import ConfigError
from qtlplat.runs.service import Service


@pytest.fixture
def qtlplat(capsys):
    """Run a command line; returns exit code, standard output and standard error."""

    def call(line):
        code = _run(shlex.split(line))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def asked(qtlplat, monkeypatch, tmp_path):
    """Call `qtlplat run`; returns the request that it made, whether a run is reused, and stderr."""
    seen = {}

    def resolve(self, request):
        seen["request"] = request
        return

    def run(self, resolved, remarks, *, reuse, before_work):
        seen["reuse"] = reuse
        raise ConfigError("stop")

    monkeypatch.setattr(Service, "resolve", resolve)
    monkeypatch.setattr(Service, "run", run)
    monkeypatch.setattr(run_module, "_tell_plan", lambda *_: None)

    def call(line):
        result = qtlplat(f"--store {tmp_path / 's.db'} run {line}")
        return seen["request"], seen["reuse"], result[2]

    return call


def test_old_options_set_what_the_new_ones_set(asked):
    new, reuse, err = asked("--reuse --n-seeds 3 --n-init 2")
    assert (new.seeds, new.n_init, reuse) == (3, 2, True)
    assert "deprecated" not in err
    old, reuse, err = asked("--needed --seeds 3 --inits=2")
    assert (old, reuse) == (new, True)
    told = [line for line in err.splitlines() if "deprecated" in line]
    for name, other in (("--needed", "--reuse"), ("--seeds", "--n-seeds"), ("--inits", "--n-init")):
        assert [line for line in told if line.startswith(f"{name} is deprecated") and line.endswith(f"use {other}")]
    assert len(told) == 3


def test_the_new_option_wins_and_none_given_changes_nothing(asked):
    assert asked("--seeds 3 --n-seeds 4")[0].seeds == 4
    request, reuse, err = asked("")
    assert (request.seeds, request.n_init, reuse) == (None, None, False)
    assert "deprecated" not in err


def test_an_old_option_checks_its_value(qtlplat):
    code, _, err = qtlplat("run --seeds many")
    assert code == 2
    assert "'many' is not a valid integer" in err


def test_both_forms_of_set_are_one_option(asked):
    assert asked("--set head.layers=2 -S head.qubits=3")[0].sets == ("head.layers=2", "head.qubits=3")


def test_front_is_pareto(qtlplat, tmp_path):
    store = tmp_path / "s.db"
    new, old = (qtlplat(f"--store {store} {name} f1 parameters") for name in ("pareto", "front"))
    assert old[:2] == new[:2]
    assert "qtlplat front is deprecated and will be removed in the next version: use qtlplat pareto" in old[2]


def test_old_names_are_not_listed(qtlplat):
    text = qtlplat("--help")[1]
    assert " front" not in text
    options = qtlplat("run --help")[1]
    assert not any(f"{name} " in options for name in ("--needed", "--seeds", "--inits"))
