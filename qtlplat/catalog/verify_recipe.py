"""What a recipe must look like: its models, claims and budgets fit each other. Nothing is resolved here."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from qtlplat.errors import safe_repr
from qtlplat.recipes import QUANTITIES, Budget, Claim, RecipeModel, RecipeSpec


def recipe_problems(spec: RecipeSpec) -> Iterator[str]:
    """What is wrong with a recipe, each in a sentence."""
    for field in ("citation", "dataset"):
        value = getattr(spec, field)
        if not isinstance(value, str) or not value.strip():
            yield f"{field} of {spec.name} must be text, is {safe_repr(value)}"
    if not _are(spec.input_shape, int) or len(spec.input_shape) != 3 or min(spec.input_shape) < 1:
        yield f"input_shape of {spec.name} must be (C, H, W), is {safe_repr(spec.input_shape)}"
    if not isinstance(spec.n_classes, int) or spec.n_classes < 2:
        yield f"n_classes of {spec.name} must be at least 2, is {safe_repr(spec.n_classes)}"
    for field, kind in (("models", RecipeModel), ("claims", Claim), ("budgets", Budget), ("notes", str)):
        if not _are(getattr(spec, field), kind):
            yield f"{field} of {spec.name} must be a tuple of {kind.__name__}, is {safe_repr(getattr(spec, field))}"
            return
        wrong = [what for one in getattr(spec, field) if kind is not str for what in _wrong_types(one, kind)]
        if wrong:
            yield f"{field} of {spec.name}: {wrong[0]}"
            return
        names = [] if kind is str else [one.name for one in getattr(spec, field)]
        if kind is not str and not names:
            yield f"{field} of {spec.name} must not be empty"
        for name in {n for n in names if names.count(n) > 1}:
            yield f"{field} of {spec.name}: duplicate {safe_repr(name)}"
    yield from _references(spec)
    for claim in spec.claims:
        yield from _claim_problems(spec, claim)


def _references(spec: RecipeSpec) -> Iterator[str]:
    """Names of models that no model has."""
    models = {model.name for model in spec.models}
    asked = [(f"model {m.name}", m.instead_of) for m in spec.models if m.instead_of]
    asked += [(f"claim {c.name}", name) for c in spec.claims for name in (c.model, c.baseline) if name]
    asked += [(f"budget {b.name}", name) for b in spec.budgets for name in b.models]
    for owner, name in asked:
        if name not in models:
            yield f"{owner} of {spec.name} names a model {safe_repr(name)} that the recipe does not have"


def _claim_problems(spec: RecipeSpec, claim: Claim) -> Iterator[str]:
    where = f"claim {claim.name} of {spec.name}"
    if claim.quantity not in QUANTITIES:
        yield f"{where} is about {safe_repr(claim.quantity)}; known: {', '.join(QUANTITIES)}"
        return
    numbers = [claim.printed, claim.tolerance, *([] if claim.corrected is None else [claim.corrected])]
    if not all(isinstance(x, int | float) and math.isfinite(x) for x in numbers) or claim.tolerance < 0:
        yield f"{where}: printed, tolerance and corrected must be finite numbers, and tolerance not negative"
    if (claim.kind == "comparison") != bool(claim.baseline):
        yield f"{where}: a {claim.kind} claim {'needs a' if claim.kind == 'comparison' else 'has no'} baseline"
    if claim.corrected is not None and claim.kind != "arithmetic":
        yield f"{where}: only an arithmetic claim can be corrected"
    heads = {model.name: model.head for model in spec.models}
    if claim.quantity == "reduction" and heads.get(claim.model, "") is None:
        yield f"{where}: {claim.model} has no head, and so reduces nothing"


def _wrong_types(one: Any, kind: type[Any]) -> Iterator[str]:
    """Fields whose value is not of the declared type."""
    for field, adapter in _adapters(kind).items():  # type: ignore[arg-type]
        value = getattr(one, field)
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            message = error.errors(include_url=False, include_context=False)[0]["msg"]
            yield f"{field} of {safe_repr(one.name)}: {message[:1].lower()}{message[1:]}, is {safe_repr(value)}"


@cache
def _adapters(kind: Any) -> dict[str, TypeAdapter[Any]]:
    return {field: TypeAdapter(hint) for field, hint in get_type_hints(kind).items()}


def _are(value: Any, kind: type[Any]) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(one, kind) for one in value)
