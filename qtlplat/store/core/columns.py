"""The types of the store's columns: numbers of which nothing is lost, and values as strict JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import index
from types import NoneType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from qtlplat.errors import safe_repr


class ForeignValueError(ValueError):
    """A value in a column that qtlplat did not write."""


_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _text(value: Any) -> str | None:
    if value is not None and type(value) is not str:  # SQLite keeps what it was given
        raise ForeignValueError(f"{safe_repr(value, 40)} is not text")
    return value


def _time(value: Any) -> str | None:
    text = _text(value)
    try:
        if text is None or datetime.fromisoformat(text).tzinfo is not None:
            return text
    except ValueError:
        pass
    raise ForeignValueError(f"{safe_repr(value, 40)} is not a UTC time")


class Text(TypeDecorator[str]):
    """Text in the order of its code points, as SQLite compares it, whatever the server's language is.

    PostgreSQL has no NUL in a text: there, one is an error (ValueError).
    """

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The server's type names its order."""
        return sa.Text(collation="C") if dialect.name == "postgresql" else sa.Text()

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """As it is."""
        if value is not None and dialect.name == "postgresql" and "\0" in value:
            raise ValueError("a text with a NUL character, which PostgreSQL does not take")
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Itself. Raises ForeignValueError for anything else than text."""
        return _text(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Only that: a listing reads very many of them."""
        return _text


class Time(Text):
    """A moment as text, ISO 8601 with its offset from UTC."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Itself. Raises ForeignValueError for anything else than a time."""
        return _time(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """As of any text."""
        return _time


class Number(TypeDecorator[float]):
    """A float of which nothing is lost: SQLite would bind NaN as NULL, so there NaN is kept as the text 'NaN'."""

    impl = sa.Float
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """64 bits."""
        return sa.Double() if dialect.name == "postgresql" else sa.Float()

    def process_bind_param(self, value: float | None, dialect: Dialect) -> Any:
        """NaN as text in SQLite; infinities are ordinary REAL values there."""
        if value is None:
            return None
        return "NaN" if math.isnan(value) and dialect.name == "sqlite" else float(value)

    def bind_processor(self, dialect: Dialect) -> Any:
        """Without the float conversion of the implementing type, which would turn the text back into NaN."""
        return lambda value: self.process_bind_param(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> float | None:
        """The text 'NaN' as NaN. Raises ForeignValueError for other texts."""
        if value is None:
            return None
        if not isinstance(value, int | float) and value != "NaN":
            raise ForeignValueError(f"{safe_repr(value, 40)} is no number")
        return float(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        """Only the line above."""
        return lambda value: self.process_result_value(value, dialect)


class Whole(TypeDecorator[int]):
    """An integer of any kind, numpy's too; a float is an error (TypeError)."""

    impl = sa.Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """64 bits, as in SQLite."""
        return sa.BigInteger() if dialect.name == "postgresql" else sa.Integer()

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """As Python's own int, the only one that the drivers take."""
        return None if value is None else index(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        """Itself. Raises ForeignValueError for anything else than an integer, which SQLite would keep, too."""
        if value is not None and not isinstance(value, int):
            raise ForeignValueError(f"{safe_repr(value, 40)} is no whole number")
        return value


class Facts(TypeDecorator[Any]):
    """A value as strict JSON text, its keys in their order; a NaN in it is an error (ValueError).

    kind: what the value is, an object (dict) or a list.
    """

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[Any] = dict) -> None:
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """As of any text."""
        return Text().load_dialect_impl(dialect)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Value -> text."""
        return None if value is None else to_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text -> value. Raises ForeignValueError for what is no JSON, or JSON of another kind."""
        if value is None:
            return None
        if type(found := _from_json(value)) is self.kind:
            return found
        raise ForeignValueError(f"{safe_repr(value, 40)} is not a JSON {'list' if self.kind is list else 'object'}")


class Numbers(Facts):
    """Floats, in a list or by name, as strict JSON text; NaN and infinities are kept as the strings 'NaN', ..."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Value -> text."""
        if value is None:
            return None
        if isinstance(value, Mapping):
            return to_json({str(name): _json_number(number) for name, number in value.items()})
        return to_json([_json_number(number) for number in value])

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text -> value. Raises ForeignValueError for what is no numbers."""
        found = super().process_result_value(value, dialect)
        if isinstance(found, dict):
            return {name: _from_json_number(number) for name, number in found.items()}
        return None if found is None else [_from_json_number(number) for number in found]


def read_column(kind: TypeEngine[Any], values: Sequence[Any], dialect: Dialect) -> Sequence[Any]:
    """Stored values as their type gives them, in a fraction of the time that one value after another takes.

    Raises ForeignValueError as the type does.
    """
    types = set(map(type, values))
    if (type(kind) is Text and types <= {str, NoneType}) or (isinstance(kind, Whole) and types <= {int, NoneType}):
        return values
    if isinstance(kind, Numbers) and types == {str} and (found := _lists(values)) is not None:
        return found
    convert = kind.dialect_impl(dialect).result_processor(dialect, None)
    return tuple(map(convert, values)) if convert else values


def _lists(values: Sequence[str]) -> list[list[float]] | None:
    """Lists of floats, decoded at once; None if anything is not a flat list of finite ones."""
    if not all(value.startswith("[") and value.find("]") == len(value) - 1 for value in values):
        return None
    try:
        found: list[list[float]] = _DECODER.decode(f"[{','.join(values)}]")
    except (ValueError, RecursionError):
        return None
    return found if set(map(type, chain.from_iterable(found))) <= {float} else None


def to_json(value: Any, *, sort_keys: bool = False) -> str:
    """Strict JSON. Raises ValueError for NaN and infinities, TypeError for what JSON has no form for."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_plain, sort_keys=sort_keys)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _json_number(value: float) -> float | str:
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and infinities, which are no JSON


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _from_json(value: Any) -> Any:
    try:
        return _DECODER.decode(value)
    except (ValueError, TypeError, RecursionError) as error:
        raise ForeignValueError(f"{safe_repr(value, 40)} is no JSON") from error


def _from_json_number(value: Any) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if not isinstance(value, int | float):
        raise ForeignValueError(f"{safe_repr(value, 40)} is no number")
    try:
        return float(value)
    except OverflowError as error:
        raise ForeignValueError(f"{safe_repr(value, 40)} is out of range") from error
