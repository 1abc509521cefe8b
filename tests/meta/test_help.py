"""Every command and every option explains itself."""

from collections.abc import Iterator

import click
import pytest

from qtlplat.cli.app import _lines, _run, cli

LINES = dict(_lines())
ROOT = click.Context(cli, info_name="qtlplat")


def commands() -> Iterator[tuple[str, click.Command]]:
    for name in LINES:
        command = cli.get_command(ROOT, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for member in command.commands.values():
                yield f"{name} {member.name}", member


ALL = dict(commands())


def first_line(command: click.Command) -> str:
    """The first paragraph of the help, on one line."""
    return " ".join((command.help or "").strip().split("\n\n")[0].split())


@pytest.mark.parametrize("path", ALL)
def test_every_command_says_what_it_does_in_one_sentence(path: str) -> None:
    line = first_line(ALL[path])
    assert line.endswith(".")
    assert line[0].isupper()
    assert len(line) <= 110


@pytest.mark.parametrize("path", ALL)
def test_every_option_is_explained(path: str) -> None:
    ctx = click.Context(ALL[path], parent=ROOT)
    options = [p for p in ALL[path].get_params(ctx) if isinstance(p, click.Option)]
    assert [o.opts[0] for o in options if not (o.help or "").endswith(".")] == []


@pytest.mark.parametrize("path", ALL)
def test_every_command_takes_the_common_options(path: str) -> None:
    names = {name for p in ALL[path].params for name in p.opts}
    assert names >= {"--store", "--registry", "-q", "-v", "--debug"}


@pytest.mark.parametrize("name", LINES)
def test_the_front_page_and_the_commands_help_say_the_same(name: str) -> None:
    assert LINES[name] == first_line(ALL[name])


@pytest.mark.parametrize("path", ["", *ALL])
def test_help_is_printed_on_stdout(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run([*path.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"Usage: qtlplat {path}".rstrip())
    assert err == ""


def test_every_command_that_explains_references_names_them_all() -> None:
    told = {path: " ".join((command.help or "").split()) for path, command in ALL.items()}
    explained = {path: help for path, help in told.items() if "RUN is the beginning" in help}
    assert explained.keys() >= {"show", "compare", "diff", "errors", "export", "predict", "replay"}
    for path, help in explained.items():
        assert all(form in help for form in ("@-2", "@best:f1", "@tag:")), path
