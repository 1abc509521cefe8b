"""The device torch computes on; a missing one is reported before any work."""

from __future__ import annotations

import warnings

import torch

from qtlplat.errors import ConfigError, safe_repr


def check_accelerator(name: str) -> torch.device:
    """The torch device of an accelerator, ``cpu`` or ``cuda``.

    Raises ConfigError if torch cannot use it here: with what is missing, torch's CUDA or a usable GPU.
    """
    where = f"--accelerator {name}"
    if name == "cpu":
        return torch.device("cpu")
    if name != "cuda":
        raise ConfigError(f"there is no accelerator {safe_repr(name)}", where=where, fix="use cpu or cuda")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if available:
        return torch.device("cuda")
    if torch.version.cuda is None and torch.version.hip is None:
        raise ConfigError(
            f"the installed torch {torch.__version__} was built without CUDA",
            where=where,
            fix="install a torch build with CUDA (https://pytorch.org/get-started/locally), or use --accelerator cpu",
        )
    why = next((str(w.message).strip().splitlines()[0] for w in caught), "it sees none")
    raise ConfigError(
        f"torch {torch.__version__} has CUDA {torch.version.cuda}, and found no GPU that it can use: {why}",
        where=where,
        fix="check the driver with nvidia-smi and CUDA_VISIBLE_DEVICES, or use --accelerator cpu",
    )
