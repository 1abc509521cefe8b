"""Exported models compute what torch computes, by other people's programs; nothing else is handed over."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pennylane as qml
import pytest
import torch
from exported_model import FORMATS, export
from PIL import Image
from torch import nn

from qtlplat.contracts import Circuit
from qtlplat.errors import ConfigError, QtlplatError, TrainingError, UntrustedError, UsageError
from qtlplat.models.loaded import open_trained
from qtlplat.quantum.devices.layer import CircuitLayer
from qtlplat_model_files import to_onnx
from qtlplat_model_files.qasm import to_qasm
from qtlplat_model_files.to_qasm import head_qasm

AGREEMENT = 1e-6


# --- ONNX


@pytest.fixture
def onnxruntime() -> Any:
    return pytest.importorskip("onnxruntime")


def run_onnx(onnxruntime: Any, file: Path, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (output,) = session.run(["probabilities"], {"images": images})
    return np.asarray(output)


def test_an_onnx_model_gives_the_probabilities_of_all_cells(trained: Any, tmp_path: Path, onnxruntime: Any) -> None:
    onnx = pytest.importorskip("onnx")
    file = tmp_path / "model.onnx"
    facts = export(trained, "onnx", file)
    assert facts["max_difference"] < AGREEMENT
    assert {k: facts[k] for k in ("to", "run", "cells", "images")} == {
        "to": "onnx",
        "run": trained.id,
        "cells": [0, 1, 2],
        "images": 96,
    }
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 12, 12), np.uint8)  # none that it was checked on
    model = open_trained(trained.reader, trained.record, trained.catalog)
    expected = model.probabilities(images).mean(0)
    for some in (images, images[:1]):  # any number of images
        assert np.abs(run_onnx(onnxruntime, file, some) - expected[: len(some)]).max() < AGREEMENT
    # It says what it is, and not where it was made.
    known = {one.key: one.value for one in onnx.load(file).metadata_props}
    assert known["run"] == trained.id
    assert json.loads(known["classes"]) == ["empty", "square"]
    data = file.read_bytes()
    assert str(Path(to_onnx.__file__).parents[2]).encode() not in data
    assert b".py" not in data


@pytest.mark.slow
def test_an_onnx_model_of_one_cell_is_that_cell(trained: Any, tmp_path: Path, onnxruntime: Any) -> None:
    file = tmp_path / "model.onnx"
    assert export(trained, "onnx", file, cell=1)["cells"] == [1]
    images = trained.images()
    stored = {row.sample_id: row.probabilities for row in trained.reader.predictions(trained.id) if row.cell == 1}
    chosen = [i for i, name in enumerate(images.sample_ids) if name in stored]
    found = run_onnx(onnxruntime, file, images.images[chosen])
    assert np.abs(found - np.array([stored[images.sample_ids[i]] for i in chosen])).max() < AGREEMENT


@pytest.mark.slow
def test_a_model_that_differs_from_torch_is_not_handed_over(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, onnxruntime: Any
) -> None:
    class Off(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean((1, 2, 3))[:, None].expand(-1, 2) / 256

    monkeypatch.setattr(to_onnx, "_Whole", lambda _trained: Off())
    with pytest.raises(TrainingError, match="differs from torch"):
        export(trained, "onnx", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_missing_can_be_installed(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match="needs onnxscript") as error:
        export(trained, "onnx", tmp_path / "model.onnx")
    assert "pip install 'qtlplat[onnx]'" in error.value.fix


# --- OpenQASM: a small simulator of qelib1.inc, written from the definitions in its source


def rotation(axis: np.ndarray, angle: float) -> np.ndarray:
    return math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * axis


X, Y, Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
GATES = {
    "rx": lambda a: rotation(X, a),
    "ry": lambda a: rotation(Y, a),
    "rz": lambda a: rotation(Z, a),
    "u1": lambda a: np.diag([1, np.exp(1j * a)]),
    "h": lambda: (X + Z) / math.sqrt(2),
    "x": lambda: X,
    "z": lambda: Z,
    "s": lambda: np.diag([1, 1j]),
    "cx": lambda: np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]),
    "cz": lambda: np.diag([1, 1, 1, -1]),
    "swap": lambda: np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
}
STATEMENT = re.compile(r"(\w+)(?:\(([^)]*)\))? (q\[\d+\](?:,q\[\d+\])*);")


def state_of(program: str) -> np.ndarray:
    """The state (2, ..., 2) that a program of OpenQASM 2.0 prepares; every statement must be understood."""
    lines = [line for line in program.splitlines() if line and not line.startswith("//")]
    assert lines[:2] == ["OPENQASM 2.0;", 'include "qelib1.inc";']
    match = re.fullmatch(r"qreg q\[(\d+)\];", lines[2])
    assert match
    qubits = int(match[1])
    state = np.zeros((2,) * qubits, complex)
    state[(0,) * qubits] = 1
    for line in lines[3:]:
        statement = STATEMENT.fullmatch(line)
        if statement is None:
            assert re.fullmatch(r"creg c\[\d+\];", line), line
            continue
        angles = [float(a) for a in statement[2].split(",")] if statement[2] else []
        wires = [int(w) for w in re.findall(r"\d+", statement[3])]
        gate = GATES[statement[1]](*angles).reshape((2,) * (2 * len(wires)))
        state = np.tensordot(gate, state, (range(len(wires), 2 * len(wires)), wires))
        state = np.moveaxis(state, range(len(wires)), wires)
    return state


def z_of(state: np.ndarray) -> np.ndarray:
    """The expectation of Z on every qubit."""
    shares = np.abs(state) ** 2
    return np.array([np.take(shares, 0, w).sum() - np.take(shares, 1, w).sum() for w in range(shares.ndim)])


@pytest.mark.parametrize("inputs", [None, "0.3,-0.7"])
@pytest.mark.parametrize("cell", [None, 2])
@pytest.mark.sampled(2)
def test_a_program_prepares_what_the_trained_circuit_measures(
    trained: Any, tmp_path: Path, cell: int | None, inputs: str | None
) -> None:
    file = tmp_path / "circuit.qasm"
    facts = export(trained, "qasm", file, cell=cell, inputs=inputs)
    bound = [0.0, 0.0] if inputs is None else [0.3, -0.7]
    assert (facts["to"], facts["cells"], facts["inputs"]) == ("qasm", [cell or 0], bound)
    model = open_trained(trained.reader, trained.record, trained.catalog, cells=(cell or 0,))
    (layer,) = (module for module in model.cells[0].head.modules() if isinstance(module, CircuitLayer))
    expected = layer(torch.tensor([bound])).detach().numpy()[0]
    assert np.abs(z_of(state_of(file.read_text())) - expected).max() < AGREEMENT


def test_a_program_says_what_is_bound_and_what_is_measured(trained: Any, tmp_path: Path) -> None:
    export(trained, "qasm", tmp_path / "c.qasm")
    comments = [line for line in (tmp_path / "c.qasm").read_text().splitlines() if line.startswith("//")]
    assert comments == [
        f"// circuit of dressed[qubits=2,layers=1], run {trained.id}, cell 0",
        "// weights: as trained in that cell; inputs: all zero: 0, 0",
        "// output 0: expval(Z(0))",
        "// output 1: expval(Z(1))",
    ]


def test_the_inputs_can_be_those_of_an_image(trained: Any, tmp_path: Path, pictures: Any) -> None:
    images = trained.images()
    (file,) = pictures(images.images[3:4])
    facts = export(trained, "qasm", tmp_path / "c.qasm", image=file)
    model = open_trained(trained.reader, trained.record, trained.catalog, cells=(0,))
    head: Any = model.cells[0].head
    with torch.no_grad():
        features = model.backbones[0].kept(torch.tensor(images.images[3:4]), model.replaced)
        expected = torch.tanh(head.pre_net(features))[0]
        logits = head.post_net(torch.relu(torch.from_numpy(z_of(state_of((tmp_path / "c.qasm").read_text()))).float()))
    assert facts["inputs"] == pytest.approx(expected.tolist(), abs=AGREEMENT)
    probabilities = model.probabilities(images.images[3:4])[0, 0]
    assert logits.softmax(-1).numpy() == pytest.approx(probabilities, abs=AGREEMENT)


def test_gates_are_taken_apart_and_global_phases_left_out() -> None:
    def function(inputs: Any, wires: Any) -> list[Any]:
        qml.QFT(wires)
        qml.IsingXX(inputs[0], wires=[0, 1])
        qml.QubitUnitary(np.linalg.qr(np.arange(4).reshape(2, 2) + 1j * np.eye(2))[0], wires=2)
        qml.GlobalPhase(0.3)
        return [qml.expval(qml.Z(w)) for w in wires]

    program = to_qasm(Circuit(function, 3, {}, 1, 3), {}, np.array([0.4]))
    node = qml.QNode(lambda: function(np.array([0.4]), range(3)), qml.device("default.qubit", wires=3))
    assert "gphase" not in program
    assert np.abs(z_of(state_of(program)) - np.array(node())).max() < AGREEMENT


def test_noise_is_no_gate() -> None:
    def function(inputs: Any, wires: Any) -> list[Any]:
        qml.DepolarizingChannel(0.1, wires=0)
        return [qml.expval(qml.Z(0))]

    with pytest.raises(ConfigError, match="cannot be written as OpenQASM"):
        to_qasm(Circuit(function, 1, {}, 1, 1), {}, np.array([0.4]))


def as_trained(circuit: Circuit) -> Any:
    """A run with one cell that holds nothing but this circuit."""
    cell = SimpleNamespace(head=nn.Sequential(CircuitLayer(circuit, lambda inputs, weights: inputs)), position=0)
    return SimpleNamespace(cells=(cell,), run="r", plan=SimpleNamespace(head=SimpleNamespace(name="h")))


def test_amplitudes_cannot_all_be_zero() -> None:
    def function(inputs: Any, wires: Any) -> list[Any]:
        qml.AmplitudeEmbedding(inputs, wires=wires, normalize=True)
        return [qml.expval(qml.Z(0))]

    trained = as_trained(Circuit(function, 2, {}, 4, 1))
    with pytest.raises(ConfigError, match="cannot be written as OpenQASM") as caught:
        head_qasm(trained)
    assert caught.value.fix == "choose inputs other than zeros: --input X,Y,.. or --image FILE"
    text, bound = head_qasm(trained, [1.0, 0.0, 0.0, 1.0])
    assert bound == [1.0, 0.0, 0.0, 1.0]
    assert z_of(state_of(text)) == pytest.approx([0, 0], abs=1e-9)


def test_inputs_are_not_blamed_for_gates_that_cannot_be_written() -> None:
    def function(inputs: Any, wires: Any) -> list[Any]:
        qml.AngleEmbedding(inputs, wires=wires)
        qml.DepolarizingChannel(0.1, wires=0)
        return [qml.expval(qml.Z(0))]

    with pytest.raises(ConfigError, match="DepolarizingChannel") as caught:
        head_qasm(as_trained(Circuit(function, 2, {}, 2, 1)))
    assert "input" not in caught.value.fix


# --- both


@pytest.mark.parametrize(
    ("to", "options", "kind", "words"),
    [
        ("qasm", {"inputs": "0.1"}, ConfigError, "takes 2 finite inputs, 1 are given"),
        ("qasm", {"inputs": "0.1,nan"}, ConfigError, "takes 2 finite inputs, nan is no such number"),
        ("qasm3", {"inputs": "0.1"}, ConfigError, "takes 2 finite inputs, 1 are given"),
        ("qasm", {"inputs": "a,b"}, UsageError, "must be numbers"),
        ("qasm", {"inputs": "1,2", "image": Path("x.png")}, UsageError, "both given"),
        ("qasm", {"cell": 4}, UsageError, "belongs to the control"),
        ("onnx", {"inputs": "1,2"}, ConfigError, "an option is wrong"),
        ("onnx", {"cell": 99}, UsageError, "has no cell 99"),
    ],
)
def test_what_cannot_be_exported(
    trained: Any, tmp_path: Path, to: str, options: dict[str, Any], kind: type[QtlplatError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        export(trained, to, tmp_path / "file", **options)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("to", FORMATS)
def test_files_are_kept_and_changed_weights_refused(trained: Any, tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(UsageError, match="exists"):
        export(trained, to, tmp_path / "file")
    weights = trained.weights(trained.id)
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(UntrustedError):
        export(trained, to, tmp_path / "file", force=True)
    assert (tmp_path / "file").read_text() == "precious"


# --- the command


def test_the_command_writes_a_program(trained: Any, tmp_path: Path) -> None:
    file = tmp_path / "c.qasm"
    called = trained.call("export", "@last", "--to", "qasm", "-o", file, "--cell", 1, "--input", "0.1,0.2", "--json")
    assert called.code == 0, called.err
    size = file.stat().st_size
    facts = {"to": "qasm", "run": trained.id, "file": str(file), "bytes": size, "cells": [1], "inputs": [0.1, 0.2]}
    assert called.json == facts
    again = trained.call("export", "@last", "--to", "qasm", "-o", file, "--force")
    assert again.code == 0
    assert again.out.splitlines()[0] == "to\trun\tfile\tbytes\tcells\tinputs"


def test_the_command_writes_a_program_of_the_third_version(trained: Any, tmp_path: Path) -> None:
    file = tmp_path / "c.qasm"
    called = trained.call("export", "@last", "--to", "qasm3", "-o", file, "--input", "0.1,-0.2", "--json")
    assert called.code == 0, called.err
    assert (called.json["to"], called.json["inputs"]) == ("qasm3", [0.1, -0.2])
    assert "OPENQASM 3.0;" in file.read_text().splitlines()


def test_an_image_that_is_turned_upright_is_told(trained: Any, tmp_path: Path, pictures: Any) -> None:
    (file,) = pictures(trained.images().images[3:4])
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(file).rotate(180).save(tmp_path / "turned.png", exif=exif)
    inputs = []
    for name in (file.name, "turned.png"):
        words = ("--to", "qasm", "-o", tmp_path / f"{name}.qasm", "--image", tmp_path / name, "--json")
        called = trained.call("export", "@last", *words)
        assert called.code == 0, called.err
        assert ("turned upright, as their EXIF orientation says: 1 image" in called.err) == (name == "turned.png")
        inputs.append(called.json["inputs"])
    assert inputs[0] == inputs[1]


@pytest.mark.slow
def test_the_command_writes_a_model(trained: Any, tmp_path: Path, onnxruntime: Any) -> None:
    called = trained.call("export", "@last", "--to", "onnx", "-o", tmp_path / "m.onnx", "--json")
    assert called.code == 0, called.err
    assert called.json["max_difference"] < called.json["tolerance"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["@last", "--cell", "0", "-o", "b.zip"], "--cell does not fit --to bundle"),
        (["@last", "--to", "onnx"], "export where to?"),
        (["PRETRAINING", "@last", "--to", "qasm", "-o", "x.qasm"], "a file holds the model of one"),
        (["PRETRAINING", "--to", "qasm", "-o", "x.qasm"], "is a pretraining"),
    ],
)
def test_what_the_command_refuses(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    named = [trained.record.pretraining if word == "PRETRAINING" else word for word in arguments]
    called = trained.call("export", *named)
    assert (called.code, called.out) == (2, "")
    assert words in called.err
