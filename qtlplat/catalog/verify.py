"""What a spec must look like before anybody uses it; only looks, calls nothing of the plugin's."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from qtlplat.catalog.verify_recipe import recipe_problems
from qtlplat.contracts import Kind, Options
from qtlplat.control_specs import ControlSpec, FittedControlSpec
from qtlplat.errors import safe_repr
from qtlplat.metrics import SHIPPED, Metric
from qtlplat.recipes import RecipeSpec
from qtlplat.specs import BackboneSpec, CommandSpec, DatasetSpec, EvaluatorSpec, ExporterSpec, HeadSpec, QuantumHeadSpec

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
NAME_RULE = "must be lower-case letters, digits, '-' and '_', beginning with a letter or digit, at most 64"
LONGEST_SUMMARY = 200  # characters
SPECS: dict[Kind, tuple[type[Any], ...]] = {
    "dataset": (DatasetSpec,),
    "backbone": (BackboneSpec,),
    "head": (HeadSpec, QuantumHeadSpec),
    "evaluator": (EvaluatorSpec,),
    "control": (ControlSpec, FittedControlSpec),
    "recipe": (RecipeSpec,),
    "exporter": (ExporterSpec,),
    "command": (CommandSpec,),
}
# fields that are functions
_CALLS = ("load", "is_available", "build", "circuit", "cells", "write", "require", "fit", "parameters")
_OPTIONAL_CALLS = ("check", "locate_files", "metrics", "fit_each")  # functions or None
# arguments of a fitted control that are no options of its own
_GIVEN = ("features", "labels", "n_classes", "seed", "embedding", "candidates")
MOST_CANDIDATES = 100


def spec_problem(spec: Any, kind: Kind) -> str:
    """The first thing wrong with what a hook for `kind` returned, '' if nothing is."""
    return next(_problems(spec, kind), "")


def _problems(spec: Any, kind: Kind) -> Iterator[str]:
    if not isinstance(spec, SPECS[kind]):
        yield f"must be a {' or '.join(sort.__name__ for sort in SPECS[kind])}, is {safe_repr(spec)}"
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
    for item in fields(spec):
        value = getattr(spec, item.name)
        if item.name in _CALLS and not callable(value):
            yield f"{item.name} of {name} must be a function, is {safe_repr(value)}"
        if item.name in _OPTIONAL_CALLS and value is not None and not callable(value):
            yield f"{item.name} of {name} must be a function or None, is {safe_repr(value)}"
    if isinstance(spec, ExporterSpec) and spec.target not in ("file", "archive", "directory"):
        yield f"target of {name} must be 'file', 'archive' or 'directory', is {safe_repr(spec.target)}"
    checks = {"metric_info": _metric_problem, "grid": _grid_problem}
    found = ((field, check(getattr(spec, field))) for field, check in checks.items() if hasattr(spec, field))
    yield from (f"{field} of {name} {problem}" for field, problem in found if problem)
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


def _grid_problem(grid: Any) -> str:
    """The first thing wrong with the values that a control declares to be tried, '' if nothing is."""
    if not isinstance(grid, Mapping):
        return f"must map names of options to lists of values, is {safe_repr(grid)}"
    candidates = 1
    for name, values in grid.items():
        if not isinstance(name, str) or not name.isidentifier() or name in _GIVEN:
            return f"must have names of keyword arguments of fit, not {safe_repr(name)}"
        if not isinstance(values, list | tuple) or not values:
            return f"must have a list of values for {name}, not {safe_repr(values)}"
        for value in values:
            if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not isfinite(value)):
                return f"must have texts and finite numbers for {name}, not {safe_repr(value)}"
        if len(set(values)) < len(values):
            return f"has a value of {name} more than once"
        candidates *= len(values)
    return f"has {candidates} candidates, at most {MOST_CANDIDATES}" if candidates > MOST_CANDIDATES else ""
