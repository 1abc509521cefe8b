"""What is said about a circuit: the compiler's steps, and the picture as SVG."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from xml.etree.ElementTree import Element

import pennylane as qml
import pytest
import torch
from defusedxml.ElementTree import fromstring

from qtlplat import Circuit
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat.quantum.inspect.drawing import FILL
from qtlplat.quantum.inspect.inspect import describe, describe_engine, picture
from qtlplat_dressed import circuit as dressed
from qtlplat_dressed.options import DressedOptions

SVG = "{http://www.w3.org/2000/svg}"


def of(function: Any, qubits: int, n_inputs: int = 1, n_weights: int = 1) -> Circuit:
    return Circuit(function, qubits, {"weights": (n_weights,)}, n_inputs, 1)


def parts(root: Element, tag: str) -> list[Element]:
    return list(root.iter(f"{SVG}{tag}"))


def labels(root: Element) -> list[str]:
    return [str(t.text) for t in parts(root, "text")]


def boxes(root: Element, kind: str) -> int:
    """Boxes of gates and measurements with this fill; the legend's are smaller."""
    return sum(r.get("fill") == FILL[kind] and r.get("height") not in ("16", "100%") for r in parts(root, "rect"))


def test_the_steps_of_a_compiled_circuit_are_counted() -> None:
    facts = describe_engine(choose_engine(dressed(DressedOptions(qubits=3, layers=3))))
    assert (facts["name"], facts["gradient"]) == ("compiled", "backprop")
    # The last CNOTs are taken into the measurement.
    assert facts["steps"] == {"product_state": True, "layers": 3, "permutations": 2, "phases": 0, "matrices": 0}


def test_phases_and_matrices_are_counted() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.Hadamard(0)
        qml.CRY(inputs[..., 0], wires=[0, 1])
        qml.RX(weights[0], wires=0)
        qml.QFT(wires=[0, 1, 2])
        return [qml.expval(qml.X(0))]

    steps = describe_engine(choose_engine(of(function, 3)))["steps"]
    assert (steps["phases"], steps["matrices"]) == (1, 1)


def test_a_device_has_no_steps() -> None:
    facts = describe_engine(choose_engine(dressed(DressedOptions(qubits=2)), "lightning.qubit"))
    assert facts == {"name": "lightning.qubit", "why": "asked for", "gradient": "adjoint", "shots": None, "steps": None}


def test_the_picture_has_every_gate_wire_and_measurement() -> None:
    root = fromstring(picture(dressed(DressedOptions(qubits=3, layers=2))))
    assert labels(root).count("RX") == 3
    assert labels(root).count("Rot") == 6
    assert labels(root).count("⟨Z⟩") == 3
    assert (boxes(root, "input"), boxes(root, "weight"), boxes(root, "measured")) == (3, 6, 3)
    dots = [c for c in parts(root, "circle") if c.get("r") == "5"]
    targets = [c for c in parts(root, "circle") if c.get("r") == "10"]
    assert (len(dots), len(targets)) == (6, 6)  # CNOTs
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(0 <= float(r.get("x", 0)) <= width and 0 <= float(r.get("y", 0)) < height for r in parts(root, "rect"))


def test_gates_on_a_wire_never_overlap() -> None:
    root = fromstring(picture(dressed(DressedOptions(qubits=4, layers=3))))
    spans: dict[str, list[tuple[float, float]]] = {}
    for box in parts(root, "rect"):
        if box.get("height") == "28":
            left = float(box.attrib["x"])
            spans.setdefault(box.attrib["y"], []).append((left, left + float(box.attrib["width"])))
    for row in spans.values():
        ordered = sorted(row)
        assert all(a[1] < b[0] for a, b in pairwise(ordered))


def test_controls_on_zero_products_and_swaps_are_drawn() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.SWAP([0, 1])
        qml.ctrl(qml.RX, control=[0, 2], control_values=[0, 1])(weights[0], wires=1)
        qml.IsingXX(inputs[..., 0], wires=[0, 2])
        return [qml.expval(qml.X(0) @ qml.Z(2)), qml.expval(qml.X(0) + qml.Z(1)), qml.probs([0, 1])]

    root = fromstring(picture(of(function, 3)))
    filled = [c.get("fill") for c in parts(root, "circle")]
    assert sorted(map(str, filled)) == ["#222", "#fff"]
    assert labels(root).count("IsingXX") == 2  # its wires are no neighbours
    assert [text for text in labels(root) if text[0] in "⟨P"] == ["⟨X⟩", "⟨Z⟩", "⟨H⟩", "P"]


def test_text_is_escaped_and_cut() -> None:
    class Hostile(qml.operation.Operation):
        num_wires = 1

        @staticmethod
        def compute_matrix() -> Any:
            return qml.X.compute_matrix()

        def label(self, decimals: Any = None, base_label: Any = None, cache: Any = None) -> str:
            return "<b>&\x1b" + "long" * 9

    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        Hostile(wires=0)
        return [qml.expval(qml.Z(0))]

    text = picture(of(function, 1))
    assert "\x1b" not in text
    assert labels(fromstring(text)) == ["0", "<b>&?longlong…", "⟨Z⟩"]


def test_a_gate_that_squares_its_only_input_still_takes_it() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.RX(inputs[..., 0] ** 2, wires=0)
        return [qml.expval(qml.Z(0))]

    assert boxes(fromstring(picture(of(function, 1))), "input") == 1


@pytest.mark.parametrize("n_inputs", [2, 4, 8])
def test_amplitudes_are_described_too(n_inputs: int) -> None:
    qubits = n_inputs.bit_length() - 1

    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.AmplitudeEmbedding(inputs, wires=wires)
        return [qml.expval(qml.Z(0))]

    circuit = of(function, qubits, n_inputs)
    assert describe(circuit)["qubits"] == qubits
    assert boxes(fromstring(picture(circuit)), "input") == 1


def test_a_circuit_may_apply_torch_functions() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.RX(torch.atan(inputs / torch.linalg.norm(inputs)).sum(), wires=0)
        qml.RY(torch.sigmoid(weights)[0], wires=1)
        return [qml.expval(qml.Z(0))]

    circuit = of(function, 2, n_inputs=3)
    assert describe(circuit)["gates"] == {"RX": 1, "RY": 1}
    root = fromstring(picture(circuit))
    assert (boxes(root, "input"), boxes(root, "weight")) == (1, 1)


def test_measurements_in_the_middle_have_wires_of_their_own() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.RX(inputs[..., 0], wires=0)
        outcome = qml.measure(0, reset=True)
        qml.cond(outcome, qml.RY)(weights[0], wires=1)
        qml.Hadamard(0)
        return [qml.expval(qml.Z(1)), qml.expval(outcome)]

    circuit = of(function, 2)
    assert describe(circuit)["gates"] == {"CNOT": 2, "CRY": 1, "Hadamard": 1, "RX": 1}
    root = fromstring(picture(circuit))
    assert labels(root)[:3] == ["0", "1", "2"]
    assert boxes(root, "weight") == 1


def test_noise_in_a_circuit_is_drawn() -> None:
    def function(inputs: Any, weights: Any, wires: Any) -> list[Any]:
        qml.BitFlip(0.1, wires=0)
        return [qml.expval(qml.Z(0))]

    assert describe(of(function, 1))["gates"] == {"BitFlip": 1}
    assert "BitFlip" in labels(fromstring(picture(of(function, 1))))
