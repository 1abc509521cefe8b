"""Errors that a child process sends to its parent, as plain facts, so that the parent can raise them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtlplat import errors
from qtlplat.errors import QtlplatError, describe_exception


def error_facts(error: BaseException) -> dict[str, str]:
    """An error as it is sent, JSON-able."""
    if isinstance(error, QtlplatError):
        return {"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
    return {"kind": "", "what": describe_exception(error, 400), "where": "", "fix": "see the log"}


def error_of(facts: Mapping[str, Any]) -> QtlplatError:
    """The error that was sent; a TrainingError for one that qtlplat does not raise itself."""
    kind = getattr(errors, str(facts["kind"]), None)
    known = kind if isinstance(kind, type) and issubclass(kind, QtlplatError) else errors.TrainingError
    return known(str(facts["what"]), where=str(facts["where"]), fix=str(facts["fix"]))
