"""Listings as CSV, JSON, Parquet, Markdown and LaTeX: other programs read back what stands there, and run nothing."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from compared_runs import predictions, store_run
from hypothesis import example, given, settings, strategies as st
from markdown_it import MarkdownIt
from stored_runs import HOSTILE, is_inert, qtlplat, store_runs

from qtlplat.cli.render.columns import Column, cell, json_text
from qtlplat.cli.render.formats import made
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import clean
from qtlplat.errors import ConfigError, UsageError

COLUMNS = (
    Column("name", "name"),
    Column("n", "n", right=True),
    Column("x", "x", right=True, show="{:.3f}".format),
    Column("ok", "ok"),
    Column("parts", "parts"),
    Column("facts", "facts"),
)
WORDS = [
    HOSTILE, "", " a ", "=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "'=1", "''+1", "＝1", "a,b;c\td", 'say "hi"',
    "\n# h", "NA", "nan", "a|b", "\\", "\\|", "a\\", "`x`", "<script>alert(1)</script>", "[l](u)", "&lt;",
    "https://x", "www.x.org", "~~x~~",
    "None", "null", "true", "1e5", "007", "\0", "\udcff", "\ud800", "\x1b[31m", "\u202e", "x" * 3000,
    "$x$", "{}", "\\input{/etc/passwd}", "%", "^^5c", "#_&~", "?`!`", "--", "ü ± × 鋼", "[bold]x[/bold]", "1. x", "---",
]  # fmt: skip
texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=()), max_size=12)
int64 = st.integers(-(2**63), 2**63 - 1)
table = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | texts,
            "n": st.none() | int64,
            "x": st.none() | st.floats(),
            "ok": st.none() | st.booleans(),
            "parts": st.none() | st.lists(st.none() | st.floats() | int64 | texts, max_size=3),
            "facts": st.none() | st.dictionaries(texts, texts | st.floats(), max_size=2),
        }
    ),
    max_size=4,
)
every_word = [{"name": w, "n": i, "x": i / 3, "ok": True, "parts": [w], "facts": {w: w}} for i, w in enumerate(WORDS)]
few = settings(max_examples=25)


def same(a: Any, b: Any) -> bool:
    """Equal, where NaN equals itself."""
    return repr(a) == repr(b)


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def unguarded(text: str) -> str:
    """What the documentation says: one apostrophe before a sign that would begin a formula is ours."""
    return text[1:] if re.match(r"'+[=+\-@＝＋－＠]", text) else text


# --- CSV


@given(table)
@example(every_word)
@few
def test_csv_is_read_back_equal_by_pandas(rows: list[dict[str, Any]]) -> None:
    data = made("csv", rows, COLUMNS).decode()
    assert is_inert(data)
    kinds = {"name": str, "n": "Int64", "parts": str, "facts": str, "ok": "boolean"}
    read = pd.read_csv(io.StringIO(data), dtype=kinds, keep_default_na=False, na_values=[""])
    assert list(read.columns) == [c.key for c in COLUMNS]
    assert len(read) == len(rows)
    for i, row in enumerate(rows):
        name, number, x = (read[key][i] for key in ("name", "n", "x"))
        assert pd.isna(number) if row["n"] is None else int(number) == row["n"]
        assert pd.isna(x) if is_missing(row["x"]) else float(x) == row["x"]
        assert pd.isna(read["ok"][i]) if row["ok"] is None else bool(read["ok"][i]) == row["ok"]
        assert pd.isna(name) if not row["name"] else unguarded(name) == clean(row["name"])
        assert (
            pd.isna(read["parts"][i])
            if row["parts"] is None
            else len(json.loads(read["parts"][i])) == len(row["parts"])
        )


@given(st.lists(texts, min_size=1, max_size=5))
@example(WORDS)
@few
def test_csv_holds_no_formula_and_guards_can_be_taken_away(names: list[str]) -> None:
    data = made("csv", [{"name": name} for name in names], COLUMNS[:1]).decode()
    found = [row[0] if row else "" for row in list(csv.reader(io.StringIO(data)))[1:]]
    assert [text for text in found if text[:1] in tuple("=+-@＝＋－＠\t\r")] == []
    assert list(map(unguarded, found)) == list(map(clean, names))


# --- JSON


@given(table)
@example(every_word)
@few
def test_json_is_strict_and_loses_nothing_that_is_finite(rows: list[dict[str, Any]]) -> None:
    data = json_text(rows)
    assert is_inert(data)
    assert data.isascii()
    read = json.loads(data, parse_constant=pytest.fail)
    assert [row["name"] for row in read] == [row["name"] for row in rows]
    assert [row["n"] for row in read] == [row["n"] for row in rows]
    for was, now in zip(rows, read, strict=True):
        finite = was["x"] is not None and math.isfinite(was["x"])
        assert same(now["x"], was["x"] if finite else None)


# --- Parquet


def as_stored(value: Any) -> Any:
    """Half characters are spelled out, for Parquet is UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [as_stored(one) for one in value] if isinstance(value, list) else value


@given(table)
@example(every_word)
@few
def test_parquet_is_read_back_equal_with_its_types(rows: list[dict[str, Any]]) -> None:
    read = pq.read_table(io.BytesIO(made("parquet", rows, COLUMNS)))
    assert read.column_names == [c.key for c in COLUMNS]
    for key, kind in (("name", "string"), ("n", "int64"), ("x", "double"), ("ok", "bool")):
        present = any(row[key] is not None for row in rows)
        assert str(read.schema.field(key).type) == (kind if present else "null")
        assert same(read[key].to_pylist(), [as_stored(row[key]) for row in rows])
    facts = [row["facts"] for row in rows]
    assert [now is None for now in read["facts"].to_pylist()] == [was is None for was in facts]
    assert all(isinstance(json.loads(now), dict) for now in read["facts"].to_pylist() if now is not None)


@given(st.lists(st.none() | st.lists(st.none() | int64, max_size=3), max_size=4) | st.lists(
    st.lists(texts, max_size=3), max_size=4
))  # fmt: skip
@few
def test_parquet_keeps_lists_as_lists(lists: list[list[Any] | None]) -> None:
    read = pq.read_table(io.BytesIO(made("parquet", [{"v": v} for v in lists], [Column("v", "v")])))
    assert read["v"].to_pylist() == [as_stored(v) for v in lists]
    if any(v is not None for v in lists):
        assert str(read.schema.field("v").type).startswith("list<")


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([1, 2.5, None], "double", [1.0, 2.5, None]),
        ([2**53 + 1, 0.5], "string", ["9007199254740993", "0.5"]),
        ([2**70], "string", [str(2**70)]),
        ([1, "a", None, True], "string", ["1", "a", None, "true"]),
        ([[1, "a"], [2]], "string", ['[1, "a"]', "[2]"]),
        ([[], [[1], []]], "list<element: list<element: int64>>", [[], [[1], []]]),
        ([{"a": math.nan}], "string", ['{"a": null}']),
        ([Path("x")], "string", ["x"]),
    ],
)
def test_parquet_columns_of_several_types_become_text_exactly(values: list[Any], kind: str, stored: list[Any]) -> None:
    read = pq.read_table(io.BytesIO(made("parquet", [{"v": v} for v in values], [Column("v", "v")])))
    assert str(read.schema.field("v").type) == kind
    assert read["v"].to_pylist() == stored


# --- Markdown


def squeezed(text: str) -> str:
    """As a page shows it: spaces in a row are one, and none stands at an end."""
    return " ".join(text.split(" ")).strip() if "  " not in text else re.sub(" +", " ", text).strip()


@given(table)
@example(every_word)
@few
def test_markdown_renders_as_a_table_of_plain_texts(rows: list[dict[str, Any]]) -> None:
    data = made("md", rows, COLUMNS).decode()
    assert is_inert(data)
    tokens = MarkdownIt("commonmark").enable("table").parse(data)
    assert {t.type for t in tokens if t.level == 0} == {"table_open", "table_close"}
    inline = [t for t in tokens if t.type == "inline"]
    assert {child.type for t in inline for child in t.children or ()} <= {"text", "text_special"}
    shown = [squeezed("".join(child.content for child in t.children or ())) for t in inline]
    cells = [[cell(c, row) for c in COLUMNS] for row in rows]
    assert shown == [squeezed(text) for row in ([c.title for c in COLUMNS], *cells) for text in row]


# --- LaTeX

INERT = re.compile(
    r"(\\[a-z]+\{\}|\\char\d+\{\}|\\[{}$&#_%]|\{[\[\]*?!-]\}|\$(\\pm|\\times|\\cdot|\\uparrow|\\downarrow|-)\$|--|[^\\{}$&#_%~^\[\]*?!`\"'<>|-])*"
)


@given(table)
@example(every_word)
@few
def test_latex_is_a_table_in_which_nothing_has_a_meaning(rows: list[dict[str, Any]]) -> None:
    data = made("latex", rows, COLUMNS).decode()
    assert is_inert(data)
    lines = data.split("\n")
    assert lines[1:3] == [r"\begin{tabular}{@{}lrrlll@{}}", r"\toprule"]
    assert lines[-4:] == [*lines[-4:-3], r"\bottomrule", r"\end{tabular}", ""]
    body = [lines[3], *lines[5:-3]]
    assert len(body) == 1 + len(rows)
    for line in body:
        cells = line.removesuffix(r" \tabularnewline").split(" & ")
        assert len(cells) == len(COLUMNS)
        assert line.endswith(r" \tabularnewline")
        assert [text for text in cells if not INERT.fullmatch(text)] == []


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    (tmp_path / "rows.tex").write_bytes(made("latex", every_word, COLUMNS))
    (tmp_path / "none.tex").write_bytes(made("latex", [], COLUMNS))
    page = r"\documentclass{article}\usepackage{booktabs}\begin{document}\input{rows}\input{none}\end{document}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "page.pdf").stat().st_size > 5000


# --- files


def test_a_file_holds_what_would_be_printed(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    store_runs(store, name=HOSTILE)
    for flag, name in (("--json", "r.json"), ("--csv", "r.csv"), ("--md", "r.md"), ("--latex", "r.tex")):
        told = qtlplat(store, "runs", "-o", str(tmp_path / name))
        assert told.code == 0
        assert name in told.out
        assert (tmp_path / name).read_bytes().decode() == qtlplat(store, "runs", flag).out


def test_parquet_holds_every_column_of_the_csv(tmp_path: Path) -> None:
    store, file = tmp_path / "s.db", tmp_path / "r.parquet"
    _, run, _ = store_runs(store)
    assert qtlplat(store, "runs", "-o", str(file)).code == 0
    frame = pd.read_parquet(file).set_index("run")
    written = qtlplat(store, "runs", "--csv").out
    assert list(pd.read_csv(io.StringIO(written)).columns) == ["run", *frame.columns]
    assert frame["f1"][run] == pytest.approx(0.95, abs=1e-15)
    assert frame["seed"].dtype == "int64"
    assert pq.read_table(file)["trainable"].to_pylist() == [42, 42, 42]


def test_a_file_is_neither_overwritten_nor_half_written(tmp_path: Path) -> None:
    store, file = tmp_path / "s.db", tmp_path / "r.csv"
    store_runs(store)
    file.write_text("mine")
    refused = qtlplat(store, "runs", "-o", str(file))
    assert refused.code == 2
    assert "exists" in refused.err
    assert file.read_text() == "mine"
    assert qtlplat(store, "runs", "-o", str(file), "--force").code == 0
    assert file.read_text().startswith("run,")
    assert qtlplat(store, "runs", "-o", str(tmp_path / "no" / "r.csv")).code == 5
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".files") == ["r.csv", "s.db"]


@pytest.mark.parametrize("name", ["r.xlsx", "r", "r.csv.gz", "\x1b.parquet2"])
def test_a_name_of_no_form_is_refused(name: str, tmp_path: Path) -> None:
    told = qtlplat(tmp_path / "s.db", "runs", "-o", str(tmp_path / name))
    assert told.code == 2
    assert ".csv, .json, .parquet, .md, .tex" in told.err
    assert is_inert(told.err)


def test_a_flag_and_a_file_of_another_form_are_refused(tmp_path: Path) -> None:
    told = qtlplat(tmp_path / "s.db", "runs", "--json", "-o", str(tmp_path / "r.csv"))
    assert told.code == 2
    assert "two forms" in told.err


def test_without_pyarrow_the_command_that_installs_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    told = qtlplat(tmp_path / "s.db", "runs", "-o", str(tmp_path / "r.parquet"))
    assert told.code == ConfigError.exit_code
    assert "pip install 'qtlplat[parquet]'" in told.err


def test_forms_exclude_each_other_and_columns_must_be_some() -> None:
    @click.command()
    @listing_options
    def listing_command(listing: Listing) -> None:
        emit([], COLUMNS, listing)

    both = CliRunner().invoke(listing_command, ["--latex", "--md"])
    assert both.exit_code == 2
    assert "choose one" in both.output
    with pytest.raises(UsageError, match="names no column"):
        emit([], COLUMNS, Listing(cols=","))


# --- every listing


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    "command",
    [
        "runs",
        "compare @-2 @last",
        "diff @-2 @last",
        "best --by head",
        "pareto f1 seed:-",
        "errors @last",
        "ls",
        "plugins list",
    ],
)
def test_every_listing_has_every_form_whatever_its_runs_are_called(command: str, tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    for name in ("mine", HOSTILE):
        store_run(store, (0.5, 0.75), head=name, predicted={0: predictions(0, [True, False])})
    for form in ("csv", "json", "parquet", "md", "tex"):
        told = qtlplat(store, *command.split(), "-o", str(tmp_path / f"x.{form}"))
        assert told.code == 0, told.err
        assert is_inert(told.err)
    read = json.loads((tmp_path / "x.json").read_text(), parse_constant=pytest.fail)
    length = len(read if isinstance(read, list) else read["rows"])
    assert length
    frame = pd.read_csv(tmp_path / "x.csv")
    parquet = pq.read_table(tmp_path / "x.parquet")
    assert (len(frame), list(frame.columns)) == (length, parquet.column_names)
    for key in frame.columns:
        numbers = parquet[key].to_pylist()
        if str(parquet.schema.field(key).type) in ("double", "int64"):
            assert [None if pd.isna(v) else v for v in frame[key]] == [None if is_missing(v) else v for v in numbers]
    tokens = MarkdownIt("commonmark").enable("table").parse((tmp_path / "x.md").read_text())
    assert sum(t.type == "tr_open" for t in tokens) == 1 + length
    assert {child.type for t in tokens for child in t.children or ()} <= {"text", "text_special"}
    lines = (tmp_path / "x.tex").read_text().split("\n")
    rows = [line.removesuffix(r" \tabularnewline") for line in lines if line.endswith(r" \tabularnewline")]
    assert len(rows) == 1 + length
    assert [text for row in rows for text in row.split(" & ") if not INERT.fullmatch(text)] == []
    for form in ("csv", "json", "md", "tex"):
        assert is_inert((tmp_path / f"x.{form}").read_text())
