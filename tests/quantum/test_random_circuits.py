"""Random circuits over everything that has a matrix compute what default.qubit computes, values and gradients."""

import numpy as np
import pytest
from circuits import errors, random_circuit

from qtlplat.quantum.compiler.compile import compile_circuit

DOUBLE, SINGLE = 1e-10, 1e-6


def check(number: int, count: int, most_gates: int) -> None:
    for k in range(count):
        choice = random_circuit(np.random.default_rng([number, k]), most_gates)
        circuit = choice.circuit()
        program = compile_circuit(circuit, double=True)
        for run, tolerance in ((program, DOUBLE), (program.with_precision(double=False), SINGLE)):
            value, gradient = errors(run, circuit, samples=3, seed=choice.seed)
            assert max(value, gradient) < tolerance, (value, gradient, choice)


def test_a_few_random_circuits():
    check(1, count=25, most_gates=12)


@pytest.mark.sampled(1)
@pytest.mark.slow
@pytest.mark.parametrize("number", range(100, 105))
def test_many_random_circuits(number):
    check(number, count=120, most_gates=12)


@pytest.mark.sampled(1)
@pytest.mark.slow
@pytest.mark.parametrize("number", range(200, 202))
def test_long_random_circuits(number):
    check(number, count=100, most_gates=20)
