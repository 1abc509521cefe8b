"""Values of absurd size on the command line: a usage error, of which no value has more than 80 characters."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from stored_runs import called_with, store_runs

DIGITS = "9" * 5000
MANY = ",".join(f"env.x{i}" for i in range(3000))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_runs(tmp_path / "s.db")
    monkeypatch.setenv("QTLPLAT_STORE", str(tmp_path / "s.db"))


@pytest.mark.sampled(15)
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "line",
    [
        ("runs", "--sort", ",".join(f"max(f{i})" for i in range(3000))),
        ("runs", "--sort", MANY),
        ("runs", "--cols", MANY),
        ("runs", "--trash", "--cols", MANY),
        ("runs", "--where", " and ".join(["f1 > 0"] * 1000)),
        ("runs", "--where", f"f1 in ({','.join(['1'] * 40_000)})"),
        ("runs", "--where", "(" * 5000),
        ("runs", "-n", DIGITS),
        ("runs", "-n", str(2**31 + 1)),
        ("runs", "-n", "0"),
        ("runs", "--watch", DIGITS),
        ("best", "--by", MANY),
        ("best", "--metric", "f" * 5000),
        ("pareto", *MANY.split(",")),
        ("pareto", "f" * 5000, "f1"),
        ("show", f"@best:{'f' * 5000}"),
        ("show", f"@best:{MANY}"),
        ("show", f"@tag:{'f' * 5000}"),
        ("show", f"@-{DIGITS}"),
        ("show", "a" * 5000),
        ("tag", "@last", "--add", "x" * 5000),
        ("run", "--seed", DIGITS),
        ("run", "--accelerator", "'\"" * 900),
        ("run", "--accelerator", "a b" * 900),
        ("store", "gc", "--older-than", DIGITS),
        ("store", "x" * 5000),
        ("store", "a b" * 2000),
        ("x" * 5000,),
        ("a b" * 2000,),
        (f"--{'x' * 5000}",),
        (f"--{'a b' * 2000}",),
        ("runs", *["x"] * 3000),
        ("runs", "a b" * 2000),
        ("runs", "(a) b" * 2000),
        ("runs", f"--{'x' * 5000}"),
        ("runs", f"--json={'x' * 5000}"),
        ("ls", "x" * 5000),
        ("ls", "--sort", "x" * 5000),
        ("ls", "--cols", "x" * 5000),
        ("predict", "@last", "x.png", "--cell", DIGITS),
    ],
    ids=lambda line: " ".join(word[:12] for word in line[:3]),
)
def test_it_is_a_usage_error(line: tuple[str, ...]) -> None:
    began = time.monotonic()
    done = called_with(*line)
    assert (done.code, done.out) == (2, ""), done.err
    assert time.monotonic() - began < 5
    assert len(done.err.splitlines()) <= 12
    for text in done.err.splitlines():
        assert len(text) < 400
    for value in re.findall(r"9{20,}|x{20,}|f{20,}|(?:a b){10,}|(?:x ){10,}", done.err):
        assert len(value) <= 80


@pytest.mark.usefixtures("store")
def test_a_field_that_is_named_again_changes_nothing() -> None:
    for command, key in (("runs", "-run"), ("ls", "-name")):
        once, often = (called_with(command, "--sort", keys) for keys in (key, ",".join([key] * 3000)))
        assert (once.code, once.out) == (often.code, often.out)
        assert once.code == 0


# EDITOR


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "editor", ["/nonexistent/editor", "false", "vi '", "sh -c 'printf \"\\377\" > $0'", "\x1b[31m", " "]
)
@pytest.mark.parametrize("name", ["EDITOR", "VISUAL"])
def test_an_editor_that_fails_is_named_with_a_way_out(name: str, editor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv(name, editor)
    done = called_with("note", "@last", "--edit")
    assert (done.code, done.out) == (2, "")
    assert f"  where: {name}=" in done.err
    assert "EDITOR=nano" in done.err
    assert "qtlplat note RUN 'TEXT'" in done.err
    assert "\x1b" not in done.err


@pytest.mark.usefixtures("store")
def test_no_editor_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    done = called_with("note", "@last", "--edit")
    assert (done.code, done.out) == (2, "")
    assert "VISUAL and EDITOR are not set" in done.err
    assert "EDITOR=nano" in done.err
