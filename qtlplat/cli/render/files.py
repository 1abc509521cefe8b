"""Files that commands write where `--output` says: one pair of options, one refusal, one way to write."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qtlplat.cli.render.columns import Column, print_tsv
from qtlplat.errors import StoreError, UsageError, safe_repr

F = TypeVar("F", bound=Callable[..., Any])


def output_options(about: str) -> Callable[[F], F]:
    """Add `--output` and `--force` to a command; about: what the file is, and what happens without."""
    file = click.Path(dir_okay=False, path_type=Path)

    def add(function: F) -> F:
        forced = click.option("--force", is_flag=True, help="Overwrite the file of --output.")
        return click.option("-o", "--output", type=file, help=about)(forced(function))

    return add


def refuse(output: Path, force: bool) -> None:
    """Say, before any work, what must not or cannot be written.

    Raises UsageError if the file exists and `--force` was not given, StoreError if its directory is missing or may
    not be written to.
    """
    if os.path.lexists(output) and not force:
        raise exists(output)
    if not output.parent.is_dir():
        where = str(output.parent)
        raise StoreError(
            f"cannot write {safe_repr(output.name)}: there is no such directory",
            where=where,
            fix=f"make it first: mkdir -p {shlex.quote(where)}",
        )
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise StoreError(
            f"cannot write {safe_repr(output.name)}: its directory may not be written to",
            where=str(output.parent),
            fix="choose another directory, or change its permissions",
        )


def exists(output: Path) -> UsageError:
    """The error for a file that is there and must not be overwritten."""
    return UsageError(f"{safe_repr(str(output))} exists", where="--output", fix="choose another name, or add --force")


def write_output(output: Path, data: bytes, force: bool) -> None:
    """Write the file completely or not at all.

    Raises StoreError if writing fails, UsageError if another process has created the file meanwhile and it must not be
    overwritten (no `force`).
    """
    from qtlplat.store.core.files import write_atomically

    try:
        write_atomically(output, data, new=not force)
    except FileExistsError as error:
        raise exists(output) from error


def tell_written(output: Path, data: bytes, **facts: str) -> None:
    """Print where the file is, how large, and further facts by name, for the commands whose result it is."""
    columns = [Column("file", "file"), Column("bytes", "bytes", right=True), *(Column(name, name) for name in facts)]
    print_tsv([{"file": output, "bytes": len(data), **facts}], columns)
