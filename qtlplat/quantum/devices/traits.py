"""Properties of devices, found by experiment: whether they draw shots, and their precision.

A device's own statement is not trusted: some devices draw shots although exact values are requested.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from pennylane.measurements import ProbabilityMP
from torch import Tensor

from qtlplat.errors import ConfigError
from qtlplat.quantum.circuits.samples import SampleFunction, takes, trial_numbers
from qtlplat.quantum.devices.shots import DOUBLE, SINGLE, DeviceTraits
from qtlplat.quantum.devices.verification import plain_values

REFERENCE = "default.qubit"  # what exact values are
MOST_QUBITS_COMPARED = 14
CLOSE = 1e-4  # exact values in single precision are closer to exact ones in double precision, those of shots are not
LEAST_SHOTS = 1000  # of an experiment: with fewer, right values cannot be told from others
SIGMAS = 6.0  # means of shots are that many standard deviations off once in 10^9 values
POINTS, STEP = 8, 0.02  # of the line on which rounding errors and jumps are looked for
ORDER = 6  # of the differences between them; those of a function of angles up to 3 x are 1e-9 there
MOST_SHOTS_TOLD = 10**6
ROUNDED = 1e-12  # means of shots are that near a fraction


Values = Mapping[str, Tensor]
Run = Callable[[Tensor, Values], Tensor]  # (inputs (n_inputs,), weights by name) -> (n_outputs,), float64


class GlobalGenerators:
    """A state of numpy's and Python's global generators, from which many devices without a seed draw their shots."""

    def __init__(self, seed: int) -> None:
        self._states = np.random.RandomState(seed).get_state(), random.Random(seed).getstate()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use this state inside the context, and keep its changes; restore the previous state afterwards."""
        outside = np.random.get_state(), random.getstate()
        self._set(self._states)
        try:
            yield
        finally:
            self._states = np.random.get_state(), random.getstate()
            self._set(outside)

    @staticmethod
    def _set(states: tuple[Any, Any]) -> None:
        np.random.set_state(states[0])
        random.setstate(states[1])


def looked_at(
    function: SampleFunction,
    name: str,
    make: Callable[[int | None], Run],
    shots: int | None,
    *,
    noisy: bool,
    single: bool,
) -> DeviceTraits:
    """Measure the properties of a device by running a circuit a few times.

    make: a fresh device with this many shots (None: exact values), always with the same seed, as a function of one
    sample; shots: as requested; noisy: whether values other than those of `REFERENCE` are requested; single: whether
    the device declares single precision, trusted if a measurement would take long. Raises ConfigError if its values
    are not those of the circuit; errors of the device pass through.
    """
    circuit = function.circuit
    samples, weights = trial_values(function)
    large = circuit.qubits > MOST_QUBITS_COMPARED
    exact = None
    if large:
        samples = samples[:1]
    else:
        exact = _exact(function, samples, weights)
    asked = None if shots is None else max(shots, LEAST_SHOTS)
    run = make(asked)
    first, second = (torch.stack([run(sample, weights) for sample in samples]) for _ in range(2))
    error = math.inf if exact is None or exact.shape != first.shape else float((first - exact).abs().max())
    if shots is not None:
        _refuse_others(name, first, exact, noisy=noisy, slack=SIGMAS * _largest(function) / math.sqrt(asked or 1))
        return DeviceTraits(draws=True, shots=shots, repeats=_repeats(make, asked, samples, weights))
    if float((first - second).abs().max()) > CLOSE:
        seen = DeviceTraits(draws=True, shots=_count(function, torch.stack([first, second])), own=True)
        return replace(seen, repeats=_repeats(make, None, samples, weights))
    if error <= CLOSE or large:
        guess = SINGLE if single else DOUBLE
        return DeviceTraits(precision=guess if large else max(error, DOUBLE))
    jumps = _roughness(run, samples[0], weights)
    if jumps > CLOSE:  # it draws the same shots again and again
        return DeviceTraits(draws=True, shots=_count(function, first), own=True)
    _refuse_others(name, first, exact, noisy=noisy, slack=CLOSE)
    return DeviceTraits(precision=max(jumps, DOUBLE))


def trial_values(function: SampleFunction) -> tuple[Tensor, dict[str, Tensor]]:
    """Three samples (3, n_inputs) and weights as at the start; samples of norm 1 where the function takes them."""
    circuit = function.circuit
    samples, trained = trial_numbers(circuit, 3, seed=3)
    weights = {name: weight.detach() for name, weight in trained.items()}
    normal = torch.nn.functional.normalize(samples.detach().abs() + 0.1)
    return normal if takes(circuit, function.given(normal[0]), weights) else samples.detach(), weights


@contextmanager
def doubles() -> Iterator[None]:
    """Inside, numbers of Python become float64 tensors: PennyLane makes such tensors of what some devices return."""
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(usual)


def _exact(function: SampleFunction, samples: Tensor, weights: Values) -> Tensor | None:
    """Values (samples, n_outputs) of `REFERENCE`, None if that cannot run the circuit."""
    try:
        values = plain_values(function, REFERENCE)
        return torch.stack([values(sample, weights) for sample in samples])
    except Exception:  # noqa: BLE001 -- channels, for example: other devices can do what this one cannot
        return None


def _refuse_others(name: str, values: Tensor, exact: Tensor | None, *, noisy: bool, slack: float) -> None:
    """Raises ConfigError if values (samples, n_outputs) are not those of the circuit.

    With noise they may be others, but they do not stay the same where exact ones change much.
    """
    if exact is None:
        return
    shape = values.shape == exact.shape
    constant = shape and bool((values == values[:1]).all()) and float((exact - exact[:1]).abs().max()) > CLOSE
    off = shape and float((values - exact).abs().max()) > slack
    if shape and not constant and (noisy or not off):
        return
    worst = int((values - exact).abs().argmax()) if shape else 0
    found, right = (f"{float(tensor.reshape(-1)[worst]):.4g}" for tensor in (values, exact))
    what = f"device {name} computes other values than the circuit has: {found} instead of {right}"
    if not shape:
        what = f"device {name} returns {values.shape[1]} values, the circuit has {exact.shape[1]}"
    raise ConfigError(
        what, where=f"--device {name}", fix=f"choose another device, or auto; {REFERENCE} gives exact values"
    )


def _repeats(make: Callable[[int | None], Run], shots: int | None, samples: Tensor, weights: Values) -> bool:
    """Whether two fresh devices with one seed draw the same shots."""
    first, second = (torch.stack([run(sample, weights) for sample in samples]) for run in (make(shots), make(shots)))
    return torch.equal(first, second)


def _roughness(run: Run, sample: Tensor, weights: Values) -> float:
    """How far values are off a smooth function of inputs and weights, whatever that function is.

    Differences of high order between neighbouring points cancel what is smooth and keep rounding errors and jumps
    (Moré and Wild, SIAM J. Sci. Comput. 33, 1292, 2011).
    """
    number = sample.numel() + sum(weight.numel() for weight in weights.values())
    rows = []
    for point in range(POINTS):
        move = point * STEP / max(1, number)
        moved = sample + move * torch.arange(1, sample.numel() + 1) / max(1, sample.numel())
        rows.append(run(moved / moved.norm(), {name: weight + move for name, weight in weights.items()}))
    differences = torch.stack(rows).diff(ORDER, dim=0)
    return float(differences.abs().max()) / math.sqrt(math.comb(2 * ORDER, ORDER))


def _count(function: SampleFunction, values: Tensor) -> int | None:
    """How many shots values (.., n_outputs) are means of, None if that does not show: outcomes other than 1 and -1.

    An expectation value is 1 - 2 k/N, a probability k/N.
    """
    chances = []
    for measurement in _measurements(function):
        width = math.prod(measurement.shape(None, function.circuit.qubits))
        chances += [isinstance(measurement, ProbabilityMP)] * width
    found = 1
    for column, is_chance in enumerate(chances):
        for value in values[..., column].reshape(-1).tolist():
            share = value if is_chance else (1 - value) / 2
            nearest = Fraction(share).limit_denominator(MOST_SHOTS_TOLD)
            if abs(float(nearest) - share) > ROUNDED:
                return None
            found = math.lcm(found, nearest.denominator)
    return found if 1 < found <= MOST_SHOTS_TOLD else None


def _largest(function: SampleFunction) -> float:
    """The largest value that a single shot can have."""
    words = [m.obs.pauli_rep for m in _measurements(function) if m.obs is not None and m.obs.pauli_rep is not None]
    return max([1.0, *(sum(abs(complex(c)) for c in one.values()) for one in words)])


def _measurements(function: SampleFunction) -> list[Any]:
    samples, weights = trial_values(function)
    return list(function.tape(samples[0], weights).measurements)
