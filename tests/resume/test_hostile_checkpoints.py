"""Checkpoints that somebody else made, or put there: nothing in them is run, none that does not fit is used.

The older one is, or training begins anew; either way the run ends with the numbers of one that nobody touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import torch
from below_strace import child, ended
from hostile_files import FILES
from quick_runs import RUN, leftovers, numbers_of, write_plugin
from safetensors.torch import load, save

import qtlplat
from qtlplat.cli.app import _run
from qtlplat.signals import Stop
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

Call = Callable[[str], int]
Change = Callable[[Path], object]  # of a checkpoint, by its manifest
HEAD = "--head 'dressed[qubits=2,layers=1]' --controls linear --epochs 4 --pretrain-epochs 4"
ALONE = f"{HEAD} --device 'default.qubit[shots=5]' --epochs 2"  # cell by cell: some have ended
STOPPED = {"pretraining": (HEAD, 28), "heads": (HEAD, 52), "cells": (ALONE, 60)}  # in the second initialisation, ...


@pytest.fixture(scope="session")
def interrupted(plugins: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A store with a run that was stopped, with two checkpoints; to be copied."""
    made: dict[str, Path] = {}

    def make(stage: str) -> Path:
        if stage not in made:
            line, stop = STOPPED[stage]
            store = tmp_path_factory.mktemp(stage) / "runs.db"
            steps: list[int] = []

            def check(_self: Stop) -> None:
                steps.append(1)
                if len(steps) == stop:
                    raise KeyboardInterrupt

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Stop, "check", check)
                assert _run([*_words(line), "--store", str(store)]) == 130
            assert len(manifests(store)) == 2, steps
            made[stage] = store
        return made[stage]

    return make


def _words(line: str) -> list[str]:
    import shlex

    return shlex.split(f"{RUN} {line} -q")


def manifests(store: Path) -> list[Path]:
    """Those of the run that was in training, the newest first."""
    return sorted((store.with_name("runs.files") / "checkpoints").glob("*/*.json"), reverse=True)


@pytest.fixture
def goes_on(
    interrupted: Any, store: Path, qtlplat: Call, undisturbed: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., str]:
    """Change the newest checkpoint of a run that was stopped at a stage, or both, and resume it; returns stderr."""

    def go(stage: str, change: Change, *, both: bool = False, words: str = "not used") -> str:
        copy_of(interrupted(stage), store)
        chosen = manifests(store)[: 2 if both else 1]
        for path in chosen:
            change(path)
        capsys.readouterr()
        code = qtlplat("resume")
        err = capsys.readouterr().err
        assert code == 0, err
        notes = [line for line in err.splitlines() if line.startswith("checkpoint ")]
        assert 1 <= len(notes) <= len(chosen), err  # what was changed into what it was is used
        assert all(words in note and len(note) < 1000 and note.isprintable() for note in notes), err
        assert numbers_of(store) == undisturbed(STOPPED[stage][0])["numbers"]
        assert leftovers(store) == []
        assert not Path("ran").exists()
        shutil.rmtree(store.with_name("runs.files"))
        store.unlink()
        return err

    return go


def copy_of(template: Path, store: Path) -> None:
    store.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(template, store)
    shutil.copytree(template.with_name("runs.files"), store.with_name("runs.files"))


def sealed(manifest: Path, change: Callable[[dict[str, Any]], object], data: bytes | None = None) -> None:
    """Change what a manifest says, and give it a seal that is right."""
    content = json.loads(manifest.read_bytes())
    del content["sha256"]
    if data is not None:
        manifest.with_suffix(".safetensors").write_bytes(data)
        content |= {"bytes": len(data), "tensors": hashlib.sha256(data).hexdigest()}
    change(content)

    def text(value: Any) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    seal = hashlib.sha256(text(content).encode()).hexdigest()
    manifest.write_text(text({**content, "sha256": seal}))


def facts(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda manifest: sealed(manifest, lambda content: change(content["facts"]))


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def forge(manifest: Path) -> None:
        found = load(manifest.with_suffix(".safetensors").read_bytes())
        change(found)
        sealed(manifest, lambda _: None, save(found))

    return forge


@pytest.mark.parametrize("stage", ["heads", pytest.param("pretraining", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_what_is_no_safetensors_file_is_not_used_and_nothing_in_it_is_run(stage: str, goes_on: Any) -> None:
    chosen = FILES if stage == "pretraining" else ["a file of torch.save"]
    for name in chosen:
        data = FILES[name]()
        goes_on(stage, lambda manifest, data=data: sealed(manifest, lambda _: None, data), words="damaged")


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "a list": lambda path: path.write_text("[]"),
    "a text": lambda path: path.write_text('"text"'),
    "a number": lambda path: path.write_text("5"),
    "nothing": lambda path: path.write_text(""),
    "null": lambda path: path.write_text("null"),
    "no JSON": lambda path: path.write_bytes(b"\xff\xfe{"),
    "deep": lambda path: path.write_text("[" * 200_000),
    "deep facts": lambda path: path.write_text('{"facts":' * 50_000 + "1" + "}" * 50_000),
    "a number of many digits": lambda path: path.write_text('{"format": ' + "9" * 9999 + "}"),
    "large": lambda path: path.write_bytes(b" " * 17_000_000),
    "no facts": lambda path: sealed(path, lambda content: content.pop("facts")),
    "facts that are none": lambda path: sealed(path, lambda content: content.update(facts=[1, 2])),
    "another format": lambda path: sealed(path, lambda content: content.update(format="2")),
    "another run": lambda path: sealed(path, lambda content: content.update(run="../../0123456789abcdef")),
    "a run that is none": lambda path: sealed(path, lambda content: content.update(run={"a": ["\x1b[31m"]})),
    "a size that is none": lambda path: sealed(path, lambda content: content.update(bytes="many")),
    "a small size": lambda path: sealed(path, lambda content: content.update(bytes=-1)),
    "a digest that is none": lambda path: sealed(path, lambda content: content.update(tensors=None)),
    "a wrong seal": lambda path: path.write_text(path.read_text().replace('"sha256":"', '"sha256":"0')),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n == "deep" else [pytest.mark.slow]) for n in MANIFESTS],
)
@pytest.mark.slow
def test_a_manifest_that_somebody_made_is_not_used(name: str, goes_on: Any) -> None:
    goes_on("heads", MANIFESTS[name], words="damaged")


VALUES: list[Any] = [None, True, -1, 0, 10**6, 10**60, 1.5, "evil", "0x1p0", "nan", [], [[]], {}, {"0": "evil"}]


@pytest.mark.slow
@pytest.mark.parametrize("stage", STOPPED)
def test_facts_that_training_could_not_have_written_are_not_used(
    stage: str, interrupted: Any, goes_on: Any, tmp_path: Path
) -> None:
    known = json.loads(manifests(interrupted(stage))[0].read_bytes())["facts"]
    first = list(STOPPED).index(stage)  # a fact of every stage is given all values, a third of them in each
    for name in sorted(known.keys() - {"clock"}):
        for number, value in enumerate(VALUES[first::3]):
            if value == known[name] and type(value) is type(known[name]):
                continue
            if name in ("best_score", "clear_score") and value == "0x1p0":
                continue  # that may be
            if name == "seconds" and value in (0, 1.5, 10**6) and value is not True:
                continue
            goes_on(stage, facts(lambda f, name=name, value=value: f.update({name: value})), both=number % 2 == 0)
        goes_on(stage, facts(lambda f, name=name: f.pop(name)), both=name != "kept")
    goes_on(stage, facts(lambda f: f.update(more=1)))


@pytest.mark.slow
def test_an_epoch_that_is_not_there_yet_is_not_believed(goes_on: Any) -> None:
    """It would end the training without any."""
    goes_on("heads", facts(lambda f: f.update(epoch=99)), both=True)


@pytest.mark.slow
def test_times_that_make_no_sense_cost_nothing(interrupted: Any, store: Path, qtlplat: Call, undisturbed: Any) -> None:
    copy_of(interrupted("heads"), store)
    for manifest, value in zip(manifests(store), ("evil", {"total": [], "heads": -1e400}), strict=True):
        facts(lambda f, value=value: f.update(clock=value))(manifest)  # type: ignore[misc]
    assert qtlplat("resume -q") == 0
    assert numbers_of(store) == undisturbed(HEAD)["numbers"]


def changed(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    """The first tensor whose name matches, changed."""

    def forge(found: dict[str, torch.Tensor]) -> None:
        key = next(key for key in sorted(found) if re.search(name, key))
        found[key] = change(found[key])

    return tensors(forge)


def other_precision(tensor: torch.Tensor) -> torch.Tensor:
    """Double for single, single for double."""
    return tensor.float() if tensor.dtype == torch.float64 else tensor.double()


TENSORS: dict[str, tuple[tuple[str, ...], Change]] = {
    "a name missing": (("pretraining", "heads", "cells"), tensors(lambda t: t.pop(sorted(t)[0]))),
    "a name too many": (("pretraining", "heads", "cells"), tensors(lambda t: t.update(evil=torch.ones(1)))),
    "none at all": (("pretraining", "heads", "cells"), tensors(lambda t: t.clear())),
    "all in half precision": (
        ("pretraining", "heads", "cells"),
        tensors(lambda t: t.update({key: tensor.half() for key, tensor in t.items()})),
    ),
    "moments of another shape": (("pretraining", "heads"), changed(r"exp_avg$", lambda t: torch.ones(3))),
    "moments that are none": (("pretraining", "heads"), changed(r"exp_avg_sq$", lambda t: t.reshape(-1)[0])),
    "a step for each": (("pretraining", "heads"), changed(r"step$", lambda t: torch.ones(7))),
    "an optimizer of more": (("pretraining",), tensors(lambda t: t.update({"adam.99.exp_avg": torch.ones(1)}))),
    "an optimizer of others": (("heads",), tensors(lambda t: t.update({"now.0.adam.-1.step": torch.ones(())}))),
    "one value for a matrix": (("heads",), changed(r"heads\..*weight", lambda t: torch.ones(()))),
    "another precision for a matrix": (("heads", "pretraining"), changed(r"weight$", other_precision)),
    "a best epoch of another shape": (("pretraining",), changed(r"^best\.", lambda t: torch.ones(5, 5))),
    "kept weights of another shape": (("pretraining",), changed(r"^kept\.", lambda t: torch.ones(5, 5))),
    "fewer probabilities": (("pretraining", "cells"), changed(r"probabilities$", lambda t: t[1:])),
    "probabilities that are none": (("pretraining", "cells"), changed(r"probabilities$", lambda t: t / 0)),
    "more classes": (("pretraining", "cells"), changed(r"probabilities$", lambda t: torch.cat([t, t], 1))),
    "an ended head of another shape": (("cells",), changed(r"^ended.*state", lambda t: torch.ones(5, 5))),
}
BROADCAST = "one value for a matrix"  # what torch would put into every place of it


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    ("name", "stage"),
    [
        pytest.param(name, stage, marks=[] if name == BROADCAST else [pytest.mark.slow])
        for name, (stages, _) in TENSORS.items()
        for stage in stages
    ],
)
def test_tensors_of_another_training_are_not_used(name: str, stage: str, goes_on: Any) -> None:
    goes_on(stage, TENSORS[name][1], both=name == BROADCAST, words="is not of this training and not used")


def test_a_checkpoint_of_another_run_is_not_used(
    store: Path, interrupted: Any, goes_on: Any, qtlplat: Call, tmp_path: Path
) -> None:
    """A copy that is whole: only the run that it was made in can tell."""
    other = interrupted("heads")
    mine = tmp_path / "other" / "runs.db"
    copy_of(other, mine)

    def put_over(manifest: Path) -> None:
        for suffix in (".json", ".safetensors"):
            shutil.copy(manifests(mine)[0].with_suffix(suffix), manifest.with_suffix(suffix))
        sealed(manifest, lambda content: content.update(run="0123456789abcdef"))

    goes_on("heads", put_over, both=True, words="it is one of run 0123456789abcdef")


def instead(suffix: str, make: Callable[[Path], object]) -> Change:
    """Something else where a file was."""

    def change(manifest: Path) -> None:
        path = manifest.with_suffix(suffix)
        path.rename(path.with_suffix(".moved"))
        make(path)

    return change


PLACES: dict[str, Callable[[Path], object]] = {
    "a directory": lambda path: path.mkdir(),
    "a full directory": lambda path: (path / "evil").mkdir(parents=True),
    "a pipe": os.mkfifo,
    "a link to the file": lambda path: path.symlink_to(path.with_suffix(".moved")),
    "a link to elsewhere": lambda path: path.symlink_to("/etc/passwd"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a full directory", ".safetensors"),
        *(pytest.param(name, end, marks=pytest.mark.slow) for name in PLACES for end in (".json", ".safetensors")),
    ],
)
@pytest.mark.slow
def test_what_is_no_plain_file_is_not_read(name: str, suffix: str, goes_on: Any) -> None:
    goes_on("heads", instead(suffix, PLACES[name]), words="damaged")


def test_a_directory_of_checkpoints_that_leads_elsewhere_is_refused(
    interrupted: Any, store: Path, qtlplat: Call, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_of(interrupted("heads"), store)
    directory = manifests(store)[0].parent
    elsewhere = directory.rename(tmp_path / "elsewhere")
    directory.symlink_to(elsewhere)
    before = sorted(elsewhere.iterdir())
    assert qtlplat("resume -q") == 8
    err = capsys.readouterr().err
    assert "are a link to somewhere else" in err
    assert "  fix: " in err
    assert sorted(elsewhere.iterdir()) == before


def installed_below() -> list[Path]:
    """The directories that lead to what a user of this installation reads."""
    places = [Path(distribution("qtlplat").locate_file("")).resolve(), Path(qtlplat.__file__).resolve()]
    return [folder for place in places for folder in (place, *place.parents) if folder.is_dir()]


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A directory that every user may look into."""
    folder = Path(tempfile.mkdtemp(prefix="qtlplat-checkpoints-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user, whom permissions bind")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_checkpoint_that_may_not_be_read_is_not_used(
    interrupted: Any, open_place: Path, single_threaded: None, undisturbed: Any
) -> None:
    nobody = 65534
    if unreadable := [place for place in installed_below() if not place.stat().st_mode & 0o001]:
        pytest.skip(f"others may not look into {unreadable[0]}, where qtlplat is installed")
    store, site = open_place / "runs.db", open_place / "site"
    copy_of(interrupted("heads"), store)
    site.mkdir()
    write_plugin(site)  # where nobody may read it
    for path in [store, *open_place.rglob("*")]:
        os.chown(path, nobody, nobody)
    manifests(store)[0].chmod(0o000)

    def work() -> None:
        sys.path.insert(0, str(site))
        del sys.modules["quick_plugin"]
        os.setgroups([])
        os.setgid(nobody)
        os.setuid(nobody)
        raise SystemExit(_run(["resume", "--store", str(store)]))

    with child(work, open_place / "output") as process:
        code = ended(process)
    output = (open_place / "output").read_text()
    assert code == 0, output
    assert "Permission denied" in output
    assert numbers_of(store) == undisturbed(HEAD)["numbers"]


@pytest.mark.slow
def test_names_that_are_no_numbers_of_ours_are_left_alone(
    interrupted: Any, store: Path, qtlplat: Call, undisturbed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    copy_of(interrupted("heads"), store)
    directory = manifests(store)[0].parent
    for name in ("9" * 240, "٣٣٣٣٣٣", "-00005", "evil", "1"):
        (directory / f"{name}.json").write_text("{}")
    assert qtlplat("resume") == 0
    assert "not used" not in capsys.readouterr().err
    assert numbers_of(store) == undisturbed(HEAD)["numbers"]
    assert Reader(find_store(str(store))).interrupted() == []
