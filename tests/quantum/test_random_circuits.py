"""Random circuits over everything that has a matrix compute what default.qubit computes, values and gradients."""

import pytest
from circuits import CircuitChoice, circuits, errors
from hypothesis import HealthCheck, given, seed, settings

from qtlplat.quantum.compile import compile_circuit

DOUBLE, SINGLE = 1e-10, 1e-6


def check(choice: CircuitChoice) -> None:
    circuit = choice.circuit()
    program = compile_circuit(circuit, double=True)
    for run, tolerance in ((program, DOUBLE), (program.with_precision(double=False), SINGLE)):
        value, gradient = errors(run, circuit, samples=3, seed=choice.seed)
        assert value < tolerance
        assert gradient < tolerance


def reproducible(examples: int) -> settings:
    return settings(max_examples=examples, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


@seed(1)
@reproducible(60)
@given(circuits())
def test_a_few_random_circuits(choice):
    check(choice)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_many_random_circuits(number):
    @seed(100 + number)
    @reproducible(120)
    @given(circuits(most_gates=20))
    def many(choice):
        check(choice)

    many()
