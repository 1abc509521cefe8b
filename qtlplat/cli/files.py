"""Files that a user names with `--output`."""

from __future__ import annotations

from pathlib import Path

from qtlplat.errors import UsageError, shown


def refuse_existing(output: Path, force: bool) -> None:
    """Raise UsageError, before any work, where the file exists and `--force` was not given."""
    if output.exists() and not force:
        raise UsageError(f"{shown(str(output))} exists", where="--output", fix="choose another name, or add --force")
