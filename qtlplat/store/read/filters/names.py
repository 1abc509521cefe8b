"""Names of fields as people write them, ``head.layers``, ``min(f1@linear)``, ``"my metric"``, and lists of them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from qtlplat.errors import UsageError, safe_repr

OVER_CELLS = ("mean", "min", "max", "sd", "n")
OVER_EPOCHS = ("first", "last", "lowest", "highest")
FUNCTIONS = (*OVER_CELLS, *OVER_EPOCHS)

WORD = r"[A-Za-z_][A-Za-z0-9_-]*"
QUOTED = r'"(?:[^"]|"")*"'  # any name: a quote in it is written twice
RESERVED = ("and", "or", "not", "in", "like", "between", "is", "null", "true", "false")
_PART = rf"(?:{WORD}|{QUOTED})"
_INSIDE = rf"{_PART}(?:\.{_PART})*(?:@{_PART})?"
# a field: a path, a path of a control's cells, or either inside a function
FIELD = rf"(?:{WORD}\(\s*{_INSIDE}\s*\)|{_INSIDE})"
_PARTS = re.compile(rf"(?:({WORD})\(\s*)?({_PART}(?:\.{_PART})*)(?:@({_PART}))?\s*\)?")
LONGEST_FIELD = 500
MOST_FIELDS = 400  # of one option; SQLite takes 2000 columns, some fields are several


def written(name: str, *, quoted: bool = False) -> str:
    """A name as filters and options take it: in double quotes where it is no plain word, or `quoted`."""
    plain = re.fullmatch(WORD, name) and name.lower() not in RESERVED and not quoted
    return name if plain else '"' + name.replace('"', '""') + '"'


def unquoted(text: str) -> str:
    """The name that is written so."""
    return text[1:-1].replace('""', '"') if re.fullmatch(QUOTED, text) else text


def listed(text: str) -> list[str]:
    """What commas separate that stand in no double quotes; without blanks around it, and without what is empty."""
    items = (item.strip() for item in re.findall(rf'(?:{QUOTED}|[^,"]|")+', text))
    return [item for item in items if item]


@dataclass(frozen=True)
class FieldName:
    """A field as it is written. function: '' or one of FUNCTIONS; variant: the control that is meant, '' for the head.

    quoted: whether its first name stands in double quotes: then a metric of that name is meant before any other field.
    at: where it stands in the text.
    """

    path: tuple[str, ...]
    function: str = ""
    variant: str = ""
    quoted: bool = False
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        first, *rest = self.path
        inside = ".".join([written(first, quoted=self.quoted), *map(written, rest)])
        inside += f"@{written(self.variant)}" if self.variant else ""
        return f"{self.function}({inside})" if self.function else inside

    @property
    def plain(self) -> str:
        """Without quotes, as columns of listings are called."""
        return self.path[0] if self.quoted and len(self.path) == 1 and not self.function else str(self)


def field_name(text: str, at: int = 0, where: str = "") -> FieldName:
    """A field out of its text, as ``min(f1)``, ``head.layers``, ``f1@linear``. Raises UsageError if it is none."""
    text = text.strip()
    if len(text) > LONGEST_FIELD or not re.fullmatch(FIELD, text):
        raise UsageError(
            f"{safe_repr(text)} is no field",
            where=where,
            fix="f1, min(f1), head.layers, f1@linear; a name with spaces or signs in double quotes: '\"my metric\"'",
        )
    match = _PARTS.fullmatch(text)
    assert match  # FIELD is made of the same parts
    path = tuple(map(unquoted, re.findall(_PART, match[2])))
    return FieldName(path, match[1] or "", unquoted(match[3] or ""), match[2].startswith('"'), at)


def refuse_many(names: Collection[str], where: str) -> None:
    """Refuse more fields than a database takes in one query. Raises UsageError; where: the option that names them."""
    if len(names) > MOST_FIELDS:
        what = f"{len(names)} fields are named, more than {MOST_FIELDS}"
        raise UsageError(what, where=where, fix="name fewer of them")


def sort_keys(text: str) -> list[tuple[FieldName, bool]]:
    """What ``-f1,head`` asks for: fields, the first one first, and whether from the greatest value down (a minus)."""
    names = list(dict.fromkeys(listed(text))) or ([""] if text else [])
    refuse_many(names, "--sort")
    return [(field_name(name.removeprefix("-"), where="--sort"), name.startswith("-")) for name in names]
