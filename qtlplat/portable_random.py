"""Random tensors that are bitwise the same on every processor, whatever code draws them.

torch's normal draws use the logarithms and cosines of the processor's vector unit, and its uniform draws between two
bounds are scaled with or without a fused multiply-add: the last bits of initial weights depend on the processor. Draws
between 0 and 1 and NumPy's normal draws do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qtlplat.compile.private_torch import DispatchMode

_aten = torch.ops.aten


class PortableRandom(DispatchMode):
    """Inside, normal and uniform random tensors on the CPU have the same bits on every processor.

    They follow from torch's generators as before. Orthogonal matrices are computed in double precision and rounded.
    """

    def __torch_dispatch__(
        self, func: Any, types: Sequence[Any], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Replace what one operation of torch draws."""
        given, name = dict(kwargs or {}), func.overloadpacket
        if name is _aten.linalg_qr:
            return _in_double(func, args, given)
        in_place = name in (_aten.normal_, _aten.uniform_) and _is_drawn_here(args[0])
        out = args[0] if in_place else func(*args, **given)
        if in_place or (name in _DRAWN_ANEW and _is_drawn_here(out)):
            draw, names = (_uniform, ("from", "to")) if name is _aten.uniform_ else (_normal, ("mean", "std"))
            first, second = (_named(func, args, given, one) for one in names)
            draw(out, first, second, given.get("generator"))
        return out


def _is_drawn_here(out: Tensor) -> bool:
    return out.device.type == "cpu" and out.layout == torch.strided and (out.is_floating_point() or out.is_complex())


def _named(func: Any, args: Sequence[Any], given: Mapping[str, Any], name: str) -> Any:
    """The argument of an operation that has this name; its default, or None if it has no such argument."""
    for place, argument in enumerate(func._schema.arguments):
        if argument.name == name:
            return args[place] if place < len(args) else given.get(name, argument.default_value)
    return None


def _normal(out: Tensor, mean: Any, std: Any, generator: torch.Generator | None) -> None:
    mean, std = 0.0 if mean is None else mean, 1.0 if std is None else std
    if out.is_complex():  # the variance is that of both parts together
        _normal(torch.view_as_real(out), 0.0, std * math.sqrt(0.5), generator)
        out.add_(mean)
        return
    seed = int(torch.randint(2**62, (), generator=generator))
    drawn = np.random.Generator(np.random.PCG64(seed)).standard_normal(out.numel())
    values = torch.from_numpy(drawn).reshape(out.shape)
    out.copy_(values.mul_(_double(std)).add_(_double(mean)))


def _uniform(out: Tensor, low: float, high: float, generator: torch.Generator | None) -> None:
    drawn = torch.rand(out.shape, generator=generator, dtype=out.dtype).double()
    out.copy_(drawn.mul_(high - low).add_(low))  # two operations: they are not fused


def _double(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) else float(value)


def _in_double(func: Callable[..., Any], args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """What an operation on single precision makes of the same values in double precision, rounded."""
    matrix = args[0]
    if matrix.dtype != torch.float32 or matrix.device.type != "cpu":
        return func(*args, **given)
    return tuple(part.float() for part in func(matrix.double(), *args[1:], **given))


_DRAWN_ANEW = (_aten.normal, _aten.randn, _aten.randn_like, _aten.normal_functional)
