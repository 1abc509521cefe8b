"""The suite is tested: five kinds of bugs, planted into a copy of the package, are caught by tests that we have."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import strace
from planted import BUGS, Bug

ROOT = Path(__file__).parents[2]
COPIED = ("qtlplat", "plugins", "tests", "registry.toml", "pyproject.toml")
KINDS = 5


def copy_to(place: Path) -> Path:
    """Copy what the tests need."""
    place.mkdir()
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, place / name)
    return place


def outcomes(root: Path, tests: Sequence[str]) -> dict[str, str]:
    """Run tests of a copy in a process of its own: PASSED, FAILED, ERROR, or '' for what was skipped, by id."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    env["PYTHONPATH"] = f"{root}{os.pathsep}{root / 'plugins'}"
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-o", "addopts=", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(root), "--basetemp", str(root / "temporary"), *tests]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # neither bad arguments nor a bug of pytest's
    lines = done.stdout.splitlines()
    words = ("PASSED", "FAILED", "ERROR")
    return {
        test: next((w for w in words if any(f"{line} ".startswith(f"{w} {test} ") for line in lines)), "")
        for test in tests
    }


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
def sound(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The tests that pass where no bug is planted: all of them, but for what cannot be run without strace."""
    tests = sorted({test for bug in BUGS.values() for test in bug.caught_by})
    found = outcomes(copy_to(tmp_path_factory.mktemp("sound") / "copy"), tests)
    wrong = {test: word for test, word in found.items() if word != "PASSED" and (word or not strace.why_not())}
    assert wrong == {}
    return {test for test, word in found.items() if word}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, sound: set[str], tmp_path: Path) -> None:
    bug = BUGS[name]
    root = copy_to(tmp_path / "copy")
    bug.plant(root)
    tests = [test for test in bug.caught_by if test in sound]
    assert tests
    assert outcomes(root, tests) == dict.fromkeys(tests, "FAILED")
