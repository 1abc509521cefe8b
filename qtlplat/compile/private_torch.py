"""The parts of torch that are private to it, each behind a function: the only module that may have to follow a release.

They were tried with torch up to `NEWEST_TRIED`. With a newer release nothing is traced: heads run untraced, and
circuits run on a PennyLane device, which is slower and gives the same numbers. The state of the process, which
`catalog.process_state` puts back behind plugins, is left as it is where a release lacks a function for it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils import _python_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

Tensors = Mapping[str, Tensor]

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


def gradients_and_auxiliary(function: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensors, Tensor]]:
    """The gradients of a scalar function by its first argument, and the function's second result.

    The same operations as in ``torch.func.grad_and_value(function, has_aux=True)``, which would import torch's compiler
    (about a second) to switch it off.

    Args:
        function: Takes tensors by name first; returns a scalar and an auxiliary tensor.
    """
    if untried():
        whole = torch.func.grad_and_value(function, has_aux=True)

        def plain(*arguments: Any) -> tuple[Tensors, Tensor]:
            gradients, (_, auxiliary) = whole(*arguments)
            return gradients, auxiliary

        return plain

    from torch._functorch import eager_transforms as transforms

    def differentiated(*arguments: Any) -> tuple[Tensors, Tensor]:
        with transforms.grad_increment_nesting() as level, torch.enable_grad():
            first, *others = transforms._wrap_all_tensors(arguments, level)
            own: Tensors = transforms._create_differentiable(first, level=level)
            value, auxiliary = function(own, *others)
            found: Sequence[Tensor | None] = [None] * len(own)
            if value.requires_grad:
                found = torch.autograd.grad(value, list(own.values()), create_graph=True, allow_unused=True)
            results = [torch.zeros_like(t) if g is None else g for t, g in zip(own.values(), found, strict=True)]
            *gradients, auxiliary = transforms._undo_create_differentiable((*results, auxiliary), level)
            return dict(zip(own, gradients, strict=True)), auxiliary

    return differentiated


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


@contextmanager
def untransformed() -> Iterator[None]:
    """Inside, tensors are plain ones: no ``vmap``, derivative or mode that is active outside takes part."""
    with torch._C._DisableFuncTorch(), torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        yield


def _function_modes() -> tuple[Any, ...]:
    """The default device, and the stack of function modes; the device is one of them."""
    device: Any = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    stack = torch._C._len_torch_function_stack() and torch.overrides._get_current_function_mode_stack()
    return (device, *stack) if stack else (device,)


def _put_function_modes(before: tuple[Any, ...]) -> None:
    for _ in torch.overrides._get_current_function_mode_stack():
        torch.overrides._pop_mode()
    device, *stack = before
    for mode in stack:
        torch.overrides._push_mode(mode)
    torch._GLOBAL_DEVICE_CONTEXT.device_context = device


def _saved_tensor_hooks() -> Any:
    return torch._C._autograd._top_saved_tensors_default_hooks(True)


@functools.cache
def _hook_tables() -> list[dict[Any, Any]]:
    """Of all modules and all optimizers; they are changed in place."""
    places = (vars(sys.modules[name]) for name in ("torch.nn.modules.module", "torch.optim.optimizer"))
    named = (pair for place in places for pair in place.items() if pair[0].startswith("_global_"))
    return [table for _, table in named if isinstance(table, dict)]


def _hooks() -> list[dict[Any, Any]]:
    return list(map(dict, _hook_tables())) if any(_hook_tables()) else []


def _put_hooks(before: list[dict[Any, Any]]) -> None:
    tables = _hook_tables()
    for table, hooks in zip(tables, before or [{}] * len(tables), strict=True):
        table.clear()
        table.update(hooks)
    if not any(tables):
        torch.nn.modules.module._global_is_full_backward_hook = None


def _leave(entered: Callable[[], bool], leave: Callable[[], object]) -> None:
    while entered():
        leave()


# What a process has one of and torch has no public functions for: how it is read, and how it is put back. Nothing is
# looked up before it is called: a release of torch may lack it.
PROCESS_STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "function modes": (_function_modes, _put_function_modes),
    "dispatch modes": (
        lambda: list(_python_dispatch._get_current_dispatch_mode_stack()),
        lambda before: _leave(
            lambda: len(_python_dispatch._get_current_dispatch_mode_stack()) > len(before), _python_dispatch._pop_mode
        ),
    ),
    "saved-tensor hooks": (
        _saved_tensor_hooks,
        lambda before: _leave(
            lambda: _saved_tensor_hooks() not in (None, before),
            torch._C._autograd._pop_saved_tensors_default_hooks,
        ),
    ),
    "forward-mode levels": (
        lambda: forward_ad._current_level,
        lambda before: _leave(lambda: forward_ad._current_level > before, forward_ad.exit_dual_level),
    ),
    "global hooks": (_hooks, _put_hooks),
    "NNPACK": (lambda: bool(torch._C._get_nnpack_enabled()), lambda before: torch._C._set_nnpack_enabled(bool(before))),
    "print options": (
        lambda: dict(vars(torch._tensor_str.PRINT_OPTS)),
        lambda before: vars(torch._tensor_str.PRINT_OPTS).update(before),
    ),
}
