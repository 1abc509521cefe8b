"""Three ways to test a head: k-fold, k-fold with a backbone for every fold, and the backbone's own test part.

Seeded and optionally grouped; scikit-learn is imported when grouped cells are made.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qtlplat import Cell, ConfigError, EvaluatorSpec, Options, Samples, hookimpl
from qtlplat_kfold.folds import stratified_folds

qtlplat_api_version = (1, 0)


class KFoldOptions(Options):
    """Options of `kfold` and `nested`."""

    folds: int = Field(6, ge=2, le=1000, description="parts of the dataset; each is the test part of one cell")
    shuffle: bool = Field(True, description="shuffle before splitting, by the run's seed")
    grouped: bool = Field(
        False, description="keep all samples of one source image, and duplicates of them, in the same fold"
    )


class HoldoutOptions(Options):
    """Options of `holdout`."""

    grouped: bool = Field(
        False, description="refuse a backbone whose split divides source images; pretraining.grouped keeps them whole"
    )


def kfold(options: KFoldOptions, samples: Samples) -> list[Cell]:
    """One cell per fold and seed; every sample is tested exactly once per seed. All share one backbone.

    Raises ConfigError if a class has fewer samples (or, grouped, fewer groups) than there are folds.
    """
    _refuse_too_few(options, samples)
    cells = []
    for seed in samples.seeds:
        of_sample = _grouped_folds(options, samples, seed) if options.grouped else _folds(options, samples, seed)
        for fold in range(options.folds):
            tested = of_sample == fold
            cells.append(Cell(fold, seed, np.flatnonzero(~tested), np.flatnonzero(tested)))
    for cell in cells:
        if not cell.test.size or len(np.unique(samples.labels[cell.train])) < len(np.unique(samples.labels)):
            raise ConfigError(
                f"fold {cell.fold} of {options.folds} has no sample to test, or lacks a class in training",
                where="evaluator kfold",
                fix="-S evaluator.folds=N with fewer folds, or another --seed",
            )
    return cells


def nested(options: KFoldOptions, samples: Samples) -> list[Cell]:
    """The cells of `kfold`, each with a backbone pretrained on its training part alone: no test sample was ever seen.

    Raises as `kfold` does.
    """
    return [replace(cell, backbone=cell.train) for cell in kfold(options, samples)]


def holdout(options: HoldoutOptions, samples: Samples) -> list[Cell]:
    """One cell per seed: trained on what the shared backbone was trained on, tested on what it was tested on.

    Raises ConfigError if sources stand on both sides though `grouped` was asked for.
    """
    groups = np.asarray(samples.groups)
    shared = np.intersect1d(groups[samples.split.seen], groups[samples.split.test])
    if options.grouped and len(shared):
        raise ConfigError(
            f"{len(shared)} source images are on both sides of the backbone's split",
            where="evaluator holdout, option grouped",
            fix="-S pretraining.grouped=true",
        )
    return [Cell(0, seed, samples.split.seen, samples.split.test) for seed in samples.seeds]


def _folds(options: KFoldOptions, samples: Samples, seed: int) -> npt.NDArray[np.int64]:
    """The fold (N,) of each sample."""
    return stratified_folds(samples.labels, options.folds, _state(seed) if options.shuffle else None)


def _grouped_folds(options: KFoldOptions, samples: Samples, seed: int) -> npt.NDArray[np.int64]:
    """The fold (N,) of each sample, the same one for all of a group."""
    from sklearn.model_selection import StratifiedGroupKFold

    state = _state(seed) if options.shuffle else None
    splitter = StratifiedGroupKFold(options.folds, shuffle=options.shuffle, random_state=state)
    found = np.empty(len(samples), dtype=np.int64)
    with warnings.catch_warnings():
        # Grouped folds cannot always hold every class; the fold is still an honest one, and checked by `kfold`.
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        blank = np.zeros((len(samples), 1))  # the splitter looks at its length only
        for fold, (_, test) in enumerate(splitter.split(blank, samples.labels, list(samples.groups))):
            found[test] = fold
    return found


def _state(seed: int) -> int:
    """Numpy's generator takes 32 bits; a run's seed may have 63."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0]) if seed >= 2**32 else seed


def _refuse_too_few(options: KFoldOptions, samples: Samples) -> None:
    unit = "groups" if options.grouped else "samples"
    names = np.asarray(samples.groups)
    short = []
    for label in np.unique(samples.labels):
        mine = samples.labels == label
        count = len(np.unique(names[mine])) if options.grouped else int(mine.sum())
        if count < options.folds:
            short.append(f"  label {int(label)}: {count} {unit}")
    if short:
        raise ConfigError(
            "\n".join([f"{options.folds} folds need at least {options.folds} {unit} of every class", *short]),
            where="evaluator kfold",
            fix="-S evaluator.folds=N with fewer folds, or more data",
        )


@hookimpl
def qtlplat_evaluators() -> list[EvaluatorSpec]:
    """The three evaluators."""
    return [
        EvaluatorSpec(
            name="kfold",
            summary="stratified k-fold cross-validation of the head; every sample tested once per seed",
            cells=kfold,
            options=KFoldOptions,
        ),
        EvaluatorSpec(
            name="nested",
            summary="k-fold with a backbone pretrained inside every fold, without leakage",
            cells=nested,
            options=KFoldOptions,
        ),
        EvaluatorSpec(
            name="holdout",
            summary="heads trained on the backbone's training part, tested on its test part, once per seed",
            cells=holdout,
            options=HoldoutOptions,
        ),
    ]
