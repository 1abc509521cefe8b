"""The suite is tested: five kinds of bugs, planted into a copy of the package, are caught by tests that we have."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import strace
import warm_pytest
from planted import BUGS, Bug

ROOT = Path(__file__).parents[2]
COPIED = ("qtlplat", "plugins", "tests", "registry.toml", "pyproject.toml")
KINDS = 5
Outcomes = Callable[[Path, Sequence[str]], dict[str, str]]


def copy_to(place: Path) -> Path:
    """Copy what the tests need, and what is compiled of it."""
    place.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns(".*"))
        else:
            shutil.copy(ROOT / name, place / name)
    return place


@pytest.fixture(scope="session")
def outcomes() -> Iterator[Outcomes]:
    """Run tests of a copy in a process of its own: PASSED, FAILED, ERROR, or '' for what was skipped, by id."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    with subprocess.Popen(
        [sys.executable, warm_pytest.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as server:
        assert server.stdin
        assert server.stdout

        def run(root: Path, tests: Sequence[str]) -> dict[str, str]:
            arguments = ["-q", "-rA", "--tb=line", "-o", "addopts=", "-p", "no:cacheprovider", "--rootdir", str(root)]
            arguments += ["--basetemp", str(root / "temporary"), *tests]
            output = root / "output"
            paths = {"PYTHONPATH": f"{root}{os.pathsep}{root / 'plugins'}"}
            job = {"root": str(root), "arguments": arguments, "output": str(output), "environment": paths}
            print(json.dumps(job), file=server.stdin, flush=True)
            code = int(server.stdout.readline())
            lines = output.read_text(errors="replace").splitlines()
            assert code in (0, 1), "\n".join(lines)  # neither bad arguments nor a bug of pytest's
            words = ("PASSED", "FAILED", "ERROR")
            return {
                test: next((w for w in words if any(f"{line} ".startswith(f"{w} {test} ") for line in lines)), "")
                for test in tests
            }

        yield run
        server.stdin.close()


def test_every_bug_can_still_be_planted_and_names_tests_that_are_there(tmp_path: Path) -> None:
    assert len({bug.kind for bug in BUGS.values()}) == KINDS
    for bug in BUGS.values():
        (tmp_path / bug.file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / bug.file, tmp_path / bug.file)
        bug.plant(tmp_path)
        compile((tmp_path / bug.file).read_text(), bug.file, "exec")
        for test in bug.caught_by:
            file, _, name = test.partition("::")
            assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text()


def test_a_bug_that_does_not_fit_the_code_any_more_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text("sync()\nsync()\n")
    for text in ("sync()\n", "fsync()\n"):
        with pytest.raises(AssertionError, match="times"):
            Bug("kind", "file.py", text, "", ()).plant(tmp_path)


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory, outcomes: Outcomes) -> set[str]:
    """The tests that pass where no bug is planted: all of them, but for what cannot be run without strace.

    They are run once for all workers.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with (folder / "sound.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if not (known := file.read()):
            tests = sorted({test for bug in BUGS.values() for test in bug.caught_by})
            found = outcomes(copy_to(tmp_path_factory.mktemp("sound") / "copy"), tests)
            wrong = {test: word for test, word in found.items() if word != "PASSED" and (word or not strace.why_not())}
            assert wrong == {}
            known = json.dumps([test for test, word in found.items() if word])
            file.write(known)
    return set(json.loads(known))


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, sound: set[str], outcomes: Outcomes, tmp_path: Path) -> None:
    bug = BUGS[name]
    root = copy_to(tmp_path / "copy")
    bug.plant(root)
    tests = [test for test in bug.caught_by if test in sound]
    assert tests
    assert outcomes(root, tests) == dict.fromkeys(tests, "FAILED")
