"""Files that are called safetensors and hold something else, and what leaves a trace where it is run."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import torch


class Evil:
    """Leaves a file behind where a pickle of it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (Path.touch, (Path("ran").absolute(),))  # type: ignore[return-value]


def header(facts: object, body: bytes = b"") -> bytes:
    text = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    return len(text).to_bytes(8, "little") + text + body


def tensor(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}}


def torch_pickle() -> bytes:
    out = io.BytesIO()
    torch.save({"w": torch.ones(2), "evil": Evil()}, out)
    return out.getvalue()


FILES: dict[str, Callable[[], bytes]] = {
    "a pickle": lambda: pickle.dumps(Evil()),
    "a file of torch.save": torch_pickle,
    "nothing": lambda: b"",
    "text": lambda: b"no weights",
    "a page": lambda: b"<!DOCTYPE html>" * 99,
    "a header that never ends": lambda: (2**62).to_bytes(8, "little") + b"{}",
    "a header of 200 MB": lambda: (200_000_000).to_bytes(8, "little") + b"{}",
    "a header that is no JSON": lambda: header(b"{'w'"),
    "a header of deep lists": lambda: header(b"[" * 100_000),
    "a header that is a list": lambda: header([1]),
    "a tensor beyond the end": lambda: header(tensor([100], 0, 400)),
    "a tensor before its start": lambda: header(tensor([1], 8, 4), bytes(8)),
    "a tensor of another size": lambda: header(tensor([3], 0, 4), bytes(4)),
    "a tensor of a huge shape": lambda: header(tensor([2**40, 2**40], 0, 4), bytes(4)),
    "an unknown dtype": lambda: header(tensor([1], 0, 4, "EVIL"), bytes(4)),
    "bytes left over": lambda: header(tensor([1], 0, 4), bytes(99)),
}
