"""Classical heads to compare quantum ones with, and the plugin to copy when you write your own; no torch here.

A plugin is this: a module, named by an entry point in the group ``qtlplat``, that says which API it was
written for, describes its options, and returns specs from hooks. What needs torch stands in a second module
and is imported when something is built, so that listing components stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from qtlplat import ControlSpec, HeadSpec, NoOptions, Options, hookimpl

if TYPE_CHECKING:
    from torch import nn

# The host refuses a plugin written for another API, with a sentence instead of a stack trace.
qtlplat_api_version = (1, 0)


class MlpOptions(Options):
    """Options of `mlp`. Bounds and descriptions show up in `qtlplat info mlp` and in every error message."""

    # A tuple, not a list: options never change once they are made.
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (5,), min_length=1, description="widths of the hidden layers, in neurons"
    )
    activation: Literal["relu", "tanh"] = Field("relu", description="after each hidden layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of hidden activations dropped while training")


def build_linear(_options: NoOptions, in_features: int, n_classes: int) -> nn.Module:
    """One dense layer, features (B, in_features) -> logits (B, n_classes)."""
    from qtlplat_linear.heads import Linear

    return Linear(in_features, n_classes)


def build_mlp(options: MlpOptions, in_features: int, n_classes: int) -> nn.Module:
    """Hidden layers and a last dense layer, features (B, in_features) -> logits (B, n_classes)."""
    from qtlplat_linear.heads import Mlp

    return Mlp(in_features, n_classes, hidden=options.hidden, activation=options.activation, dropout=options.dropout)


def linear_control(*, in_features: int, n_classes: int, trainable: int) -> nn.Module:  # noqa: ARG001
    """One dense layer, whatever the head has."""
    from qtlplat_linear.heads import Linear

    return Linear(in_features, n_classes)


def mlp_control(*, in_features: int, n_classes: int, trainable: int) -> nn.Module:
    """One hidden layer, tanh, of the width whose trainable parameters come nearest to those of the head."""
    from qtlplat_linear.heads import Mlp

    width = nearest_width(trainable, in_features, n_classes)
    return Mlp(in_features, n_classes, hidden=(width,), activation="tanh", dropout=0.0)


def nearest_width(parameters: int, in_features: int, n_classes: int) -> int:
    """Width w of the one hidden layer, at least 1, for which ``w (in_features + 1) + n_classes (w + 1)`` is nearest."""
    return max(1, round((parameters - n_classes) / (in_features + 1 + n_classes)))


@hookimpl
def qtlplat_controls() -> list[ControlSpec]:
    """The same two as baselines for other heads."""
    return [
        ControlSpec(name="linear", summary="one dense layer", build=linear_control),
        ControlSpec(name="mlp", summary="one hidden layer, as many parameters as the head", build=mlp_control),
    ]


@hookimpl
def qtlplat_heads() -> list[HeadSpec]:
    """The two heads. A hook only describes: it loads nothing and computes nothing."""
    return [
        HeadSpec(name="linear", summary="one dense layer", build=build_linear),
        HeadSpec(name="mlp", summary="dense hidden layers and a last dense layer", build=build_mlp, options=MlpOptions),
    ]
