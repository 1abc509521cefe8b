"""Validating and describing options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from qtlplat import Options
from qtlplat.catalog.options import describe, locations, validate
from qtlplat.catalog.references import Given, parse_value


class Sample(Options):
    root: Path | None = Field(None, description="directory", json_schema_extra={"location": True})
    title: str = Field("a", description="text", min_length=1)
    rate: float = Field(0.5, gt=0, le=1, description="share")
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field((5,), description="neurons")
    mode: Literal["x", "y"] = Field("x", description="one of two")

    @field_validator("title")
    @classmethod
    def _no_shouting(cls, value: str, _info: ValidationInfo) -> str:
        if value.isupper():
            raise ValueError("Do not shout")
        return value


def check(**texts: str) -> tuple[Sample | None, list[str]]:
    made, problems = validate(Sample, {k: Given(parse_value(t), t, "-S") for k, t in texts.items()}, "head")
    return made, [str(p) for p in problems]


def test_typed_values_become_what_the_option_wants() -> None:
    made, problems = check(root="/data", title="123", rate="1", widths="[4,3]", mode="y")
    assert problems == []
    assert made == Sample(root=Path("/data"), title="123", rate=1.0, widths=(4, 3), mode="y")


def test_every_problem_names_role_option_value_and_why() -> None:
    made, problems = check(title="LOUD", rate="2", widths="[0]", moed="x", mode="z")
    assert made is None
    assert problems == [
        "head.title: 'LOUD': do not shout (-S)",
        "head.rate: 2: input should be less than or equal to 1 (-S)",
        "head.widths: [0]: input should be greater than or equal to 1 (-S)",
        "head.mode: 'z': input should be 'x' or 'y' (-S)",
        "head.moed: there is no such option (-S); did you mean mode?",
    ]


def test_one_wrong_option_does_not_spoil_the_text_of_another() -> None:
    _, problems = check(title="123", rate="0")
    assert problems == ["head.rate: 0: input should be greater than 0 (-S)"]


def test_nan_and_infinity_are_refused() -> None:
    class Free(Options):
        x: float = Field(0.0, description="anything")

    for text in ("NaN", "Infinity", "1e999"):
        _, problems = validate(Free, {"x": Given(parse_value(text), text)}, "head")
        assert [p.where for p in problems] == ["head.x"]


def test_locations_are_the_marked_fields() -> None:
    assert locations(Sample) == ("root",)


def test_options_are_described_with_type_bounds_default_and_value() -> None:
    rows: dict[str, dict[str, Any]] = {row["name"]: row for row in describe(Sample, {"rate": 0.25})}
    assert rows["rate"] == {
        "name": "rate",
        "type": "number",
        "default": 0.5,
        "value": 0.25,
        "bounds": "> 0, ≤ 1",
        "description": "share",
        "required": False,
    }
    assert rows["widths"]["type"] == "list of integer, ≥ 1"
    assert rows["widths"]["default"] == [5]
    assert rows["mode"]["type"] == "x | y"
    assert rows["root"]["type"] == "path | none"
    assert rows["title"]["bounds"] == "at least 1 characters"
