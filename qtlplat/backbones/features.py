"""Frozen features: what the kept layers make of every image, computed once and cached by content."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from qtlplat.backbones.model import WholeBackbone
from qtlplat.catalog.plan import canonical_json
from qtlplat.contracts import ImageSet
from qtlplat.errors import TrainingError
from qtlplat.plugin_modules import called, check_logits
from qtlplat.progress import Progress
from qtlplat.state.weights import plain
from qtlplat.store.core.files import write_atomically

BATCH = 64  # fixed: another batch size may round differently
PIECE = 4 * BATCH  # samples that are lost at most where the computation is cut off; some seconds of work


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
    """Features float32 (N, F) of all images; from ``directory/<key>.npy`` if it is intact, else computed and saved.

    An interrupted computation is resumed: finished pieces are kept in ``directory/<key>/`` until all are there.
    Returns the features, the file, and whether it was found. A damaged file is computed again. accelerator: the torch
    device that computes; features and model lie on the CPU before and after; on_step: called after each batch, may
    raise to stop; afresh: compute them even if a file exists, and save them separately if it differs.
    Raises TrainingError if a feature is not finite.
    """
    path, pieces = directory / f"{key}.npy", directory / key
    width = _width(model, replaced, images)
    found = _read(path, len(images), width)
    if found is not None and not afresh:
        return torch.from_numpy(found), path, True
    known: dict[int, Tensor] = {}
    for start in range(0, 0 if afresh else len(images) - PIECE, PIECE):
        piece = _read(_piece(pieces, start), PIECE, width)
        if piece is not None:
            known[start] = torch.from_numpy(piece)
    if known:
        progress.note(f"frozen features of {len(known) * PIECE} of {len(images)} samples found")
    features = _compute(model, replaced, images, known, pieces, progress, accelerator, on_step)
    if found is not None:
        if found.tobytes() == features.numpy().tobytes():
            shutil.rmtree(pieces, ignore_errors=True)
            return features, path, False
        path = directory / f"{key}-{hashlib.sha256(_as_file(features)).hexdigest()[:16]}.npy"
    _write(path, features)
    shutil.rmtree(pieces, ignore_errors=True)
    return features, path, False


def _compute(
    model: WholeBackbone,
    replaced: int,
    images: ImageSet,
    known: Mapping[int, Tensor],
    pieces: Path,
    progress: Progress,
    accelerator: str,
    on_step: Callable[[], None],
) -> Tensor:
    """Features of all images. known: pieces that are there, by their first sample; new ones but the last are kept."""
    model.eval().to(accelerator)
    parts = []
    try:
        with torch.no_grad(), progress.stage("frozen features", len(images) - len(known) * PIECE) as stage:
            for first in range(0, len(images), PIECE):
                if first in known:
                    parts.append(known[first])
                    continue
                batches = []
                for start in range(first, min(first + PIECE, len(images)), BATCH):
                    batch = torch.tensor(images.images[start : start + BATCH]).to(accelerator)
                    kept = called(model.kept, batch, replaced)
                    check_logits(model, kept, len(batch))
                    batches.append(plain(kept))
                    stage.advance(len(batch))
                    on_step()
                parts.append(torch.cat(batches))
                _refuse_infinite(parts[-1], images, first)
                if first + PIECE < len(images):
                    _write(_piece(pieces, first), parts[-1])
    finally:
        model.to("cpu")
    return torch.cat(parts)


def _width(model: WholeBackbone, replaced: int, images: ImageSet) -> int:
    """F, from two images."""
    model.eval()
    with torch.no_grad():
        return model.kept(torch.tensor(images.images[:2]), replaced).shape[1]


def _refuse_infinite(features: Tensor, images: ImageSet, first: int) -> None:
    bad = (~torch.isfinite(features).all(1)).nonzero()
    if len(bad):
        sample = images.sample_ids[first + int(bad[0])]
        raise TrainingError(
            "the backbone's features are not finite",
            where=f"sample {sample!r}",
            fix="pretrain it with a smaller learning rate: -S pretraining.learning_rate=0.0001",
        )


def _piece(pieces: Path, start: int) -> Path:
    return pieces / f"{start:08d}.npy"


def _write(path: Path, features: Tensor) -> None:
    """A file of features, and one with its sha256."""
    data = _as_file(features)
    write_atomically(path, data)
    write_atomically(path.with_suffix(".sha256"), hashlib.sha256(data).hexdigest().encode())


def _as_file(features: Tensor) -> bytes:
    out = io.BytesIO()
    np.save(out, features.numpy())
    return out.getvalue()


def _read(path: Path, n: int, width: int) -> np.ndarray | None:
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
    sound = isinstance(array, np.ndarray) and array.dtype == np.float32 and array.shape == (n, width)
    return array if sound and array.flags.c_contiguous and np.isfinite(array).all() else None
