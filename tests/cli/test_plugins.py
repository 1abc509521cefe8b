"""`plugins list` and `plugins doctor` where nothing is broken; broken plugins are in tests/strangers."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from qtlplat.cli.app import main

BUILT_IN = {"neu-det", "steel-synth", "lenet", "dressed", "linear", "kfold"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no configuration of the user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    monkeypatch.delenv("QTLPLAT_REGISTRY", raising=False)
    return tmp_path


def leave(*arguments: str) -> int:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    signal.signal(signal.SIGTERM, before)
    return int(str(caught.value.code))


def test_list_shows_the_built_in_plugins(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("plugins", "list", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out) if row["provider"] == "qtlplat"}
    assert set(rows) >= BUILT_IN
    assert rows["linear"]["module"] == "qtlplat_linear"
    assert {row["state"] for row in rows.values()} == {"installed"}


def test_plugins_alone_lists(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("plugins") == 0
    alone = capsys.readouterr().out
    assert leave("plugins", "list") == 0
    assert capsys.readouterr().out == alone


def test_the_doctor_says_what_each_plugin_offers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert leave("plugins", "doctor", "--json") == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["linear"]["state"] == "ok"
    assert rows["linear"]["components"] == ["head linear", "head mlp", "control linear", "control mlp"]


def test_a_disabled_plugin_is_shown_as_such_and_offers_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / ".qtlplat").mkdir()
    (here / ".qtlplat" / "registry.toml").write_text('[plugins]\ndisabled = ["linear"]\n')
    for command in ("list", "doctor"):
        assert leave("plugins", command, "--json") == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert rows["linear"]["state"] == "disabled"
    assert rows["linear"]["components"] == []
    assert leave("ls", "heads", "--json") == 0
    assert "mlp" not in {row["name"] for row in json.loads(capsys.readouterr().out)}
