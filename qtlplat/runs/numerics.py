"""What decides in which order numbers are added up: libraries, their settings, the processor's model; text by name."""

from __future__ import annotations

import os
import re
from pathlib import Path

from qtlplat.conventions import VARIABLE
from qtlplat.errors import without_passwords

# variables that OpenMP, MKL, oneDNN, OpenBLAS, torch and CUDA's libraries obey
OBEYED = re.compile(
    r"(?:OMP|GOMP|KMP|MKL|ONEDNN|DNNL|OPENBLAS|GOTO|BLIS|VECLIB|ATEN|NPY_DISABLE_CPU|TORCH_MKLDNN|CUBLAS|CUDNN)_\w+"
    r"|NVIDIA_TF32_OVERRIDE|TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    re.IGNORECASE,
)
LONGEST = 200  # characters of a value
CPU_INFO = Path("/proc/cpuinfo")


def numerics(accelerator: str) -> dict[str, str]:
    """The settings of this process. accelerator: ``cpu``, or what torch computes on besides."""
    import numpy as np
    import torch

    libraries = torch.__config__.parallel_info()
    deterministic = {0: "no", 1: "warn", 2: "yes"}[torch.get_deterministic_debug_mode()]
    blas = np.show_config(mode="dicts")["Build Dependencies"].get("blas", {})
    facts = {
        "processor model": processor_model(),
        "BLAS of torch": _line(r"Intel\(R\) oneAPI Math Kernel Library Version [\d.]+|.*(?:OpenBLAS|BLIS).*", libraries)
        or _line(r"(?<=BLAS_INFO=)\w+", torch.__config__.show()),
        "BLAS of numpy": " ".join(str(blas[name]) for name in ("name", "version") if blas.get(name)),
        "oneDNN": _line(r"(?<=MKL-DNN )v[\d.]+", libraries) or "none",
        "oneDNN enabled": _yes(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled),
        "oneDNN deterministic": _yes(torch.backends.mkldnn.deterministic),
        "parallel backend": _line(r"(?<=ATen parallel backend: ).+", libraries),
        "interop threads": str(torch.get_num_interop_threads()),
        "deterministic algorithms": deterministic,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        # torch has no question for it
        "subnormal numbers": "kept" if float(torch.tensor([1e-40]).mul(2.0)) else "flushed to 0",
    }
    if accelerator != "cpu":
        facts |= {
            "GPU": torch.cuda.get_device_name(),
            "CUDA": str(torch.version.cuda or torch.version.hip),
            "cuDNN": str(torch.backends.cudnn.version()),
            "cuDNN deterministic": _yes(torch.backends.cudnn.deterministic),
            "cuDNN benchmark": _yes(torch.backends.cudnn.benchmark),
        }
    return {**{name: value for name, value in facts.items() if value}, **_variables()}


def _variables() -> dict[str, str]:
    return {
        f"{VARIABLE}{name}": without_passwords(value)[:LONGEST]
        for name, value in sorted(os.environ.items())
        if OBEYED.fullmatch(name)
    }


def processor_model() -> str:
    """As the kernel names it; '' where it does not."""
    try:
        return _line(r"(?<=model name\t: ).+", CPU_INFO.read_text(encoding="utf-8", errors="replace")).strip()
    except OSError:
        return ""


def _line(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[0].strip() if found else ""


def _yes(value: object) -> str:
    return "yes" if value else "no"
