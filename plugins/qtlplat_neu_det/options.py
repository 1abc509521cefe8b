"""Options of NEU-DET, and where it is looked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from qtlplat import PreparationOptions

ENVIRONMENT = "QTLPLAT_NEU_DET"

DefectClass = Literal["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]


def _root_from_environment() -> Path | None:
    value = os.environ.get(ENVIRONMENT, "")
    return Path(value) if value else None


class NeuDetOptions(PreparationOptions):
    """Where NEU-DET lies, and how it is prepared."""

    root: Path | None = Field(
        default_factory=_root_from_environment,
        description=f"directory or zip archive of NEU-DET, read where it lies; by default ${ENVIRONMENT}",
        json_schema_extra={"location": True, "variable": ENVIRONMENT},
    )
    drop_classes: tuple[DefectClass, ...] = Field(
        ("crazing", "pitted_surface"), description="classes left out: the paper saw defects outside their boxes"
    )
    difficult: Literal["keep", "drop"] = Field(
        "keep",
        description="boxes marked difficult: keep takes them as any other, drop counts none of them as a defect "
        "(normals are still cropped outside of them)",
    )

    @field_validator("root", mode="before")
    @classmethod
    def _empty_is_none(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("root")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        # a stored plan must find the data again from another working directory
        return None if value is None else Path(os.path.abspath(os.path.expanduser(value)))  # noqa: PTH100, PTH111
