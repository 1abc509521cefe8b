"""Libraries, their settings and the variables that they obey are stored with a run, and explain what differs."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from qtlplat.conventions import NUMERICS, VARIABLE
from qtlplat.runs.drift import drift_between
from qtlplat.runs.environment import environment
from qtlplat.runs.numerics import numerics
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import NewRun
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer


def test_what_is_stored_is_what_torch_and_numpy_say() -> None:
    found = numerics("cpu")
    assert set(found) <= set(NUMERICS) | {name for name in found if name.startswith(VARIABLE)}
    assert found["interop threads"] == str(torch.get_num_interop_threads())
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    assert found["BLAS of numpy"] == f"{blas['name']} {blas['version']}"
    assert found["oneDNN"] in torch.__config__.show()
    assert found["BLAS of torch"] in torch.__config__.show()
    assert (found["oneDNN enabled"], found["subnormal numbers"]) == ("yes", "kept")
    assert re.fullmatch(r"\S.*\S", found["processor model"])
    assert environment("").items() >= found.items()


def test_switches_of_torch_are_seen() -> None:
    torch.backends.mkldnn.set_flags(_enabled=False, _deterministic=True)
    try:
        found = numerics("cpu")
    finally:
        torch.backends.mkldnn.set_flags(_enabled=True, _deterministic=False)
    assert (found["oneDNN enabled"], found["oneDNN deterministic"]) == ("no", "yes")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.set_flush_denormal(True)
    try:
        found = numerics("cpu")
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_flush_denormal(False)
    assert (found["deterministic algorithms"], found["subnormal numbers"]) == ("warn", "flushed to 0")


@pytest.mark.parametrize(
    ("name", "obeyed"),
    [
        ("ONEDNN_MAX_CPU_ISA", True),
        ("DNNL_VERBOSE", True),
        ("MKL_CBWR", True),
        ("OMP_NUM_THREADS", True),
        ("ATEN_CPU_CAPABILITY", True),
        ("OPENBLAS_CORETYPE", True),
        ("CUBLAS_WORKSPACE_CONFIG", True),
        ("NVIDIA_TF32_OVERRIDE", True),
        ("MKLROOT", False),
        ("MY_OMP_TOKEN", False),
        ("TORCH_HOME", False),
    ],
)
def test_only_variables_that_the_libraries_obey_are_stored(
    name: str, obeyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "8")
    assert (numerics("cpu").get(f"{VARIABLE}{name}") == "8") is obeyed


def test_a_replay_names_them(tmp_path: Path) -> None:
    location = find_store(str(tmp_path / "s.db"))
    known = {"threads": "2", "oneDNN": "v3.12.0", "BLAS of torch": "MKL", f"{VARIABLE}MKL_CBWR": "COMPATIBLE"}
    others = ({**known, "BLAS of torch": "OpenBLAS", f"{VARIABLE}ONEDNN_MAX_CPU_ISA": "AVX2"}, {"threads": "2"})
    with Writer(location) as writer:
        ids = [writer.start_run(NewRun("run", "f", 0, {}, [], "d" * 64, facts, {})) for facts in (known, *others)]
        for run in ids:
            writer.finish_run(run, "finished", {})
    reader = Reader(location)
    first, second, old = (reader.run(run) for run in ids)
    assert drift_between(first, second, reader) == {
        "BLAS of torch": ("MKL", "OpenBLAS"),
        f"{VARIABLE}ONEDNN_MAX_CPU_ISA": ("", "AVX2"),
    }
    assert drift_between(old, second, reader) == {}
