"""Stacks of heads whose traced steps are used again: by the next run of the same head in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qtlplat.heads.stack import StackedHeads

MOST_KEPT = 2  # stacks of one variant; each holds a batch and what the step computes from it
_PLAIN = (int, float, complex, str, bool, bytes, type(None), tuple)


class StackPool:
    """Stacks of one variant of a head, whose number of cells, shapes and plain attributes tell them apart.

    A traced step reads parameters where they lie, so other initial values are written there. Only stacks whose steps
    are all traced are kept: an untraced one could remember what it was called with.
    """

    def __init__(self) -> None:
        self._kept: list[StackedHeads] = []
        self._why_not: str | None = None
        self.places: dict[
            tuple[torch.Size, torch.dtype, torch.device], Tensor
        ] = {}  # of batches, where steps read them

    def why_not(self, find_out: Callable[[], str]) -> str:
        """Why these heads cannot be stacked, '' if they can; found out once."""
        if self._why_not is None:
            self._why_not = find_out()
        return self._why_not

    def stack(self, heads: Sequence[nn.Module], learning_rate: float, on_note: Callable[[str], None]) -> StackedHeads:
        """A stack of these heads, about to be trained."""
        fresh = StackedHeads(heads, learning_rate, on_note)
        found = next((one for one in self._kept if _alike(one, fresh)), None)
        if found is None:
            return fresh
        self._kept.remove(found)
        found.begin_again(fresh)
        return found

    def give_back(self, stack: StackedHeads) -> None:
        """Keep a stack whose training has ended, for the next one that is like it."""
        if stack.is_traced:
            self._kept = [*self._kept[-(MOST_KEPT - 1) :], stack]


def _alike(kept: StackedHeads, fresh: StackedHeads) -> bool:
    shapes = [[(name, t.shape, t.dtype, t.device) for name, t in one.tensors.items()] for one in (kept, fresh)]
    return shapes[0] == shapes[1] and kept.trained == fresh.trained and _same_attributes(kept.module, fresh.module)


def _same_attributes(one: nn.Module, other: nn.Module) -> bool:
    """Whether what a step may have taken from the modules, besides parameters and buffers, is the same in both."""
    pairs = list(zip(one.modules(), other.modules(), strict=False))
    return len(pairs) == sum(1 for _ in other.modules()) and all(
        type(first) is type(second) and _same_values(_own(first), _own(second)) for first, second in pairs
    )


def _own(module: nn.Module) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(module).items()
        if name != "training" and isinstance(value, (Tensor, *_PLAIN)) and not name.startswith("_backward")
    }


def _same_values(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if one.keys() != other.keys():
        return False
    for name, value in one.items():
        if isinstance(value, Tensor):
            theirs = other[name]
            if not (isinstance(theirs, Tensor) and value.shape == theirs.shape and torch.equal(value, theirs)):
                return False
        elif value != other[name]:
            return False
    return True
