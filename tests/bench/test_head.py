"""The benchmark of a head: which rows there are, and that their errors tell right engines from wrong ones."""

from __future__ import annotations

from collections.abc import Sequence

import pennylane as qml
import pytest
import torch
from torch import nn

from qtlplat import Circuit, HeadSpec, NoOptions, QuantumHeadSpec
from qtlplat.catalog.device import parse_device
from qtlplat.errors import ConfigError, UsageError
from qtlplat_bench import head as bench
from qtlplat_bench.head import Setting, bench_head
from qtlplat_dressed import qtlplat_heads
from qtlplat_dressed.options import DressedOptions
from qtlplat_linear import qtlplat_heads as classical_heads

DRESSED = qtlplat_heads()[0]
SMALL = DressedOptions(qubits=2, layers=2)
KEYS = (
    "engine qubits layers batch cells threads ms_per_step ms_per_cell_step spread max_value_error max_gradient_error"
).split()


def setting(*devices: str, **changes) -> Setting:
    usual = {"batch": 6, "cells": 3, "features": 8, "repeats": 2}
    return Setting(devices=[parse_device(d) for d in devices], **{**usual, **changes})


def rows_of(spec=DRESSED, options=SMALL, *, devices: Sequence[str] = ("compiled",), **changes):
    notes: list[str] = []
    return bench_head(spec, options, "test", setting(*devices, **changes), notes.append), notes


@pytest.fixture(scope="module")
def dressed():
    return rows_of(devices=("compiled", "default.qubit", "lightning.qubit"))[0]


@pytest.mark.slow
def test_every_engine_has_its_rows_in_the_order_asked_for(dressed):
    assert [(r["engine"], r["cells"]) for r in dressed] == [
        ("compiled", 1),
        ("compiled", 3),
        ("TorchLayer on default.qubit", 1),
        ("lightning.qubit", 1),
    ]
    for row in dressed:
        assert list(row) == KEYS
        assert (row["qubits"], row["layers"], row["batch"], row["threads"]) == (2, 2, 6, 1)
        assert row["ms_per_step"] == pytest.approx(row["ms_per_cell_step"] * row["cells"])


def test_single_precision_agrees_with_the_reference_which_has_no_errors(dressed):
    by_engine = {(r["engine"], r["cells"]): (r["max_value_error"], r["max_gradient_error"]) for r in dressed}
    assert by_engine.pop(("TorchLayer on default.qubit", 1)) == (None, None)
    for value_error, gradient_error in by_engine.values():
        assert 0 < value_error < 1e-5
        assert 0 < gradient_error < 1e-5


@pytest.mark.slow
def test_a_noisy_device_shows_large_errors():
    (row,), _ = rows_of(devices=("default.mixed[noise=bitflip,strength=0.2]",))
    assert row["engine"] == "default.mixed[noise=bitflip,strength=0.2]"
    assert row["max_value_error"] > 1e-3
    assert row["max_gradient_error"] > 1e-4


def test_auto_says_what_it_chose():
    rows, _ = rows_of(devices=("auto",), cells=1)
    assert [(r["engine"], r["cells"]) for r in rows] == [("auto: compiled", 1)]


def test_a_classical_head_is_measured_alone_and_stacked():
    spec = next(h for h in classical_heads() if h.name == "linear")
    rows, notes = rows_of(spec, spec.options())
    assert [(r["engine"], r["cells"], r["qubits"]) for r in rows] == [("torch", 1, None), ("torch", 3, None)]
    assert all(r["max_value_error"] < 1e-5 and r["max_gradient_error"] < 1e-5 for r in rows)
    assert notes == []


def test_gradients_under_dropout_are_not_compared():
    spec = next(h for h in classical_heads() if h.name == "mlp")
    rows, _ = rows_of(spec, spec.options(hidden=[4], dropout=0.5))
    assert all(r["max_value_error"] < 1e-5 and r["max_gradient_error"] is None for r in rows)


def test_a_head_that_cannot_be_stacked_says_why():
    def build(_options, in_features, n_classes):
        return nn.Sequential(nn.BatchNorm1d(in_features), nn.Linear(in_features, n_classes))

    rows, notes = rows_of(HeadSpec(name="norm", summary="batch norm", build=build), NoOptions())
    assert [r["cells"] for r in rows] == [1]
    assert "rest of the batch" in notes[0]


@pytest.mark.slow
def test_the_circuit_alone_is_differentiated_by_inputs_and_weights(monkeypatch):
    seen: list[set[str]] = []
    alone = bench._alone

    def spy(*arguments):
        contender = alone(*arguments)
        seen.append(set(contender.step()))
        return contender

    monkeypatch.setattr(bench, "_alone", spy)
    rows, _ = rows_of(devices=("compiled", "default.qubit"), circuit_only=True)
    assert {"shift", "circuit.weights"} in seen
    assert all(r["max_gradient_error"] < 1e-5 for r in rows if r["engine"] == "compiled")


def test_a_circuit_with_one_output_still_has_gradients():
    def circuit(_options):
        def function(inputs, weights, wires):
            qml.RX(inputs[..., 0], wires=0)
            qml.RY(weights[0], wires=0)
            return [qml.expval(qml.Z(0))]

        return Circuit(function, 1, {"weights": (1,)}, 1, 1)

    def build(_options, in_features, n_classes, circuit):
        return nn.Sequential(nn.Linear(in_features, 1), circuit, nn.Linear(1, n_classes))

    spec = QuantumHeadSpec(name="one", summary="one", build=build, circuit=circuit)
    rows, _ = rows_of(spec, NoOptions(), circuit_only=True)
    assert all(0 < r["max_gradient_error"] < 1e-5 for r in rows)


def test_there_is_no_circuit_alone_of_a_classical_head():
    spec = classical_heads()[0]
    with pytest.raises(UsageError, match="has no circuit"):
        rows_of(spec, spec.options(), circuit_only=True)


def test_what_does_not_fit_into_memory_is_left_out(monkeypatch):
    monkeypatch.setattr(bench, "free_bytes", lambda _device: 1000)
    rows, notes = rows_of(devices=("compiled", "default.qubit"))
    assert rows == []
    assert [note.split(" is left out")[0] for note in notes] == ["compiled", "TorchLayer on default.qubit"]


def test_a_device_that_cannot_be_had_is_refused_or_left_out():
    with pytest.raises(ConfigError, match="unknown device"):
        rows_of(devices=("default.qbit",))
    rows, notes = rows_of(devices=("default.qbit", "compiled"), strict=False, cells=1)
    assert [r["engine"] for r in rows] == ["compiled"]
    assert notes == ["default.qbit is left out: unknown device 'default.qbit'"]


@pytest.mark.slow
def test_threads_and_random_numbers_are_left_as_they_were():
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    rows_of(cells=1, threads=threads + 1, repeats=1)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(3), expected)
