"""Runs that start at once on one store: what they share is done once, and somebody takes over from one that dies."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from quick_runs import RUN, Runs, leftovers, numbers_of

from qtlplat.runs import pretraining
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader
from qtlplat.store.write import shared_work
from qtlplat.store.write.shared_work import Work, claimed

Call = Callable[[str], int]
HEADS = ("linear", "mlp", "'mlp[activation=tanh]'", "'dressed[qubits=2,layers=1]'")
LINEAR = f"{RUN} --head linear --n-init 1"
# long enough for everybody to come while the first one is at it
SLOW = f"{LINEAR} --pretrain-epochs 200"


def until(runs: Runs, reached: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline, runs.log.read_text()
        time.sleep(0.05)


def reader_of(runs: Runs) -> Reader:
    return Reader(find_store(str(runs.store)))


def kinds(runs: Runs) -> Counter[tuple[str, str]]:
    return Counter((run.kind, run.status) for run in reader_of(runs).runs())


def waiting(runs: Runs, what: str) -> int:
    """How many have said that they wait for somebody whom they name."""
    line = rf"{what}waiting for (?:run|pretraining) \w{{16}} \(process \d+ on \S+, since \S+\)"
    return len(re.findall(line, runs.log.read_text())) if runs.log.exists() else 0


def begun(runs: Runs, kind: str = "pretraining") -> list[Any]:
    """Runs of a kind that have stored an epoch."""
    reader = reader_of(runs)
    return [run for run in reader.runs() if run.kind == kind and reader.epochs(run.id)]


@pytest.mark.parametrize("what", ["run", "pretraining", "features"])
@pytest.mark.sampled(3)
def test_a_run_waits_for_whoever_is_at_the_same_work(
    what: str, qtlplat: Call, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The claim itself is held here, and given back once somebody waits for it."""
    seen = []

    def held(location: Any, one: Work, doing: Any, tell: Any, on_wait: Any) -> Any:
        kind = one.key.split()[0]
        seen.append(kind)
        if kind != what:
            return claimed(location, one, doing, tell, on_wait)
        holder = ExitStack()
        holder.enter_context(claimed(location, one, doing, tell, on_wait))

        def told(text: str) -> None:
            tell(text)
            holder.close()

        return claimed(location, one, doing, told, on_wait)

    monkeypatch.setattr(shared_work, "WITHOUT_A_NAME", 0.0)
    for module in (shared_work, pretraining):  # a run that may be reused imports it when it is called
        monkeypatch.setattr(module, "claimed", held)
    assert qtlplat(f"{LINEAR} --reuse --json") == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["status"] == "finished"
    before = {"run": "", "pretraining": "backbone: ", "features": "frozen features: "}[what]
    assert f"{before}waiting for another process\n" in output.err
    assert seen == ["run", "pretraining", "features"]
    assert leftovers(store) == []


@pytest.mark.slow
def test_runs_on_one_backbone_pretrain_it_once(runs: Runs) -> None:
    started = [runs.start(f"{SLOW} --head {head}") for head in HEADS[:3]]
    for process in started:
        process.join(120)
        assert process.exitcode == 0, runs.log.read_text()
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 3}
    assert waiting(runs, "backbone: ") >= 2
    reader = reader_of(runs)
    assert len({a.path for run in reader.runs() for a in reader.artifacts(run.id) if a.kind == "features"}) == 1
    assert leftovers(runs.store) == []


@pytest.mark.slow
def test_if_the_first_is_killed_the_next_goes_on_with_its_pretraining(runs: Runs, tmp_path: Path) -> None:
    line = f"{RUN} --n-init 1 --pretrain-epochs 150"
    first = runs.start(f"{line} --head linear")
    until(runs, lambda: begun(runs))
    others = [runs.start(f"{line} --head {head}") for head in HEADS[1:]]
    until(runs, lambda: waiting(runs, "backbone: ") == 3)
    first.kill()
    first.join(60)
    for process in others:
        process.join(200)
        assert process.exitcode == 0, runs.log.read_text()
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 3, ("run", "interrupted"): 1}
    assert re.search(r"pretraining \w{16} resumes after epoch \d+", runs.log.read_text())
    (pretraining,) = reader_of(runs).runs(kind="pretraining")
    assert pretraining.owner == 2
    assert runs.to_the_end("resume --all") == 0, runs.log.read_text()
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 4}
    alone = Runs(runs.processes, tmp_path / "alone.db", runs.plugins)
    assert alone.to_the_end(f"{line} --head linear") == 0
    assert numbers_of(alone.store)["pretraining"] == numbers_of(runs.store)["pretraining"]


@pytest.mark.slow
def test_one_plan_that_is_needed_three_times_is_trained_once(runs: Runs, tmp_path: Path) -> None:
    logs = [tmp_path / f"{i}.json" for i in range(3)]
    started = [runs.start(f"{SLOW} --reuse --json --tag number{i}", log) for i, log in enumerate(logs)]
    for process, log in zip(started, logs, strict=True):
        process.join(120)
        assert process.exitcode == 0, log.read_text()
    (run,) = reader_of(runs).runs(kind="run")
    assert set(run.tags) == {"number0", "number1", "number2"}
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 1}
    assert leftovers(runs.store) == []


@pytest.mark.slow
@pytest.mark.parametrize("first_line", [SLOW, f"{SLOW} --reuse"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.sampled(2)
def test_whoever_needs_a_run_waits_for_it_and_takes_it_over(first_line: str, how: int, runs: Runs) -> None:
    first = runs.start(first_line)
    until(runs, lambda: begun(runs))
    second = runs.start(f"{SLOW} --reuse --note mine")
    until(runs, lambda: waiting(runs, ""))
    assert first.pid
    os.kill(first.pid, how)
    second.join(120)
    assert second.exitcode == 0, runs.log.read_text()
    (run,) = reader_of(runs).runs(kind="run")
    assert (run.status, run.owner, run.note) == ("finished", 2, "mine")
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 1}


@pytest.mark.slow
def test_what_fails_fails_for_each_with_its_own_message(runs: Runs) -> None:
    line = f"{RUN} --n-init 1 --head linear -S pretraining.learning_rate=1e300"
    started = [runs.start(line) for _ in range(3)]
    for process in started:
        process.join(120)
        assert process.exitcode == 6, runs.log.read_text()
    assert runs.log.read_text().count("error: the loss became") == 3
    assert kinds(runs) == {("pretraining", "failed"): 3, ("run", "failed"): 3}


@pytest.mark.slow
@pytest.mark.parametrize("needed", ["", "--reuse"])
def test_ctrl_c_while_waiting_ends_that_one_alone(needed: str, runs: Runs) -> None:
    first = runs.start(f"{SLOW} {needed}")
    until(runs, lambda: begun(runs))
    second = runs.start(f"{SLOW} {needed}")
    until(runs, lambda: waiting(runs, ""))
    assert second.pid
    os.kill(second.pid, signal.SIGINT)
    asked = time.monotonic()
    second.join(30)
    assert (second.exitcode, time.monotonic() - asked < 5) == (130, True), runs.log.read_text()
    assert "Traceback" not in runs.log.read_text()
    first.join(120)
    assert first.exitcode == 0, runs.log.read_text()
    left = {} if needed else {("run", "interrupted"): 1}
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 1, **left}
    assert runs.to_the_end("resume --all") == 0
    assert set(kinds(runs)) == {("pretraining", "finished"), ("run", "finished")}
    assert leftovers(runs.store) == []


@pytest.mark.slow
def test_a_run_waits_for_a_pretraining_that_is_resumed_by_name(runs: Runs) -> None:
    first = runs.start(SLOW)
    until(runs, lambda: begun(runs))
    first.kill()
    first.join(60)
    (run,) = reader_of(runs).interrupted(kind="run")
    resumed = runs.start(f"resume {run.id}")
    until(runs, lambda: reader_of(runs).run(run.id).status == "running")
    second = runs.start(f"{SLOW} --head mlp")
    third = runs.start(f"{SLOW} --reuse -q")
    for process in (resumed, second, third):
        process.join(120)
        assert process.exitcode == 0, runs.log.read_text()
    assert kinds(runs) == {("pretraining", "finished"): 1, ("run", "finished"): 2}
