"""The parameter counts: what stays frozen, what is replaced, what is trained, and by how much a model shrinks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD_PARTS = ("pre_net", "vqc", "post_net")


def parameter_counts(
    features: int, dense: Sequence[int], replaced_layers: int, head: Mapping[str, int]
) -> dict[str, Any]:
    """Parameter counts of a backbone whose last dense layers are replaced by a head.

    Args:
        features: parameters of the convolutional part.
        dense: of each dense layer, in order.
        replaced_layers: how many trailing dense layers the head replaces, 1 .. len(dense).
        head: parameters of `pre_net`, `vqc` and `post_net`.

    Returns the fixed shape of ``run --dry-run --json``. `reduction_percent_model` relates the saving to the whole
    backbone (the column of the paper's Table III), `reduction_percent_replaced` to the replaced layers (its Eq. 7).
    """
    total = features + sum(dense)
    replaced = sum(dense[len(dense) - replaced_layers :])
    kept = total - replaced
    head_total = sum(head[part] for part in HEAD_PARTS)
    saved = replaced - head_total
    return {
        "backbone_total": total,
        "replaced_layers": replaced_layers,
        "replaced": replaced,
        "kept": kept,
        "head": {**{part: head[part] for part in HEAD_PARTS}, "total": head_total},
        "model_total": kept + head_total,
        "reduction_percent_model": 100 * saved / total,
        "reduction_percent_replaced": 100 * saved / replaced,
    }
