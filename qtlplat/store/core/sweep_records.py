"""Records of sweeps: what they ask for, and what has become of it; as `records`, plain and frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class MemberRow:
    """A member of a sweep: a run that is wanted. fingerprint: of its plan; pretraining: of the backbone it starts from.

    point: its values of what varies, by name; request: options of `qtlplat run`, by name; both JSON-able.
    """

    position: int
    fingerprint: str
    pretraining: str
    point: Mapping[str, Any]
    request: Mapping[str, Any]


@dataclass(frozen=True)
class NewSweep:
    """Runs that are asked for together. definition: what was asked for, JSON-able."""

    name: str
    definition: Mapping[str, Any]
    members: tuple[MemberRow, ...]

    @property
    def id(self) -> str:
        """16 hexadecimal characters that follow from the content: the same sweep is stored once."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class SweepRecord:
    """A stored sweep. created: UTC, ISO 8601."""

    id: str
    created: str
    content: NewSweep


@dataclass(frozen=True)
class FailureRow:
    """That a member of a sweep could not be trained. position: the member; since: UTC, ISO 8601.

    error: what stopped it; log: a path below the store's directory of files, '' if there is none.
    """

    position: int
    since: str
    kind: Literal["failed", "killed"]
    error: str
    log: str


@dataclass(frozen=True)
class MemberState:
    """What has become of a member of a sweep. run: the finished or running run, or the interrupted one, None if none.

    state: 'finished' if there is a run with its fingerprint; 'running' if a process trains it now; 'interrupted' if it
    has begun; 'failed' or 'killed' if it could not be trained and has not been tried again; else 'missing'.
    """

    member: MemberRow
    state: Literal["finished", "running", "interrupted", "failed", "killed", "missing"]
    run: str | None = None
    failures: tuple[FailureRow, ...] = ()
