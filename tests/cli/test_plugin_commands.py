"""Commands of plugins: listed by metadata alone, loaded when they are named; a broken one concerns nobody else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qtlplat.cli.app import _run
from qtlplat.cli.plugin_commands import plugin_commands

Install = Callable[..., None]
POLISH = '''"""Polish a surface."""

import click
from qtlplat import CommandSpec, hookimpl
from qtlplat.cli.settings import pass_settings

qtlplat_api_version = (1, 0)


@click.command("polish")
@pass_settings
def polish(settings):
    """Polish a surface."""
    click.echo(f"polished for {settings.store}")


@hookimpl
def qtlplat_commands():
    return [CommandSpec(name="polish", summary="Polish a surface.", load=lambda: polish)]
'''


@pytest.fixture(autouse=True)
def _looked_up_anew() -> Iterator[None]:
    plugin_commands.cache_clear()
    yield
    plugin_commands.cache_clear()


def test_it_is_listed_without_being_imported_and_runs(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme-polish", "acme_polish", POLISH, entry="polish", commands=["polish"])
    assert _run(["--help"]) == 0
    out, err = capsys.readouterr()
    assert "polish" in out
    assert "Polish a surface." in out
    assert err == ""
    assert "acme_polish" not in sys.modules
    assert _run(["polish", "--store", "s.db"]) == 0
    assert capsys.readouterr().out == "polished for s.db\n"


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("1 / 0", 4, "cannot be imported: ZeroDivisionError"),
        ("raise SystemExit(0)", 4, "cannot be imported: SystemExit"),
        ("qtlplat_api_version = (1, 0)", 4, "offers no command polish"),
        (POLISH.replace("load=lambda: polish", "load=lambda: 3"), 4, "must be a click.Command, is 3"),
        (POLISH.replace("load=lambda: polish", "load=lambda: exit()"), 4, "loading command polish failed: SystemExit"),
        (POLISH.replace('"Polish a surface.", load', "7, load"), 4, "summary of polish must be one line"),
        (POLISH.replace('click.echo(f"polished for {settings.store}")', "1 / 0"), 4, "ZeroDivisionError"),
    ],
)
def test_a_broken_one_is_an_error_where_it_is_named_and_nowhere_else(
    source: str, code: int, words: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme-polish", "acme_polish", source, entry="polish", commands=["polish"])
    assert _run(["--help"]) == 0
    out, err = capsys.readouterr()
    assert ("polish" in out, err) == (True, "")
    assert _run(["polish"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "acme-polish" in err


def test_a_disabled_plugin_offers_no_command(
    install: Install, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    install("acme-polish", "acme_polish", "raise SystemExit(0)", entry="polish", commands=["polish"])
    registry = tmp_path_factory.mktemp("registry") / "r.toml"
    registry.write_text("[plugins]\ndisabled = ['polish']\n")
    assert _run(["--registry", str(registry), "polish"]) == 2
    assert "disabled in the registry" in capsys.readouterr().err


@pytest.mark.parametrize("disabled", ["acme-polish:polish", "beta-polish:polish"])
def test_one_that_two_distributions_offer_is_refused_until_one_is_disabled(
    disabled: str, install: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install(
        "beta-polish", "beta_polish", POLISH.replace("polished for", "beta for"), entry="polish", commands=["polish"]
    )
    install("acme-polish", "acme_polish", POLISH, entry="polish", commands=["polish"])
    assert _run(["polish"]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert "command polish is offered by acme-polish and by beta-polish" in err
    assert "disabled = ['beta-polish:polish']" in err
    registry = tmp_path / "r.toml"
    registry.write_text(f"[plugins]\ndisabled = ['{disabled}']\n")
    assert _run(["--registry", str(registry), "polish", "--store", "s.db"]) == 0
    assert capsys.readouterr().out == ("beta for s.db\n" if "acme" in disabled else "polished for s.db\n")


def test_one_of_a_plugin_of_qtlplat_has_its_place_and_wins_until_it_is_disabled(
    install: Install, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    install("acme-polish", "acme_polish", POLISH.replace('"polish"', '"reproduce"'), entry="p", commands=["reproduce"])
    assert _run(["--help"]) == 0
    train = capsys.readouterr().out.split("Train:\n")[1].split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in train] == ["run", "sweep", "resume", "reproduce", "replay"]
    assert train[3].endswith("Reproduce a publication and check its claims.")
    assert _run(["reproduce", "--help"]) == 0
    assert "RECIPE" in capsys.readouterr().out
    registry = tmp_path / "r.toml"
    registry.write_text("[plugins]\ndisabled = ['reproduction']\n")
    assert _run(["--registry", str(registry), "reproduce", "--store", "s.db"]) == 0
    assert capsys.readouterr().out == "polished for s.db\n"


def test_a_command_of_qtlplat_itself_wins(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme-polish", "acme_polish", "raise SystemExit(0)", entry="polish", commands=["ls"])
    assert _run(["ls", "--help"]) == 0
    assert "List datasets" in capsys.readouterr().out
