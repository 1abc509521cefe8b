"""What a publication did and what it claims, as data: models, claims, budgets. Nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qtlplat.contracts import NoOptions, Options
from qtlplat.metrics import SHIPPED

ClaimKind = Literal["arithmetic", "metric", "comparison"]
CLAIM_KINDS: tuple[ClaimKind, ...] = ("arithmetic", "metric", "comparison")

# Quantity of a claim -> its kind
QUANTITIES: Mapping[str, ClaimKind] = {
    "parameters": "arithmetic",
    "reduction": "arithmetic",
    **dict.fromkeys(SHIPPED, "metric"),
    "boost": "comparison",
}
PERCENTAGES = ("f1", "accuracy", "precision", "recall")  # as printed, whatever the unit says


@dataclass(frozen=True)
class RecipeModel:
    """A model of a publication, as a run of qtlplat.

    Attributes:
        name: Unique in its recipe, as the publication calls it.
        backbone: As typed after `--backbone`.
        head: As typed after `--head`; None for the backbone itself with its own dense layers, a pretraining.
        replace: As typed after `--replace`.
        evaluator: As typed after `--evaluator`.
        protocol: As typed after `--protocol`.
        seeds: As typed after `--n-seeds`.
        backbones: As typed after `--backbones`.
        controls: As typed after `--controls`.
        figures: Numbers of the figures that show it.
        instead_of: Name of the model that this one repeats in another way (with another evaluator, say), '' for a model
            of the publication. Its results are printed next to that one's, and no claim is judged by them.
        epoch_seconds: What an epoch of the pretraining takes, roughly, until the store knows better.
    """

    name: str
    backbone: str
    head: str | None
    replace: int | Literal["all"] = "all"
    evaluator: str | None = None
    protocol: str | None = None
    seeds: int | None = None
    backbones: int | None = None
    controls: str | None = None
    figures: tuple[int, ...] = ()
    instead_of: str = ""
    epoch_seconds: float = 10.0


@dataclass(frozen=True)
class Claim:
    """A number that a publication prints.

    Attributes:
        name: Unique in its recipe.
        quantity: `parameters` (of the whole model, frozen ones too), `reduction` (percent of the whole backbone's
            parameters that the model does without), `f1`, `accuracy`, `precision`, `recall` (percent), another metric
            that every cell has (`roc_auc`, `average_precision`, `loss`, `brier`, `ece`; percent if that is the unit),
            or `boost` (by how many percent of the baseline's F1 the model's is higher). It decides the kind.
        model: Name of the model that it is about.
        where: Where it is printed, e.g. "Table III, row CM-2".
        printed: The number, in `unit`.
        tolerance: In the same unit. How far from it a number may be and still be the same one: an arithmetic claim's is
            half a digit of its last place or so, a metric's the uncertainty that the publication leaves. Of a
            comparison only the sign is judged, and the tolerance is how far beyond zero the interval must lie.
        unit: Of the printed number, e.g. "%".
        baseline: Name of the model that a `boost` compares with.
        corrected: If the printed number cannot be meant, the one that follows from the publication's own statements.
        table: Number of the table that holds it.
        note: What a reader should know.
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

    @property
    def scale(self) -> float:
        """By what a metric is multiplied to be in the unit of the claim: 100 for percentages, else 1."""
        return 100.0 if self.quantity in PERCENTAGES or self.unit == "%" else 1.0


@dataclass(frozen=True)
class Budget:
    """How much of a publication is reproduced.

    Attributes:
        name: As typed after `--budget`.
        summary: One line, with the time it takes.
        models: Names of those that are trained, () for all.
        protocol: As the flag of `qtlplat run`; None for that of each model.
        epochs: As the flag of `qtlplat run`; None for the protocol's.
        pretrain_epochs: As the flag of `qtlplat run`, or one number by name of the backbone.
        n_init: As the flag of `qtlplat run`.
        sets: `-S` texts.
        cuts: What is done less than in the publication, by name ("epochs", "models", ...), each in a sentence.
        trains_less: Whether models are trained for fewer epochs or on less data than in the publication, so that their
            metrics do not contradict it.
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


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """A publication that a plugin offers to reproduce: data only.

    Attributes:
        name: As typed by users.
        summary: One line.
        citation: Authors, title, place, year.
        dataset: Reference of the dataset that it used.
        input_shape: (C, H, W) of its images, enough to count parameters without data.
        n_classes: K.
        models: In the order in which they are trained.
        claims: In the order in which they are printed.
        budgets: The first one is the default.
        notes: What a reader should know about the publication as a whole, such as contradictions in it.
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
