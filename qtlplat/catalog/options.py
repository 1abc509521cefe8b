"""Options of components and protocols: validate given values, describe available options. Loads no plugins."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, PydanticUserError, ValidationError

from qtlplat.catalog.references import Given
from qtlplat.errors import Problem, escape_control, safe_repr

M = TypeVar("M", bound=BaseModel)
_BOUNDS = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
_LENGTHS = {"minItems": "at least {} items", "maxItems": "at most {} items", "minLength": "at least {} characters"}


def validate(model: type[M], given: Mapping[str, Given], role: str) -> tuple[M | None, list[Problem]]:
    """Options made from what was given, or every problem with it.

    A typed value counts as the JSON that it looks like; where the option wants text, as the text.
    """
    values = {key: g.value for key, g in given.items()}
    refused = _refused(model, values)
    texts = {key: g.raw for key, g in given.items() if key in refused and g.raw is not None}
    still = _refused(model, values | texts) if texts else set()
    values |= {key: text for key, text in texts.items() if key not in still}
    try:
        return model.model_validate(values), []
    except ValidationError as error:
        return None, [_problem(e, model, given, role) for e in error.errors(include_url=False, include_context=False)]


def locations(model: type[BaseModel]) -> tuple[str, ...]:
    """The options that say where something lies, not what it is."""
    return tuple(
        name
        for name, f in model.model_fields.items()
        if isinstance(f.json_schema_extra, dict) and f.json_schema_extra.get("location")
    )


def describe(model: type[BaseModel], values: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """One row per option: name, type, default, value, bounds, description, required.

    values: what a preset makes of them; without it, `value` is the default.
    """
    try:
        schema = model.model_json_schema()
    except PydanticUserError:  # a type that JSON schema has no word for
        schema = {}
    rows = []
    for name, f in model.model_fields.items():
        entry = _resolved(schema.get("properties", {}).get(name, {}), schema)
        default = None if f.is_required() else _jsonable(f.get_default(call_default_factory=True, validated_data={}))
        rows.append(
            {
                "name": name,
                "type": _type_text(entry, schema) or str(f.annotation),
                "default": default,
                "value": default if values is None else values.get(name, default),
                "bounds": ", ".join(_bounds(entry)),
                "description": f.description or "",
                "required": f.is_required(),
            }
        )
    return rows


def _refused(model: type[BaseModel], values: Mapping[str, Any]) -> set[str]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        return {str(e["loc"][0]) for e in error.errors() if e["loc"]}
    return set()


def _problem(error: Any, model: type[BaseModel], given: Mapping[str, Given], role: str) -> Problem:
    loc = [str(part) for part in error["loc"]]
    name = loc[0] if loc else ""
    where = f"{role}.{escape_control(name)}" if name else role
    source = f" ({given[name].source})" if name in given and given[name].source else ""
    if error["type"] == "extra_forbidden" and len(loc) == 1:
        known = sorted(model.model_fields)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
        return Problem(where, "", f"there is no such option{source}; {hint}")
    if error["type"] == "missing":
        return Problem(where, "", "must be given")
    message = escape_control(str(error["msg"]).removeprefix("Value error, "))
    message = message[:1].lower() + message[1:]
    value = f"{safe_repr(given[name].value)}: " if name in given else ""
    return Problem(where, "", f"{value}{message}{source}")


def _jsonable(value: Any) -> Any:
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _resolved(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(entry.get("$ref", "")).rpartition("/")[2]
    return {**schema.get("$defs", {}).get(name, {}), **entry} if name else entry


def _type_text(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "const" in entry:
        return str(entry["const"])
    if "enum" in entry:
        return " | ".join(str(v) for v in entry["enum"])
    if "anyOf" in entry:
        return " | ".join(_type_text(_resolved(e, schema), schema) for e in entry["anyOf"])
    kind = str(entry.get("format") or entry.get("type", ""))
    if kind == "array":
        items = _resolved(entry.get("items", {}), schema)
        inner = ", ".join([_type_text(items, schema), *_bounds(items)])
        return f"list of {inner}" if inner else "list"
    return {"null": "none", "string": "text"}.get(kind, kind)


def _bounds(entry: Mapping[str, Any]) -> list[str]:
    own = [words.format(entry[key]) for key, words in {**_BOUNDS, **_LENGTHS}.items() if key in entry]
    return own + [b for e in entry.get("anyOf", ()) for b in _bounds(e)]
