"""The public names: complete, importable, documented, and free of charge until they are used."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import qtlplat
from qtlplat import hookspecs
from qtlplat.contracts import KINDS

ROOT = Path(__file__).parents[2]
HOOKS_PAGE = (ROOT / "docs" / "reference" / "hooks.md").read_text(encoding="utf-8")


def names_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(str(qtlplat.__file__)).read_text(encoding="utf-8"))
    guarded = [node for node in tree.body if isinstance(node, ast.If)]
    return {a.name for block in guarded for s in block.body if isinstance(s, ast.ImportFrom) for a in s.names}


def test_all_is_sorted_and_names_what_is_found_at_run_time_and_by_type_checkers() -> None:
    assert qtlplat.__all__ == sorted(qtlplat.__all__)
    assert set(qtlplat.__all__) == set(qtlplat._HOME) | {"__version__"}
    assert set(qtlplat.__all__) == names_for_type_checkers() | {"__version__"}


@pytest.mark.parametrize("name", qtlplat.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(qtlplat, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Dataset'"):
        _ = qtlplat.Dataset  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [n for n in qtlplat.__all__ if n not in ("API_VERSION", "__version__", "hookimpl")])
def test_every_public_name_is_documented(name: str) -> None:
    thing = getattr(qtlplat, name)
    own = thing.__doc__ or ""
    # dataclasses without a docstring get their signature for one
    assert own.strip()
    assert not own.startswith(f"{name}(")


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("torch", "pennylane", "numpy", "pydantic", "click")
    code = f"import sys, qtlplat; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("hook", hookspecs.HOOKS.values())
def test_every_hook_is_documented_with_its_exact_signature(hook: str) -> None:
    function = getattr(hookspecs, hook)
    assert inspect.getdoc(function)
    assert f"def {hook}() -> {inspect.signature(function).return_annotation}\n" in HOOKS_PAGE


def test_the_table_of_hooks_is_complete() -> None:
    marked = {n for n, f in vars(hookspecs).items() if inspect.isfunction(f) and hasattr(f, "qtlplat_spec")}
    assert marked == set(hookspecs.HOOKS.values())
    assert tuple(hookspecs.HOOKS) == KINDS
