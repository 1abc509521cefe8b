"""Sweeps from the command line: trained by child processes, looked at, continued, refused."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, numbers_of

from qtlplat.cli.app import _run
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.sweep_records import FailureRow
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.sweeps import find_sweep, member_states, named_sweep
from qtlplat.store.write.writer import Writer
from qtlplat_sweeps.asked import COMMANDS
from qtlplat_sweeps.command import sweep_command

PLAN = RUN.removeprefix("run ").replace("--epochs 12", "--epochs 3").replace("--n-init 2", "--n-init 1")
HEADS = "--head 'dressed[qubits=2,layers=1|2],linear' --seed 0..1"
Call = Callable[[str], int]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def qtlplat(plugins: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command line with the test's store; its child processes find the plugin too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(plugins), os.environ.get("PYTHONPATH")])))
    return lambda line: _run([*shlex.split(line), "--store", str(store)])


@pytest.fixture
def json_of(qtlplat: Call, capfd: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    def read(line: str, code: int = 0) -> Any:
        capfd.readouterr()
        assert qtlplat(f"{line} --json") == code, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    return read


def test_a_sweep_is_trained_looked_at_and_found_again(
    qtlplat: Call, json_of: Callable[..., Any], store: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    facts = json_of(f"sweep circuits {PLAN} {HEADS} -j 2")
    assert (facts["sweep"], facts["members"], facts["finished"], facts["failed"], facts["missing"]) == (
        "circuits", 6, 6, 0, 0,
    )  # fmt: skip
    assert facts["pretrainings"] == 2  # one for each seed, however many members start from it
    reader = Reader(find_store(str(store)))
    assert len(reader.runs(kind="run")) == 6
    assert len(reader.runs(kind="pretraining")) == 2

    rows = json_of("sweep show circuits")
    assert {row["state"] for row in rows} == {"finished"}
    assert rows[0]["point"] == {"head": "dressed", "head.layers": 1, "seed": 0}
    for row in rows:
        values = reader.run(row["run"]).metrics["f1"]
        assert row["f1"] == {
            "mean": pytest.approx(sum(values) / 3), "std": pytest.approx(_sd(values)), "n": 3,
        }  # fmt: skip
    (first, *_) = json_of("sweep show circuits --over seed")
    both = [row["f1"]["mean"] for row in rows if row["point"].get("head.layers") == 1]
    assert first["f1"] == {"mean": pytest.approx(sum(both) / 2), "std": pytest.approx(_sd(both)), "n": 2}
    assert (first["finished"], first["missing"], first["failed"]) == (2, 0, 0)

    capfd.readouterr()
    assert qtlplat("sweep show circuits --pivot layers,seed") == 0
    out, err = capfd.readouterr()
    assert out.splitlines()[0] == "head.layers\tseed=0\tseed=1"
    assert f"{rows[0]['f1']['mean']:.4f}" in out
    assert "mean over head" in err

    # nothing is trained again: by the same command, by the name, by another sweep that has the same members
    before = numbers_of(store)
    again = json_of(f"sweep circuits {PLAN} {HEADS}")
    assert {**again, "seconds": 0} == {**facts, "seconds": 0}
    assert json_of("sweep circuits")["finished"] == 6
    assert json_of(f"sweep other {PLAN} --head 'dressed[qubits=2,layers=1..2]'")["finished"] == 2
    assert numbers_of(store) == before

    # a plain run of a member has the same numbers, bit for bit
    elsewhere = tmp_path / "other.db"
    (alone,) = [row for row in rows if row["point"] == {"head": "linear", "seed": 1}]
    assert _run([*shlex.split(f"run {PLAN} --head linear --seed 1 -q"), "--store", str(elsewhere)]) == 0
    (single,) = Reader(find_store(str(elsewhere))).runs(kind="run")
    assert single.fingerprint == reader.run(alone["run"]).fingerprint
    assert single.metrics == reader.run(alone["run"]).metrics

    names = [row["name"] for row in json_of("sweep list")]
    assert sorted(names) == ["circuits", "other"]
    assert qtlplat("sweep rm other") == 0
    assert [row["name"] for row in json_of("sweep list")] == ["circuits"]
    assert len(reader.runs(kind="run")) == 6


def _sd(values: Any) -> float:
    mean = sum(values) / len(values)
    return float((sum((one - mean) ** 2 for one in values) / (len(values) - 1)) ** 0.5)


BAD = '''
"""Heads that fail, each in its own way."""
import os
from qtlplat import HeadSpec, Options, hookimpl

qtlplat_api_version = (1, 0)


class How(Options):
    way: str = "well"


def build(options, *, in_features, n_classes):
    import torch
    from torch import nn

    class Bad(nn.Module):
        def __init__(self):
            super().__init__()
            self.post_net = nn.Linear(in_features, n_classes)

        def forward(self, x):
            if len(x) > 15 and self.training:
                if options.way == "raises":
                    raise RuntimeError("this head is tired")
                if options.way == "dies":
                    os.kill(os.getpid(), 9)
            out = self.post_net(x)
            return out * float("nan") if options.way == "nan" and self.training else out

    return Bad()


@hookimpl
def qtlplat_heads():
    return [HeadSpec(name="bad", summary="fails", build=build, options=How)]
'''


@pytest.fixture
def bad_heads(plugins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    facts = site / "bad_heads-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "bad_heads.py").write_text(BAD)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-heads\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[qtlplat]\nbad = bad_heads\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(plugins)]))


@pytest.mark.slow
def test_bad_members_harm_no_others(
    qtlplat: Call, bad_heads: None, store: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One raises, one's loss is no number, one kills its process; the others are trained, and the failures are kept."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(sys.path[0])), os.environ["PYTHONPATH"]]))
    capfd.readouterr()
    assert qtlplat(f"sweep bad {PLAN} --head 'bad[way=raises|nan|dies|well],linear' -j 2 --json") == 6
    out, err = capfd.readouterr()
    facts = json.loads(out)
    assert (facts["finished"], facts["failed"], facts["missing"]) == (2, 3, 0)
    assert "this head is tired" in err
    assert "error: 3 members could not be trained" in err

    reader = Reader(find_store(str(store)))
    sweep = named_sweep(reader, "bad")
    states = {
        one.member.point["head.way"]: one for one in member_states(reader, sweep) if "head.way" in one.member.point
    }
    assert {way: one.state for way, one in states.items()} == {
        "raises": "failed", "nan": "failed", "dies": "killed", "well": "finished",
    }  # fmt: skip
    assert [failure.kind for failure in states["dies"].failures] == ["killed"] * 3
    assert "killed by SIGKILL" in states["dies"].failures[0].error
    log = reader.location.files / states["raises"].failures[0].log
    assert "this head is tired" in log.read_text()

    # neither failures nor what they left are found as if they were finished; nothing is tried again by itself
    capfd.readouterr()
    assert qtlplat("sweep bad --json") == 6
    assert json.loads(capfd.readouterr().out)["failed"] == 3
    assert qtlplat("sweep status bad") == 0
    out = capfd.readouterr().out
    assert "this head is tired" in out
    assert "try the failed ones again: qtlplat sweep retry" in out


def test_failures_wait_for_a_retry(store: Path, qtlplat: Call, capfd: pytest.CaptureFixture[str]) -> None:
    assert qtlplat(f"sweep one {PLAN} --head linear --dry-run") == 0
    assert find_sweep(Reader(find_store(str(store))), "one") is None  # a dry run stores nothing
    assert qtlplat(f"sweep one {PLAN} --head linear -q") == 0
    location = find_store(str(store))
    sweep = named_sweep(Reader(location), "one")
    (run,) = Reader(location).runs(kind="run")
    with Writer(location) as writer:
        writer.trash([run.id])
        writer.add_failure(sweep.id, FailureRow(0, "2026-01-01T00:00:00+00:00", "failed", "no luck", ""))
    (state,) = member_states(Reader(location), sweep)
    assert (state.state, state.run) == ("failed", None)
    assert qtlplat("sweep one -q") == 6
    assert len(Reader(location).runs(kind="run")) == 0
    assert qtlplat("sweep retry one -q") == 0
    (state,) = member_states(Reader(location), sweep)
    assert (state.state, state.failures) == ("finished", ())


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("sweep", 2, "nothing is asked for"),
        ("sweep nowhere", 2, "there is no sweep 'nowhere'"),
        ("sweep show nowhere", 2, "there is no sweep 'nowhere'"),
        ("sweep x --head 'dressed[qubits=2..4],nothing'", 2, "unknown head 'nothing'"),
        ("sweep x --head 'dressed[qubits=0..2,layers=1|2]'", 3, "2 of 6 points cannot be trained"),
        ("sweep x --head linear -S training.learning_rate=1e-3..1e-2", 2, "does not say how many values"),
        ("sweep x --head 'dressed[qubits=2..4]' --only 'qubits > 9'", 2, "no combination is left"),
        ("sweep x --head 'dressed[qubits=2..4]' --only 'depth > 9'", 2, "unknown column"),
        ("sweep x --head linear --zip seed,epochs", 2, "nothing called 'seed' varies"),
        ("sweep '' --head linear", 2, "no name for a sweep"),
        ("sweep x --head linear,linear", 2, "two points mean the same run: head=linear and head=linear"),
        ("sweep x --head linear -S 'training.epochs=1|2' -S training.epochs=3", 2, "two points mean the same run"),
        ("sweep x --head ',linear'", 2, "a name is missing"),
        ("sweep x --head ''", 2, "a name is missing"),
        ("sweep x --head linear --memory-limit 0.001", 2, "each process may use 0.001 GB"),
        ("sweep x --head linear --time-limit inf", 2, "inf is no limit"),
        ("sweep x --head linear -S training.learning_rate=0.1..1e400+3", 2, "finite number"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    qtlplat: Call, store: Path, capfd: pytest.CaptureFixture[str], line: str, code: int, said: str
) -> None:
    full = f"{line} --dataset quick-squares --backbone quick-net" if "--head" in line else line
    assert qtlplat(full) == code
    assert said in capfd.readouterr().err
    assert not store.exists()


def test_a_name_is_of_one_sweep(qtlplat: Call, store: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert qtlplat(f"sweep one {PLAN} --head linear --seed 0..1 --dry-run") == 0
    assert qtlplat(f"sweep one {PLAN} --head linear -q") == 0
    capfd.readouterr()
    assert qtlplat(f"sweep one {PLAN} --head linear --seed 0..1 -q") == 2
    err = capfd.readouterr().err
    assert "there is a sweep one that asks for something else: seed is one value there, not 0|1" in err
    assert f"qtlplat sweep rm --store {store} one" in err


def test_no_sweep_is_called_as_a_command() -> None:
    assert set(COMMANDS) == set(sweep_command.commands)


def test_a_file_has_the_options_too(qtlplat: Call, json_of: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "circuits.toml"
    file.write_text(
        'name = "from-file"\nhead = ["dressed[qubits=2..3,layers=1]", "linear"]\nseed = [0, 1]\nn-init = 1\n'
        'only = "seed = 0 or head = \'linear\'"\n[set]\n"training.learning_rate" = "1e-3|1e-2"\n'
    )
    facts = json_of(f"sweep --file {file} --dataset quick-squares --backbone quick-net --dry-run")
    assert (facts["sweep"], facts["members"], facts["missing"]) == ("from-file", 2 * 2 + 2 * 2, 8)
    assert [row["point"]["seed"] for row in facts["rows"]].count(1) == 2
    file.write_text('name = "show"\nhead = "linear"\n')
    assert qtlplat(f"sweep --file {file}") == 2
    for text in ('tune = "no"', "only = [3]", 'name = "-x"', "name = 5", "head = []"):
        file.write_text(f'{text}\nbackbone = "quick-net"\n')
        assert qtlplat(f"sweep --file {file}") == 2, text
    file.write_text("heads = 3\n")
    assert qtlplat(f"sweep --file {file}") == 2


def test_changed_code_is_said_and_kept_or_trained_again(
    qtlplat: Call, json_of: Callable[..., Any], store: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As if the code had changed after the sweep was stored: its member has another fingerprint, and a finished run."""
    assert qtlplat(f"sweep one {PLAN} --head linear -q") == 0
    location = find_store(str(store))
    sweep = named_sweep(Reader(location), "one")
    (member,) = sweep.content.members
    (run,) = Reader(location).runs(kind="run")
    with closing(sqlite3.connect(store)) as edited, edited:
        edited.execute("UPDATE runs SET fingerprint = 'old' WHERE id = ?", (run.id,))
    old = replace(sweep.content, members=(replace(member, fingerprint="old"),))
    with Writer(location) as writer:
        writer.remove_sweep(sweep.id)
        writer.add_sweep(old)
    capfd.readouterr()
    assert qtlplat("sweep one -q") == 2
    assert "1 finished member would get other numbers" in capfd.readouterr().err
    assert json_of("sweep one --stale keep -q")["finished"] == 1
    assert len(Reader(location).runs(kind="run")) == 1
    assert json_of("sweep one --stale redo -q")["finished"] == 1
    assert len(Reader(location).runs(kind="run")) == 2
