"""The filter language: what is read, how it is grouped, and what is said of what cannot be read."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sample_runs import component, finished_run

from qtlplat.errors import UsageError
from qtlplat.metrics import SHIPPED
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.filters.datetimes import Moment, moment
from qtlplat.store.read.filters.language import Comparison, Filter, Joined, Value, parse
from qtlplat.store.read.filters.names import FieldName, field_name, sort_keys
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

A, B, C = (Comparison(FieldName((name,)), "=", (Value(1),)) for name in "abc")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a = 1", A),
        ("((a=1))", A),
        ("a = 1 or b = 1 and c = 1", Joined("or", (A, Joined("and", (B, C))))),
        ("(a = 1 or b = 1) and c = 1", Joined("and", (Joined("or", (A, B)), C))),
        ("a = 1 and (b = 1 and c = 1)", Joined("and", (A, Joined("and", (B, C))))),
        ("not a = 1 and b = 1", Joined("and", (Joined("not", (A,)), B))),
        ("not not a = 1", Joined("not", (Joined("not", (A,)),))),
        ("NOT (a = 1 AND b = 1)", Joined("not", (Joined("and", (A, B)),))),
        ("a != 1", Comparison(FieldName(("a",)), "=", (Value(1),), True)),
        ("a <> 1", Comparison(FieldName(("a",)), "=", (Value(1),), True)),
        (
            "a between 1 and 2 and b = 1",
            Joined("and", (Comparison(FieldName(("a",)), "between", (Value(1), Value(2))), B)),
        ),
        ("a not in (1, 'x', true)", Comparison(FieldName(("a",)), "in", (Value(1), Value("x"), Value(True)), True)),
        ("a Is Not Null", Comparison(FieldName(("a",)), "null", (), True)),
        ("a not like '%'", Comparison(FieldName(("a",)), "like", (Value("%"),), True)),
        (
            "head.options.version = 'it''s'",
            Comparison(FieldName(("head", "options", "version")), "=", (Value("it's"),)),
        ),
        ('a = "say ""x"" \'y\'"', Comparison(FieldName(("a",)), "=", (Value("say \"x\" 'y'"),))),
        ("min( f1@linear ) >= -1.5e-3", Comparison(FieldName(("f1",), "min", "linear"), ">=", (Value(-0.0015),))),
        ("order-of.in_x = 007", Comparison(FieldName(("order-of", "in_x")), "=", (Value(7),))),
        (f"a = {'9' * 30}", Comparison(FieldName(("a",)), "=", (Value(1e30),))),
    ],
)
def test_a_filter_is_read_as_it_is_documented(text: str, tree: Filter) -> None:
    assert parse(text) == tree


def test_a_filter_without_words_passes_everything() -> None:
    assert parse("  ") is None


FIX = "docs/reference/filters.md describes filters; for example: --where \"head = 'dressed5x3' and f1 > 0.97\""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "head = dressed5x3 and f1 > 1",
            """\
error: the filter cannot be used: expected a text in quotes, a number or true or false
  head = dressed5x3 and f1 > 1
         ^
  where: --where
  fix: put text in quotes: 'dressed5x3'""",
        ),
        (
            "tag = null",
            """\
error: the filter cannot be used: expected a text in quotes, a number or true or false
  tag = null
        ^
  where: --where
  fix: write: is null, or is not null""",
        ),
        (
            "f1 > 0.9 and",
            f"""\
error: the filter cannot be used: expected a field, not or '('
  f1 > 0.9 and
              ^
  where: --where
  fix: {FIX}""",
        ),
        (
            "f1 > 0.9 tag = 'x'",
            f"""\
error: the filter cannot be used: expected and, or or the end
  f1 > 0.9 tag = 'x'
           ^
  where: --where
  fix: {FIX}""",
        ),
        (
            "head = 'abc",
            f"""\
error: the filter cannot be used: this quote is not closed
  head = 'abc
         ^
  where: --where
  fix: {FIX}""",
        ),
        (
            "(f1 > 0.9",
            f"""\
error: the filter cannot be used: expected ')'
  (f1 > 0.9
           ^
  where: --where
  fix: {FIX}""",
        ),
        (
            "medain(f1) > 0.9",
            f"""\
error: the filter cannot be used: unknown function medain; known: mean, min, max, sd, n, first, last, lowest, highest
  medain(f1) > 0.9
  ^
  where: --where
  fix: {FIX}""",
        ),
        (
            "tag = 'a\x1b[2J' § 3",
            f"""\
error: the filter cannot be used: expected and, or or the end
  tag = 'a\\x1b[2J' § 3
                   ^
  where: --where
  fix: {FIX}""",
        ),
        (
            "f1 > 1 or " * 12 + "f1 ! 2" + " or f1 > 1" * 12,
            f"""\
error: the filter cannot be used: expected a comparison (= != < <= > >=), in, like, between, is or not
  …or f1 > 1 or f1 > 1 or f1 > 1 or f1 ! 2 or f1 > 1 or f1 > 1 or f1 > 1 or…
                                       ^
  where: --where
  fix: {FIX}""",
        ),
    ],
)
def test_an_error_shows_the_place_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert "\n".join(caught.value.lines()) == message


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    location = find_store(str(tmp_path_factory.mktemp("filters") / "s.db"))
    with Writer(location) as writer:
        heads = {"name": "dressed5x3", "options": {"layers": 3, "qubits": 5}}
        components = [component(role, **(heads if role == "head" else {})) for role in ("dataset", "backbone", "head")]
        finished_run(writer, components=components, plan={"replace": "all", "training": {"epochs": 40}})
    return Reader(location)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "head.layres = 3",
            [
                "unknown field 'head.layres'",
                "head.layres = 3",
                "^",
                "did you mean: head.layers, head.digest, head.version",
                "of a head: layers, qubits, component, provider, version, digest",
            ],
        ),
        (
            "f1 > 0.5 and last(los) > 1",
            ["unknown field 'last(los)'", "f1 > 0.5 and last(los) > 1", "             ^"],
        ),
        ("f1@liner > 1", ["unknown field 'f1@liner'", "f1@liner > 1", "^", "did you mean: f1@head", "variants: head"]),
        ("sd(f2) > 1", ["unknown field 'sd(f2)'", "sd(f2) > 1", "^", f"metrics: {', '.join(sorted(SHIPPED))}"]),
        (
            "env.tourch = 'x'",
            ["unknown field 'env.tourch'", "env.tourch = 'x'", "^", "did you mean: env.python", "env: python"],
        ),
        ("f1 = 'high'", ["f1 is a number, and 'high' is a text", "f1 = 'high'", "     ^"]),
        ("f1 = true", ["f1 is a number, and true is true or false", "f1 = true", "     ^"]),
        ("head in ('a', 3)", ["head is a text, and 3 is a number", "head in ('a', 3)", "              ^"]),
        ("created > 3", ["created is a time, and 3 is a number", "created > 3", "          ^"]),
        ("created > 'tomorow'", ["'tomorow' is no time", "created > 'tomorow'", "          ^"]),
        ("f1 like '9%'", ["f1 is a number, and '9%' is a text", "f1 like '9%'", "        ^"]),
        ("head.layers > true", ["true and false have no order", "head.layers > true", "              ^"]),
    ],
)
def test_a_wrong_field_or_value_is_pointed_at(reader: Reader, text: str, lines: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        reader.runs(where=text)
    found = caught.value.what.splitlines()
    assert found[0] == f"the filter cannot be used: {lines[0]}"
    assert [line.removeprefix("  ") for line in found[1 : 1 + len(lines[1:])]] == lines[1:]


def test_an_unknown_field_is_answered_with_all_there_are(reader: Reader) -> None:
    with pytest.raises(UsageError) as caught:
        reader.runs(where="layers = 3")
    said = "\n".join(caught.value.lines())
    assert "did you mean: head.layers" in said
    for part in ("of every run: backbone, cells", "metrics: accuracy", "head.qubits", "plan: replace, training.epochs"):
        assert part in said
    with pytest.raises(UsageError, match="unknown field 'hed'") as caught:
        reader.runs(sort="-hed")
    assert caught.value.where == "--sort"
    assert "head" in caught.value.what.splitlines()[1]
    with pytest.raises(UsageError, match=r"unknown field 'training\.epoch'") as caught:
        reader.table(["run", "training.epoch"])
    assert caught.value.where == "--cols"
    assert "training.epochs" in caught.value.what
    with pytest.raises(UsageError, match="unknown function medain; known: mean"):
        reader.table(["medain(f1)"])


def test_fields_and_orders_are_read_without_a_filter() -> None:
    assert field_name(" min( f1 ) ") == FieldName(("f1",), "min")
    assert sort_keys("-f1, head.layers,") == [
        (FieldName(("f1",)), True),
        (FieldName(("head", "layers")), False),
    ]
    for wrong in ("", "a b", "f1)", "min(f1", "é", "a..b", "a" * 600, "--f1"):
        with pytest.raises(UsageError, match="is no field"):
            field_name(wrong)


NOW = datetime(2026, 3, 10, 15, 30, tzinfo=UTC)
DAY = Moment("2026-03-10T00:00:00.000000+00:00", "2026-03-11T00:00:00.000000+00:00")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", DAY),
        ("2026-03-10", DAY),
        ("Yesterday", Moment("2026-03-09T00:00:00.000000+00:00", DAY.start)),
        ("now", Moment("2026-03-10T15:30:00.000000+00:00")),
        ("7 days ago", Moment("2026-03-03T15:30:00.000000+00:00")),
        ("1 d ago", Moment("2026-03-09T15:30:00.000000+00:00")),
        ("3 h ago", Moment("2026-03-10T12:30:00.000000+00:00")),
        ("90min ago", Moment("2026-03-10T14:00:00.000000+00:00")),
        ("2 weeks ago", Moment("2026-02-24T15:30:00.000000+00:00")),
        ("2026-03-10 14:30", Moment("2026-03-10T14:30:00.000000+00:00")),
        ("2026-03-10T14:30:05.25+02:00", Moment("2026-03-10T12:30:05.250000+00:00")),
        ("2026-03-10t14:30:05z", Moment("2026-03-10T14:30:05.000000+00:00")),
        ("2026-02-30", None),
        ("999999999 weeks ago", None),
        ("7 lightyears ago", None),
        ("soon", None),
        ("2026", None),
        ("", None),
    ],
)
def test_times_are_read_as_people_write_them(text: str, expected: Moment | None) -> None:
    assert moment(text, NOW) == expected


def test_a_day_is_compared_as_a_whole() -> None:
    assert DAY.bounds("=") == ((">=", DAY.start), ("<", DAY.end))
    assert DAY.bounds("<") == (("<", DAY.start),)
    assert DAY.bounds("<=") == (("<", DAY.end),)
    assert DAY.bounds(">") == ((">=", DAY.end),)
    assert DAY.bounds(">=") == ((">=", DAY.start),)


def test_a_parser_is_imported_only_for_a_filter(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom qtlplat.store.read.queries import Reader\n"
        "from qtlplat.store.backends.find import find_store\n"
        f"reader = Reader(find_store({str(tmp_path / 's.db')!r}))\n"
        "reader.runs(sort='-f1')\nassert 'lark' not in sys.modules\n"
        "reader.runs(where='f1 > 1')\nassert 'lark' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
