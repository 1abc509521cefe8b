"""The how-to for plugin authors is true: its files are built, installed, listed and checked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from stranger_tools import Cli, pip_install, python

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-plugin.md"
BLOCK = re.compile(r"^```(?:python|toml)\n(# file: (\S+)\n.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the page, as a reader would write them."""
    root = tmp_path_factory.mktemp("surface-lab")
    for content, name in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        path = root / name
        assert not path.exists(), f"{name} stands twice on the page"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    return root


@pytest.fixture(scope="session")
def site(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed."""
    return pip_install(tmp_path_factory.mktemp("installed"), tree)


def test_the_page_shows_the_files_that_it_announces(tree: Path) -> None:
    announced = re.search(r"```text\nsurface-lab/\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert announced
    names = {line.split()[0] for line in announced[1].splitlines()}
    assert {path.relative_to(tree).as_posix() for path in tree.rglob("*.*") if path.is_file()} == names


def test_its_components_are_listed_at_once(site: Path, qtlplat: Cli) -> None:
    done = qtlplat("ls", "--json", path=site)
    assert (done.returncode, done.stderr) == (0, "")
    mine = {(row["kind"], row["name"]) for row in json.loads(done.stdout) if row["provider"] == "surface-lab"}
    assert mine == {("head", "ring"), ("dataset", "stripes"), ("evaluator", "kept-part")}


@pytest.mark.slow
def test_its_own_tests_pass(site: Path, tree: Path, tmp_path: Path) -> None:
    code = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"
    arguments = ("-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(tree), str(tree / "tests"))
    done = python(code, *arguments, path=site, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


@pytest.mark.slow
def test_its_head_is_described_with_its_circuit(site: Path, qtlplat: Cli) -> None:
    done = qtlplat("info", "ring[qubits=4]", "--json", path=site)
    assert done.returncode == 0, done.stderr
    circuit = json.loads(done.stdout)["circuit"]
    assert (circuit["qubits"], circuit["parameters"], circuit["gates"]["CNOT"]) == (4, {"weights": 8}, 8)
