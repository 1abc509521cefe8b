"""What coordinator and executors tell each other: a line of JSON each, over pipes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Job:
    """A member to train. log: an absolute path."""

    position: int
    fingerprint: str
    request: Mapping[str, Any]
    log: str

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"


@dataclass(frozen=True)
class Event:
    """What an executor tells. position: of the member; text: of a note or stage; run, seconds: of what has finished.

    kind: 'ready', 'note', 'stage', 'finished', 'failed' (the member cannot be trained), 'broken' (the store or the
    surroundings are: no member can be) or 'stopped'.
    """

    kind: Literal["ready", "note", "stage", "finished", "failed", "broken", "stopped"]
    position: int = -1
    text: str = ""
    run: str = ""
    seconds: float = 0.0
    error: Mapping[str, Any] | None = None

    def line(self) -> str:
        """As it is sent."""
        return json.dumps(asdict(self)) + "\n"


def read_event(line: str) -> Event | None:
    """An event; None for a line that is none, as one that was cut off."""
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError):
        return None
