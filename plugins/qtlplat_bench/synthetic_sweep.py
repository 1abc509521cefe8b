"""A stored sweep whose members are runs of a synthetic store."""

from __future__ import annotations

from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.sweep_records import MemberRow, NewSweep
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.writer import Writer

NAME, MEMBERS, QUBITS = "synthetic", 500, 5


def add_sweep(location: StoreLocation) -> None:
    """Store a sweep over qubits and seeds of which the newest finished runs, `MEMBERS` at most, are the members.

    Raises StoreError if it cannot be written.
    """
    found = Reader(location).table(["fingerprint"], "run", where="status = 'finished'", limit=MEMBERS)
    points = [{"head.qubits": 2 + place % QUBITS, "seed": place // QUBITS} for place in range(len(found))]
    members = tuple(
        MemberRow(place, row["fingerprint"], "0" * 64, point, {"head": "dressed", "seed": str(point["seed"])})
        for place, (row, point) in enumerate(zip(found, points, strict=True))
    )
    axes = {axis: sorted({point[axis] for point in points}) for axis in ("head.qubits", "seed")}
    if members:
        with Writer(location) as writer:
            writer.add_sweep(NewSweep(NAME, {"options": {}, "zip": [], "only": "", "axes": axes}, members))
