"""The runs that a command is about: by reference, by filter, or both."""

from __future__ import annotations

from collections.abc import Sequence

from qtlplat.errors import UsageError
from qtlplat.store.read.queries import Reader


def chosen(reader: Reader, references: Sequence[str], where: str | None) -> list[str]:
    """Ids of the runs that are meant, each once: those that are named, in their order, of which a filter holds.

    where: a filter, None or '' for none. Without references it selects from all runs of heads, newest first.

    Raises:
        UsageError: if a reference means nothing, no run is left, or neither references nor a filter are given.
    """
    found = list(dict.fromkeys(map(reader.resolve, references)))
    if where:
        held = [str(row["run"]) for row in reader.table(["run"], None if references else "run", where=where)]
        found = [run for run in found if run in set(held)] if references else held
        if not found:
            raise UsageError(
                "no runs match the filter", where="--where", fix="try the filter: qtlplat runs --where ..."
            )
    if not found:
        raise UsageError("no run is named", fix="name one, as @last, or choose: --where \"head = 'dressed5x3'\"")
    return found
