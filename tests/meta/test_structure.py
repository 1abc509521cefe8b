"""The rooms are where the architecture says, no larger than one reader can hold, and know only whom they may."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Collection
from graphlib import TopologicalSorter
from importlib.metadata import distribution
from pathlib import Path

import pytest

from qtlplat import errors

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLUGINS = {path.name for path in (ROOT / "plugins").iterdir() if path.is_dir() and any(path.glob("*.py"))}
MODULES = sorted([*(ROOT / "qtlplat").rglob("*.py"), *(ROOT / "plugins").rglob("*.py"), ROOT / "docs" / "generate.py"])
MOST_LINES = 350


def test_no_two_modules_of_tests_have_the_same_name() -> None:
    paths = [path for path in (ROOT / "tests").rglob("*.py") if not (path.parent / "__init__.py").exists()]
    names = Counter(path.stem for path in paths if path.stem != "conftest")
    assert [name for name, number in names.items() if number > 1] == [], "pytest would take one for the other"


def test_every_plugin_directory_is_an_installed_entry_point() -> None:
    assert set(PROJECT["project"]["entry-points"]["qtlplat"].values()) == PLUGINS
    for group, points in PROJECT["project"]["entry-points"].items():
        installed = {p.name: p.value for p in distribution("qtlplat").entry_points if p.group == group}
        assert installed == points, "the installed entry points are of before: pip install -e . installs them"


def test_every_plugin_directory_is_part_of_the_wheel_and_of_every_check() -> None:
    wheel = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert wheel == {"qtlplat"} | {f"plugins/{name}" for name in PLUGINS}
    packages = {"qtlplat", *PLUGINS}
    assert set(PROJECT["tool"]["mypy"]["packages"]) == packages
    assert set(PROJECT["tool"]["coverage"]["run"]["source_pkgs"]) == packages
    assert set(PROJECT["tool"]["importlinter"]["root_packages"]) == packages


def test_the_directory_of_plugins_is_no_package() -> None:
    assert not (ROOT / "plugins" / "__init__.py").exists()


def test_every_error_says_how_to_mend_it() -> None:
    """Where it is raised, or by its class; those of Python and of click are none of ours."""
    missing = []
    for path in MODULES:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
                continue
            kind = getattr(errors, call.func.id, None)
            if not isinstance(kind, type) or not issubclass(kind, errors.QtlplatError) or kind.usual_fix:
                continue
            empty = call.args and isinstance(call.args[0], ast.Constant) and not call.args[0].value  # told to nobody
            if not empty and not {"fix", None} & {keyword.arg for keyword in call.keywords}:
                missing.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert missing == []


def test_everything_is_printed_through_one_door() -> None:
    """Nobody prints past `cli/render/terminal.py`, which makes text inert: by print, click, a stream or rich."""
    # the last one speaks at the end of the process, when the streams are no longer guarded, of what it has made inert
    door = {("render", "terminal.py"), ("render", "console.py"), ("catalog", "contained.py")}
    past = re.compile(
        r"^(print|click\.s?echo|(click\.)?(prompt|confirm)|(rich\.)?print|(rich\.console\.)?Console|pprint(\.pprint)?"
        r"|sys\.(__)?std(out|err)(__)?(\.buffer)?\.write(lines)?)$"
    )
    found = []
    for path in MODULES:
        if path.parts[-2:] in door or path.name == "generate.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and past.match(ast.unparse(node.func)):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node.func)}")
    assert found == []


def test_no_module_is_too_long_to_be_read_at_once() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}


def test_every_module_says_its_job_in_its_first_line() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if not path.read_text(encoding="utf-8").startswith('"""') and path.stat().st_size
    ]
    assert silent == []


def test_no_module_is_called_utils() -> None:
    vague = {"utils", "util", "helpers", "misc", "common"}
    assert [str(path) for path in MODULES if path.stem in vague] == []


def test_every_folder_says_what_belongs_there() -> None:
    packages = [path for path in MODULES if path.name == "__init__.py" and "plugins" not in path.parts]
    docs = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in packages}
    assert [str(path.relative_to(ROOT)) for path, doc in docs.items() if len(re.findall(r"\.(?:\s|$)", doc)) < 2] == []


def test_the_architecture_names_every_folder() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.relative_to(ROOT / "qtlplat").parent for path in MODULES if "plugins" not in path.parts[-3:-1]
               and path.is_relative_to(ROOT / "qtlplat")}  # fmt: skip
    named = [folder for folder in folders if f"`{folder.as_posix()}`" in page]
    # a folder's own folders are its own business where it is named itself
    assert [str(f) for f in folders if f not in named and not set(f.parents) & set(named) and f.parts] == []
    assert [name for name in sorted(PLUGINS) if name not in page] == []


def test_no_module_is_part_of_an_import_circle() -> None:
    roots = {path: ROOT / "plugins" if path.is_relative_to(ROOT / "plugins") else ROOT for path in MODULES}
    known = {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
             for path, root in roots.items()}  # fmt: skip
    TopologicalSorter({name: _imported(path, known) - {name} for name, path in known.items()}).prepare()


def _imported(path: Path, known: Collection[str]) -> set[str]:
    """The modules that a module imports, wherever it does, but for those that only a type checker imports."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names} & set(known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & set(known) or {node.module}
    return found


def test_the_rooms_know_only_whom_they_may() -> None:
    beside = Path(sys.executable).with_name("lint-imports")
    command = str(beside) if beside.is_file() else shutil.which("lint-imports")
    if command is None:
        pytest.skip("import-linter is not installed: pip install -e '.[dev]'")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
