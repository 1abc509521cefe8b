"""A stranger's distribution is discovered and used; broken ones never stop another command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stranger_sources import BROKEN, GOOD
from stranger_tools import Cli, python


def test_a_strangers_components_are_listed_with_their_provider(qtlplat: Cli, stranger_path: Path) -> None:
    done = qtlplat("ls", "--json", path=stranger_path)
    assert (done.returncode, done.stderr) == (0, "")
    mine = {(r["kind"], r["name"]): r["version"] for r in json.loads(done.stdout) if r["provider"] == GOOD}
    assert mine == {
        ("dataset", "acme-squares"): "2.3.4",
        ("backbone", "acme-net"): "2.3.4",
        ("head", "acme-ry"): "2.3.4",
        ("evaluator", "acme-half"): "2.3.4",
    }


def test_a_strangers_component_is_described_by_name(qtlplat: Cli, stranger_path: Path) -> None:
    done = qtlplat("info", "acme-squares", "--json", path=stranger_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["provider"], facts["version"], facts["module"]) == (GOOD, "2.3.4", "acme_surface")
    assert [option["name"] for option in facts["options"]] == ["size", "per_class"]


@pytest.mark.slow
def test_a_strangers_plugin_passes_the_suites_it_is_given(stranger_path: Path, tmp_path: Path) -> None:
    code = "from qtlplat.testing import PluginConformance as P\nclass Mine(P): module = 'acme_surface'\n"
    done = python(f"{code}Mine().test_components(); print('sound')", path=stranger_path, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("sound", "")


def test_five_broken_plugins_never_stop_ls(qtlplat: Cli, broken_path: Path) -> None:
    done = qtlplat("ls", "--json", path=broken_path)
    assert done.returncode == 0
    names = {row["name"] for row in json.loads(done.stdout)}
    assert {"dressed", "linear", "lenet", "kfold", "neu-det"} <= names
    lines = done.stderr.splitlines()
    assert len(lines) == 4  # one for each that failed; a clash is no failure
    for what in ("import-error", "system-exit", "hook-raises", "misspelt-hook"):
        (line,) = [line for line in lines if f"broken-{what}" in line]
        assert line.startswith("warning: ")


def test_commands_that_need_no_plugin_say_nothing_about_broken_ones(qtlplat: Cli, broken_path: Path) -> None:
    done = qtlplat("runs", "--help", path=broken_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_listing_plugins_imports_none_of_them(qtlplat: Cli, broken_path: Path) -> None:
    done = qtlplat("plugins", "list", "--json", path=broken_path)
    assert (done.returncode, done.stderr) == (0, "")
    listed = {row["name"]: row["state"] for row in json.loads(done.stdout)}
    assert {what: listed[what] for what in BROKEN} == dict.fromkeys(BROKEN, "installed")


def test_the_doctor_names_each_with_a_reason_and_a_fix(qtlplat: Cli, broken_path: Path) -> None:
    done = qtlplat("plugins", "doctor", "--json", path=broken_path)
    assert done.returncode == 4
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    expected = {
        "import-error": "No module named",
        "system-exit": "SystemExit: 'no licence'",
        "hook-raises": "RuntimeError: 'not today'",
        "misspelt-hook": "there is no hook 'qtlplat_haeds'",
    }
    for what, reason in expected.items():
        assert rows[what]["state"] == "failed"
        assert reason in rows[what]["reason"]
        assert rows[what]["fix"]
    assert rows["misspelt-hook"]["fix"] == "rename it to qtlplat_heads"
    assert rows["name-clash"]["state"] == "ok"
    assert "head 'linear' is offered by broken-name-clash and qtlplat" in rows["name-clash"]["clashes"][0]
    assert "broken-name-clash" in done.stderr


@pytest.mark.slow
def test_a_clashing_name_is_refused_where_it_is_named(qtlplat: Cli, broken_path: Path) -> None:
    done = qtlplat("info", "linear", path=broken_path)
    assert (done.returncode, done.stdout) == (4, "")
    for words in ("broken-name-clash", "qtlplat", "broken-name-clash:linear", "qtlplat:linear"):
        assert words in done.stderr
    theirs = qtlplat("info", "broken-name-clash:linear", "--json", path=broken_path)
    assert json.loads(theirs.stdout)["summary"] == "not the built-in one"


def test_naming_a_broken_plugin_exits_4_with_its_reason(qtlplat: Cli, broken_path: Path) -> None:
    done = qtlplat("info", "broken-import-error:anything", path=broken_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "a_module_that_nobody_has" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_run_uses_a_strangers_dataset_backbone_head_and_evaluator(qtlplat: Cli, stranger_path: Path) -> None:
    parts = ("--dataset", "acme-squares", "--backbone", "acme-net", "--head", "acme-ry", "--evaluator", "acme-half")
    arguments = ("run", *parts, "--epochs", "2", "--pretrain-epochs", "2", "--store", "store.db", "--json")
    result = qtlplat(*arguments, path=stranger_path)
    assert result.returncode == 0, result.stderr
    run = json.loads(result.stdout)
    assert run["status"] == "finished"
    assert {run[kind]["provider"] for kind in ("dataset", "backbone", "head", "evaluator")} == {"acme-surface"}
    assert 0 <= run["metrics"]["f1"]["mean"] <= 1
