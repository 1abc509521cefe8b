"""The NEU-DET dataset: its spec; reading happens in `reader`, on demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtlplat import DatasetSpec, ImageSet, Problem, hookimpl
from qtlplat_neu_det.options import NeuDetOptions

qtlplat_api_version = (1, 0)


def _load(options: NeuDetOptions) -> ImageSet:
    from qtlplat_neu_det.reader import load

    return load(options)


def _check(options: NeuDetOptions) -> Sequence[Problem]:
    from qtlplat_neu_det.reader import check

    return check(options)


def _files(options: NeuDetOptions, sources: Sequence[str]) -> Mapping[str, str]:
    from qtlplat_neu_det.reader import located

    return located(options.root, sources) if options.root is not None and _is_available(options) else {}


def _is_available(options: NeuDetOptions) -> bool:
    return options.root is not None and options.root.exists()


@hookimpl
def qtlplat_datasets() -> list[DatasetSpec]:
    """NEU-DET, prepared as in the paper."""
    return [
        DatasetSpec(
            name="neu-det",
            title="NEU-DET",
            summary="steel surface defects (Song & Yan): anomalous images against defect-free crops of them",
            load=_load,
            options=NeuDetOptions,
            check=_check,
            locate_files=_files,
            is_available=_is_available,
            reads=lambda options: () if options.root is None else (options.root,),
        )
    ]
