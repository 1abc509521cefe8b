"""Calling into a plugin: whatever it raises becomes an error that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qtlplat.contracts import DatasetSpec, ImageSet
from qtlplat.errors import PluginError, QtlplatError

T = TypeVar("T")


def guarded(work: Callable[[], T], provider: str, doing: str) -> T:
    """Run a plugin's code; an exception that is not one of ours becomes a PluginError naming `provider`."""
    try:
        return work()
    except QtlplatError:
        raise
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        raise PluginError(f"{doing} failed: {type(error).__name__}: {text}", where=provider) from error


def load_images(spec: DatasetSpec, options: Any, provider: str) -> ImageSet:
    """Load a dataset through its plugin; raises PluginError where what comes back is not an ImageSet."""
    images = guarded(lambda: spec.load(options), provider, f"loading dataset {spec.name}")
    if not isinstance(images, ImageSet):
        raise PluginError(
            f"the dataset's load must return qtlplat.ImageSet, not {type(images).__name__}", where=provider
        )
    return images
