"""What does not fit into memory is refused before anything is allocated, with the arithmetic."""

import pytest
import torch

from qtlplat.errors import ConfigError
from qtlplat.heads import memory
from qtlplat.heads.fit import EVALUATION_ROWS
from qtlplat.quantum.devices.engines import choose_engine
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions

CPU = torch.device("cpu")


@pytest.fixture
def free(monkeypatch):
    return lambda size: monkeypatch.setattr(memory, "free_bytes", lambda _device: size)


def engine(qubits):
    return choose_engine(circuit(DressedOptions(qubits=qubits, layers=2)), "compiled")


def test_a_small_head_fits_whole(free):
    free(4_000_000_000)
    found = memory.limits(engine(3), n_cells=6, batch=64, in_features=100, n_samples=1000, device=CPU)
    assert found.cells == 6
    assert found.rows == EVALUATION_ROWS


def test_a_large_circuit_is_stacked_less_and_evaluated_in_smaller_parts(free):
    one = engine(10)
    free(int((one.bytes(64) * 4.5) / memory.USABLE_SHARE))
    found = memory.limits(one, n_cells=6, batch=64, in_features=10, n_samples=10, device=CPU)
    assert found.cells == 4
    assert found.rows < EVALUATION_ROWS


def test_what_cannot_fit_is_refused_with_the_arithmetic(free):
    free(10_000_000)
    with pytest.raises(ConfigError, match="does not fit into memory") as caught:
        memory.limits(engine(10), n_cells=6, batch=64, in_features=10, n_samples=10, device=CPU)
    text = str(caught.value)
    assert "2^10 amplitudes x 64 samples" in text
    assert "10 MB are free" in text
    assert "batch_size" in caught.value.fix


def test_the_estimate_is_not_below_what_is_used():
    """Measured on the states themselves: the tensors that the backward pass keeps."""
    one = engine(8)
    kept = 0

    def pack(tensor):
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    layer = one.layer()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        layer(torch.rand(64, 8)).sum()
    assert one.bytes(64) >= kept
    assert one.bytes(64) < 20 * kept
