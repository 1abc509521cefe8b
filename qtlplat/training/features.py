"""Frozen features: what the kept layers make of every image, computed once and cached by content."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qtlplat.catalog.plan import canonical_json
from qtlplat.contracts import ImageSet
from qtlplat.errors import TrainingError
from qtlplat.store.files import write_atomically
from qtlplat.training.model import WholeBackbone
from qtlplat.training.progress import Progress

BATCH = 64  # fixed: another batch size may round differently


def features_key(weights_sha256: str, replaced: int, dataset_digest: str) -> str:
    """sha256 of what decides the features: weights (with their standardization), cut, data, library, batch."""
    facts = {
        "weights": weights_sha256,
        "replaced": replaced,
        "dataset": dataset_digest,
        "torch": torch.__version__,
        "batch": BATCH,
    }
    return hashlib.sha256(canonical_json(facts).encode()).hexdigest()


def frozen_features(
    model: WholeBackbone,
    replaced: int,
    images: ImageSet,
    directory: Path,
    key: str,
    progress: Progress,
    accelerator: str = "cpu",
    on_step: Callable[[], None] = lambda: None,
    afresh: bool = False,
) -> tuple[Tensor, Path, bool]:
    """Features float32 (N, F) of all images; from ``directory/<key>.npy`` where it is whole, else computed and saved.

    Returns the features, the file, and whether it was found. A damaged file is computed again. accelerator: the torch
    device that computes; features and model lie on the CPU before and after; on_step: called after each batch, may
    raise to stop; afresh: compute them all the same, and keep them beside a file that says otherwise.
    Raises TrainingError where a feature is not finite.
    """
    path = directory / f"{key}.npy"
    found = _read(path, len(images))
    if found is not None and not afresh:
        return torch.from_numpy(found), path, True
    features = _compute(model, replaced, images, progress, accelerator, on_step)
    bad = (~torch.isfinite(features).all(1)).nonzero()
    if len(bad):
        sample = images.sample_ids[int(bad[0])]
        raise TrainingError("the backbone's features are not finite", where=f"sample {sample!r}")
    out = io.BytesIO()
    np.save(out, features.numpy())
    digest = hashlib.sha256(out.getvalue()).hexdigest()
    if found is not None:
        if found.tobytes() == features.numpy().tobytes():
            return features, path, False
        path = directory / f"{key}-{digest[:16]}.npy"
    write_atomically(path, out.getvalue())
    write_atomically(path.with_suffix(".sha256"), digest.encode())
    return features, path, False


def _compute(
    model: WholeBackbone,
    replaced: int,
    images: ImageSet,
    progress: Progress,
    accelerator: str,
    on_step: Callable[[], None],
) -> Tensor:
    model.eval().to(accelerator)
    parts = []
    try:
        with torch.no_grad(), progress.stage("frozen features", len(images)) as stage:
            for start in range(0, len(images), BATCH):
                batch = torch.tensor(images.images[start : start + BATCH]).to(accelerator)
                parts.append(model.kept(batch, replaced).float().cpu().contiguous())
                stage.advance(len(batch))
                on_step()
    finally:
        model.to("cpu")
    return torch.cat(parts)


def _read(path: Path, n: int) -> np.ndarray | None:
    """Features float32 (n, F) from a file that is what its seal says and what features must be, else None."""
    try:
        data, expected = path.read_bytes(), path.with_suffix(".sha256").read_text()
    except (OSError, UnicodeDecodeError):
        return None
    if hashlib.sha256(data).hexdigest() != expected:
        return None
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:  # noqa: BLE001 -- a file that somebody made: it is computed again
        return None
    sound = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.ndim == 2 and len(array) == n
    return array if sound and array.flags.c_contiguous and np.isfinite(array).all() else None
