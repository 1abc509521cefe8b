"""References that describe a run, `@best:f1` and `@tag:paper`, as the filter and the order that find it."""

from __future__ import annotations

from qtlplat.errors import UsageError, shown
from qtlplat.store.filter_tree import Value, field_name


def description(reference: str) -> tuple[str, str]:
    """A filter and what to sort by; the first run is the one that is meant.

    `@best:f1` is the finished run of a head with the highest value of a field of the filter language, `@best:-loss`
    that with the lowest one, the newest of equals; `@tag:x` is the newest run with that tag.

    Raises
    ------
    UsageError: where a field or a tag is missing, or the field is none.
    """
    kind, _, name = reference.partition(":")
    if not name.removeprefix("-").strip():
        raise UsageError(
            f"run reference {shown(reference)} names nothing", fix="@best:f1, @best:-loss for the lowest, @tag:NAME"
        )
    if kind == "@tag":
        return f"tag = {Value(name)}", ""
    field = field_name(name.removeprefix("-"), where=reference)
    order = f"{field}" if name.startswith("-") else f"-{field}"
    return f"kind = 'run' and status = 'finished' and {field} is not null", order
