"""What is in a bundle: names of its members, and the manifest that lists them with size and sha256."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from qtlplat_bundles.foreign import FILE

VERSION = 1  # of the format
MOST_LETTERS = 200  # of a member's name
MANIFEST, DATABASE, FILES = "manifest.json", "store.db", "store.files/"
README, REPORT, RUNS, SPLITS = "README.txt", "report.html", "runs.json", "splits.json"
NEEDED = (MANIFEST, DATABASE)
KNOWN = (README, MANIFEST, REPORT, RUNS, SPLITS, DATABASE)

RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Member(BaseModel):
    """A file of a bundle. bytes: its size."""

    model_config = ConfigDict(extra="forbid", strict=True)
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    bytes: Annotated[int, Field(ge=0)]


class Manifest(BaseModel):
    """What a bundle says of itself.

    version: of the format; qtlplat: the version that made it; revision: its store's schema; runs: ids of the runs
    that were asked for; built_upon: of those that came along because others build on them; members: all other files,
    by name.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    format: Literal["qtlplat bundle"]
    version: int
    qtlplat: str
    revision: str
    runs: list[RunId]
    built_upon: list[RunId]
    members: dict[str, Member]


def is_known(name: str) -> bool:
    """Whether a member of a bundle may be called so. Such a name is relative, ASCII, short and leads nowhere else."""
    is_file = name.startswith(FILES) and FILE.fullmatch(name.removeprefix(FILES)) is not None
    return name in KNOWN or (is_file and len(name) <= MOST_LETTERS)
