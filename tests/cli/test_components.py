"""`ls` and `info`: what is listed, what is described, what an unknown name is told."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtlplat.cli.app import main
from qtlplat.contracts import KINDS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def qtlplat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in an empty directory: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    for name in ("QTLPLAT_REGISTRY", "QTLPLAT_STORE", "QTLPLAT_NEU_DET"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        before = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        signal.signal(signal.SIGTERM, before)
        captured = capsys.readouterr()
        return int(str(caught.value.code)), captured.out, captured.err

    return run


def facts(done: tuple[int, str, str]) -> Any:
    code, out, err = done
    assert (code, err) == (0, "")
    return json.loads(out)


def test_ls_shows_components_and_presets_of_all_kinds(qtlplat: Run) -> None:
    rows = {(row["kind"], row["name"]): row for row in facts(qtlplat("ls", "--json"))}
    assert rows["head", "mlp"]["preset_of"] is None
    assert rows["head", "dressed5x3"]["preset_of"] == "dressed"
    assert rows["backbone", "lenet2"]["provider"] == "qtlplat"
    assert {kind for kind, _ in rows} == set(KINDS)
    assert set(rows["head", "mlp"]) == {"kind", "name", "preset_of", "provider", "version", "summary"}


def test_ls_of_one_kind_sorted_and_cut(qtlplat: Run) -> None:
    rows = facts(qtlplat("ls", "heads", "--json", "--sort", "-name", "-n", "2"))
    assert [row["name"] for row in rows] == ["mlp", "linear"]


def test_ls_into_a_pipe_is_tab_separated(qtlplat: Run) -> None:
    _, out, _ = qtlplat("ls", "evaluators")
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["kind", "name", "preset of", "provider", "version", "summary"]
    assert ["evaluator", "kfold6", "kfold"] in [line[:3] for line in lines]


def test_a_preset_of_your_own_is_listed_and_described(qtlplat: Run, tmp_path: Path) -> None:
    (tmp_path / ".qtlplat").mkdir()
    path = tmp_path / ".qtlplat" / "registry.toml"
    path.write_text('[heads.mine]\ncomponent = "mlp"\noptions = { hidden = [7] }\nsummary = "my own"\n')
    rows = {row["name"]: row for row in facts(qtlplat("ls", "heads", "--json"))}
    assert rows["mine"]["summary"] == "my own"
    described = facts(qtlplat("info", "mine", "--json"))
    assert described["preset"] == {"name": "mine", "file": str(path)}
    assert next(o for o in described["options"] if o["name"] == "hidden")["value"] == [7]


def test_a_backbones_parameters_are_counted_layer_by_layer(qtlplat: Run) -> None:
    counted = facts(qtlplat("info", "lenet2", "--json"))["backbone"]
    dense = [2048 * 128 + 128, 128 * 64 + 64, 64 * 16 + 16, 16 * 2 + 2]
    assert counted["dense"] == dense
    assert counted["total"] == 534_482  # Table III
    assert counted["replaced"] == [sum(dense[-k:]) for k in range(1, 5)]
    _, out, _ = qtlplat("info", "lenet2")
    assert "total 534,482" in out
    assert f"4\t{sum(dense)}\t{534_482 - sum(dense)}" in out
    assert facts(qtlplat("info", "linear", "--json"))["backbone"] is None


def test_a_preset_that_cannot_be_used_is_still_listed(qtlplat: Run, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[heads.gone]\ncomponent = "vanished"\n')
    rows = {row["name"]: row for row in facts(qtlplat("ls", "heads", "--json", "--registry", str(path)))}
    assert rows["gone"]["provider"] is None
    code, out, err = qtlplat("info", "gone", "--registry", str(path))
    assert (code, out) == (3, "")
    assert str(path) in err


def test_info_describes_options_and_provider(qtlplat: Run) -> None:
    described = facts(qtlplat("info", "kfold6[folds=4]", "--json"))
    assert (described["kind"], described["component"], described["module"]) == ("evaluator", "kfold", "qtlplat_kfold")
    assert len(described["digest"]) == 64
    assert described["circuit"] is None
    folds = described["options"][0]
    assert (folds["name"], folds["type"], folds["default"], folds["value"]) == ("folds", "integer", 6, 4)
    assert folds["bounds"] == "≥ 2, ≤ 1000"
    assert folds["description"]


def test_info_for_people_names_the_same(qtlplat: Run) -> None:
    code, out, _ = qtlplat("info", "mlp")
    assert code == 0
    assert "head mlp: dense hidden layers" in out
    assert "module qtlplat_linear" in out
    assert "widths of the hidden layers" in out


def test_info_of_a_quantum_head_draws_and_counts_its_circuit(qtlplat: Run) -> None:
    code, out, err = qtlplat("info", "dressed[qubits=3,layers=2]")
    assert (code, err) == (0, "")
    assert "circuit: 3 qubits" in out
    assert "CNOT=6" in out
    assert "weights=18" in out
    assert sum(line.startswith(("0: ", "1: ", "2: ")) for line in out.splitlines()) == 3


def test_info_says_what_would_run_the_circuit_and_why(qtlplat: Run) -> None:
    engine = facts(qtlplat("info", "dressed[qubits=2,layers=2]", "--json"))["circuit"]["engine"]
    assert set(engine) == {"name", "why", "gradient", "shots", "steps"}
    assert (engine["name"], engine["gradient"]) == ("compiled", "backprop")
    assert engine["steps"]["layers"] == 2
    _, out, _ = qtlplat("info", "dressed[qubits=2,layers=2]")
    assert "engine      compiled: " in out
    assert "a product state, 2 layers of single-qubit gates, 1 permutation" in out


def test_info_may_be_asked_about_another_device(qtlplat: Run) -> None:
    _, out, _ = qtlplat("info", "dressed[qubits=2]", "--device", "default.qubit[shots=10]")
    assert "engine      default.qubit: asked for; gradients by parameter-shift" in out
    assert "shots       10, which follow the seed" in out


def test_info_draws_the_circuit_into_a_file_but_never_over_one(qtlplat: Run, tmp_path: Path) -> None:
    command = ("info", "dressed[qubits=2]", "-o", "c.svg")
    code, out, _ = qtlplat(*command)
    assert code == 0
    assert "circuit: 2 qubits" in out
    assert (tmp_path / "c.svg").read_text(encoding="utf-8").startswith("<svg ")
    (tmp_path / "c.svg").write_text("mine", encoding="utf-8")
    code, out, err = qtlplat(*command)
    assert (code, out) == (2, "")
    assert "--force" in err
    assert (tmp_path / "c.svg").read_text(encoding="utf-8") == "mine"
    assert qtlplat(*command, "--force")[0] == 0
    assert (tmp_path / "c.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_a_picture_that_cannot_be_written_is_an_error_of_the_disk(qtlplat: Run) -> None:
    code, out, err = qtlplat("info", "dressed[qubits=2]", "-o", "nowhere/c.svg")
    assert (code, out) == (5, "")
    assert "cannot write 'c.svg': there is no such directory" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("info", "linear", "-o", "c.svg"), 2, "head linear has no circuit to draw"),
        (("info", "dressed5x3", "-o", "c.png"), 2, "-o c.svg"),
        (("info", "dressed5x3", "--device", "default.qbit"), 3, "did you mean: default.qubit"),
        (("info", "linear", "--device", "default.qubit[shots"), 2, "cannot be read"),
        (("info", "dresed5x3"), 2, "did you mean: dressed5x3"),
        (("info", "dressed[layers=0]"), 3, "head.layers: 0"),
        (("info", "dressed[layer=1]"), 3, "did you mean layers?"),
        (("info", "mlp", "--kind", "backbone"), 2, "unknown backbone 'mlp'"),
        (("info", "nobody:mlp"), 2, "nobody:mlp"),
        (("ls", "heads", "--sort", "nme"), 2, "did you mean: name"),
        (("ls", "--registry", "nowhere.toml"), 3, "nowhere.toml"),
    ],
)
def test_what_is_wrong_is_told_on_stderr_only(qtlplat: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    got, out, err = qtlplat(*arguments)
    assert (got, out) == (code, "")
    assert words in err
    assert len(err.splitlines()) <= 12


def test_a_name_of_two_kinds_asks_which(qtlplat: Run, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text('[heads.twin]\ncomponent = "mlp"\n[evaluators.twin]\ncomponent = "kfold"\n')
    code, _, err = qtlplat("info", "twin", "--registry", str(path))
    assert code == 2
    assert "--kind head or --kind evaluator" in err
    assert facts(qtlplat("info", "twin", "--kind", "head", "--json", "--registry", str(path)))["component"] == "mlp"


def test_an_engine_is_not_tried_where_it_would_take_minutes(qtlplat: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtlplat.cli.commands.components.MOST_QUBITS_TRIED", 3)
    assert facts(qtlplat("info", "dressed[qubits=4]", "--json"))["circuit"]["engine"] is None
    assert "not tried for more than 3 qubits" in qtlplat("info", "dressed[qubits=4]")[1]
