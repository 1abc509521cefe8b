"""Stratified cross-validation, seeded and optionally grouped; scikit-learn is imported when cells are made."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from qtlplat import Cell, ConfigError, EvaluatorSpec, Options, hookimpl

qtlplat_api_version = 1


class KFoldOptions(Options):
    """Options of `kfold`."""

    folds: int = Field(6, ge=2, le=1000, description="parts of the dataset; each is the test part of one cell")
    shuffle: bool = Field(True, description="shuffle before splitting, by the run's seed")
    grouped: bool = Field(False, description="keep all samples of one group (source image) in the same fold")


def make_cells(
    options: KFoldOptions, labels: npt.NDArray[np.int64], groups: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """One cell per fold and seed; every sample is tested exactly once per seed.

    labels: int64 (N,); groups: N names; seeds: one full cross-validation for each.
    Raises ConfigError where a class has fewer samples (or, grouped, fewer groups) than there are folds.
    """
    _refuse_too_few(options, labels, groups)
    blank = np.zeros((len(labels), 1))  # the splitters look at its length only
    cells = []
    for seed in seeds:
        splitter = _splitter(options, seed)
        with warnings.catch_warnings():
            # Grouped folds cannot always hold every class; the fold is still an honest one, and checked below.
            warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
            parts = list(splitter.split(blank, labels, list(groups) if options.grouped else None))
        for fold, (train, test) in enumerate(parts):
            cells.append(Cell(fold, seed, train.astype(np.int64), test.astype(np.int64)))
    for cell in cells:
        if not cell.test.size or len(np.unique(labels[cell.train])) < len(np.unique(labels)):
            raise ConfigError(
                f"fold {cell.fold} of {options.folds} has no sample to test, or lacks a class in training",
                where="evaluator kfold",
                fix="-S evaluator.folds=N with fewer folds, or another --seed",
            )
    return cells


def _splitter(options: KFoldOptions, seed: int) -> Any:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kind = StratifiedGroupKFold if options.grouped else StratifiedKFold
    # scikit-learn takes 32 bits; a run's seed may have 63.
    state = int(np.random.SeedSequence(seed).generate_state(1)[0]) if seed >= 2**32 else seed
    return kind(options.folds, shuffle=options.shuffle, random_state=state if options.shuffle else None)


def _refuse_too_few(options: KFoldOptions, labels: npt.NDArray[np.int64], groups: Sequence[str]) -> None:
    unit = "groups" if options.grouped else "samples"
    names = np.asarray(groups)
    short = []
    for label in np.unique(labels):
        mine = labels == label
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
    """The one evaluator."""
    return [
        EvaluatorSpec(
            name="kfold",
            summary="stratified k-fold cross-validation, every sample tested once per seed",
            cells=make_cells,
            options=KFoldOptions,
        )
    ]
