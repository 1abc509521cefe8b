"""What a run ran on: versions, host, threads, numeric settings, git commit; text by name, for the store."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

from qtlplat.errors import without_passwords
from qtlplat.runs.numerics import numerics

PACKAGES = ("qtlplat", "torch", "pennylane", "pennylane-lightning", "numpy", "scikit-learn", "pillow", "sqlalchemy")


def environment(device: str, accelerator: str = "cpu") -> dict[str, str]:
    """Versions of packages, the machine, threads, the requested device ('': none), this directory's commit."""
    import torch

    facts = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "processor": platform.processor() or platform.machine(),
        "cpus": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        "accelerator": accelerator,
        **numerics(accelerator),
        **({"device": device} if device else {}),
        "command": without_passwords(" ".join(sys.argv[1:]))[:500],
    }
    for package in PACKAGES:
        try:
            facts[f"version of {package}"] = version(package)
        except PackageNotFoundError:
            continue
    commit = _git_commit()
    return facts | ({"git commit": commit} if commit else {})


def _git_commit() -> str:
    """Commit of the working directory, with '+changes' where files differ from it; '' outside a repository."""
    git = shutil.which("git")
    if git is None:
        return ""
    try:
        head = subprocess.run([git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        dirty = subprocess.run(
            [git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return ""
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
