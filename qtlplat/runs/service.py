"""From a request to a stored run: resolve, look into the store, prepare, execute.

`qtlplat run` and `qtlplat.run` are the front ends; neither knows the order of the steps. torch is imported by the first
step that needs it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.registry import Registry
from qtlplat.catalog.request import Request
from qtlplat.catalog.resolve import Resolved, resolve
from qtlplat.progress import Progress
from qtlplat.store.core.location import StoreLocation
from qtlplat.store.core.records import Remarks
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.run_annotations import checked_note, checked_tags

if TYPE_CHECKING:
    from qtlplat.runs.prepare import Prepared


def checked_remarks(tags: Sequence[str], note: str | None) -> Remarks:
    """Tags and a note for a run; raises UsageError for what cannot be one."""
    return Remarks(tuple(checked_tags(tags)), None if note is None else checked_note(note))


@dataclass(frozen=True)
class Service:
    """What carries requests out. threads: of torch, None to leave it to torch."""

    location: StoreLocation
    registry: Registry
    catalog: Catalog
    progress: Progress
    threads: int | None = None

    def resolve(self, request: Request) -> Resolved:
        """The plan that is asked for; raises as `qtlplat.catalog.resolve.resolve`."""
        return resolve(request, self.registry, self.catalog)

    def dry_run(self, resolved: Resolved) -> dict[str, Any]:
        """The fixed shape of ``run --dry-run --json``; nothing is trained or written."""
        prepared = self._prepare(resolved, keep=False)
        for line in prepared.notes:
            self.progress.note(line)
        return prepared.dry_run()

    def run(
        self,
        resolved: Resolved,
        remarks: Remarks,
        *,
        reuse: bool = False,
        before_work: Callable[[], None] = lambda: None,
    ) -> str:
        """Train and store a run; returns its id.

        Args:
            resolved: The plan.
            remarks: Tags and a note for the run, also for one that is found.
            reuse: Whether a finished run with the same fingerprint is returned instead.
            before_work: Called once everything is checked, before anything is written.
        """
        from qtlplat.runs.prepared_images import Dataset
        from qtlplat.runs.reuse import found, found_or_executed

        Reader(self.location).runs(limit=1)  # a store that cannot be used is refused before any work
        if reuse:
            dataset = Dataset(resolved.specs["dataset"], resolved.options["dataset"], self.location.files)
            digest = dataset.digest()
            if digest and (run := found(resolved.plan.bind(digest), self.location, self.progress, remarks)):
                before_work()
                return run
        prepared = self._prepare(resolved)
        before_work()
        if reuse:
            return found_or_executed(prepared, self.location, self.progress, remarks)
        from qtlplat.runs.execute import execute

        return execute(prepared, self.location, self.progress, remarks=remarks)

    def _prepare(self, resolved: Resolved, *, keep: bool = True) -> Prepared:
        with self.progress.stage("loading libraries, reading data", 2) as stage:
            if self.threads:  # every library obeys it that is loaded from now on, and it is stored with the run
                os.environ["OMP_NUM_THREADS"] = str(self.threads)
            import torch

            from qtlplat.runs.prepare import prepare

            if self.threads:
                torch.set_num_threads(self.threads)
            stage.advance()
            prepared = prepare(resolved, self.location.files, keep=keep)
            stage.advance()
        return prepared
