"""Errors that one process sends to another one."""

from __future__ import annotations

import json

import pytest

from qtlplat import errors
from qtlplat.errors import QtlplatError, TrainingError
from qtlplat.sent_errors import error_facts, error_of

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, QtlplatError)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_the_same_after_it_was_sent(kind: type[QtlplatError]) -> None:
    sent = kind("what\n  more", where="there", fix="mend it")
    found = error_of(json.loads(json.dumps(error_facts(sent))))
    assert type(found) is kind
    assert (found.what, found.where, found.fix, found.exit_code) == (sent.what, "there", "mend it", kind.exit_code)


def test_any_other_error_is_one_of_training() -> None:
    found = error_of(error_facts(ZeroDivisionError("oh")))
    assert type(found) is TrainingError
    assert found.what == "ZeroDivisionError: 'oh'"
    assert type(error_of({"kind": "Path", "what": "x", "where": "", "fix": ""})) is TrainingError
