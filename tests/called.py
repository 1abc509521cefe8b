"""The command line, called inside the test's process."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from typing import Any

from qtlplat.cli.app import _run


@dataclass(frozen=True)
class Called:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which must be JSON in the strict sense."""
        return json.loads(self.out, parse_constant=lambda name: 1 / 0)


def called(*words: object) -> Called:
    """Run a command line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = _run([str(word) for word in words])
    return Called(code, out.getvalue(), err.getvalue())
