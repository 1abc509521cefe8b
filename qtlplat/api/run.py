"""Training a head from Python: the same request, plan, execution and store as `qtlplat run`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from qtlplat.api.error_notes import explained
from qtlplat.api.store import Store, open_store
from qtlplat.api.stored_run import Run
from qtlplat.errors import UsageError
from qtlplat.progress import Progress, Silent, Stage


class _Told(Silent):
    """Reports by calling a function with one line at a time."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        self._tell = tell

    def note(self, text: str) -> None:
        """One line."""
        self._tell(text)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Stage]:
        """One line at its beginning."""
        self._tell(title)
        yield Silent()


@explained
def run(
    *,
    backbone: str | None = None,
    head: str | None = None,
    dataset: str | None = None,
    evaluator: str | None = None,
    protocol: str | None = None,
    replace: int | str | None = None,
    seed: int | None = None,
    n_seeds: int | None = None,
    backbones: int | None = None,
    epochs: int | None = None,
    pretrain_epochs: int | None = None,
    n_init: int | None = None,
    device: str | None = None,
    accelerator: str | None = None,
    controls: str | None = None,
    tune: bool = False,
    train_sizes: Sequence[float] | None = None,
    options: Mapping[str, Any] | None = None,
    reuse: bool = False,
    tags: Sequence[str] = (),
    note: str | None = None,
    store: Store | str | os.PathLike[str] | None = None,
    registry: str | os.PathLike[str] | None = None,
    tell: Callable[[str], object] | None = None,
) -> Run:
    """Train a head on a frozen backbone, store everything, and return the stored run.

    Args:
        backbone: Reference of the backbone; None here and below takes the registry's default.
        head: Reference of the head, as ``"dressed[qubits=3]"``.
        dataset: Reference of the dataset.
        evaluator: Reference of the splitting scheme.
        protocol: Name for how backbones are pretrained and heads are trained.
        replace: How many trailing dense layers the head replaces, or 'all'.
        seed: Everything random follows from it.
        n_seeds: Repetitions of all folds, with the seeds after `seed`.
        backbones: Independent pretrainings of the backbone; all folds and seeds are trained on each.
        epochs: Of the heads; None takes the protocol's.
        pretrain_epochs: Of the backbone, at most; None takes the protocol's.
        n_init: Random initialisations of the backbone; None takes the protocol's.
        device: Runs the circuit: 'auto', 'compiled' or a PennyLane device.
        accelerator: 'cpu' or 'cuda'.
        controls: 'none', 'auto' or names of baselines, separated by commas.
        tune: Choose learning rate and epochs of the head and of every control by an inner cross-validation.
        train_sizes: Shares of each training part that heads are trained on as well, e.g. ``(0.1, 0.5)``.
        options: Any option of the plan by name, as of ``-S``: ``{"head.layers": 2}``.
        reuse: Return the finished run with the same fingerprint instead, if there is one; one that another process
            trains now is waited for.
        tags: For the run, also for one that was found.
        note: For the run, likewise.
        store: A `Store`, or what `open_store` takes.
        registry: A registry.toml; None for QTLPLAT_REGISTRY, or the shipped one and your own.
        tell: Called with one line of progress at a time, e.g. `print`.

    Returns:
        The run as it is stored.

    Raises:
        UsageError: A name or reference cannot be understood; nothing is stored, here and for the next three.
        ConfigError: Options are wrong.
        DataError: The dataset is wrong.
        PluginError: A plugin is broken or ambiguous.
        TrainingError: Training failed; the run is stored as failed.
        StoreError: The store or the disk failed; the run is stored as interrupted if it can be.
    """
    from qtlplat.catalog.catalog import open_catalog
    from qtlplat.catalog.request import Request
    from qtlplat.runs.service import Service, checked_remarks

    remarks = checked_remarks(tags, note)
    if registry is not None and not os.fspath(registry):
        raise UsageError("'' names no registry", where="registry", fix="name a file, or None for the default one")
    opened = store if isinstance(store, Store) else open_store(store)
    progress: Progress = Silent() if tell is None else _Told(tell)
    known, catalog = open_catalog(os.environ.get("QTLPLAT_REGISTRY") if registry is None else os.fspath(registry))
    request = Request(
        dataset=dataset,
        backbone=backbone,
        head=head,
        evaluator=evaluator,
        protocol=protocol,
        replace=None if replace is None else str(replace),
        seed=seed,
        seeds=n_seeds,
        backbones=backbones,
        epochs=epochs,
        pretrain_epochs=pretrain_epochs,
        n_init=n_init,
        device=device,
        accelerator=accelerator,
        controls=controls,
        tune=tune,
        train_sizes=None if train_sizes is None else ",".join(map(str, train_sizes)),
        sets=tuple(f"{name}={_text(value)}" for name, value in (options or {}).items()),
    )
    service = Service(opened.location, known, catalog, progress)
    resolved = service.resolve(request)
    for line in (*catalog.host.warnings(), *resolved.notes):
        progress.note(line)
    return opened.run(service.run(resolved, remarks, reuse=reuse))


def _text(value: Any) -> str:
    """A value as ``-S`` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
