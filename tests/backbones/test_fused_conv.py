"""Quicker features: the same values and gradients as the layers called in turn, whatever the layers are."""

import pytest
import torch
from torch import nn

from qtlplat.backbones import fft_conv, fused_conv
from qtlplat.backbones.fused_conv import features_of


class Doubled(nn.Conv2d):
    """A stranger's convolution."""

    def forward(self, x):
        return 2 * super().forward(x)


NETWORKS = {
    "pooled first": lambda: [nn.Conv2d(2, 3, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(3, 2, 2, bias=False)],
    "activated first": lambda: [nn.Conv2d(2, 3, 3, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), nn.Flatten()],
    "not activated": lambda: [nn.Conv2d(2, 4, 3, 1, 1, 2, 2, bias=False), nn.MaxPool2d((2, 3)), nn.Sigmoid()],
    "large windows": lambda: [nn.Conv2d(2, 3, 3), nn.MaxPool2d((8, 7), (1, 2), (2, 3)), nn.ReLU()],
    "large kernels": lambda: [nn.Conv2d(2, 3, 9, 2), nn.ReLU(), nn.Conv2d(3, 2, 8), nn.MaxPool2d(2), nn.ReLU()],
    "other pooling": lambda: [nn.Conv2d(2, 3, 3), nn.MaxPool2d(3, ceil_mode=True), nn.ReLU()],
    "across samples": lambda: [nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.MaxPool2d(2), nn.ReLU()],
    "a stranger's": lambda: [Doubled(2, 3, 3), nn.MaxPool2d(2), nn.ReLU()],
    "other padding": lambda: [nn.Conv2d(2, 3, 3, padding="same"), nn.MaxPool2d(2), nn.ReLU()],
}


def outcome(function, features, images):
    images = images.clone().requires_grad_()
    result = function(features, images)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    return [result, *torch.autograd.grad((result * weights).sum(), (images, *features.parameters()))]


@pytest.mark.parametrize("map_bytes", [1, 50_000, 10**9])
@pytest.mark.parametrize("name", NETWORKS)
def test_values_and_gradients_are_those_of_the_layers_in_turn(name, map_bytes, monkeypatch):
    monkeypatch.setattr(fused_conv, "MAP_BYTES", map_bytes)
    monkeypatch.setattr(fft_conv, "LEAST_GAIN", 0)
    torch.manual_seed(0)
    features = nn.Sequential(*NETWORKS[name]()).double()
    images = torch.randn(5, 2, 27, 30, dtype=torch.float64)
    expected = outcome(lambda f, x: f(x), features, images)
    for ours, truth in zip(outcome(features_of, features, images), expected, strict=True):
        torch.testing.assert_close(ours, truth, atol=1e-11, rtol=1e-11)


def test_of_equal_values_the_same_one_gets_the_gradient():
    images = torch.ones(2, 1, 20, 20, dtype=torch.float64)  # every window is a tie
    images[:, :, 9:] = 2
    features = nn.Sequential(nn.Conv2d(1, 1, 1), nn.MaxPool2d(8, 1)).double()
    expected = outcome(lambda f, x: f(x), features, images)
    for ours, truth in zip(outcome(features_of, features, images), expected, strict=True):
        torch.testing.assert_close(ours, truth, atol=1e-12, rtol=0)


def test_the_map_between_convolution_and_pooling_is_not_kept():
    features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.ReLU())
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        features_of(features, torch.randn(2, 1, 40, 40))
    assert kept
    assert max(kept) < 2 * 4 * 38 * 38


def test_hooks_see_their_layers():
    features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.ReLU())
    seen = []
    features[0].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    result = features_of(features, torch.randn(2, 1, 8, 8))
    assert seen == [(2, 2, 6, 6)]
    assert result.shape == (2, 2, 3, 3)


def test_features_that_are_no_sequence_are_called_as_they_are():
    class Own(nn.Module):
        def forward(self, x):
            return x.flatten(1) + 1

    images = torch.randn(2, 1, 3, 3)
    assert torch.equal(features_of(Own(), images), images.flatten(1) + 1)
    alone = nn.Conv2d(1, 2, 3)
    assert torch.equal(features_of(alone, images), alone(images))


def test_evaluation_builds_no_graph():
    features = nn.Sequential(nn.Conv2d(2, 3, 9), nn.MaxPool2d(2))
    images = torch.randn(2, 2, 30, 30)
    with torch.no_grad():
        assert not features_of(features, images).requires_grad
