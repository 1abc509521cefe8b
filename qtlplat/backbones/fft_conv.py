"""Convolution by the convolution theorem, for kernels so large that products of spectra cost less than sliding them.

A convolution with stride s is one without stride between the s x s *phases* of image and kernel (every s-th pixel),
taken as further channels. Phases are transformed along both axes by products with small Fourier matrices, in real
numbers; on CPUs that is quicker than a fast transform, which would need its data in another order. Everything is done
for one row frequency at a time, so that what is at work stays in the cache. B samples, C channels in, O channels out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

LEAST_GAIN = 2.0  # by arithmetic: below, the library's own convolution is quicker on CPUs
LEAST_KERNEL = 8  # pixels along the shorter side of a kernel that is worth the arithmetic below


class Axis(NamedTuple):
    """One axis. size: pixels; kernel, stride: pixels; all others count phases' elements."""

    size: int
    kernel: int
    stride: int

    @property
    def taps(self) -> int:
        """Length of a kernel's phase."""
        return -(-self.kernel // self.stride)

    @property
    def out(self) -> int:
        """Length of the result."""
        return (self.size - self.kernel) // self.stride + 1

    @property
    def length(self) -> int:
        """Length of an image's phase, as far as it is used: also the period, since nothing valid wraps around it."""
        return self.out + self.taps - 1


@dataclass(frozen=True)
class Spectra:
    """What the backward pass needs. images[f]: (m, 2B, D), kernels[f]: (m, 2, O, D); D = phases x channels."""

    rows: Axis
    columns: Axis
    images: list[Tensor]
    kernels: list[Tensor]


def pays(shape: torch.Size, weight: torch.Size, stride: tuple[int, int]) -> bool:
    """Whether spectra need so much less arithmetic for images (B, C, H, W) and weights (O, C, kh, kw) that they win."""
    samples, channels, height, width = shape
    rows, columns = Axis(height, weight[2], stride[0]), Axis(width, weight[3], stride[1])
    if min(weight[2:]) < LEAST_KERNEL or min(rows.out, columns.out) < 1:
        return False
    out, depth, half = weight[0], channels * stride[0] * stride[1], rows.length // 2 + 1

    def transform(height: int, width: int) -> int:
        return 2 * half * width * (height + 2 * columns.length)

    images = transform(rows.length, columns.length) * samples * depth
    kernels = transform(rows.taps, columns.taps) * out * depth
    results = transform(rows.out, columns.out) * samples * out
    products = 4 * half * columns.length * samples * depth * out
    direct = samples * weight.numel() * rows.out * columns.out
    return direct > LEAST_GAIN * (images + kernels + results + products)


def convolve(images: Tensor, weight: Tensor, stride: tuple[int, int]) -> tuple[Tensor, Spectra]:
    """Images (B, C, H, W) and weights (O, C, kh, kw) -> results (B, O, H', W') in channels_last, and their spectra."""
    rows, columns = (Axis(images.shape[2 + i], weight.shape[2 + i], stride[i]) for i in range(2))
    n, m, samples, out = rows.length, columns.length, len(images), len(weight)
    x = _rows(_phases(images, rows, columns, n, m), n, n)
    w = _rows(_phases(weight, rows, columns, rows.taps, columns.taps), n, rows.taps)
    to_images, to_kernels = (_matrix("forward", m, length, images) for length in (m, columns.taps))
    back = _matrix("inverse", m, columns.out, images)
    y = images.new_empty(len(x), 2 * columns.out, samples * out)
    spectra = Spectra(rows, columns, [], [])
    for f in range(len(x)):
        image = (to_images @ x[f].view(2 * m, -1)).view(m, 2 * samples, -1)
        kernel = (to_kernels @ w[f].view(2 * columns.taps, -1)).view(m, 2, out, -1)
        result = torch.bmm(image, kernel[:, 0].mT)
        other = torch.bmm(image, kernel[:, 1].mT)
        result[:, :samples] += other[:, samples:]  # image times the conjugate of kernel
        result[:, samples:] -= other[:, :samples]
        torch.mm(back, result.view(2 * m, -1), out=y[f])
        spectra.images.append(image)
        spectra.kernels.append(kernel)
    results = (_matrix("half", n, rows.out, images, inverse=True) @ y.view(2 * len(x), -1)).view(
        rows.out, columns.out, samples, out
    )
    return results.permute(2, 3, 0, 1).contiguous(memory_format=torch.channels_last), spectra


def gradients(
    gradient: Tensor, spectra: Spectra, images: Tensor, weight: Tensor, wanted: tuple[bool, bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients for images and weights, where wanted, from that for the results (B, O, H', W')."""
    rows, columns = spectra.rows, spectra.columns
    n, m, (samples, out) = rows.length, columns.length, gradient.shape[:2]
    g = _rows(gradient.permute(2, 3, 0, 1).reshape(rows.out, -1), n, rows.out)
    forward = _matrix("forward twice", m, columns.out, gradient)
    back, back_kernel = _matrix("inverse", m, m, gradient), _matrix("inverse of planes", m, columns.taps, gradient)
    x = gradient.new_empty(len(g), 2 * m, spectra.images[0].numel() // (2 * m)) if wanted[0] else None
    w = gradient.new_empty(len(g), 2 * columns.taps, spectra.kernels[0].numel() // (2 * m)) if wanted[1] else None
    for f, (image, kernel) in enumerate(zip(spectra.images, spectra.kernels, strict=True)):
        pair = (forward @ g[f].view(2 * columns.out, -1)).view(m, 2, 2 * samples, out)
        straight, turned = pair[:, 0], pair[:, 1]  # the second is i times the first
        if x is not None:
            product = torch.bmm(straight, kernel[:, 0]).baddbmm_(turned, kernel[:, 1])
            torch.mm(back, product.view(2 * m, -1), out=x[f])
        if w is not None:
            planes = image.new_empty(2, m, out, image.shape[2])
            torch.bmm(straight.mT, image, out=planes[0])
            torch.bmm(turned.mT, image, out=planes[1])
            torch.mm(back_kernel, planes.view(2 * m, -1), out=w[f])
    for_images = None if x is None else _unphase(x, rows, columns, n, m, images)
    return for_images, None if w is None else _unphase(w, rows, columns, rows.taps, columns.taps, weight)


def _phases(t: Tensor, rows: Axis, columns: Axis, height: int, width: int) -> Tensor:
    """(A, C, H, W) -> (height, width * A * phases * C); what is missing below and to the right is zero."""
    s, u = rows.stride, columns.stride
    t = pad(t, (0, width * u - t.shape[3], 0, height * s - t.shape[2]))
    t = t.permute(2, 3, 0, 1).reshape(height, s, width, u, *t.shape[:2])
    return t.permute(0, 2, 4, 1, 3, 5).reshape(height, -1)


def _unphase(half: Tensor, rows: Axis, columns: Axis, height: int, width: int, like: Tensor) -> Tensor:
    """From row spectra back to the shape (A, C, H, W) of `like`, in channels_last."""
    s, u, (a, c) = rows.stride, columns.stride, like.shape[:2]
    t = _matrix("half", rows.length, height, half, inverse=True) @ half.view(2 * len(half), -1)
    t = t.view(height, width, a, s, u, c).permute(2, 0, 3, 1, 4, 5).reshape(a, height * s, width * u, c)
    return pad(t.permute(0, 3, 1, 2), (0, like.shape[3] - width * u, 0, like.shape[2] - height * s))


def _rows(phases: Tensor, period: int, height: int) -> Tensor:
    """Half spectra along the rows of (height, ...): (period // 2 + 1, ...), real before imaginary parts."""
    return (_matrix("half", period, height, phases) @ phases).view(period // 2 + 1, -1)


def _matrix(kind: str, period: int, length: int, like: Tensor, inverse: bool = False) -> Tensor:
    return _matrices(kind, period, length, like.dtype, inverse)


@lru_cache(maxsize=128)
def _matrices(kind: str, period: int, length: int, dtype: torch.dtype, inverse: bool) -> Tensor:
    """A Fourier matrix in real numbers, between `length` elements and `period` frequencies."""
    turns = (torch.outer(torch.arange(period), torch.arange(length)) % period).double()
    e = torch.polar(torch.ones(turns.shape, dtype=torch.float64), turns * (-2 * torch.pi / period))
    if kind == "half":  # (frequency, part) x element; a frequency that has a mirror image counts twice on the way back
        half = torch.view_as_real(e[: period // 2 + 1]).transpose(1, 2)
        if inverse:
            twice = [1 if f in (0, period - f) else 2 for f in range(len(half))]
            half = half * (torch.tensor(twice, dtype=torch.float64) / period)[:, None, None]
        flat = half.reshape(-1, length)
        return (flat.T if inverse else flat).to(dtype).contiguous()
    if kind.startswith("inverse"):
        e = e.mH / period
    parts = torch.stack([torch.stack([e.real, -e.imag]), torch.stack([e.imag, e.real])])  # part, part, to, from
    if kind == "forward twice":  # followed by i times itself
        parts = torch.cat([parts, torch.stack([-parts[1], parts[0]])])
    order = {"inverse": (0, 2, 3, 1), "inverse of planes": (0, 2, 1, 3)}.get(kind, (2, 0, 1, 3))
    return parts.permute(order).reshape(-1, 2 * period if kind.startswith("inverse") else 2 * length).to(dtype)
