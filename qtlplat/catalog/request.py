"""What a user asked for, before anything is looked up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What a user asked for; None if nothing was said.

    dataset, backbone, head, evaluator: references; replace: 'all' or a number; device: a name, options in brackets;
    accelerator: 'cpu' or 'cuda'; controls: 'none', 'auto' or names with commas; tune: whether learning rate and epochs
    are chosen; train_sizes: shares with commas; sets: ``role.option=value`` texts.
    """

    dataset: str | None = None
    backbone: str | None = None
    head: str | None = None
    evaluator: str | None = None
    replace: str | None = None
    seed: int | None = None
    seeds: int | None = None
    backbones: int | None = None
    epochs: int | None = None
    pretrain_epochs: int | None = None
    n_init: int | None = None
    protocol: str | None = None
    device: str | None = None
    accelerator: str | None = None
    controls: str | None = None
    tune: bool = False
    train_sizes: str | None = None
    sets: tuple[str, ...] = ()
