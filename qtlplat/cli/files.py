"""Files that commands write where `--output` says: one pair of options, one refusal, one way to write."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qtlplat.cli.output import Column, print_tsv
from qtlplat.errors import StoreError, UsageError, shown

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

    Raises UsageError where the file exists and `--force` was not given, StoreError where its directory is missing.
    """
    if output.exists() and not force:
        raise UsageError(f"{shown(str(output))} exists", where="--output", fix="choose another name, or add --force")
    if not output.parent.is_dir():
        where = str(output.parent)
        raise StoreError(
            f"cannot write {shown(output.name)}: there is no such directory",
            where=where,
            fix=f"make it first: mkdir -p {shlex.quote(where)}",
        )


def write_output(output: Path, data: bytes) -> None:
    """Write the file whole or not at all; raises StoreError where that cannot be done."""
    from qtlplat.store.files import write_atomically

    write_atomically(output, data)


def tell_written(output: Path, data: bytes, **facts: str) -> None:
    """Print where the file is, how large, and further facts by name, for the commands whose result it is."""
    columns = [Column("file", "file"), Column("bytes", "bytes", right=True), *(Column(name, name) for name in facts)]
    print_tsv([{"file": output, "bytes": len(data), **facts}], columns)
