"""Who provides a component: distribution, version, entry point, and a digest of the code that it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from qtlplat.catalog.code import code_of, digest_of
from qtlplat.hookspecs import Spec

S_co = TypeVar("S_co", bound=Spec, covariant=True)


@dataclass(frozen=True)
class Provider:
    """Where a plugin comes from. entry_point: its name in group ``qtlplat``; module: what it names."""

    distribution: str
    version: str
    entry_point: str
    module: str


@dataclass(frozen=True)
class Component(Generic[S_co]):
    """A spec and who provides it."""

    spec: S_co
    provider: Provider

    @cached_property
    def code(self) -> dict[str, str]:
        """Digests of the modules that it uses, by name."""
        return code_of(self.spec, self.provider.distribution, self.provider.module)

    @property
    def digest(self) -> str:
        """sha256 of the code that it uses, '' if no file of it is found."""
        return digest_of(self.code)


def canonical_name(distribution: str) -> str:
    """A distribution's name under the rule of package indexes: case and runs of ``-_.`` do not matter."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
