"""Why something that is stored is not used again, although the same was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from qtlplat.catalog.plan import PretrainingPlan, RunPlan
from qtlplat.store.core.records import RunKind
from qtlplat.store.read.queries import Reader

LOOKED_AT = 200  # the newest runs
ROLES = ("backbone", "head", "evaluator")  # whose code counts; of a dataset, the data does
_MADE = ("name", "version", "digest", "code", "locations")  # of a component: not asked for, but found


def why_not_again(reader: Reader, plan: RunPlan | PretrainingPlan, kind: RunKind) -> str:
    """The changes since the newest finished run of the same request, in a line; '' if there is none."""
    now = plan.model_dump(mode="json")
    for record in reader.runs(LOOKED_AT, kind):
        if record.status == "finished" and _asked(record.plan) == _asked(now):
            changes = list(_changes(record.plan, now))
            what = "pretraining" if kind == "pretraining" else "run"
            return f"{what} {record.id[:8]} is not used again: {'; '.join(changes)}" if changes else ""
    return ""


def _asked(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The requested plan, without digests, versions and locations."""
    asked = {key: value for key, value in plan.items() if key not in ("dataset_digest", "control_code")}
    for role in ("dataset", *ROLES):
        if isinstance(choice := plan.get(role), Mapping):
            places = choice.get("locations", ())
            options = {name: value for name, value in choice.get("options", {}).items() if name not in places}
            asked[role] = {**{k: v for k, v in choice.items() if k not in _MADE}, "options": options}
    return {**asked, "samples": plan.get("samples", "")}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    if before.get("dataset_digest") != now.get("dataset_digest"):
        yield f"the data of {now['dataset']['component']} has changed"
    for name, digest in now.get("control_code", {}).items():
        if before.get("control_code", {}).get(name) != digest:
            yield f"the code of control {name} has changed"
    for role in ROLES:
        if role in now and before[role]["digest"] != now[role]["digest"]:
            old, new = before[role].get("code", {}), now[role]["code"]
            names = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
            where = f" (module {', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if old and names else ""
            yield f"the code of {role} {now[role]['component']} of {now[role]['provider']} has changed{where}"
