"""What picking the best epoch and initialisation on the test part is worth, from the epochs that were stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Epoch = Mapping[str, Any]


def selection(epochs: Sequence[Epoch], selected_by: str) -> dict[str, Any] | None:
    """Test accuracies of a pretraining: of the epoch picked by it, of the one picked without it, and the difference.

    epochs: with "cell" (the initialisation), "epoch", "test_accuracy" and, where there was a validation part,
    "validation_loss"; selected_by: "last", "validation" or "test", what decided which weights were kept.

    Returns None if no test accuracy is stored. Without a validation part, or if the last epoch was kept, the
    unpicked figure is the mean of the last epochs of all initialisations. ``optimism`` is the difference: what looking
    at the test part adds to it.
    """
    measured = [epoch for epoch in epochs if "test_accuracy" in epoch]
    if not measured:
        return None
    by_test = max(measured, key=lambda e: (e["test_accuracy"], -e["cell"], -e["epoch"]))
    validated = [epoch for epoch in measured if "validation_loss" in epoch and selected_by != "last"]
    last: dict[int, Epoch] = {}
    for epoch in measured:
        last[epoch["cell"]] = max(epoch, last.get(epoch["cell"], epoch), key=lambda e: e["epoch"])
    at_the_end = sum(epoch["test_accuracy"] for epoch in last.values()) / len(last)
    by_validation = min(validated, key=lambda e: (e["validation_loss"], e["cell"], e["epoch"])) if validated else None
    unpicked = by_validation["test_accuracy"] if by_validation else at_the_end
    return {
        "selected_by": selected_by,
        "by_test": _facts(by_test),
        "by_validation": _facts(by_validation) if by_validation else None,
        "last_epochs": at_the_end,
        "initialisations": len(last),
        "optimism": by_test["test_accuracy"] - unpicked,
    }


def _facts(epoch: Epoch) -> dict[str, Any]:
    kept = ("epoch", "test_accuracy", "validation_loss", "validation_accuracy")
    return {"initialisation": epoch["cell"], **{name: epoch[name] for name in kept if name in epoch}}


def selection_line(facts: Mapping[str, Any]) -> str:
    """The same in one line for people."""
    best = facts["by_test"]
    where = f"epoch {best['epoch']} of initialisation {best['initialisation'] + 1}"
    if facts["by_validation"]:
        other = facts["by_validation"]
        rest = f"{other['test_accuracy']:.4f} picked by validation (epoch {other['epoch']})"
    else:
        rest = f"{facts['last_epochs']:.4f} unpicked (the last epochs, n = {facts['initialisations']})"
    kept = "this was kept" if facts["selected_by"] == "test" else "the latter was kept"
    return (
        f"test accuracy {best['test_accuracy']:.4f} picked by itself ({where}), {rest}; {kept}. "
        f"Picking on the test part adds {100 * facts['optimism']:.1f} points"
    )
