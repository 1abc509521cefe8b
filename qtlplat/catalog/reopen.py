"""Finds the data of a stored run again: through the plugin that its plan names, with the options that it stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtlplat.catalog.calls import load_images
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.options import validate
from qtlplat.catalog.references import Given, parse_sets
from qtlplat.contracts import DatasetSpec, ImageSet
from qtlplat.errors import ConfigError, DataError


def stored_images(plan: Mapping[str, Any], digest: str, catalog: Catalog, sets: Sequence[str] = ()) -> ImageSet:
    """The dataset of a stored plan, read anew.

    plan: as stored; digest: of the data that the run saw; sets: ``dataset.option=value``, for data that lies elsewhere.

    Raises
    ------
    UsageError, PluginError: the dataset's plugin is not there any more, or is broken.
    ConfigError: the plugin does not take the stored options any more.
    DataError: the data cannot be read, or is not what the run saw; both digests are named.
    """
    choice = plan["dataset"]
    where = f"dataset {choice['component']} of {choice['provider']}"
    component = catalog.component("dataset", f"{choice['provider']}:{choice['component']}")
    spec = component.spec
    assert isinstance(spec, DatasetSpec)
    given = {name: Given(value, source="the stored plan") for name, value in choice["options"].items()}
    options, problems = validate(spec.options, given | parse_sets(sets, ("dataset",))["dataset"], "dataset")
    if options is None or problems:
        raise ConfigError("the dataset does not take the stored options", problems=problems, where=where)
    images = load_images(spec, options, component.provider.distribution)
    if images.digest != digest:
        raise DataError(
            f"the dataset has changed: its digest is {images.digest}, the run saw {digest}",
            where=f"{where}, version {component.provider.version}; the run used {choice['version']}",
            fix="-S dataset.OPTION=VALUE where the data lies elsewhere, or run again on the data as it is",
        )
    return images
