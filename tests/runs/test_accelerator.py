"""Where torch computes, or what is missing for it."""

import pytest
import torch

from qtlplat.errors import ConfigError
from qtlplat.runs.accelerator import check_accelerator


def test_the_processor_is_always_there():
    assert check_accelerator("cpu") == torch.device("cpu")


def test_a_gpu_is_used_where_torch_has_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert check_accelerator("cuda") == torch.device("cuda")


def test_a_torch_without_cuda_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    with pytest.raises(ConfigError, match="was built without CUDA") as caught:
        check_accelerator("cuda")
    assert caught.value.where == "--accelerator cuda"
    assert "pytorch.org" in caught.value.fix


def test_a_torch_with_cuda_and_no_gpu_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "12.9")
    with pytest.raises(ConfigError, match=r"has CUDA 12\.9, and found no GPU") as caught:
        check_accelerator("cuda")
    assert "nvidia-smi" in caught.value.fix


def test_another_name_is_refused():
    with pytest.raises(ConfigError, match="no accelerator 'tpu'"):
        check_accelerator("tpu")
