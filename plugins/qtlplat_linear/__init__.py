"""Classical heads to compare quantum ones with, and the plugin to copy when you write your own; no torch here.

A plugin is this: a module, named by an entry point in the group ``qtlplat``, that says which API it was
written for, describes its options, and returns specs from hooks. What needs torch stands in a second module
and is imported when something is built, so that listing components stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from qtlplat import HeadSpec, NoOptions, Options, hookimpl

if TYPE_CHECKING:
    from torch import nn

# The host refuses a plugin written for another API, with a sentence instead of a stack trace.
qtlplat_api_version = 1


class MlpOptions(Options):
    """Options of `mlp`. Bounds and descriptions show up in `qtlplat info mlp` and in every error message."""

    # A tuple, not a list: options never change once they are made.
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (5,), min_length=1, description="widths of the hidden layers, in neurons"
    )
    activation: Literal["relu", "tanh"] = Field("relu", description="after each hidden layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of hidden activations dropped while training")


def build_linear(_options: NoOptions, in_features: int, n_classes: int, _circuit: nn.Module | None) -> nn.Module:
    """One dense layer, features (B, in_features) -> logits (B, n_classes)."""
    from qtlplat_linear.heads import Linear

    return Linear(in_features, n_classes)


def build_mlp(options: MlpOptions, in_features: int, n_classes: int, _circuit: nn.Module | None) -> nn.Module:
    """Hidden layers and a last dense layer, features (B, in_features) -> logits (B, n_classes)."""
    from qtlplat_linear.heads import Mlp

    return Mlp(in_features, n_classes, hidden=options.hidden, activation=options.activation, dropout=options.dropout)


@hookimpl
def qtlplat_heads() -> list[HeadSpec]:
    """The two heads. A hook only describes: it loads nothing and computes nothing."""
    return [
        HeadSpec(name="linear", summary="one dense layer", build=build_linear),
        HeadSpec(name="mlp", summary="dense hidden layers and a last dense layer", build=build_mlp, options=MlpOptions),
    ]
