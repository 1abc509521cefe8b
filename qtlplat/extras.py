"""The optional parts of an installation, and the refusal of a command that lacks one: before it does anything else."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from qtlplat.errors import ConfigError

# extra of the distribution -> modules that must be there
EXTRAS = {"plot": ("matplotlib.figure",), "parquet": ("pyarrow.parquet",)}


def require_packages(
    extra: str, what_for: str, where: str, otherwise: str = "", *, modules: Sequence[str] = ()
) -> None:
    """Import what an extra brings.

    Args:
        extra: Its name.
        what_for: What needs it, as "drawing figures".
        where: The command or option.
        otherwise: What works without it.
        modules: What it brings, if it is none of `EXTRAS`.

    Raises:
        ConfigError: If something is missing or cannot be imported; the fix is the command that installs it.
    """
    for module in modules or EXTRAS[extra]:
        try:
            import_module(module)
        except ImportError as error:
            fix = f"pip install 'qtlplat[{extra}]'" + (f"; {otherwise}" if otherwise else "")
            what = f"{what_for} needs {module.partition('.')[0]}, which is not installed"
            raise ConfigError(what, where=where, fix=fix) from error
