"""Parameter counts of plans' models: found by content in the store's files, or counted with torch and PennyLane."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from qtlplat.catalog.plan import canonical_json
from qtlplat.catalog.resolve import Resolved
from qtlplat.store.core.files import write_atomically
from qtlplat.store.core.location import StoreLocation


def parameter_counts(
    plans: Sequence[Resolved], shape: tuple[int, int, int], n_classes: int, location: StoreLocation, *, keep: bool
) -> list[dict[str, Any]]:
    """The parameter counts of plans' models for images (C, H, W) of K classes, as by `count_parameters`.

    keep: whether to save new counts in the store's files. Raises as `prepare` does.
    """
    paths = [location.files / "parameter_counts" / f"{_key(resolved, shape, n_classes)}.json" for resolved in plans]
    found = [_read(path) for path in paths]
    missing = [i for i, counts in enumerate(found) if counts is None]
    if missing:
        from qtlplat.runs.build import count_parameters

        counted = count_parameters([plans[i] for i in missing], shape, n_classes)
        for i, counts in zip(missing, counted, strict=True):
            found[i] = counts
            if keep:
                write_atomically(paths[i], json.dumps(counts).encode())
    return [counts for counts in found if counts is not None]


def _key(resolved: Resolved, shape: tuple[int, int, int], n_classes: int) -> str:
    """sha256 of what decides the counts: the code and options of backbone and head, where it is cut, the images."""
    plan = resolved.plan
    parts = [version("qtlplat"), plan.backbone.identity(), plan.head.identity(), plan.replace, shape, n_classes]
    return hashlib.sha256(canonical_json(parts).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """Saved counts; None if there are none, or if the file is damaged."""
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    needed = {"backbone_total", "model_total", "reduction_percent_model", "reduction_percent_replaced"}
    return counts if isinstance(counts, dict) and needed <= counts.keys() else None
