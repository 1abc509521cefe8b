"""The types of a run's plan and parameter counts: JSON whose form all code that reads it can rely on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.engine import Dialect

from qtlplat.errors import safe_repr
from qtlplat.store.core.columns import Facts, ForeignValueError


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_choice(value: Any) -> bool:
    """A component: text by name, its options, digests of its code, and which options are locations."""
    kinds = {**dict.fromkeys(("name", "component", "provider", "version", "digest"), str), "locations": list}
    kinds |= {"options": dict, "code": dict}
    return isinstance(value, dict) and all(isinstance(one, kinds.get(name, object)) for name, one in value.items())


def _is_settings(value: Any) -> bool:
    """Options of a training: texts and numbers, counts of epochs and samples among them."""
    if not isinstance(value, dict) or not all(isinstance(one, str | int | float) for one in value.values()):
        return False
    counts = [value[name] for name in ("epochs", "n_init", "batch_size") if name in value]
    return all(type(count) is int and count > 0 for count in counts)


_FORM: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("dataset", "backbone", "head", "evaluator"), _is_choice),
    **dict.fromkeys(("training", "pretraining"), _is_settings),
    **dict.fromkeys(("device", "accelerator", "dataset_digest", "samples"), _is_text),
    **dict.fromkeys(("seed", "seeds", "backbones"), _is_whole),
    "train_sizes": lambda value: isinstance(value, list) and all(type(size) in (int, float) for size in value),
    "tuning": lambda value: value is None or isinstance(value, dict),
    "replace": lambda value: _is_whole(value) or value == "all",
    "controls": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "control_code": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
}


class PlanJson(Facts):
    """A plan; parts may be missing, but none has another form than a plan's."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text -> plan. Raises ForeignValueError for JSON that is no plan."""
        plan = super().process_result_value(value, dialect)
        for name, part in (plan or {}).items():
            if name in _FORM and not _FORM[name](part):
                raise ForeignValueError(f"{name} is {safe_repr(part, 40)}")
        return plan


class CountsJson(Facts):
    """Numbers by name, and by name within a part."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Text -> counts. Raises ForeignValueError for anything else than numbers."""
        counts = super().process_result_value(value, dialect)
        for name, part in (counts or {}).items():
            unknown = name == "controls"  # how many coefficients a solver fits can depend on the samples
            for one in part.values() if isinstance(part, dict) else (part,):
                if type(one) not in (int, float) and not (unknown and one is None):
                    raise ForeignValueError(f"{safe_repr(name, 40)} is {safe_repr(part, 40)}")
        return counts
