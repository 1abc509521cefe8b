"""The code that a component uses: its modules, and what they import of their own distribution, each with a digest.

Found by reading files, never by importing. Comments, docstrings, formatting and help texts are no code.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LENGTH = 12  # hexadecimal digits of a module's digest
# Code that uses one of these may import anything: then the whole package counts.
DYNAMIC = {"import_module", "__import__", "exec", "eval", "exec_module", "run_path", "run_module", "iter_modules"}
DYNAMIC |= {"walk_packages", "find_spec", "entry_points", "__path__"}
HELP = {"description", "summary", "title", "notice"}  # keywords of `Field` and of the classes of specs


def code_of(spec: Any, distribution: str, entry_module: str) -> dict[str, str]:
    """Digests of the modules that a component uses, by name; {} if no file of them is found.

    Args:
        spec: What a plugin's hook returned.
        distribution: The plugin's.
        entry_module: The module that the plugin's entry point names; it makes the spec.
    """
    own = _Own(distribution, entry_module.partition(".")[0])
    for item in fields(spec):
        for name in _modules_of(getattr(spec, item.name)):
            own.follow(name)
    # made here, and imported before: they may decide what the others do
    for name in {entry_module, *own.found}:
        for parent in _with_parents(name):
            own.add(parent)
    return dict(sorted(own.found.items()))


def digest_of(code: dict[str, str]) -> str:
    """sha256 over names and digests of modules, '' for none."""
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest() if code else ""


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def _modules_of(value: Any) -> Iterator[str]:
    """Where a function or class of a spec is written; of what wraps another one, both."""
    while isinstance(value, functools.partial):
        value = value.func
    if not callable(value):
        return
    for one in {id(v): v for v in (value, inspect.unwrap(value))}.values():
        one = getattr(one, "__func__", one)  # noqa: PLW2901 -- of a method
        classes = inspect.getmro(one if isinstance(one, type) else type(one))
        names = [getattr(one, "__module__", None), *(base.__module__ for base in classes)]
        yield from (name for name in names if isinstance(name, str))


@dataclass(frozen=True)
class _Source:
    """What a file says. dynamic: whether it may import anything."""

    digest: str
    imports: tuple[ast.Import | ast.ImportFrom, ...] = ()
    dynamic: bool = False


@dataclass
class _Own:
    """The modules of a plugin's distribution. top: of its entry point; found: digests of those that count."""

    distribution: str
    top: str
    found: dict[str, str] = field(default_factory=dict)
    _tops: dict[str, bool] = field(default_factory=dict)
    _followed: set[str] = field(default_factory=set)

    def add(self, name: str) -> _Source | None:
        """Let a module count if it is one of these and has a file; returns what it says."""
        path = _located(name) if self._owns(name.partition(".")[0]) else None
        if path is None:
            return None
        source = _read(path.read_bytes(), path.suffix == ".py")
        self.found[name] = source.digest
        return source

    def follow(self, name: str) -> None:
        """Let a module count, and all that it imports of these, and so on."""
        waiting = [name]
        while waiting:
            now = waiting.pop()
            if now in self._followed:
                continue
            self._followed.add(now)
            source = self.add(now)
            if source is None:
                continue
            for statement in source.imports:
                waiting += self._imported(statement, now)
            if source.dynamic:
                for one in _package(now.partition(".")[0]):
                    self.add(one)

    def _imported(self, node: ast.Import | ast.ImportFrom, name: str) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            return
        base = _absolute(node, name)
        if not self._owns(base.partition(".")[0]):
            return
        parts = [f"{base}.{alias.name}" for alias in node.names]
        modules = [part for part in parts if _located(part)]
        yield from modules
        if len(modules) < len(parts):  # something else of the package: what its file makes of it
            yield base

    def _owns(self, top: str) -> bool:
        if top not in self._tops:
            foreign = not top or top == "qtlplat" or top in sys.stdlib_module_names
            self._tops[top] = top == self.top or (not foreign and self._belongs(top))
        return self._tops[top]

    def _belongs(self, top: str) -> bool:
        """Whether another top-level module belongs to the same distribution, or is in the same source directory."""
        path = _located(top)
        if path is None:
            return False
        files, sources = self._installed
        if files is not None and top in files:
            return True
        if sources is not None:
            return path.is_relative_to(sources) and "site-packages" not in path.parts
        return files is None and _root(path) == _root(_located(self.top))

    @functools.cached_property
    def _installed(self) -> tuple[set[str] | None, Path | None]:
        """Top-level names of its files if they are known, and where its sources lie if it is installed as editable."""
        try:
            distribution = importlib.metadata.distribution(self.distribution)
            origin = json.loads(distribution.read_text("direct_url.json") or "{}")
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return set(), None
        files = distribution.files
        names = None if files is None else {file.parts[0].partition(".")[0] for file in files}
        editable = origin.get("dir_info", {}).get("editable")
        return names, Path(unquote(urlsplit(origin["url"]).path)) if editable else None


def _root(path: Path | None) -> Path | None:
    """The directory that is searched for a top-level module."""
    if path is None:
        return None
    return path.parent.parent if path.name == "__init__.py" else path.parent


def _absolute(node: ast.ImportFrom, name: str) -> str:
    """The package or module that a ``from`` statement in a module names."""
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    path = _located(name)
    cut = node.level - (1 if path is not None and path.name == "__init__.py" else 0)
    base = parts[: len(parts) - cut] if cut else parts
    return ".".join([*base, *([node.module] if node.module else [])])


def _roots(top: str) -> tuple[Path | None, tuple[str, ...]]:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None, ()
    if spec is None:
        return None, ()
    path = Path(spec.origin) if spec.origin and spec.has_location else None
    return path, tuple(spec.submodule_search_locations or ())


def _located(name: str) -> Path | None:
    """The file of a module, None without one; no parent is imported."""
    top, *rest = name.split(".")
    path, places = _roots(top)
    if not rest:
        return path
    for place in places:
        base = Path(place, *rest)
        for candidate in (
            base / "__init__.py",
            base.parent / f"{base.name}.py",
            *base.parent.glob(f"{base.name}.*.so"),
        ):
            if candidate.is_file():
                return candidate
    return None


def _package(top: str) -> Iterator[str]:
    """All modules of a package."""
    for place in _roots(top)[1]:
        for path in Path(place).rglob("*.py"):
            parts = path.relative_to(place).with_suffix("").parts
            yield ".".join([top, *(parts[:-1] if parts[-1] == "__init__" else parts)])


@functools.cache
def _read(content: bytes, is_python: bool) -> _Source:
    """What a module's file says; one that is not Python, or cannot be read as such, counts as it is."""
    raw = hashlib.sha256(content).hexdigest()[:LENGTH]
    if not is_python:
        return _Source(raw)
    try:
        tree = ast.parse(content)
        form: list[str] = []
        _write(tree, form)
        digest = hashlib.sha256("\0".join(form).encode("utf-8", "surrogatepass")).hexdigest()[:LENGTH]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Source(raw)
    nodes = list(ast.walk(tree))
    imports = tuple(node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
    return _Source(digest, imports, any(getattr(n, "id", getattr(n, "attr", "")) in DYNAMIC for n in nodes))


def _write(node: Any, form: list[str]) -> None:
    """What a syntax tree means: without places, docstrings and help texts; alike in all versions of Python."""
    if isinstance(node, ast.AST):
        kind = node.__class__
        form.append(kind.__name__)
        less = _LESS.get(kind)
        for name in kind._fields:
            value = None if name in _NO_MEANING else getattr(node, name, None)
            if less:
                value = less(node, name, value)
            if value is not None and value != []:
                form.append(name)
                _write(value, form)
        form.append(")")
    elif isinstance(node, list):
        for one in node:
            _write(one, form)
        form.append("]")
    else:
        form.append(repr(node))


_NO_MEANING = {"ctx", "kind", "type_comment"}


def _without_docstring(_node: ast.AST, name: str, value: Any) -> Any:
    if name != "body" or not value or not isinstance(value[0], ast.Expr):
        return value
    return value[1:] if _is_text(value[0].value) else value


def _without_help(node: Any, name: str, value: Any) -> Any:
    called = getattr(node.func, "id", getattr(node.func, "attr", ""))
    if called != "Field" and not called.endswith("Spec"):
        return value
    if name == "keywords":
        return [one for one in value if one.arg not in HELP or not _is_text(one.value)]
    if name == "args" and called != "Field" and len(value) > 1 and _is_text(value[1]):
        return [value[0], *value[2:]]
    return value


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


_LESS: dict[type[ast.AST], Callable[[Any, str, Any], Any]] = {
    **dict.fromkeys((ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef), _without_docstring),
    ast.Call: _without_help,
}
