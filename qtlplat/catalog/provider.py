"""Who provides a component: distribution, version, entry point, and a digest of the plugin's code."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from qtlplat.hookspecs import Spec


@dataclass(frozen=True)
class Provider:
    """Where a plugin comes from. entry_point: its name in group ``qtlplat``; module: what it names."""

    distribution: str
    version: str
    entry_point: str
    module: str

    @cached_property
    def digest(self) -> str:
        """sha256 over paths and contents of the plugin package's ``*.py`` files, sorted; '' if there are none."""
        root = _package_root(self.module)
        if root is None:
            return ""
        files = sorted(path for path in root.rglob("*.py") if path.is_file()) if root.is_dir() else [root]
        total = hashlib.sha256()
        for path in files:
            name = path.relative_to(root).as_posix() if root.is_dir() else path.name
            content = path.read_bytes()
            total.update(f"{name}\0{len(content)}\0".encode() + content)
        return total.hexdigest()


@dataclass(frozen=True)
class Component:
    """A spec and who provides it."""

    spec: Spec
    provider: Provider


def canonical_name(distribution: str) -> str:
    """A distribution's name under the rule of package indexes: case and runs of ``-_.`` do not matter."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _package_root(module: str) -> Path | None:
    """Directory of the topmost package of a module that has files of its own, or the module's file."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        name = ".".join(parts[:depth])
        spec: importlib.machinery.ModuleSpec | None = importlib.util.find_spec(name)
        if spec is None:
            return None
        if spec.origin and spec.has_location:
            path = Path(spec.origin)
            return path.parent if path.name == "__init__.py" else path
    return None
