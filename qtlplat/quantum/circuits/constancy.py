"""Check that a circuit's function, called again with the same numbers, gives the same circuit, visible to torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pennylane.measurements import MeasurementProcess
from torch import Tensor

from qtlplat.errors import PluginError
from qtlplat.quantum.circuits.samples import SampleFunction, trial_numbers

CALLS = 6  # a coin that is tossed in each shows in all but 3 % of circuits, an angle that is drawn in all
SAME = 1e-9
STEP = 1e-3  # of the difference that a derivative is compared with
SLOPE = 0.02  # relative; what is rounded to single precision is off by less

Shape = tuple[Any, ...]


def refuse_changing(function: SampleFunction) -> None:
    """Raises PluginError if a circuit's function makes another circuit when it is called again."""
    inputs, weights = trial_numbers(function.circuit, 1)
    sample, weights = inputs[0].detach(), {name: weight.detach() for name, weight in weights.items()}
    first = _taken(function, sample, weights)
    for _ in range(CALLS - 1):
        if not _same(first, _taken(function, sample, weights)):
            raise PluginError(
                "the circuit's function makes another circuit when it is called again with the same sample and weights",
                fix="let it depend on its arguments alone: draw no random numbers, count no calls, "
                "change no tensor that it is given",
            )


def not_differentiated(function: SampleFunction) -> tuple[str, ...]:
    """Which of `inputs` and the weights by name have other gradients than what the function makes of them.

    It rounds or detaches them, or turns them into numbers of Python or numpy. What cannot be told is left out.
    """
    inputs, weights = trial_numbers(function.circuit, 1)
    start = {"": inputs.detach()[0], **{name: weight.detach() for name, weight in weights.items()}}
    return tuple(name or "inputs" for name in start if start[name].numel() and _hides(function, start, name))


def _hides(function: SampleFunction, start: Mapping[str, Tensor], name: str) -> bool:
    generator = torch.Generator().manual_seed(4)
    direction = torch.rand(start[name].shape, generator=generator, dtype=torch.float64) + 0.5

    def made(values: Tensor) -> tuple[Shape, Tensor]:
        numbers = {**start, name: values}
        # All want gradients, as they do in training: some functions refuse such tensors.
        wanted = {
            key: value if value.requires_grad else value.clone().requires_grad_() for key, value in numbers.items()
        }
        return _taken(function, wanted.pop(""), wanted)

    try:
        given = start[name].clone().requires_grad_()
        shape, numbers = made(given)
        (higher_shape, higher), (lower_shape, lower) = (made(start[name] + s * STEP * direction) for s in (1, -1))
        if not shape == higher_shape == lower_shape:
            return False
        factors = torch.rand(numbers.shape, generator=generator, dtype=torch.float64) + 0.5
        slope = float((factors * (higher - lower).detach()).sum()) / (2 * STEP)
        total = (factors * numbers).sum()
        found = torch.autograd.grad(total, given, allow_unused=True)[0] if total.requires_grad else None
    except Exception:  # noqa: BLE001 -- other numbers than these may be refused, amplitudes for example
        return False
    told = 0.0 if found is None else float((found * direction).sum())
    return abs(told - slope) > SLOPE * max(abs(told), abs(slope)) + SAME / STEP


def _taken(function: SampleFunction, sample: Tensor, weights: Mapping[str, Tensor]) -> tuple[Shape, Tensor]:
    """What a tape is apart from its numbers, and its numbers, real, in one row."""
    tape = function.tape(sample, weights)
    shape: list[Any] = []
    numbers: list[Tensor] = [torch.zeros(0, dtype=torch.float64)]
    for one in (*tape.operations, *tape.measurements):
        operator = one.obs if isinstance(one, MeasurementProcess) else one
        data = [torch.as_tensor(d) for d in getattr(operator, "data", ()) if not hasattr(d, "tocsr")]
        shape.append((type(one), type(operator), tuple(one.wires), *(d.shape for d in data)))
        numbers += [part.reshape(-1).double() for d in data for part in ((d.real, d.imag) if d.is_complex() else (d,))]
    return tuple(shape), torch.cat(numbers)


def _same(one: tuple[Shape, Tensor], other: tuple[Shape, Tensor]) -> bool:
    return one[0] == other[0] and bool(torch.allclose(one[1], other[1], rtol=SAME, atol=SAME, equal_nan=True))
