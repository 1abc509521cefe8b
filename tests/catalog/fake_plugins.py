"""Sources of small plugins, and the type of the fixture that installs them."""

from __future__ import annotations

from collections.abc import Callable

Install = Callable[..., None]

HEAD = """
from qtlplat import HeadSpec, hookimpl
qtlplat_api_version = (1, 0)

def build(options, in_features, n_classes):
    raise AssertionError("catalog tests build nothing")

@hookimpl
def qtlplat_heads():
    return [HeadSpec(name="{name}", summary="a head", build=build)]
"""
