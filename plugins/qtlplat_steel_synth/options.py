"""Options of the synthetic surfaces."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from qtlplat import PreparationOptions

DefectKind = Literal["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]


class SteelSynthOptions(PreparationOptions):
    """How many synthetic images are drawn, how visible their defects are, and how they are prepared."""

    per_class: int = Field(300, ge=1, le=100_000, description="samples drawn at random of each of the two classes")
    drop_classes: tuple[DefectKind, ...] = Field(
        ("crazing", "pitted_surface"), description="kinds of defect left out, as in the paper"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="of the images and of the random draw of samples")
    images_per_kind: int = Field(80, ge=1, le=10_000, description="images of each kind of defect")
    contrast: float = Field(1.0, gt=0, le=10, description="factor on how strongly defects stand out")
