"""`qtlplat report`: whatever text a store holds, it is inert in HTML, Markdown and LaTeX."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from compared_runs import cell, predictions, store_controls, store_run
from reported import NASTY, PARAMETERS, PARTS, PLAN, assert_self_contained, backbone, filled, page
from stored_runs import is_inert, qtlplat

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import NewRun
from qtlplat.store.write.writer import Writer


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return filled(tmp_path / "s.db")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "s.db"
    parts = {"component": NASTY, "provider": NASTY, "options": {NASTY: NASTY}, "locations": []}
    plan = {"note": NASTY, **dict.fromkeys(("dataset", "backbone", "head", "evaluator"), parts)}
    cells = [
        cell(2 * i + fold, fold, variant=v, leakage=0.5) for i, v in enumerate(("head", NASTY)) for fold in range(2)
    ]
    store_run(
        path, (0.9, 0.8, 0.7, 0.75), head=NASTY, dataset=NASTY, backbone=NASTY, evaluator=NASTY, cells=cells,
        parameters=PARAMETERS, plan=plan, classes=(NASTY, f"{NASTY}鋼 two"),
        predicted={0: predictions(0, [True, False])},
    )  # fmt: skip
    backbone(path, name=NASTY)
    with Writer(find_store(str(path))) as writer:
        environment = {"python": NASTY, "engine": NASTY, "command": f"run --head {NASTY}"}
        failed = writer.start_run(NewRun("run", "f", 0, plan, [], "a" * 64, environment))
        writer.finish_run(failed, "failed", {}, error=NASTY)
    return path


def test_html_is_self_contained(store: Path) -> None:
    shown = page(store)
    assert_self_contained(shown)
    assert any(name == "svg" for name, _ in shown.tags)
    ids = [a["id"] for _, a in shown.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for n, a in shown.tags if n == "a"}
    assert targets <= {f"#{i}" for i in ids}


def test_hostile_text_is_inert_in_html(hostile: Path) -> None:
    shown = page(hostile)
    assert_self_contained(shown)
    assert is_inert(shown.text)
    assert "<script>" in shown.text  # it is there, as text
    assert "<img src=" in shown.text


def test_hostile_text_is_inert_in_markdown(hostile: Path) -> None:
    called = qtlplat(hostile, "report")
    assert called.code == 0
    assert is_inert(called.out)
    prose = re.sub(r"^(`{3,})sh\n.*?\n\1$", "", called.out, flags=re.MULTILINE | re.DOTALL)
    assert "```" not in prose.replace("\\`", "")
    assert not re.search(r"(?<!\\)<", prose)
    assert not re.search(r"(?<!\\)://", prose)
    assert "[" not in re.sub(r"\\.", "", prose)


@pytest.mark.parametrize("which", ["store", "hostile"])
def test_markdown_tables_have_equal_numbers_of_cells(which: str, request: pytest.FixtureRequest) -> None:
    out = qtlplat(request.getfixturevalue(which), "report").out
    tables = re.findall(r"(?:^\|.*\|\n)+", out, re.MULTILINE)
    assert len(tables) >= 7
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", line))) for line in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("which", ["store", "hostile"])
def test_latex_is_balanced_and_uses_known_commands_only(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    out = tmp_path / "report.tex"
    assert qtlplat(request.getfixturevalue(which), "report", "-o", str(out)).code == 0
    text = out.read_text(encoding="utf-8")
    assert is_inert(text)
    assert text.isascii()
    body = "\n".join(text.splitlines()[2:])
    assert "%" not in re.sub(r"\\%", "", body)
    commands = set(re.findall(r"\\([a-zA-Z]+)", body))
    assert commands <= {
        "begin", "end", "centering", "footnotesize", "scriptsize", "caption", "label", "toprule", "midrule",
        "bottomrule", "tabularnewline", "texttt", "ttfamily", "par", "smallskip", "raggedright", "linewidth",
        "allowbreak", "pm", "dots", "times", "textbackslash", "textasciitilde", "textasciicircum", "textless",
        "textgreater", "textbar", "char", "resizebox", "clearpage", "ifdim", "width", "else", "fi", "shortstack",
    }  # fmt: skip
    bare = re.sub(r"\\[{}$&#_%]", "", body)
    depth = 0
    for c in bare:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(\w+)\}", body).count("table") == re.findall(r"\\end\{(\w+)\}", body).count("table")
    for table in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", bare, re.DOTALL):
        rows = [line.count("&") for line in table.splitlines() if line.endswith(r"\tabularnewline")]
        assert len(set(rows)) == 1


WRAPPER = r"""\documentclass[a4paper]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
\input{report.tex}
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("which", ["store", "hostile", pytest.param("many", marks=pytest.mark.slow)])
def test_latex_compiles_and_nothing_stands_beyond_the_page(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    assert qtlplat(request.getfixturevalue(which), "report", "-o", str(tmp_path / "report.tex")).code == 0
    (tmp_path / "paper.tex").write_text(WRAPPER, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "Overfull" not in log
    assert "Float too large" not in log
    assert "multiply defined" not in log


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty runs with controls: long tables of sentences, and as many commands."""
    path = tmp_path / "many.db"
    for _ in range(40):
        store_controls(path, linear=(0.97, 0.98, 0.99, 0.96, 0.97, 0.98))
    cells = [cell(i, i, test_hash=f"other {i}") for i in range(3)]
    for i in range(20):
        options = {f"option_{k}": k for k in range(30)}
        plan = {**PLAN, "head": {**PARTS, "options": options}}
        store_run(path, (0.9, 0.91, 0.89), cells=cells, evaluator=f"kfold{i}", parameters=PARAMETERS, plan=plan)
    return path
