"""The frozen plan of a run: everything resolved before work starts; its canonical JSON gives the fingerprint.

No torch, no plugins: a plan is data.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from qtlplat.catalog.device import AUTO, parse_device

PLAN_FORMAT = 4  # raised when the same plan would mean something else


# Baselines and ablations of a head, see `qtlplat.runs.controls`; auto: all of `CONTROLS` that fit the head.
CONTROLS = ("linear", "mlp", "identity", "unentangled", "frozen", "shuffled")
ABLATIONS = ("identity", "unentangled", "frozen", "shuffled")  # the others are components that plugins offer
AUTO_CONTROLS = "auto"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class ComponentChoice(_Frozen):
    """One component of a plan, with where it came from."""

    name: str = Field(description="the requested preset or component")
    component: str = Field(description="name of the component")
    provider: str = Field(description="distribution that provides it")
    version: str = Field(description="version of that distribution")
    digest: str = Field(description="sha256 of the code that the component uses")
    code: dict[str, str] = Field(default={}, description="digests of the modules that it uses, by name")
    options: dict[str, Any] = Field(description="all options, resolved")
    locations: tuple[str, ...] = Field(default=(), description="options that say where, not what")

    def public(self) -> dict[str, Any]:
        """The fixed shape for scripts: name, component, provider, version, options."""
        return self.model_dump(mode="json", include={"name", "component", "provider", "version", "options"})

    def identity(self) -> dict[str, Any]:
        """What a fingerprint sees: not the preset's name, not the version's number, no locations."""
        options = {k: v for k, v in self.options.items() if k not in self.locations}
        return {"component": self.component, "provider": self.provider, "digest": self.digest, "options": options}


class TrainingOptions(_Frozen):
    """How heads are trained. The paper's Table II is the default."""

    epochs: int = Field(40, ge=1, le=100_000, description="epochs per cell")
    learning_rate: float = Field(8e-4, gt=0, description="of Adam")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="samples per step")


class TuningOptions(_Frozen):
    """How the learning rate and the epochs of heads and controls are chosen, within the training part of each cell."""

    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (8e-4, 2.5e-3, 8e-3, 2.5e-2), min_length=1, max_length=20, description="of Adam, all tried"
    )
    epochs: int = Field(120, ge=1, le=100_000, description="most epochs; the best number of them is kept")
    folds: int = Field(3, ge=2, le=100, description="of the inner cross-validation")

    @field_validator("learning_rates")
    @classmethod
    def _in_order(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted(set(rates)))


class PretrainingOptions(_Frozen):
    """How a backbone is pretrained."""

    epochs: int = Field(120, ge=1, le=100_000, description="at most so many epochs per initialisation")
    n_init: int = Field(1, ge=1, le=1000, description="random initialisations; the best one is kept")
    learning_rate: float = Field(1e-3, gt=0, description="of Adam, in the first step")
    schedule: Literal["constant", "cosine"] = Field(
        "constant",
        description="the learning rate over all epochs: constant, or falling to 0 along half a cosine",
    )
    batch_size: int = Field(16, ge=1, le=1_000_000, description="samples per step")
    precision: Literal["single", "double"] = Field(
        "single",
        description="of the arithmetic. Training magnifies rounding errors: processors get different weights in single "
        "precision, and the same up to rare last digits in double precision, which takes about twice as long",
    )
    ema_epochs: float = Field(
        0.5,
        ge=0,
        le=100,
        description="time constant, in epochs, of the exponential average of the weights that is evaluated and kept; "
        "0: the weights as they are",
    )
    test_size: float = Field(0.2, gt=0, lt=1, description="share of the samples kept for testing, stratified")
    grouped: bool = Field(
        False, description="keep all samples of one source image, and duplicates of them, on one side of each split"
    )
    monitor: Literal["last", "validation", "test"] = Field(
        "validation",
        description="which epoch is kept: the last one (of several initialisations the one with the lowest training "
        "loss), the one with the lowest loss on a part of the training share, or (as the paper does, optimistic) the "
        "one with the highest accuracy on the test share",
    )
    val_size: float = Field(0.1, ge=0, lt=1, description="share of the training part kept for validation")
    patience: int = Field(4, ge=0, description="stop after so many epochs without a clearly better one; 0: never")
    min_delta: float = Field(
        0.01,
        ge=0,
        description="by how much a clearly better epoch is better: validation loss in nats, or test accuracy",
    )

    @model_validator(mode="after")
    def _what_is_kept_can_be_known(self) -> PretrainingOptions:
        if self.monitor == "validation" and self.val_size == 0:
            raise ValueError("monitor = 'validation' needs a val_size above 0")
        if self.monitor == "last" and self.patience:
            raise ValueError("monitor = 'last' stops at no earlier epoch: it needs patience = 0")
        return self


class PretrainingPlan(_Frozen):
    """What decides the weights of a backbone; a run's plan says which backbones it needs."""

    dataset: ComponentChoice
    backbone: ComponentChoice
    pretraining: PretrainingOptions
    seed: int = Field(ge=0, lt=2**63, description="of the split; initialisation i has seed + i")
    accelerator: Literal["cpu", "cuda"] = "cpu"
    dataset_digest: str
    samples: str = Field("", description="sha256 over the ids of the only samples that it may see, '' for all")

    @property
    def fingerprint(self) -> str:
        """sha256 of what decides the weights: data, backbone, options, seed."""
        part = {"samples": self.samples} if self.samples else {}
        return _sha256(
            {
                "kind": "pretraining",
                "format": PLAN_FORMAT,
                "dataset": self.dataset_digest,
                "backbone": self.backbone.identity(),
                "pretraining": self.pretraining.model_dump(mode="json"),
                "seed": self.seed,
                "accelerator": self.accelerator,
                **part,
            }
        )

    def stored(self) -> dict[str, Any]:
        """As it stands in the store."""
        return self.model_dump(mode="json", exclude=None if self.samples else {"samples"})


class RunPlan(_Frozen):
    """A head run: components, protocol and seed; `dataset_digest` is filled in once the data has been read."""

    dataset: ComponentChoice
    backbone: ComponentChoice
    head: ComponentChoice
    evaluator: ComponentChoice
    replace: int | Literal["all"] = Field("all", description="trailing dense layers that the head replaces")
    training: TrainingOptions = TrainingOptions()
    pretraining: PretrainingOptions = PretrainingOptions()
    tuning: TuningOptions | None = Field(None, description="what is tried in place of training's rate and epochs")
    # the seeds after it are 64-bit numbers too
    seed: int = Field(0, ge=0, lt=2**62, description="everything random follows from it")
    seeds: int = Field(1, ge=1, le=1000, description="repetitions of all folds, with seeds seed, seed+1, ...")
    backbones: int = Field(
        1, ge=1, le=1000, description="independent pretrainings (initialisation, batches, split); each has all folds"
    )
    train_sizes: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (1.0,), max_length=20, description="shares of each training part that heads are trained on, besides all of it"
    )
    controls: tuple[str, ...] = Field(
        (), description="baselines and ablations of the head: auto, or any of linear, mlp, identity, unentangled, ..."
    )
    control_code: dict[str, str] = Field(
        default={}, description="sha256 of the code of each control that a plugin offers, by name"
    )
    device: str = Field(
        AUTO,
        description="what runs the circuit: auto, compiled, or a PennyLane device, with options in brackets; canonical",
    )
    accelerator: Literal["cpu", "cuda"] = Field("cpu", description="where torch computes")
    dataset_digest: str = Field("", description="sha256 of the prepared data; '' until it has been read")

    @field_validator("device")
    @classmethod
    def _device_is_canonical(cls, text: str) -> str:
        return parse_device(text).text

    @field_validator("train_sizes")
    @classmethod
    def _with_all_samples(cls, sizes: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(sorted({*sizes, 1.0}))

    @model_validator(mode="after")
    def _replace_is_positive(self) -> RunPlan:
        if self.replace != "all" and self.replace < 1:
            raise ValueError("replace must be 'all' or a number of dense layers from 1")
        return self

    @field_validator("controls")
    @classmethod
    def _controls_are_sorted(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if AUTO_CONTROLS in names and len(names) > 1:
            raise ValueError("auto stands alone")
        order = (*CONTROLS, AUTO_CONTROLS)
        return tuple(sorted(set(names), key=lambda name: (order.index(name) if name in order else len(order), name)))

    def bind(self, dataset_digest: str) -> RunPlan:
        """The same plan, for this very data."""
        return self.model_copy(update={"dataset_digest": dataset_digest})

    @property
    def pretraining_fingerprint(self) -> str:
        """That of the backbone that cells share."""
        return self.pretraining_plan().fingerprint

    def pretraining_plan(self, seed: int | None = None, samples: str = "") -> PretrainingPlan:
        """The plan of a backbone: the one that cells share, or one with another seed, on a part of the data.

        samples: sha256 over the ids of that part, '' for all of it.
        """
        return PretrainingPlan(
            dataset=self.dataset,
            backbone=self.backbone,
            pretraining=self.pretraining,
            seed=self.seed if seed is None else seed,
            accelerator=self.accelerator,
            dataset_digest=self._digest(),
            samples=samples,
        )

    @property
    def fingerprint(self) -> str:
        """sha256 of what decides the run's numbers; needs `dataset_digest`."""
        several: dict[str, Any] = {"backbones": self.backbones} if self.backbones > 1 else {}
        several |= {"train_sizes": self.train_sizes} if len(self.train_sizes) > 1 else {}
        return _sha256(
            {
                "kind": "run",
                "format": PLAN_FORMAT,
                "dataset": self._digest(),
                **{role: getattr(self, role).identity() for role in ("backbone", "head", "evaluator")},
                "replace": self.replace,
                "training": self.training.model_dump(mode="json"),
                "pretraining": self.pretraining.model_dump(mode="json"),
                "seed": self.seed,
                "seeds": self.seeds,
                **several,
                "controls": self.controls,
                "control_code": self.control_code,
                "device": self.device,
                "accelerator": self.accelerator,
                **({"tuning": self.tuning.model_dump(mode="json")} if self.tuning else {}),
            }
        )

    def _digest(self) -> str:
        if not self.dataset_digest:
            raise ValueError("the plan is not bound to data yet")
        return self.dataset_digest


def canonical_json(value: Any) -> str:
    """Strict JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _sha256(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
