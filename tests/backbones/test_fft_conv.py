"""Convolution through spectra: torch's own convolution in double precision is the independent answer."""

import pytest
import torch
from torch.nn.functional import conv2d

from qtlplat.backbones import fft_conv

# images (B, C, H, W), weights (O, C, kh, kw), stride
CASES = [
    ((2, 3, 20, 20), (4, 3, 8, 8), (1, 1)),
    ((2, 1, 31, 31), (5, 1, 9, 9), (2, 2)),
    ((3, 2, 24, 31), (2, 2, 9, 12), (3, 2)),
    ((1, 2, 16, 17), (3, 2, 16, 17), (2, 2)),
    ((2, 2, 21, 22), (3, 2, 8, 8), (5, 4)),
]


def answers(images, weight, stride, gradient):
    images, weight = images.double().requires_grad_(), weight.double().requires_grad_()
    result = conv2d(images, weight, stride=stride)
    return (result.detach(), *torch.autograd.grad(result, (images, weight), gradient.double()))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("shape", "kernels", "stride"), CASES)
def test_values_and_gradients_are_those_of_torch(shape, kernels, stride, dtype, tolerance):
    torch.manual_seed(0)
    images, weight = torch.randn(shape, dtype=dtype), torch.randn(kernels, dtype=dtype)
    result, spectra = fft_conv.convolve(images, weight, stride)
    gradient = torch.randn(result.shape, dtype=dtype)
    found = (result, *fft_conv.gradients(gradient, spectra, images, weight, (True, True)))
    for ours, truth in zip(found, answers(images, weight, stride, gradient), strict=True):
        assert ours.shape == truth.shape
        assert ours.dtype == dtype
        assert float((ours - truth).abs().max() / truth.abs().max()) < tolerance


def test_only_wanted_gradients_are_computed():
    images, weight = torch.randn(2, 1, 20, 20), torch.randn(2, 1, 8, 8)
    result, spectra = fft_conv.convolve(images, weight, (2, 2))
    assert fft_conv.gradients(result, spectra, images, weight, (False, True))[0] is None
    assert fft_conv.gradients(result, spectra, images, weight, (True, False))[1] is None


@pytest.mark.parametrize(
    ("shape", "kernels", "stride", "expected"),
    [
        ((16, 32, 78, 78), (64, 32, 16, 16), (2, 2), True),  # lenet1, second convolution
        ((16, 64, 56, 56), (64, 64, 3, 3), (1, 1), False),
        ((16, 1, 200, 200), (32, 1, 8, 8), (2, 2), False),  # lenet3, first convolution
        ((16, 1, 20, 20), (32, 1, 32, 32), (1, 1), False),  # larger than the image: torch says so
    ],
)
def test_spectra_are_for_large_kernels_only(shape, kernels, stride, expected):
    assert fft_conv.pays(torch.Size(shape), torch.Size(kernels), stride) is expected
