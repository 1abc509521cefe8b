"""Reads registry.toml and lays your own over it: presets, defaults, protocols, disabled plugins. No plugins here."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from qtlplat.catalog.plan import PretrainingOptions, TrainingOptions
from qtlplat.catalog.verify import NAME, NAME_RULE
from qtlplat.contracts import ROLES, Kind, Role
from qtlplat.errors import ConfigError, Problem, safe_repr

FILE = "registry.toml"
NO_KEY = "there is no such key"
MAX_BYTES = 2**17  # of a registry file; the shipped one has 2,159
_NotEmpty = Annotated[str, StringConstraints(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Defaults(_Table):
    dataset: _NotEmpty | Annotated[list[_NotEmpty], Field(min_length=1)] | None = None
    backbone: _NotEmpty | None = None
    head: _NotEmpty | None = None
    evaluator: _NotEmpty | None = None
    protocol: _NotEmpty | None = None


class _Plugins(_Table):
    disabled: list[_NotEmpty] = []


class _Entry(_Table):
    """A name for something. name, source: its key, and the file that holds it; not written there."""

    name: str
    source: Path
    summary: str = ""


class Preset(_Entry):
    """A name for a component with options."""

    component: _NotEmpty
    options: dict[str, Any] = {}


class Protocol(_Entry):
    """A name for how backbones are pretrained and heads trained."""

    training: TrainingOptions = TrainingOptions()
    pretraining: PretrainingOptions = PretrainingOptions()


class _File(_Table):
    defaults: _Defaults = _Defaults()
    plugins: _Plugins = _Plugins()
    datasets: dict[str, Preset] = {}
    backbones: dict[str, Preset] = {}
    heads: dict[str, Preset] = {}
    evaluators: dict[str, Preset] = {}
    protocols: dict[str, Protocol] = {}


@dataclass(frozen=True)
class Registry:
    """What all registry files together say.

    defaults: references by role (`dataset`, `backbone`, `head`, `evaluator`, `protocol`), in the order to try them;
    disabled: plugins that are not loaded; presets: by kind and name; files: read, later ones lie over earlier ones.
    """

    defaults: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    disabled: tuple[str, ...] = ()
    presets: Mapping[Role, Mapping[str, Preset]] = field(default_factory=lambda: {role: {} for role in ROLES})
    protocols: Mapping[str, Protocol] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def presets_of(self, kind: Kind) -> Mapping[str, Preset]:
        """The presets of a kind by name; {} for a kind that has none, such as recipes."""
        return next((presets for role, presets in self.presets.items() if role == kind), {})


def load_registry(explicit: str | None = None, cwd: Path | None = None) -> Registry:
    """The registry for this place.

    explicit: a file that replaces all others (`--registry`, QTLPLAT_REGISTRY); cwd: where the search for
    ``.qtlplat/registry.toml`` begins, by default the working directory.

    The shipped file comes first; the user's configuration lies over it, the nearest ``.qtlplat/registry.toml`` over
    both. A preset or protocol replaces one of its name, a default replaces the default, disabled plugins add up.

    Raises ConfigError with every problem of every file.
    """
    files = [Path(explicit)] if explicit else registry_files(cwd or Path.cwd())
    problems: list[Problem] = []
    contents = [(path, _read(path, problems)) for path in files]
    if problems:
        raise ConfigError(
            "the registry is wrong",
            problems=problems,
            fix="correct these lines" + (" or leave out --registry" if explicit else ""),
        )
    return _merged([(path, content) for path, content in contents if content is not None])


def registry_files(cwd: Path) -> list[Path]:
    """The registry files that hold in a directory: shipped, user's, project's; only those that exist."""
    import platformdirs

    try:
        own = platformdirs.user_config_path("qtlplat") / FILE
    except RuntimeError:  # a user without a home directory, as in a container, has no file there
        own = None
    project = (directory / ".qtlplat" / FILE for directory in (cwd, *cwd.parents))
    nearest = next((path for path in project if _is_file(path)), None)
    return [shipped_registry(), *(path for path in (own, nearest) if path is not None and _is_file(path))]


def _is_file(path: Path) -> bool:
    return os.path.isfile(path)  # noqa: PTH113 -- Path's own raises for names that are too long


def shipped_registry() -> Path:
    """The shipped registry: that of the checkout, if there is one, else that of the installed package."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent
    if (checkout / FILE).is_file() and (checkout / "pyproject.toml").is_file():
        return checkout / FILE
    return package / FILE


def _read(path: Path, problems: list[Problem]) -> _File | None:
    try:
        raw = tomllib.loads(_text(path))
    except OSError as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error.strerror or error}"))
    except UnicodeDecodeError as error:
        problems.append(Problem(str(path), "", f"is not UTF-8 text: {error.reason} at byte {error.start}"))
    except ValueError as error:  # tomllib's own error, or a number of too many digits
        problems.append(Problem(str(path), "", f"is not TOML: {safe_repr(str(error), 200)[1:-1]}"))
    except RecursionError:
        problems.append(Problem(str(path), "", "is nested too deeply"))
    else:
        return _validated(path, raw, problems)
    return None


def _text(path: Path) -> str:
    """The content of a plain file; OSError for anything else, which might be waited for or read without an end."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except ValueError as error:
        raise OSError(f"no file can have this name ({error})") from error
    with open(handle, "rb") as stream:  # noqa: PTH123 -- of a handle
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("is not a plain file")
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise OSError(f"is too large, at most {MAX_BYTES} bytes are read")
    return data.decode("utf-8")


def _validated(path: Path, raw: dict[str, Any], problems: list[Problem]) -> _File | None:
    for table in (*(f"{role}s" for role in ROLES), "protocols"):
        entries = raw[table] if isinstance(raw.get(table), dict) else {}
        for name, entry in entries.items():
            if not NAME.fullmatch(name):
                problems.append(Problem(str(path), table, f"name {safe_repr(name)} {NAME_RULE}"))
            if isinstance(entry, dict):
                written = entry.keys() & {"name", "source"}
                problems += [Problem(str(path), _toml_path((table, name, key)), NO_KEY) for key in sorted(written)]
                entry |= {"name": name, "source": path}
    try:
        return _File.model_validate(raw)
    except ValidationError as error:
        for e in error.errors(include_url=False, include_context=False):
            words = NO_KEY if e["type"] == "extra_forbidden" else _lower(e["msg"])
            got = "" if e["type"] == "missing" else f", is {safe_repr(e['input'])}"
            problems.append(Problem(str(path), _toml_path(e["loc"]), words + got))
    return None


def _toml_path(loc: Iterable[int | str]) -> str:
    # pydantic adds the names of union members, which stand in no file.
    parts = [str(p) for p in loc if not str(p).startswith(("list[", "constrained-"))]
    return ".".join(part if NAME.fullmatch(part) or part.isidentifier() else safe_repr(part) for part in parts)


def _lower(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _merged(contents: Sequence[tuple[Path, _File]]) -> Registry:
    defaults: dict[str, tuple[str, ...]] = {}
    disabled: list[str] = []
    presets: dict[Role, dict[str, Preset]] = {role: {} for role in ROLES}
    protocols: dict[str, Protocol] = {}
    for _, content in contents:
        for role, value in content.defaults.model_dump(exclude_none=True).items():
            defaults[role] = tuple(value) if isinstance(value, list) else (value,)
        disabled += [name for name in content.plugins.disabled if name not in disabled]
        for kind in ROLES:
            presets[kind] |= getattr(content, f"{kind}s")
        protocols |= content.protocols
    return Registry(defaults, tuple(disabled), presets, protocols, tuple(path for path, _ in contents))
