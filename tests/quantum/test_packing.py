"""A program that was packed and unpacked gives the same bits; data that are none are refused."""

from __future__ import annotations

import json

import pytest
import torch
from named_circuits import CIRCUITS

from qtlplat.contracts import Circuit
from qtlplat.quantum.compiler.compile import compile_circuit
from qtlplat.quantum.compiler.gates import CannotCompileError
from qtlplat.quantum.compiler.packing import packed, unpacked
from qtlplat.quantum.compiler.program import Program
from qtlplat.quantum.devices.engine import example
from qtlplat_dressed import circuit as dressed
from qtlplat_dressed.options import DressedOptions

TRACED = {"AmplitudeEmbedding", "QubitUnitary of inputs", "QubitUnitary of weights", "rounded values"}


def results(program: Program, circuit: Circuit) -> list[torch.Tensor]:
    """Values of three samples, then the gradients of their sum."""
    inputs, weights = example(circuit, 3, 0, torch.float32)
    values = program(inputs, weights)
    if not values.requires_grad:
        return [values]
    given = [inputs, *weights.values()]
    found = torch.autograd.grad(values.square().sum(), given, allow_unused=True, materialize_grads=True)
    return [values.detach(), *found]


def test_every_circuit_has_the_same_bits_after_packing_unless_it_is_run_as_traced() -> None:
    left_out, same = set(), 0
    for name, circuit in CIRCUITS.items():
        try:
            program = compile_circuit(circuit)
        except CannotCompileError:
            continue
        data = packed(program)
        if data is None:
            left_out.add(name)
            continue
        again = unpacked(data)
        assert packed(again) == data, name
        assert again.real == program.real, name
        for one, other in zip(results(program, circuit), results(again, circuit), strict=True):
            assert torch.equal(one, other), name
        same += 1
    assert left_out >= TRACED
    assert same > 25


@pytest.mark.parametrize("double", [False, True])
def test_precision_and_more_qubits_than_one_matrix_takes(double: bool) -> None:
    circuit = dressed(DressedOptions(qubits=8, layers=2))
    program = compile_circuit(circuit, double=double)
    data = packed(program)
    assert data is not None
    again = unpacked(data)
    assert again.dtype == program.dtype
    for one, other in zip(results(program, circuit), results(again, circuit), strict=True):
        assert torch.equal(one, other)


def changed(change: dict[str, object]) -> bytes:
    data = packed(compile_circuit(dressed(DressedOptions(qubits=2, layers=1))))
    assert data is not None
    facts = json.loads(data)
    facts["mapping"] = [[key, change.get(key, value)] for key, value in facts["mapping"]]
    return json.dumps(facts).encode()


WRONG = {
    "no JSON": b"{",
    "no program": b"[]",
    "another record": changed({"layout": {"Popen": {"args": "true"}}}),
    "fields that a record has not": changed({"layout": {"Layout": {"command": "true"}}}),
    "objects as an array": changed({"start": {"array": ["object", [1], "AAAAAAAAAAA="]}}),
    "an array of another shape": changed({"start": {"array": ["int64", [1 << 40], "AAAAAAAAAAA="]}}),
    "no values": changed({"values": {"mapping": []}}),
    "values of another kind": changed({"values": 3}),
}


@pytest.mark.parametrize("what", WRONG)
def test_data_of_no_program_are_refused(what: str) -> None:
    with pytest.raises(ValueError, match="no compiled circuit"):
        unpacked(WRONG[what])
