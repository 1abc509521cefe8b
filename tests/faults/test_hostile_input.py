"""Hostile registry files, references, values, paths, URLs and surroundings: a short message and no password."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from outcome import Outcome, apart, assert_fine, assert_inert, assert_refused, assert_sound, at_most, here
from sampling import sampled

HUGE, DEEP = "x" * 100_000, 10_000


@pytest.fixture(autouse=True)
def _soon() -> Iterator[None]:
    """Nothing here may hang."""
    with at_most(20):
        yield


REGISTRIES: dict[str, tuple[str | bytes, str]] = {
    "nothing but words": ("hello", "is not TOML"),
    "not UTF-8": (b"[defaults]\nhead = '\xff\xfe'", "is not UTF-8 text"),
    "UTF-16": ("[defaults]".encode("utf-16"), "is not UTF-8 text"),
    "a zero byte": ("[defaults]\nhead = '\0'", "is not TOML"),
    "a key twice": ("[defaults]\nhead = 'linear'\nhead = 'mlp'", "is not TOML"),
    "a table twice": ("[defaults]\n[defaults]", "is not TOML"),
    "cut short": ("[heads.x\n", "is not TOML"),
    "huge": ("#" + "x" * 2**17, "is too large"),
    "deep lists": (f"a = {'[' * DEEP}{']' * DEEP}", "is nested too deeply"),
    "deep tables": ("a = " + "{b = " * DEEP + "1" + "}" * DEEP, "is nested too deeply"),
    "a deep key": ("[" + "a." * DEEP + "a]", ""),
    "a number of many digits": (f"[defaults]\nhead = {'9' * 5000}", ""),
    "a hexadecimal number of many digits": (f"[defaults]\nhead = 0x{'f' * 5000}", "defaults.head"),
    "a number for a name": ("[defaults]\nhead = 3", "defaults.head"),
    "a list for a name": ("[defaults]\nhead = ['linear']", "defaults.head"),
    "an empty name": ("[defaults]\nhead = ''", "defaults.head"),
    "text for a table": ("defaults = 'linear'", "defaults"),
    "a date for a table": ("heads = 2020-01-01", "heads"),
    "a list for a table": ("heads = [{component = 'linear'}]", "heads"),
    "a number for a preset": ("[heads]\nx = 3", "heads.x"),
    "a preset of nothing": ("[heads.x]", "heads.x.component"),
    "a preset of a list": ("[heads.x]\ncomponent = ['linear']", "heads.x.component"),
    "options that are a list": ("[heads.x]\ncomponent = 'linear'\noptions = [1]", "heads.x.options"),
    "an unknown key": ("[heads.x]\ncomponent = 'linear'\nevil = 1", "there is no such key"),
    "an unknown table": ("[evil]", "there is no such key"),
    "a name with a path": ("[heads.'../../x']\ncomponent = 'linear'", "must be lower-case"),
    "a name that steers a terminal": ('[heads."\\u001b[31m"]\ncomponent = "linear"', "must be lower-case"),
    "a key that steers a terminal": ('"\\u001b[2J\\n" = 1', "there is no such key"),
    "a name that never ends": (f"[heads.{'a' * 5000}]\ncomponent = 'linear'", "must be lower-case"),
    "a plugin that is a number": ("[plugins]\ndisabled = [3]", "plugins.disabled"),
    "epochs that are text": ("[protocols.p.training]\nepochs = 'many'", "protocols.p.training.epochs"),
    "epochs that are infinite": ("[protocols.p.training]\nepochs = inf", "protocols.p.training.epochs"),
    "a rate that is NaN": ("[protocols.p.training]\nlearning_rate = nan", "protocols.p.training.learning_rate"),
    "a rate that is infinite": ("[protocols.p.training]\nlearning_rate = inf", "learning_rate"),
}


@pytest.mark.parametrize("fault", sampled(REGISTRIES, 3))
def test_a_registry(fault: str, elsewhere: Path) -> None:
    content, words = REGISTRIES[fault]
    file = elsewhere / "registry.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for command in (["ls"], ["plugins"], ["info", "linear"]):
        assert_refused(here(*command, "--registry", file), 3, words, "registry.toml")


def test_a_registry_with_many_problems_names_the_number_of_the_rest(elsewhere: Path) -> None:
    file = elsewhere / "registry.toml"
    file.write_text("\n".join(f"[heads.x{i}]\nevil = {i}" for i in range(50)))
    assert_refused(here("ls", "--registry", file), 3, "more")


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        Path.mkdir,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to("/dev/tty"),
        lambda path: path.symlink_to(path.name),
        lambda path: None,
    ],
    ids=["pipe", "folder", "device", "terminal", "loop", "nothing"],
)
def test_something_else_in_place_of_a_registry(make: Callable[[Path], object], elsewhere: Path) -> None:
    make(elsewhere / "registry.toml")
    assert_refused(here("ls", "--registry", "registry.toml"), 3, "registry.toml")


@pytest.mark.parametrize("name", ["x" * 5000, "a\nb", "\x1b[31m", "\udcff", "/proc/self/mem"])
def test_a_registry_that_cannot_be_named(name: str) -> None:
    assert_refused(here("ls", "--registry", name), 3)


def test_a_registrys_own_words_are_shown_inert(elsewhere: Path) -> None:
    (elsewhere / "r.toml").write_text(
        '[heads.evil]\ncomponent = "linear"\nsummary = "\\u001b[31m[red]\\u202e"\n'
        '[heads.long]\ncomponent = "linear"\nsummary = "' + HUGE + '"\n'
        '[heads.lost]\ncomponent = "\\u001b[2J"\n'
        '[heads.deep]\ncomponent = "linear"\noptions = {a = {b = {c = ["\\u001b"]}}}\n'
    )
    done = here("ls", "heads", "--registry", "r.toml")
    assert_fine(done)
    assert "evil" in done.out
    for name, code in (("lost", 3), ("deep", 3)):
        assert_refused(here("info", name, "--registry", "r.toml"), code)


# Words that stand in for names and values.

WORDS = {
    "long": HUGE,
    "blank inside": "a" + " " * 60_000 + "b",
    "blanks before a bracket": "a" + " " * 60_000 + "[",
    "opening brackets": "[" * DEEP,
    "closing brackets": "]" * DEEP,
    "a name with opening brackets": "linear" + "[" * DEEP,
    "control characters": "\x1b[31mlin\x07ear\x9b2J",
    "two lines": "linear\nerror: all is well",
    "direction": "\u202eraenil",
    "look-alikes": "l\u0456near",
    "a wide look-alike": "\uff4c\uff49\uff4e\uff45\uff41\uff52",
    "half a character": "\udcff\ud800",
    "markup": "[red]linear[/red]",
    "a page": "<script>alert(1)</script>",
    "a path": "../../etc/passwd",
    "a format": "{0.__class__}%s%n${HOME}",
    "a query": "'; DROP TABLE runs; --",
    "many digits": "9" * 5000,
    "nothing": "",
    "blanks": "   ",
    "a distribution only": "qtlplat:",
    "many colons": ":" * DEEP,
}


@pytest.mark.parametrize("word", sampled(WORDS, 4))
@pytest.mark.sampled(3)
def test_a_reference(word: str) -> None:
    text = WORDS[word]
    for kind in ("head", "backbone", "evaluator", "dataset"):
        assert_refused(here("run", f"--{kind}", text, "--store", "s.db"), 2)
    assert_refused(here("info", "--", text), 2)
    assert_refused(here("show", "--store", "s.db", "--", text), 2)
    assert not Path("s.db").exists()


@pytest.mark.parametrize("word", sampled(WORDS, 4))
@pytest.mark.sampled(3)
def test_other_names(word: str) -> None:
    text = WORDS[word]
    for command in (
        ["run", "--protocol", text, "--store", "s.db"],
        ["run", "--replace", text, "--store", "s.db"],
        ["run", "--epochs", text, "--store", "s.db"],
        ["run", "-S", text, "--store", "s.db"],
        ["run", "-S", f"head.{text}", "--store", "s.db"],
        ["ls", "--sort", text],
        ["ls", text],
        [text],
        ["ls", f"--{text}"],
    ):
        if command not in (["ls", "--sort", ""], ["ls", "--"]):  # which say nothing, and say it rightly
            assert_refused(here(*command), 2)


@pytest.mark.parametrize("word", sampled(WORDS, 4))
def test_a_value(word: str) -> None:
    text = WORDS[word]
    assert_refused(here("run", "--head", "linear", "-S", f"training.epochs={text}", "--store", "s.db"), 3, "epochs")
    for more in (["--controls", text], ["--device", f"default.qubit[shots={text}]"]):
        done = here("run", "--head", "linear", *more, "--store", "s.db")
        assert_refused(done, done.code)
        assert done.code in (2, 3)
    assert not Path("s.db").exists()


@pytest.mark.parametrize(
    "value",
    [
        "1e999",
        "-1e999",
        "NaN",
        "Infinity",
        "-0.0e-999",
        "[" * DEEP,
        '{"a":' * 5000,
        "null",
        "0x10",
    ],
)
def test_a_number_that_is_none(value: str) -> None:
    assert_refused(here("run", "--head", "linear", "-S", f"training.learning_rate={value}", "--store", "s.db"), 3)


@pytest.mark.parametrize("seed", ["-1", "99999999999999999999", "1e3", "0x1", "nan"])
def test_a_seed(seed: str) -> None:
    done = here("run", "--head", "linear", f"--seed={seed}", "--store", "s.db")
    assert_refused(done, done.code, "seed")
    assert done.code in (2, 3)


# Passwords.

SECRET = "hunter2/@:x"
URLS = (
    f"postgresql+psycopg://me:{SECRET}@db.example/runs",
    f"postgresql://me:{SECRET}@db.example:5432/runs?sslmode=require",
    f"mysql://me:{'x' * 200}{SECRET}@db/x",
    f"postgresql://db.example/runs?user=me&password={SECRET}",
    f"PoStGrEs://me:{SECRET}@[::1]/x",
)


def assert_secret(done: Outcome) -> None:
    assert "hunter2" not in done.out + done.err
    assert_inert(done)


@pytest.mark.parametrize("url", sampled(URLS, 3))
@pytest.mark.parametrize("way", ["--store", "QTLPLAT_STORE"])
def test_a_password_is_shown_nowhere(way: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ["--store", url] if way == "--store" else []
    if not more:
        monkeypatch.setenv(way, url)
    monkeypatch.setenv("QTLPLAT_STORE_PATIENCE", "0")
    names_a_store = url == URLS[3]  # of which nobody knows the server
    for command in (["runs"], ["store", "path"], ["show", "abc"], ["run", "--head", "linear"], ["run", "--debug"]):
        done = here(*command, *more)
        assert done.code == ((0 if "path" in command else 5) if names_a_store else 3)
        assert_secret(done)


@pytest.mark.parametrize("url", sampled([u for u in URLS if "mysql" not in u], 3))
@pytest.mark.parametrize(
    "command",
    [
        ["--registry", "{}", "ls"],
        ["info", "{}"],
        ["data", "info", "neu-det", "-S", "dataset.root={}"],
        ["{}"],
        ["run", "{}"],
    ],
)
def test_a_password_in_the_wrong_place(command: list[str], url: str) -> None:
    done = here(*(word.format(url) for word in command))
    assert done.code in (2, 3)
    assert_secret(done)


def test_a_password_is_not_stored_with_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from qtlplat.runs.environment import environment

    monkeypatch.setattr("sys.argv", ["qtlplat", "run", "--store", URLS[0], "-S", f"x.password={SECRET}"])
    assert "hunter2" not in repr(environment("auto"))


# Surroundings.


@pytest.mark.sampled(5)
@pytest.mark.parametrize("name", ["QTLPLAT_STORE", "QTLPLAT_REGISTRY", "QTLPLAT_NEU_DET", "XDG_CONFIG_HOME", "HOME"])
@pytest.mark.parametrize(
    "value", ["\udcff\udcfe", "\x1b[31m", "a\nb", "x" * 5000, "/dev/null", "/dev/zero", "relative/x"]
)
def test_a_variable_of_the_surroundings(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.delenv("XDG_DATA_HOME")
    for command in (["ls"], ["runs"], ["store", "path"], ["data", "check", "neu-det"], ["info", "linear", "--json"]):
        done = here(*command)
        assert_inert(done)
        assert done.code in (0, 3, 5)
        if done.code and command[0] != "data":  # which lists its findings on stdout
            assert_refused(done, done.code)


@pytest.mark.parametrize(
    "place", ["folder/", "/dev/null", "/dev/zero", "x" * 300, "a/" * 2500, "loop", "pipe", "\udcff", "text"]
)
def test_a_store_that_cannot_be(place: str, elsewhere: Path) -> None:
    (elsewhere / "loop").symlink_to("loop")
    os.mkfifo(elsewhere / "pipe")
    (elsewhere / "text").write_text("no database, but of some length" * 9)
    for command in (["runs"], ["show", "abc"], ["store", "upgrade"]):
        done = here(*command, "--store", place)
        if done.code:
            assert_refused(done, done.code)
            assert done.code in (2, 3, 5)


PTY = """
import os, pty, sys
sys.argv = ['qtlplat', *sys.argv[1:]]
pid, end = pty.fork()
if not pid:
    from qtlplat.cli.app import main
    main()
try:
    while os.read(end, 65536): pass
except OSError: pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("columns", sampled(["0", "1", "99999999999999999999", "-3", "x", ""], 6))
def test_a_terminal_of_any_width(columns: str) -> None:
    environment = {"COLUMNS": columns, "LINES": columns, "TERM": "xterm"}
    assert apart("ls", environment=environment, program=PTY).code == 0
    if columns in ("0", "1"):
        assert apart("--help", environment=environment, program=PTY).code == 0
        assert apart("info", "linear", environment=environment, program=PTY).code == 0


@pytest.mark.parametrize("encoding", sampled(["ascii", "latin-1", "utf-16"], 3))
def test_streams_of_another_encoding(encoding: str) -> None:
    done = apart("ls", environment={"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"})
    assert done.code == 0
    done = apart("info", "l\u0456near", environment={"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0"})
    assert done.code == 2
    assert "Traceback" not in done.err


def test_bytes_that_are_no_text_on_the_command_line() -> None:
    done = apart("info", b"\xff\xfe\x1b[31m")
    assert_refused(done, 2)
    assert_sound(Path("s.db"))
