"""Installing distributions into a directory and running Python beside them, in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def pip_install(target: Path, *trees: Path) -> Path:
    """Build source trees and install them into `target`, without a network."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps", "--no-index"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--target", str(target), *map(str, trees)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def install_by_hand(target: Path, *trees: Path) -> Path:
    """Put what an installer would into `target`: the modules, and what importlib.metadata knows of them."""
    for tree in trees:
        project = tomllib.loads((tree / "pyproject.toml").read_text())["project"]
        (module,) = (path for path in tree.iterdir() if path.is_dir())
        shutil.copytree(module, target / module.name)
        facts = target / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        facts.mkdir()
        (facts / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        points = "".join(f"{name} = {value}\n" for name, value in project["entry-points"]["qtlplat"].items())
        (facts / "entry_points.txt").write_text(f"[qtlplat]\n{points}")
    return target


def python(code: str, *arguments: str, path: Path | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, with `path` before everything else that can be imported."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("QTLPLAT_")}
    env["XDG_CONFIG_HOME"] = str(cwd / "no-config")
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path or ""), env.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
