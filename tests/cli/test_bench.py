"""`bench`: rows and their keys, sizes from the command line, what is refused; no test looks at the time it takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qtlplat.cli.app import _run

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
KEYS = [
    "engine",
    "qubits",
    "layers",
    "batch",
    "cells",
    "threads",
    "ms_per_step",
    "ms_per_cell_step",
    "spread",
    "max_value_error",
    "max_gradient_error",
]
HEAD = ["bench", "head", "dressed", "--batch", "4", "--features", "6", "--cells", "2", "--repeats", "1"]


def part_of_page(title: str) -> str:
    return PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def rows(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert _run([*arguments, "--json", "-q"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    found = json.loads(captured.out)
    assert list(found) == ["rows"]
    return list(found["rows"])


@pytest.mark.slow
def test_a_range_of_qubits_gives_rows_for_every_size(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows([*HEAD, "--qubits", "1..2", "--layers", "1", "--devices", "compiled,default.qubit"], capsys)
    assert [(r["qubits"], r["layers"], r["engine"], r["cells"]) for r in found] == [
        (qubits, 1, engine, cells)
        for qubits in (1, 2)
        for engine, cells in (("compiled", 1), ("compiled", 2), ("TorchLayer on default.qubit", 1))
    ]
    assert [list(r) for r in found] == [KEYS] * 6
    assert {key for key in KEYS if f'"{key}"' not in part_of_page("qtlplat bench")} == set()


def test_devices_may_have_options_with_commas(capsys: pytest.CaptureFixture[str]) -> None:
    devices = "default.mixed[noise=bitflip,strength=0.1],default.qubit[seed=1,shots=10]"
    found = rows([*HEAD, "--qubits", "1", "--devices", devices], capsys)
    assert [r["engine"] for r in found] == [
        "default.mixed[noise=bitflip,strength=0.1]",
        "default.qubit[seed=1,shots=10]",
    ]


def test_the_table_has_how_many_times_as_fast_and_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run([*HEAD, "--qubits", "1", "--devices", "default.qubit,compiled"]) == 0
    captured = capsys.readouterr()
    head, *lines = [line.split("\t") for line in captured.out.splitlines()]
    by_engine = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert by_engine["TorchLayer on default.qubit"]["times as fast"] == "1"
    assert float(by_engine["compiled"]["times as fast"]) > 0
    assert "dressed: " in captured.err
    assert "qubits=1\n" in captured.err


def test_a_backbone_is_measured_in_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "backbone", "lenet2", "--batch", "1", "--repeats", "1", "--image-size", "100"]
    found = rows(command, capsys)
    assert [(r["engine"], r["qubits"], r["batch"]) for r in found] == [("plain", None, 1), ("qtlplat", None, 1)]
    assert [list(r) for r in found] == [KEYS] * 2


def test_the_head_stage_is_run_and_the_plain_loop_extrapolated(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--samples", "24", "--folds", "2", "--epochs", "2", "--batch", "8", "--plain-steps", "3"]
    found = rows(["bench", "run", "--head", "dressed[qubits=1,layers=1]", *small], capsys)
    assert [(r["engine"], r["steps"], r["measured_steps"]) for r in found] == [
        ("qtlplat: compiled", 8, 8),
        ("plain: TorchLayer on default.qubit", 8, 3),
    ]
    assert found[0]["max_value_error"] < 1e-5
    text = part_of_page("qtlplat bench")
    assert [key for key in found[0] if f'"{key}"' not in text] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["head", "dresed5x3"], 2, "did you mean: dressed5x3"),
        (["head", "mlp", "--qubits", "3"], 2, "head mlp has no option qubits"),
        (["head", "linear", "--layers", "3"], 2, "--layers"),
        (["head", "dressed", "--qubits", "5..2"], 2, "'5..2' is no number of qubits"),
        (["head", "dressed", "--qubits", "many"], 2, "--qubits 2..8"),
        (["head", "dressed", "--qubits", "20..30"], 3, "head.qubits: 25"),
        (["head", "dressed", "--devices", "default.qubit[shots"], 2, "cannot be read"),
        (["head", "dressed", "--devices", "default.qbit"], 3, "did you mean: default.qubit"),
        (["head", "linear", "--circuit-only"], 2, "head linear has no circuit"),
        (["backbone", "lenet9"], 2, "did you mean"),
        (["run", "--replace", "none"], 2, "--replace all, or --replace K"),
        (["run", "--replace", "9"], 3, "cannot replace 9 dense layers"),
        (["run", "--samples", "9", "--folds", "6"], 2, "too few"),
    ],
)
def test_what_is_wrong_is_told_on_stderr_only(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["bench", *arguments, "-q"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) <= 12
