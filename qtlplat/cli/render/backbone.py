"""What `qtlplat info` says about a backbone: its parameters, and what a head would replace."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from qtlplat.catalog.provider import Component
from qtlplat.cli.render.columns import Column
from qtlplat.cli.render.output import emit
from qtlplat.cli.render.terminal import clean, say
from qtlplat.contracts import Backbone, Options
from qtlplat.errors import ConfigError, QtlplatError
from qtlplat.specs import BackboneSpec

SHAPE, CLASSES = (1, 200, 200), 2  # of the built-in datasets, as they are by default


def backbone_facts(component: Component[Any], options: Options) -> dict[str, Any] | None:
    """Parameters by part for images of `SHAPE`, None for everything that is no backbone.

    ``dense`` are those of each dense block, in order; ``replaced`` what the last 1, 2, ... of them have together.
    ``problem`` is set instead where the backbone does not take such images.
    Raises PluginError if it cannot be built at all.
    """
    spec = component.spec
    if not isinstance(spec, BackboneSpec):
        return None
    import torch

    from qtlplat.backbones.model import count
    from qtlplat.runs.preflight import tried_backbone, try_backbone

    images = {"input_shape": list(SHAPE), "n_classes": CLASSES}
    where = f"backbone {spec.name} of {component.provider.distribution}"

    def build() -> Backbone:
        return spec.build(options, input_shape=SHAPE, n_classes=CLASSES)

    try:
        tried_backbone(build, where)
    except ConfigError as error:
        return {**images, "problem": error.what}
    try:
        with torch.no_grad():
            backbone = try_backbone(build, SHAPE, CLASSES, where)
    except QtlplatError as error:  # it may be made for others
        return {**images, "problem": error.what}
    features, dense = count(backbone.features), [count(block) for block in backbone.dense]
    return {
        **images,
        "features": features,
        "dense": dense,
        "total": features + sum(dense),
        "replaced": list(accumulate(reversed(dense))),
    }


def print_backbone(facts: Mapping[str, Any]) -> None:
    """The parameters, and a line for each number of dense layers that a head may replace."""
    size = "x".join(map(str, facts["input_shape"]))
    say("", f"parameters for images {size} of {facts['n_classes']} classes")
    if "problem" in facts:
        say(f"  {clean(facts['problem'])}")
        return
    dense = " + ".join(f"{n:,}" for n in facts["dense"])
    say(f"  features {facts['features']:,}, dense layers {dense}, total {facts['total']:,}", "")
    rows = [
        {"replace": number, "replaced": replaced, "kept": facts["total"] - replaced}
        for number, replaced in enumerate(facts["replaced"], start=1)
    ]
    emit(
        rows,
        [
            Column("replace", "--replace"),
            Column("replaced", "parameters replaced", right=True),
            Column("kept", "kept, frozen", right=True),
        ],
    )
