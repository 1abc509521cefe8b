"""Free memory, and circuits that are too large to be compiled."""

import pytest
import torch

from qtlplat.errors import ConfigError
from qtlplat.quantum.devices import engines, memory
from qtlplat_dressed import circuit
from qtlplat_dressed.options import DressedOptions

CPU = torch.device("cpu")


def test_free_memory_is_a_sensible_number():
    assert 10_000_000 < memory.free_bytes(CPU) < 2**62


def test_a_container_without_limits_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CONTROL_GROUP", tmp_path)
    assert memory._container() == 2**62
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("600\n")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 100\n")
    assert memory._container() == 500
    (tmp_path / "memory.max").write_text("max\n")
    assert memory._container() == 2**62


def test_what_is_too_large_to_be_compiled_goes_to_a_device_with_the_arithmetic(monkeypatch):
    monkeypatch.setattr(engines, "free_bytes", lambda _device: 5_000)
    declared = circuit(DressedOptions(qubits=4, layers=1))
    engine = engines.choose_engine(declared)
    assert engine.name == "default.qubit"
    assert "8 x 2^4 numbers x 48 bytes take 0 MB" in engine.why
    monkeypatch.setattr(engines, "CLEARLY_COMPILED", 3)
    assert engines.choose_engine(declared).name == "lightning.qubit"
    with pytest.raises(ConfigError, match="cannot be compiled: tables"):
        engines.choose_engine(declared, "compiled")


def test_the_adjoint_method_keeps_few_states():
    declared = circuit(DressedOptions(qubits=4, layers=1))
    alone = memory.device_bytes(declared, 64, gradients=True, one_by_one=True)
    assert alone == 8 * 16 * 16
    assert memory.device_bytes(declared, 64, gradients=True, one_by_one=False) > 64 * alone / 8
