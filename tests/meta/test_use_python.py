"""The page on Python is a notebook: its cells run in their order and print what the page says."""

from __future__ import annotations

import contextlib
import doctest
import io
from pathlib import Path
from typing import Any

import pytest
from examples import examples

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-python.md"
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.slow
def test_the_cells_of_the_page_print_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas", reason="tables need pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QTLPLAT_STORE", raising=False)
    cells = examples(PAGE, "python")
    assert len(cells) > 8
    names: dict[str, Any] = {}
    for cell in cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(cell.code, f"{PAGE.name}:{cell.line}", "exec"), names)
        assert cell.expected is not None, f"line {cell.line} has no output"
        checker = doctest.OutputChecker()
        assert checker.check_output(cell.expected, printed.getvalue(), FLAGS), (
            f"line {cell.line} prints:\n{printed.getvalue()}"
        )
