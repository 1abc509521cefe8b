"""Changes since a run was stored that may change its numbers.

A resumed run must give the results of an uninterrupted one; if that is impossible, the user decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtlplat.catalog.plan import ComponentChoice, PretrainingPlan, RunPlan
from qtlplat.conventions import THREAD_VARIABLES, VARIABLE, numeric_facts
from qtlplat.errors import ConfigError, safe_repr
from qtlplat.runs.environment import environment
from qtlplat.store.core.records import ComponentRow, NewCell, RunRecord
from qtlplat.store.read.queries import Reader

Drift = dict[str, tuple[str, str]]

# of the environment: what computes; in which order it adds up is told by numeric settings and variables as well
DECISIVE = (
    "python",
    "processor",
    "vector instructions",
    "threads",
    "accelerator",
    *(
        f"version of {name}"
        for name in ("qtlplat", "torch", "pennylane", "pennylane-lightning", "numpy", "scikit-learn")
    ),
)

# of the environment: what may say why numbers differ although nothing decisive does
SURROUNDINGS = ("engine", "host", "platform", "cpus")


def drift(record: RunRecord, plan: RunPlan | PretrainingPlan, reader: Reader) -> Drift:
    """Changes since a run was stored, as (before, after) by name; plan: its own, with the installed components."""
    components = {role: getattr(plan, role) for role in record.components}
    surroundings = environment("", plan.accelerator)
    names = {*DECISIVE, *numeric_facts(reader.environment(record.id), surroundings)}
    names -= {"interop threads"}  # these compute nothing here
    if record.kind == "pretraining":  # it is resumed with the threads that it had
        names -= {"threads", *THREAD_VARIABLES}
    return _changes(record, reader, plan, components, surroundings, sorted(names))


def drift_between(before: RunRecord, after: RunRecord, reader: Reader) -> Drift:
    """The differences between a stored run and its replay, including the machines."""
    then, now = (reader.environment(run.id) for run in (before, after))
    names = (*DECISIVE, *SURROUNDINGS, *numeric_facts(then, now))
    return _changes(before, reader, after, after.components, now, names)


def _changes(
    record: RunRecord,
    reader: Reader,
    now: RunPlan | PretrainingPlan | RunRecord,
    components: Mapping[str, ComponentChoice | ComponentRow],
    surroundings: Mapping[str, str],
    names: Sequence[str],
) -> Drift:
    found: Drift = {}

    def compare(name: str, before: object, after: object) -> None:
        if before != after:
            found[name] = (str(before), str(after))

    compare("data (digest)", record.dataset_digest, now.dataset_digest)
    compare("seed", record.seed, now.seed)
    for role, row in record.components.items():
        choice = components[role]
        compare(f"{role} {row.component}, version of {row.provider}", row.version, choice.version)
        compare(f"{role} {row.component}, code of {row.provider} (digest)", row.digest, choice.digest)
    if not found:  # otherwise it follows from these
        compare("plan (fingerprint)", record.fingerprint, now.fingerprint)
    then = reader.environment(record.id)
    for name in names:
        if name in then or name.startswith(("version of ", VARIABLE)):  # older runs do not know all of the others
            compare(name, then.get(name, ""), surroundings.get(name, ""))
    return found


def check_cells_agree(rows: Sequence[NewCell], record: RunRecord, reader: Reader) -> None:
    """Raises ConfigError if a run's stored cells differ from those that its evaluator gives now."""
    stored = {cell.position: cell for cell in reader.cells(record.id)}
    if not stored:
        return
    names = ("variant", "backbone_index", "fold", "seed", "train_hash", "test_hash")
    different = [
        row.position
        for row in rows
        if row.position not in stored or any(getattr(row, n) != getattr(stored[row.position], n) for n in names)
    ]
    if different or len(stored) != len(rows):
        raise ConfigError(
            f"cannot resume run {record.id}: its evaluator now gives {len(rows)} cells instead of {len(stored)}, "
            f"{len(different)} of them with other samples",
            where=f"run {record.id[:8]}",
            fix="start a new run; qtlplat show RUN prints its plan",
        )


def refuse(record: RunRecord, changes: Mapping[str, tuple[str, str]]) -> None:
    """Raises ConfigError with all changes, before and after, if there are any."""
    if not changes:
        return
    settings = "1 setting has changed" if len(changes) == 1 else f"{len(changes)} settings have changed"
    lines = [
        f"  {name}: {safe_repr(before, 40)} -> {safe_repr(after, 40)}" for name, (before, after) in changes.items()
    ]
    fix = "restore these settings, or accept other numbers: --allow-drift"
    if "threads" in changes:
        fix = f"OMP_NUM_THREADS={changes['threads'][0]} brings the threads back; or accept other numbers: --allow-drift"
    raise ConfigError(
        "\n".join([f"cannot resume run {record.id}: {settings} since it started", *lines]),
        where=f"run {record.id[:8]}, stored {record.created}",
        fix=fix,
    )
