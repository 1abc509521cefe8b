"""Synthetic steel surfaces: options and spec; drawing happens in `surfaces`, on demand."""

from __future__ import annotations

from qtlplat import DatasetSpec, ImageSet, hookimpl
from qtlplat_steel_synth.options import SteelSynthOptions

qtlplat_api_version = (1, 0)


def _load(options: SteelSynthOptions) -> ImageSet:
    from qtlplat_steel_synth.surfaces import load

    return load(options)


@hookimpl
def qtlplat_datasets() -> list[DatasetSpec]:
    """Synthetic steel surfaces, prepared as NEU-DET is."""
    return [
        DatasetSpec(
            name="steel-synth",
            title="the synthetic dataset steel-synth",
            summary="synthetic steel surfaces, always available; scores on them say nothing about real steel",
            notice="Scores on it say nothing about real steel.",
            load=_load,
            options=SteelSynthOptions,
            reads=lambda _options: (),
        )
    ]
