"""The parts of torch that are private to it, each behind a function: the only module that may have to follow a release.

They were tried with torch up to `NEWEST_TRIED`. With a newer release nothing here is used: heads run untraced, and
circuits run on a PennyLane device, which is slower and gives the same numbers.
"""

from __future__ import annotations

from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NEWEST_TRIED = (2, 13)


def untried() -> str:
    """Why the private parts of this torch are not used, as a clause; '' if they are."""
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version <= NEWEST_TRIED:
        return ""
    newest = ".".join(map(str, NEWEST_TRIED))
    return f"torch {torch.__version__} is newer than {newest}, the newest release that tracing was tried with"


class DispatchMode(TorchDispatchMode):
    """A mode that sees every operation of torch (``__torch_dispatch__``) and leaves torch's own compiler unimported."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled in here; to leave it out, torch would import its compiler, which takes 1.3 s


def is_overload(target: Any) -> TypeGuard[torch._ops.OpOverload]:
    """Whether the target of a node is an operation of torch, as ``aten.add.Tensor`` is."""
    return isinstance(target, torch._ops.OpOverload)


def changes_arguments(target: Any) -> bool:
    """Whether an operation of torch writes into one of its arguments."""
    return is_overload(target) and bool(target._schema.is_mutable)


def vmap_level(tensor: Tensor) -> int:
    """The level of ``vmap`` that a tensor belongs to."""
    from torch._C import _functorch

    return int(_functorch.maybe_get_level(tensor))


def varies_at(value: Any, level: int) -> bool:
    """Whether a value is a tensor with another value for each sample of the ``vmap`` of that level."""
    from torch._C import _functorch

    return (
        isinstance(value, Tensor)
        and bool(_functorch.is_batchedtensor(value))
        and _functorch.maybe_get_level(value) == level
    )


def is_under_vmap(value: Any) -> bool:
    """Whether a value is a tensor under ``vmap``, whatever else torch has wrapped it into."""
    from torch._C import _functorch

    while isinstance(value, Tensor) and _functorch.is_functorch_wrapped_tensor(value):
        if _functorch.is_batchedtensor(value):
            return True
        value = _functorch.get_unwrapped(value)  # stacked cells are differentiated inside of vmap
    return False
