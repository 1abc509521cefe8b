"""What a publication did and what it claims, as data: models, claims, budgets. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qtlplat.contracts import NoOptions, Options

ClaimKind = Literal["arithmetic", "metric", "comparison"]
CLAIM_KINDS: tuple[ClaimKind, ...] = ("arithmetic", "metric", "comparison")

# Quantity of a claim -> its kind. `f1`, `accuracy`, `precision` and `recall` are percentages as printed.
QUANTITIES: Mapping[str, ClaimKind] = {
    "parameters": "arithmetic",
    "reduction": "arithmetic",
    "f1": "metric",
    "accuracy": "metric",
    "precision": "metric",
    "recall": "metric",
    "boost": "comparison",
}


@dataclass(frozen=True)
class RecipeModel:
    """A model of a publication, as a run of qtlplat.

    name: unique in its recipe, as the publication calls it.
    backbone, head, replace, evaluator, protocol, seeds, controls: as typed after the flags of `qtlplat run`; a head of
        None is the backbone itself with its own dense layers: a pretraining.
    figures: numbers of the figures that show it.
    instead_of: name of the model that this one repeats in another way (another evaluator, say), '' for a model of the
        publication; its result is printed next to that one's, and is no claim.
    epoch_seconds: what an epoch of the pretraining takes, roughly, until the store knows better.
    """

    name: str
    backbone: str
    head: str | None
    replace: int | Literal["all"] = "all"
    evaluator: str | None = None
    protocol: str | None = None
    seeds: int | None = None
    controls: str | None = None
    figures: tuple[int, ...] = ()
    instead_of: str = ""
    epoch_seconds: float = 10.0


@dataclass(frozen=True)
class Claim:
    """A number that a publication prints.

    Parameters
    ----------
    name: unique in its recipe.
    quantity: `parameters` (of the whole model, frozen ones too), `reduction` (percent of the whole backbone's
        parameters that the model does without), `f1`, `accuracy`, `precision`, `recall` (percent), or `boost` (by how
        many percent of the baseline's F1 the model's is higher). It decides the kind.
    model: name of the model that it is about; baseline: of the one that a `boost` compares with.
    where: where it is printed, e.g. "Table III, row CM-2".
    printed: the number, in the unit that it is printed in; unit: e.g. "%".
    tolerance: in the same unit. How far from it a number may be and still be the same one: an arithmetic claim's is
        half a digit of its last place or so, a metric's the uncertainty that the publication leaves. Of a comparison
        only the sign is judged, whatever its size, and the tolerance is how far beyond zero the interval must lie.
    corrected: where the printed number cannot be meant, the one that follows from the publication's own statements.
    table: number of the table that it stands in; note: what a reader should know.
    """

    name: str
    quantity: str
    model: str
    where: str
    printed: float
    tolerance: float
    unit: str = ""
    baseline: str = ""
    corrected: float | None = None
    table: int | None = None
    note: str = ""

    @property
    def kind(self) -> ClaimKind:
        """arithmetic, metric or comparison."""
        return QUANTITIES[self.quantity]


@dataclass(frozen=True)
class Budget:
    """How much of a publication is carried out.

    summary: one line, with the time it takes; models: names of those that are trained, () for all;
    protocol, epochs, pretrain_epochs, n_init: as the flags of `qtlplat run`, None as the model has it; pretrain_epochs
        may be given by name of the backbone; sets: `-S` texts.
    cuts: what is done less than in the publication, by name ("epochs", "models", ...), each in a sentence.
    trains_less: whether models are trained for fewer epochs or on less data than in the publication, so that their
        metrics do not speak against it.
    """

    name: str
    summary: str
    models: tuple[str, ...] = ()
    protocol: str | None = None
    epochs: int | None = None
    pretrain_epochs: int | Mapping[str, int] | None = None
    n_init: int | None = None
    sets: tuple[str, ...] = ()
    cuts: Mapping[str, str] = field(default_factory=dict)
    trains_less: bool = False


@dataclass(frozen=True)
class RecipeSpec:
    """A publication that a plugin offers to carry out again: data only.

    citation: authors, title, place, year; dataset: reference of the dataset that it used; input_shape: (C, H, W) and
    n_classes: K of its images, enough to count parameters without data.
    models: in the order in which they are trained; claims: in the order in which they are printed; budgets: by what
    `--budget` calls them, the first one is the default.
    notes: what a reader should know about the publication as a whole, such as where it contradicts itself.
    """

    name: str
    summary: str
    citation: str
    dataset: str
    input_shape: tuple[int, int, int]
    n_classes: int
    models: tuple[RecipeModel, ...]
    claims: tuple[Claim, ...]
    budgets: tuple[Budget, ...]
    notes: tuple[str, ...] = ()
    options: type[Options] = field(default=NoOptions, init=False)
    kind: Literal["recipe"] = field(default="recipe", init=False)
