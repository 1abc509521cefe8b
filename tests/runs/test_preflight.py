"""What a plugin returns is tried on a few samples, and whatever is wrong with it names the plugin."""

import pytest
import torch
from torch import nn

from qtlplat.contracts import Backbone
from qtlplat.errors import PluginError
from qtlplat.runs.preflight import try_backbone, try_head


class Head(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.answer = answer

    def forward(self, x):
        return self.answer(self.layer(x))


def explode(_x):
    raise ValueError("no such thing")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: explode(0), "building the head failed: ValueError: 'no such thing'"),
        (lambda: "no module", "must return a torch module"),
        (lambda: Head(explode), "running the head failed"),
        (lambda: Head(lambda x: (x,)), "must be a tensor"),
        (lambda: Head(lambda x: x[:, :1]), r"shape \(5, 2\), has \(5, 1\)"),
        (lambda: Head(lambda x: x.double()), "must be float32, is float64"),
        (lambda: Head(lambda x: x * float("nan")), "not finite"),
        (lambda: Head(lambda x: x.detach()), "nothing to train"),
        (lambda: Head(lambda x: torch.sqrt(x - x.detach())), "gradient of layer"),
    ],
)
def test_a_bad_head_is_refused(make, words):
    with pytest.raises(PluginError, match=words) as caught:
        try_head(make, 3, 2, "acme")
    assert caught.value.where == "acme"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(2, 2), "must return qtlplat.Backbone"),
        (lambda: Backbone(nn.Flatten(), ()), "at least one dense block"),
        (lambda: Backbone(nn.Identity(), (nn.Linear(4, 2),)), "features of 3 samples must have shape"),
        (lambda: Backbone(nn.Flatten(), (nn.Linear(5, 2),)), "running dense block 1 failed"),
        (lambda: Backbone(nn.Flatten(), (nn.Linear(16, 3),)), "dense block 1 of 3 samples must have shape"),
    ],
)
def test_a_bad_backbone_is_refused(make, words):
    with pytest.raises(PluginError, match=words):
        try_backbone(make, (1, 4, 4), 2, "acme")


class Single(nn.Module):
    """Features that are single precision, whatever comes in."""

    def forward(self, x):
        return x.float().flatten(1)


def test_a_backbone_is_tried_in_the_precision_of_its_pretraining():
    def make():
        return Backbone(Single(), (nn.Linear(16, 2),))

    assert try_backbone(make, (1, 4, 4), 2, "acme", "single").dense[0].weight.dtype == torch.float32
    with pytest.raises(PluginError, match="in double precision, features must be float64, is float32") as caught:
        try_backbone(make, (1, 4, 4), 2, "acme", "double")
    assert "-S pretraining.precision=single" in caught.value.fix
    good = try_backbone(lambda: Backbone(nn.Flatten(), (nn.Linear(16, 2),)), (1, 4, 4), 2, "acme", "double")
    assert good.dense[0].weight.dtype == torch.float32


def test_good_ones_pass_and_carry_no_gradient():
    head = try_head(lambda: Head(lambda x: x), 3, 2, "acme")
    assert all(p.grad is None for p in head.parameters())
    assert try_backbone(lambda: Backbone(nn.Flatten(), (nn.Linear(16, 2),)), (1, 4, 4), 2, "acme").dense
