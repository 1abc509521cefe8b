"""The networks of Table I: shapes, function, and what does not fit."""

import pytest
import torch
from torch import nn

from qtlplat import ConfigError
from qtlplat_lenet import build
from qtlplat_lenet.options import LenetOptions

# Bhowmik & Thapliyal, Table I: features after the flatten, widths of the dense layers, dropout after each of them
TABLE_I = {
    "model-1": ([3200, 128, 64, 32, 16, 2], [0.5, 0.25, 0.12]),
    "model-2": ([2048, 128, 64, 16, 2], [0.5, 0.25]),
    "model-3": ([8192, 128, 64, 16, 2], [0.5, 0.25]),
}


@pytest.mark.parametrize("architecture", TABLE_I)
def test_dense_layers_and_dropout_are_those_of_table_i(architecture):
    widths, dropout = TABLE_I[architecture]
    backbone = build(LenetOptions(architecture=architecture), (1, 200, 200), 2)
    linears = [m for block in backbone.dense for m in block.modules() if isinstance(m, nn.Linear)]
    assert [linears[0].in_features, *(layer.out_features for layer in linears)] == widths
    assert [m.p for block in backbone.dense for m in block.modules() if isinstance(m, nn.Dropout)] == dropout
    with torch.no_grad():
        assert backbone.features(torch.zeros(1, 1, 200, 200)).shape == (1, widths[0])


def test_pooling_before_the_activation_is_the_function_of_the_paper():
    torch.manual_seed(0)
    backbone = build(LenetOptions(architecture="model-2"), (1, 200, 200), 2)
    layers = list(backbone.features)
    as_printed = nn.Sequential(*(layers[i] for i in (0, 2, 1, 3, 5, 4, 6, 7, 8)))
    assert [type(m).__name__ for m in as_printed[:3]] == ["Conv2d", "ReLU", "MaxPool2d"]
    images = torch.rand(2, 1, 200, 200)
    with torch.no_grad():
        torch.testing.assert_close(backbone.features(images), as_printed(images), rtol=0, atol=0)


def test_dropout_can_be_scaled_and_switched_off():
    off = build(LenetOptions(dropout=0), (1, 200, 200), 2)
    half = build(LenetOptions(dropout=0.5), (1, 200, 200), 2)
    assert not [m for block in off.dense for m in block.modules() if isinstance(m, nn.Dropout)]
    assert [m.p for block in half.dense for m in block.modules() if isinstance(m, nn.Dropout)] == [0.25, 0.125]


def test_initial_weights_have_the_variance_of_he_et_al():
    torch.manual_seed(0)
    backbone = build(LenetOptions(architecture="model-2"), (1, 200, 200), 2)
    for layer in (m for part in (backbone.features, *backbone.dense[:2]) for m in part.modules()):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            assert float(layer.weight.detach().var()) == pytest.approx(2 / fan_in, rel=0.15)
            assert not layer.bias.any()
    torch.manual_seed(0)
    plain = build(LenetOptions(initialisation="torch"), (1, 200, 200), 2)
    torch.manual_seed(0)
    torch.testing.assert_close(plain.features[0].weight, nn.Conv2d(1, 32, 4, 2).weight)


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ConfigError, match="images of 40x40 are too small for convolution 1"):
        build(LenetOptions(architecture="model-1"), (1, 40, 40), 2)


@pytest.mark.parametrize("architecture", TABLE_I)
@pytest.mark.sampled(1)
def test_pretraining_computes_the_function_of_the_layers(architecture):
    from qtlplat.backbones.fused_conv import features_of

    torch.manual_seed(0)
    features = build(LenetOptions(architecture=architecture), (1, 200, 200), 2).features.double()
    images = torch.randn(2, 1, 200, 200, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(features_of(features, images), features(images), atol=1e-10, rtol=1e-10)
