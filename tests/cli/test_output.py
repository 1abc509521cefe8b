import csv
import io
import json
import math

import click
import pytest
from click.testing import CliRunner
from stored_runs import ESC, FORMULA, HOSTILE, MARKUP, is_inert

from qtlplat.cli.render.columns import Column, print_tsv, table, text, write_json
from qtlplat.cli.render.output import Listing, emit, listing_options
from qtlplat.cli.render.terminal import clean, note
from qtlplat.conventions import strict
from qtlplat.errors import UsageError

PLAIN = Listing()
COLUMNS = (Column("name", "name"), Column("f1", "F1", right=True, show="{:.2f}".format), Column("what", "what"))
ROWS = [
    {"name": "b", "f1": 0.5, "what": {"qubits": 5, "axes": ["x", "y"]}},
    {"name": "a", "f1": None, "what": None},
    {"name": "c", "f1": math.nan, "what": MARKUP},
    {"name": "d", "f1": 0.25, "what": HOSTILE},
]


def printed(capsys: pytest.CaptureFixture[str], rows: list[dict[str, object]], listing: Listing = PLAIN) -> str:
    emit(rows, COLUMNS, listing)
    return capsys.readouterr().out


def test_what_is_no_terminal_gets_tab_separated_full_values(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    out = printed(capsys, [{**ROWS[0], "name": long}, *ROWS[1:]])
    lines = out.split("\n")
    assert lines[0] == "name\tF1\twhat"
    assert lines[1] == f"{long}\t0.50\tqubits=5, axes=x, y"
    assert lines[2] == "a\t\t"
    assert is_inert(out)
    assert [line.count("\t") for line in lines[:-1]] == [2] * 5  # tabs and newlines in values stay inside them


def test_json_is_strict_and_loses_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, ROWS, Listing(fmt="json"))
    rows = json.loads(out, parse_constant=pytest.fail)
    assert [row["f1"] for row in rows] == [0.5, None, None, 0.25]
    assert rows[3]["what"] == HOSTILE
    assert is_inert(out)
    assert out.isascii()


def test_richer_json_rows_follow_the_order_and_yield_to_chosen_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rich = [{"id": row["name"]} for row in ROWS]
    emit(ROWS, COLUMNS, Listing(fmt="json", sort="-name", limit=2), json_rows=rich)
    assert json.loads(capsys.readouterr().out) == [{"id": "d"}, {"id": "c"}]
    emit(ROWS, COLUMNS, Listing(fmt="json", cols="f1", limit=1), json_rows=rich)
    assert json.loads(capsys.readouterr().out) == [{"f1": 0.5}]


@pytest.mark.parametrize("value", [FORMULA, "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\x1b=1"])
def test_csv_holds_no_formula_and_no_control_character(capsys: pytest.CaptureFixture[str], value: str) -> None:
    out = printed(capsys, [{"name": value, "f1": 0.5, "what": [1.0, math.nan]}], Listing(fmt="csv"))
    assert is_inert(out)
    header, row = list(csv.reader(io.StringIO(out)))
    assert header == ["name", "f1", "what"]
    assert row[0][0] not in "=+-@\t\r"
    assert row[0].endswith(value[1:])
    assert row[1:] == ["0.5", "[1.0, null]"]


def test_csv_leaves_negative_numbers_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, [{"name": "a", "f1": -0.5, "what": -3}], Listing(fmt="csv"))
    assert out.splitlines()[1] == "a,-0.5,-3"


def test_markdown_escapes_what_would_be_markup(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, [{"name": "a|b", "f1": 1.0, "what": "<img src=x> [l](u) `c` *b* \n# h"}], Listing(fmt="md"))
    lines = out.splitlines()
    assert lines[:2] == ["| name | F1 | what |", "| --- | ---: | --- |"]
    assert len(lines) == 3
    bare = lines[2]
    for escaped in ("\\|", "\\<", "\\>", "\\[", "\\]", "\\`", "\\*", "\\#"):
        bare = bare.replace(escaped, "")
    assert not set(bare) & set("<>[]`*#")
    assert bare.count("|") == 4


def test_a_terminals_table_takes_markup_and_escapes_as_text() -> None:
    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="truecolor", width=200, markup=True)
    console.print(table(ROWS, COLUMNS, title="runs"))
    written = out.getvalue()
    assert MARKUP in written
    assert "\\x1b[31mred" in written
    assert "\x1b[31m" not in written
    assert not {"\x07", "\x9b"} & set(written)


def test_nothing_to_show_is_said_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    emit([], COLUMNS, empty="no rows here")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "no rows here\n")
    emit([], COLUMNS, Listing(fmt="json"))
    assert json.loads(capsys.readouterr().out) == []
    emit([], COLUMNS, Listing(fmt="csv"))
    assert capsys.readouterr().out == "name,f1,what\n"


@pytest.mark.parametrize(("sort", "order"), [("f1", [1, 2, None, None]), ("-f1", [2, 1, None, None])])
def test_missing_values_come_last_whichever_way_rows_are_sorted(
    capsys: pytest.CaptureFixture[str], sort: str, order: list[float | None]
) -> None:
    rows = [{"f1": None}, {"f1": 2.0}, {"f1": float("nan")}, {"f1": 1.0}]
    assert [row["f1"] for row in json.loads(printed(capsys, rows, Listing(fmt="json", sort=sort)))] == order


@pytest.mark.parametrize(("sort", "names"), [("name", "abcd"), ("-name", "dcba"), ("f1", "db")])
def test_sorting_by_a_column(capsys: pytest.CaptureFixture[str], sort: str, names: str) -> None:
    rows = json.loads(printed(capsys, ROWS, Listing(fmt="json", sort=sort)))
    assert "".join(row["name"] for row in rows)[: len(names)] == names


def test_unknown_columns_name_the_known_ones() -> None:
    for listing in (Listing(cols="name,ff"), Listing(sort="ff")):
        with pytest.raises(UsageError, match="did you mean: f1"):
            emit(ROWS, COLUMNS, listing)


def test_clean_shows_every_control_character_as_an_escape() -> None:
    hostile = "".join(map(chr, [*range(32), *range(127, 160), 0x202E, 0x2028, 0xFEFF]))
    assert is_inert(clean(hostile))
    assert clean(hostile).isascii()
    assert clean("ü ± ×") == "ü ± ×"
    assert "\x1b" not in clean(ESC)


def test_values_are_told_to_people_in_one_way() -> None:
    assert text(None) == ""
    assert text(0.123456) == "0.1235"
    assert text(12) == "12"
    assert text([1.0, "x"]) == "1, x"
    assert text({"a": {"b": 1}}) == "a=b=1"


def test_strict_reaches_every_depth(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a": [math.nan, {"b": -math.inf}], 3: (math.inf, 1.0)}
    assert strict(value) == {"a": [None, {"b": None}], "3": [None, 1.0]}
    write_json(value)
    assert json.loads(capsys.readouterr().out) == strict(value)


def test_notes_and_tsv_are_inert(capsys: pytest.CaptureFixture[str]) -> None:
    note(HOSTILE)
    print_tsv([{"name": HOSTILE}], COLUMNS)
    captured = capsys.readouterr()
    assert is_inert(captured.out)
    assert is_inert(captured.err)


def test_only_one_form_may_be_asked_for() -> None:
    @click.command()
    @listing_options
    def listing_command(listing: Listing) -> None:
        emit(ROWS, COLUMNS, listing)

    both = CliRunner().invoke(listing_command, ["--json", "--csv"])
    assert both.exit_code == 2
    assert "choose one" in both.output
    one = CliRunner().invoke(listing_command, ["--json", "-n", "1", "--cols", "name"])
    assert json.loads(one.output) == [{"name": "b"}]
