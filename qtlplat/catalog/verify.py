"""What a spec must look like before anybody uses it; only looks, calls nothing of the plugin's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from qtlplat.catalog.verify_recipe import recipe_problems
from qtlplat.contracts import BackboneSpec, DatasetSpec, EvaluatorSpec, HeadSpec, Kind, Options
from qtlplat.errors import safe_repr
from qtlplat.metrics import SHIPPED, Metric
from qtlplat.recipes import RecipeSpec

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAME_RULE = "must be lower-case letters, digits, '-' and '_', beginning with a letter or digit, at most 64"
LONGEST_SUMMARY = 200  # characters
SPECS: dict[Kind, type[Any]] = {
    "dataset": DatasetSpec,
    "backbone": BackboneSpec,
    "head": HeadSpec,
    "evaluator": EvaluatorSpec,
    "recipe": RecipeSpec,
}
_CALLS: dict[Kind, tuple[str, ...]] = {
    "dataset": ("load", "is_available"),
    "backbone": ("build",),
    "head": ("build",),
    "evaluator": ("cells",),
    "recipe": (),
}
_OPTIONAL_CALLS: dict[Kind, tuple[str, ...]] = {
    "dataset": ("check", "files"),
    "head": ("circuit",),
    "evaluator": ("metrics",),
}


def spec_problem(spec: Any, kind: Kind) -> str:
    """The first thing wrong with what a hook for `kind` returned, '' if nothing is."""
    return next(_problems(spec, kind), "")


def _problems(spec: Any, kind: Kind) -> Iterator[str]:
    if not isinstance(spec, SPECS[kind]):
        yield f"must be a {SPECS[kind].__name__}, is {safe_repr(spec)}"
        return
    name = spec.name
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"name {safe_repr(name)} {NAME_RULE}"
    for field in ("summary", "title", "notice"):
        line = getattr(spec, field, "")
        plain = isinstance(line, str) and line.isprintable() and (line.strip() or field != "summary")
        if not plain or len(line) > LONGEST_SUMMARY:
            limit = f"at most {LONGEST_SUMMARY} characters"
            yield f"{field} of {name} must be one line of text, {limit}, is {safe_repr(line)}"
    if not inspect.isclass(spec.options) or not issubclass(spec.options, Options):
        yield f"options of {name} must be a subclass of qtlplat.Options, is {safe_repr(spec.options)}"
    elif spec.options.model_config.get("extra") != "forbid" or not spec.options.model_config.get("frozen"):
        yield f"options of {name} must forbid unknown names and must be frozen, as qtlplat.Options does and is"
    for field in _CALLS[kind]:
        if not callable(getattr(spec, field)):
            yield f"{field} of {name} must be a function, is {safe_repr(getattr(spec, field))}"
    for field in _OPTIONAL_CALLS.get(kind, ()):
        value = getattr(spec, field)
        if value is not None and not callable(value):
            yield f"{field} of {name} must be a function or None, is {safe_repr(value)}"
    if isinstance(spec, EvaluatorSpec) and (problem := _metric_problem(spec.metric_info)):
        yield f"metric_info of {name} {problem}"
    if isinstance(spec, RecipeSpec):
        yield from recipe_problems(spec)


def _metric_problem(info: Any) -> str:
    """The first thing wrong with what an evaluator declares of its metrics, '' if nothing is."""
    if not isinstance(info, list | tuple) or not all(isinstance(metric, Metric) for metric in info):
        return f"must be a list of qtlplat.Metric, is {safe_repr(info)}"
    names: set[str] = set()
    for metric in info:
        if metric.name in SHIPPED:
            return f"declares {safe_repr(metric.name)}, which is a metric of every run"
        if metric.name in names:
            return f"declares {safe_repr(metric.name)} more than once"
        names.add(metric.name)
    return ""
