import json
from pathlib import Path

import pytest
from stored_runs import qtlplat, store_runs


def test_the_path_goes_to_stdout_and_the_reason_to_stderr(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "s.db", "store", "path")
    assert called.out == f"{tmp_path / 's.db'}\n"
    assert "--store" in called.err
    assert "nothing is stored there yet" in called.err
    assert list(tmp_path.iterdir()) == []


def test_json_names_path_files_reason_and_existence(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    form = json.loads(qtlplat(tmp_path / "s.db", "store", "path", "--json").out)
    assert form == {
        "path": str(tmp_path / "s.db"),
        "files": str(tmp_path / "s.files"),
        "why": "named by --store",
        "exists": True,
    }


def test_a_password_in_a_url_is_printed_nowhere(tmp_path: Path) -> None:
    called = qtlplat("postgresql://me:s3cret@host/db", "store", "path")
    assert called.code == 3
    assert "s3cret" not in called.out + called.err


def test_upgrade_has_nothing_to_do_on_a_new_store(tmp_path: Path) -> None:
    store_runs(tmp_path / "s.db")
    assert "up to date" in qtlplat(tmp_path / "s.db", "store", "upgrade").err


def test_upgrade_needs_a_store(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "s.db", "store", "upgrade")
    assert called.code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["runs", "show", "store"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    called = qtlplat(tmp_path / "s.db", command, "--help")
    assert called.code == 0
    assert "--store" in called.out
