"""A good run's stderr holds qtlplat's own lines alone: PennyLane's and torch's warnings about how it runs are left out.

Warnings about the code of a circuit's author are shown.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from outcome import assert_fine, here
from test_plugin_components import with_circuit

Faulty = Callable[..., None]
RUN = "run --dataset squares --backbone net --evaluator half --head dense --store s.db".split()
RUN += "--epochs 1 --pretrain-epochs 1".split()
OWN = re.compile(
    r"net \+ dense on squares|store: |loading libraries|pretraining|backbone (pretrained|found)|"
    r"frozen features|circuit on |heads are trained cell by cell: |training heads|evaluator half does not declare"
)
# A transposed sample, a phase that is controlled, a matrix of trained numbers, and a sum as an observable.
PROVOKING = """
import torch, pennylane as qml
def function(inputs, weights, wires):
    for x in inputs.T:
        qml.RX(x, wires=0)
    qml.Hadamard(1)
    qml.ctrl(qml.GlobalPhase, control=1)(weights[0, 0])
    {matrix}
    return [qml.expval(2 * qml.Z(0) + 0.5 * qml.X(1))]
return Circuit(function, 2, {{'weights': (4, 4)}}, 1, 1)
"""
MATRIX = "qml.QubitUnitary(torch.linalg.matrix_exp(weights - weights.mT), wires=[0, 1])"
HIS = "__import__('warnings').warn('his own')"


@pytest.fixture(autouse=True)
def _as_in_a_process() -> Iterator[None]:
    """Python's own filters; torch, which warns once in a process, does so each time."""
    before = torch.is_warn_always_enabled()
    with warnings.catch_warnings():
        warnings.resetwarnings()
        torch.set_warn_always(True)
        yield
    torch.set_warn_always(before)


def others(device: str, line: str, faulty: Faulty) -> list[str]:
    """Lines on stderr of a run, and of a dry run before it, that are not qtlplat's own."""
    faulty(with_circuit(PROVOKING.format(matrix=line).strip()))
    dry, run = here(*RUN, "--device", device, "--dry-run"), here(*RUN, "--device", device)
    assert_fine(dry)
    assert_fine(run)
    assert "circuit on " in run.err
    return [line for line in (dry.err + run.err).splitlines() if not OWN.match(line)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "line"),
    [("auto", MATRIX), ("lightning.qubit", MATRIX), ("default.mixed", "pass")],
    ids=["auto", "lightning.qubit", "default.mixed"],
)
def test_a_good_run_tells_its_own_lines_alone(device: str, line: str, faulty: Faulty) -> None:
    assert others(device, line, faulty) == []


def test_a_warning_of_the_circuits_own_code_is_shown(faulty: Faulty) -> None:
    found = others("default.qubit", HIS, faulty)
    assert len(found) == 2  # each command tells it once
    assert all("his own" in line for line in found)
