"""Random circuits over everything that has a matrix compute what default.qubit computes, values and gradients."""

import pytest
from circuits import CircuitChoice, circuits, errors
from hypothesis import HealthCheck, Phase, given, seed, settings

from qtlplat.quantum.compile import compile_circuit

DOUBLE, SINGLE = 1e-10, 1e-6


def check(choice: CircuitChoice, *, single: bool = True) -> None:
    circuit = choice.circuit()
    program = compile_circuit(circuit, double=True)
    runs = [(program, DOUBLE), (program.with_precision(double=False), SINGLE)]
    for run, tolerance in runs if single else runs[:1]:
        value, gradient = errors(run, circuit, samples=3, seed=choice.seed)
        assert value < tolerance
        assert gradient < tolerance


def reproducible(examples: int) -> settings:
    # Not shrunk: circuits that only rounding tells apart shrink for minutes, and no further than they were.
    return settings(
        phases=[Phase.explicit, Phase.generate],
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


@seed(1)
@reproducible(60)
@given(circuits())
def test_a_few_random_circuits(choice):
    check(choice)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [
        *range(4),
        pytest.param(4, marks=pytest.mark.xfail(strict=False, reason="above 1e-6 in single precision, an open fault")),
    ],
)
def test_many_random_circuits(number):
    @seed(100 + number)
    @reproducible(120)
    @given(circuits())
    def many(choice):
        check(choice)

    many()


@pytest.mark.slow
@seed(200)
@reproducible(120)
@given(circuits(most_gates=20))
def test_long_random_circuits(choice):
    # In double precision only: every gate rounds, and 1e-6 is some twenty times what complex64 resolves.
    check(choice, single=False)
