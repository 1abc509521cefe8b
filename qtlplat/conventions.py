"""Common representation of runs: short id, own variant, parameter counts, mean ± sd, leakage, claims, strict JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

HEAD = "head"  # the variant of a cell that is no control
Role = Literal["dataset", "backbone", "head", "evaluator"]  # of a component of a run
ROLES: tuple[Role, ...] = ("dataset", "backbone", "head", "evaluator")
_LEAKAGE_TEXTS = {
    "leakage": "the backbone was trained on {} of the test samples",
    "group_leakage": "the source image of {} of the test samples is in a training set",
    "selection_leakage": "the backbone's best epoch was chosen on {} of the test samples",
}
LEAKAGES = tuple(_LEAKAGE_TEXTS)
COUNT_PATHS = {  # parameter counts by name, and their paths in the stored JSON
    "trainable": ("head", "total"),
    "parameters": ("model_total",),
    "frozen": ("kept",),
    "replaced": ("replaced_layers",),
    "reduction_model": ("reduction_percent_model",),
    "reduction_replaced": ("reduction_percent_replaced",),
}
# facts of a run's environment: how many shots a value is made of, and whether a seed repeats them ("yes" or "no")
SHOTS, SHOTS_REPEAT = "shots", "shots repeat"
VARIABLE = "variable "  # before the name of an environment variable, in what is stored of a run's environment
# of the environment: in which order numbers are added up; runs from before they were stored lack all of them
NUMERICS = (
    "processor model", "BLAS of torch", "BLAS of numpy", "oneDNN", "oneDNN enabled", "oneDNN deterministic",
    "parallel backend", "interop threads", "deterministic algorithms", "float32 matmul precision", "subnormal numbers",
    "GPU", "CUDA", "cuDNN", "cuDNN deterministic", "cuDNN benchmark",
)  # fmt: skip
# of torch's threads, whose number is stored as well, whoever set it
THREAD_VARIABLES = (f"{VARIABLE}OMP_NUM_THREADS", f"{VARIABLE}MKL_NUM_THREADS")
SHORT = 8  # characters of a run's id that people see


def short(run_id: str | None) -> str:
    """The first characters of a run's id; '' for None."""
    return (run_id or "")[:SHORT]


def flat_counts(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Stored parameter counts by name, None for a missing one (pretrainings lack some)."""
    found: dict[str, Any] = {}
    for name, path in COUNT_PATHS.items():
        value: Any = parameters
        for part in path:
            value = None if value is None else value.get(part)
        found[name] = value
    return found


def numeric_facts(*environments: Mapping[str, str]) -> list[str]:
    """Names of numeric settings and variables that any of these environments has; none where one has stored none.

    Variables that set the number of threads are left out where that number is the same.
    """
    if not all(environment.keys() & set(NUMERICS) for environment in environments):
        return []
    names = {name for environment in environments for name in environment}
    if len({environment.get("threads") for environment in environments}) == 1:
        names -= set(THREAD_VARIABLES)
    return [name for name in sorted(names) if name in NUMERICS or name.startswith(VARIABLE)]


def of_share(variant: str, share: float) -> str:
    """The name of a variant that is trained on a share of each training part: ``linear/0.25``."""
    return variant if share == 1 else f"{variant}/{share:g}"


def share_of(variant: str) -> float:
    """That share, 1 if there is none in the name. No control has a slash in its name; a damaged store may hold one."""
    try:
        share = float(variant.partition("/")[2])
    except ValueError:
        return 1.0
    return share if 0 < share < 1 else 1.0


def mean_std(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation (ddof=1); None if there are too few values (0, and 1) for it.

    Where a value is NaN or infinite, so is the mean, and the deviation is NaN.
    """
    n = len(values)
    if n == 0:
        return None, None
    if not all(map(math.isfinite, values)):
        return sum(values) / n, math.nan if n > 1 else None
    mean = math.fsum(values) / n
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1)) if n > 1 else None


def cells_in_words(cells: Collection[tuple[int, int, int]]) -> str:
    """How many cells there are, and of what, as ``18 cells, 3 backbones × 6 folds`` or ``6 cells``.

    cells: backbone, seed and fold of each. The factors are left out for one backbone and seed, and where not all of
    their combinations are there.
    """
    n = counted(len(cells), "cell")
    backbones, seeds, folds = (len(set(levels)) for levels in zip(*cells, strict=True)) if cells else (0, 0, 0)
    if backbones * seeds < 2 or backbones * seeds * folds != len(cells):
        return n
    levels = (("backbone", backbones), ("seed", seeds), ("fold", folds))
    return f"{n}, {' × '.join(counted(number, name) for name, number in levels if number > 1)}"


def backbones_line(cells: Collection[tuple[int, int, str | None]]) -> str:
    """One line on how far the scores of cells reach, '' if they are over several independent backbones.

    cells: of each the number of its backbone in the run, its seed, and the pretraining that it starts from; '' too if
    that is not known.
    """
    backbones = {pretraining for _, _, pretraining in cells}
    if None in backbones or 1 < len(backbones) <= len({number for number, _, _ in cells}):
        return ""
    if len(backbones) < 2:
        return "one backbone: scores and comparisons hold for this backbone only" if cells else ""
    many, starts = f"{len(backbones)} backbones, pretrained within the folds", {cell[:2] for cell in cells}
    if len(starts) > 1:
        return f"{many}, from {len(starts)} sets of initial weights"
    return f"{many}, all from the same initial weights: how others would do is not known"


def percent(share: float) -> str:
    """A share, 0 to 1, in percent; what is there but rounds to nothing, or is not all but rounds to all, says so."""
    if 0 < share < 0.005:
        return "under 1 %"
    if 0.995 <= share < 1:
        return "over 99 %"
    return f"{100 * share:.0f} %"


def leakage_line(seen: Mapping[str, float | None]) -> str:
    """One line on what was seen before it was tested, '' where nothing was or nothing is known of it.

    seen: with "leakage", "group_leakage" and "selection_leakage", shares of 0 to 1 or None.
    """
    parts = [text.format(percent(share)) for name, text in _LEAKAGE_TEXTS.items() if (share := seen[name])]
    return f"leakage: {'; '.join(parts)}" if parts else ""


def claim_text(value: float | None, unit: str) -> str:
    """A claimed or measured number for people: percent with two decimals, a count in full; '' for None."""
    if value is None:
        return ""
    if not unit and float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:{_digits(unit)}} {unit}".strip()


def interval_text(low: float | None, high: float | None, unit: str = "%") -> str:
    """An interval for people, in the unit of its claim; '' if there is none."""
    return "" if low is None or high is None else f"{low:{_digits(unit)}} to {high:{_digits(unit)}}"


def _digits(unit: str) -> str:
    return ".2f" if unit == "%" else ".4g"


def said_once(said: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Notes on several things, each told once with those that it belongs to, or with "all".

    said: pairs of a thing's name and its notes.
    """
    pairs = list(said)
    about: dict[str, list[str]] = {}
    for name, notes in pairs:
        for words in notes:
            about.setdefault(words, []).append(name)
    return [f"{', '.join(who) if len(who) < len(pairs) else 'all'}: {words}" for words, who in about.items()]


def counted(n: int, noun: str) -> str:
    """A number of things: ``1 cell``, ``6 cells``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def strict(value: Any) -> Any:
    """The value with NaN and infinities as None: JSON has no word for them."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): strict(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [strict(v) for v in value]
    return value
