"""Installing distributions into a directory and running Python beside them, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
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


def python(code: str, *arguments: str, path: Path | None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, with `path` before everything else that can be imported."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("QTLPLAT_")}
    env["XDG_CONFIG_HOME"] = str(cwd / "no-config")
    env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path or ""), env.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
