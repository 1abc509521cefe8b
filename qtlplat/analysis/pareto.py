"""Which of many models no other beats: at least as good in everything, and better in something. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence


def unbeaten(values: Sequence[Sequence[float]], lower_is_better: Sequence[bool]) -> list[bool]:
    """For each model whether no other dominates it; models that are equal in everything do not beat each other.

    values: (n, m), finite; lower_is_better: (m,). Takes n log n steps, for m > 2 also n times the size of the front.
    """
    signs = [1.0 if lower else -1.0 for lower in lower_is_better]
    costs = [tuple(sign * value for sign, value in zip(signs, row, strict=True)) for row in values]
    # only what stands before another one in this order, or is equal to it, can dominate it
    front: list[tuple[float, ...]] = []
    kept = [False] * len(costs)
    for i in sorted(range(len(costs)), key=costs.__getitem__):
        cost = costs[i]
        if len(signs) == 2 and front:  # then the last of the front has the least second cost
            kept[i] = cost[1] < front[-1][1] or cost == front[-1]
            if cost[1] < front[-1][1]:
                front.append(cost)
            continue
        if not any(other != cost and _as_good(other, cost) for other in front):
            kept[i] = True
            if not front or front[-1] != cost:
                front.append(cost)
    return kept


def _as_good(cost: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(mine <= theirs for mine, theirs in zip(cost, other, strict=True))
