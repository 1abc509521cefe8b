"""What a report does with texts: every character stands for itself, and nothing private is let out."""

import re

import pytest

from qtlplat.analysis.markup import plain
from qtlplat.conventions import short
from qtlplat.errors import UsageError
from qtlplat.metrics import SHIPPED
from qtlplat_reports.report import format_of, latex, markdown, privacy
from qtlplat_reports.report.document import Column, Commands, Document, Picture, Section, Table, Text
from qtlplat_reports.report.html import html
from qtlplat_reports.report.numbers import interval, p_value, percent, when

SPECIAL = "\\{}$&#_%~^<>|\"`'[]*-"


def test_control_and_format_characters_become_escapes() -> None:
    assert plain("a\x1b[31m\nb\u202ec\x9b") == "a\\x1b[31m\\nb\\u202ec\\x9b"
    assert len(plain("x" * 100_000)) == 2001


# --- LaTeX


def unescaped(text: str) -> str:
    """What TeX would print: the escapes undone one by one; fails where a character with a meaning is left."""
    known = {
        r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
        r"\textgreater{}": ">", r"\textbar{}": "|", r"\char34{}": '"', r"\char96{}": "`", r"\char39{}": "'", "{[}": "[",
        "{]}": "]", "{*}": "*", "{-}": "-", "{?}": "?", "{!}": "!", **{"\\" + c: c for c in "{}$&#_%"},
    }  # fmt: skip
    out, position = [], 0
    while position < len(text):
        mark = next((m for m in sorted(known, key=len, reverse=True) if text.startswith(m, position)), text[position])
        assert mark in known or mark not in SPECIAL, text[position:]
        out.append(known.get(mark, mark))
        position += len(mark)
    return "".join(out)


@pytest.mark.parametrize(
    "text", [SPECIAL, r"\input{/etc/passwd}", r"\\[2cm]", "^^5cinput", "--backbone", "?`!`", "50% of $x$"]
)
def test_latex_prints_what_stands_there(text: str) -> None:
    assert unescaped(latex.escaped(text)) == text


def test_latex_has_signs_for_ours_and_code_points_for_what_fonts_lack() -> None:
    assert latex.escaped("± × é ↑↓") == r"$\pm$ $\times$ é $\uparrow$$\downarrow$"
    assert latex.escaped("鋼") == "U+92FC"


def test_latex_negative_numbers_have_a_minus_sign() -> None:
    text = latex.latex(document_of(Table("t", (Column("d", "number"),), (("-0.5 to +0.8",),))))
    assert "$-$0.5 to +0.8 " in text


# --- Markdown


@pytest.mark.parametrize("text", ["# title", "- item", "+ item", "1. item", "2) item", "> quote", "=== ", "---", "* x"])
def test_markdown_paragraphs_begin_nothing(text: str) -> None:
    assert re.match(r"\d*\\", markdown.escaped(text))


@pytest.mark.parametrize("text", ["a|b", "<script>", "`x`", "[a](b)", "![a](b)", "&lt;", "~~x~~", "a_b_", "$x$", "@me"])
def test_markdown_marks_are_escaped(text: str) -> None:
    escaped = markdown.escaped(text)
    assert not re.search(r"(?<!\\)[|<>`\[\]&~_$@!]", escaped)
    assert re.sub(r"\\(.)", r"\1", escaped) == text


@pytest.mark.parametrize("text", ["http://x.example/y", "HTTPS://x", "www.example.org"])
def test_markdown_makes_no_links_of_bare_addresses(text: str) -> None:
    assert not re.search(r"(?i)(?<!\\)://|www\.", markdown.escaped(text))


def test_markdown_code_cannot_leave_its_fence() -> None:
    text = markdown.markdown(document_of(Commands((("abc", "x\n```\n# title", "qtlplat run --head '````'"),))))
    assert text.count("`````sh\n") == 1
    assert "\n# title" not in text


# --- all three


def document_of(*blocks: Table | Text | Commands | Picture) -> Document:
    return Document("title", (Section("part", "Part", blocks),), ("abc",))


def test_html_shows_figures_and_escapes_everything_else() -> None:
    page = html(document_of(Picture("<b>", "qtlplat plot '<i>'", "<svg><title>t</title></svg>"), Text("a & <script>")))
    assert "<svg><title>t</title></svg>" in page
    assert "<b>" not in page
    assert "<i>" not in page
    assert "a &amp; &lt;script&gt;" in page


def test_html_leads_from_ids_to_the_runs_of_the_report_only() -> None:
    page = html(document_of(Table("t", (Column("runs", "runs"),), (("abc def",),))))
    assert '<a href="#run-abc">abc</a>' in page
    assert "#run-def" not in page


# --- privacy


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot read /home/ada/data/x.zip: no such file", "cannot read …: no such file"),
        ("cannot read '/home/ada lovelace/x.zip'", "cannot read …"),
        (r"cannot read C:\Users\ada\x.zip", "cannot read …"),
        ("see ~/secret", "see …"),
        ("mean/std of the kept and/or lost", "mean/std of the kept and/or lost"),
    ],
)
def test_messages_lose_their_paths(text: str, shown: str) -> None:
    assert privacy.without_paths(text) == shown


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("run --store /home/ada/s.db --head linear", "run --head linear"),
        ("run --store=mine.db --head linear --registry r.toml", "run --head linear"),
        (
            "run --dataset neu-det[root=/home/ada/NEU,size=100] --seed 1",
            "run --dataset neu-det[root=…,size=100] --seed 1",
        ),
        ("run -S dataset.root=data/ada --n-seeds 2", "run -S dataset.root=… --n-seeds 2"),
    ],
)
def test_requests_lose_their_paths_and_the_store(typed: str, shown: str) -> None:
    assert privacy.request(typed) == shown


def test_only_known_facts_of_an_environment_are_told() -> None:
    facts = {"python": "3.11", "host": "ada-laptop", "command": "run", "user": "ada", "version of torch": "2.13"}
    assert privacy.public_facts(facts) == {"python": "3.11", "version of torch": "2.13"}


# --- numbers and forms


def test_numbers() -> None:
    assert percent(0.98949) == "98.95"
    assert percent(-0.00001, signed=True) == "0.00"
    assert percent(0.005, signed=True) == "+0.50"
    assert percent(None) == ""
    assert percent(float("nan")) == "not finite"
    assert interval((-0.01, 0.02), SHIPPED["f1"]) == "-1.00 to +2.00"
    assert interval((float("nan"), 1.0), SHIPPED["f1"]) == ""
    assert interval((-0.01234, 0.2), SHIPPED["loss"]) == "-0.01234 to +0.2"
    assert p_value(0.01234) == "0.012"
    assert p_value(float("nan")) == ""
    assert short("0123456789abcdef") == "01234567"
    assert when("2026-11-23T03:40:56.28+00:00") == "2026-11-23 03:40"


def test_forms_are_known_by_their_suffix() -> None:
    from pathlib import PurePath

    assert [format_of(PurePath(name)) for name in ("a.html", "A.MD", "b.tex")] == [".html", ".md", ".tex"]
    with pytest.raises(UsageError, match=r"\.html, \.md or \.tex"):
        format_of(PurePath("a.pdf"))


def test_latex_tables_that_no_page_holds_go_on_in_another_one() -> None:
    table = Table("long", (Column("n", "number"),), tuple((str(i),) for i in range(105)), ("note",))
    text = latex.latex(document_of(table))
    assert text.count(r"\begin{table}") == 3
    assert re.findall(r"\\caption\{(.*)\}", text) == ["long", "long (continued)", "long (continued)"]
    assert len(set(re.findall(r"\\label\{(.*)\}", text))) == 3
    assert re.findall(r"^(\d+) \\tabularnewline", text, re.MULTILINE) == [str(i) for i in range(105)]
    assert text.count(r"\smallskip{\raggedright note\par}") == 1


def test_latex_counts_the_lines_of_sentences_that_a_page_must_hold() -> None:
    sentence = "word " * 70  # ten lines of their column
    table = Table("long", (Column("s", "sentence"),), ((sentence.strip(),),) * 9)
    text = latex.latex(document_of(table))
    assert text.count(r"\begin{table}") == 3


def test_latex_long_words_may_end_a_line() -> None:
    digest = "0123456789abcdef" * 3
    text = latex.latex(document_of(Table("t", (Column("s", "sentence"),), ((f"at {digest}",),))))
    assert r"at 01234567\allowbreak{}89abcdef\allowbreak{}" in text
    assert digest in text.replace(r"\allowbreak{}", "")


def test_latex_titles_stand_on_several_lines_and_keep_their_unit() -> None:
    text = latex.latex(document_of(Table("t", (Column("selection leakage %", "number"), Column("run", "runs")), ())))
    assert r"\shortstack[r]{selection\\ leakage \%} & run" in text


def test_latex_lets_go_of_tables_before_tex_holds_too_many() -> None:
    tables = [Table(f"t{i}", (Column("n", "number"),), (("1",),)) for i in range(100)]
    text = latex.latex(Document("title", (Section("s", "S", tuple(tables)),)))
    assert [part.count(r"\begin{table}") for part in text.split(r"\clearpage")] == [40, 40, 20]
