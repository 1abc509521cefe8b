"""One seed gives the same initial weights on every processor: bitwise, whatever of torch draws them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from qtlplat.portable_random import PortableRandom
from qtlplat.seeding import isolated_rng

SCRIPT = Path(__file__).with_name("initial_weights.py")


def drawn_on(**settings: str) -> subprocess.Popen[str]:
    """Initial weights as another processor would draw them; torch falls back to what this one has."""
    program, surroundings = [sys.executable, str(SCRIPT)], {**os.environ, **settings}
    return subprocess.Popen(program, env=surroundings, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_initial_weights_are_the_same_on_every_vector_unit() -> None:
    oldest = drawn_on(ATEN_CPU_CAPABILITY="default", MKL_CBWR="COMPATIBLE", OMP_NUM_THREADS="1")
    newest = drawn_on(OMP_NUM_THREADS="2")
    with oldest, newest:
        found = [json.loads(process.communicate(timeout=300)[0]) for process in (oldest, newest)]
    assert found[0]["unit"] == "DEFAULT"
    weights = [one["weights"] for one in found]
    different = [name for name in weights[0] if weights[0][name] != weights[1][name]]
    assert different == []
    assert len(weights[0]) >= 35
    assert any(name.startswith("backbone lenet") for name in weights[0])
    assert "head dressed" in weights[0]


@pytest.fixture(autouse=True)
def seeded():
    with isolated_rng():
        torch.manual_seed(3)
        yield


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mean", [0.0, -1.5])
def test_normal_draws_are_normal(dtype: torch.dtype, mean: float) -> None:
    with PortableRandom():
        values = torch.empty(200, 100, dtype=dtype).normal_(mean, 0.5)
        other = torch.empty(200, 100, dtype=dtype).normal_(mean, 0.5)
    assert values.dtype == dtype
    assert not torch.equal(values, other)
    numbers = values.double().flatten().numpy()
    if dtype != torch.bfloat16:
        assert stats.kstest(numbers, stats.norm(mean, 0.5).cdf).pvalue > 1e-3
    assert numbers.mean() == pytest.approx(mean, abs=0.02)
    assert numbers.std() == pytest.approx(0.5, rel=0.02)


def test_uniform_draws_are_uniform_and_within_their_bounds() -> None:
    with PortableRandom():
        values = torch.empty(20_000).uniform_(-0.3, 0.2)
    numbers = values.double().numpy()
    assert values.min() >= -0.3
    assert values.max() <= 0.2
    assert stats.kstest(numbers, stats.uniform(-0.3, 0.5).cdf).pvalue > 1e-3


def test_tensors_of_means_and_deviations_and_complex_ones() -> None:
    with PortableRandom():
        means, deviations = torch.arange(4.0).repeat(5000, 1), torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(5000, 4)
        values = torch.normal(means, deviations)
        turned = torch.randn(20_000, dtype=torch.complex64)
    np.testing.assert_allclose(values.mean(0), [0, 1, 2, 3], atol=0.02)
    np.testing.assert_allclose(values.std(0), [0.1, 0.2, 0.3, 0.4], rtol=0.05)
    assert turned.real.std().item() == pytest.approx(0.5**0.5, rel=0.03)
    assert turned.imag.std().item() == pytest.approx(0.5**0.5, rel=0.03)


def test_draws_follow_from_the_generator_alone() -> None:
    def draw(generator: torch.Generator | None) -> torch.Tensor:
        with PortableRandom():
            return torch.empty(40).normal_(generator=generator)

    first, state = draw(torch.Generator().manual_seed(7)), torch.get_rng_state()
    assert torch.equal(first, draw(torch.Generator().manual_seed(7)))
    assert torch.equal(state, torch.get_rng_state()), "the global generator was not asked"
    again = draw(None)
    torch.manual_seed(3)
    torch.set_rng_state(state)
    assert torch.equal(again, draw(None))


def test_orthogonal_matrices_are_orthogonal_and_other_devices_are_left_alone() -> None:
    with PortableRandom():
        matrix = nn.init.orthogonal_(torch.empty(40, 30))
        elsewhere = torch.empty(4, device="meta").normal_()
        nothing = torch.empty(0, 3).normal_()
    torch.testing.assert_close(matrix.T @ matrix, torch.eye(30), atol=1e-5, rtol=0)
    assert (elsewhere.device.type, nothing.shape) == ("meta", (0, 3))
