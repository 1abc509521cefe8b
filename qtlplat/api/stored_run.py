"""A stored run in Python: what a listing knows of it, and everything else on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from typing import Any

from qtlplat.api import rows
from qtlplat.api.error_notes import explained
from qtlplat.api.records import Records
from qtlplat.conventions import mean_std, short
from qtlplat.errors import UsageError, escape_control, unknown_name
from qtlplat.store.core.records import ArtifactRow, CellRecord, EpochRow, PredictionRow, RunRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.read.serialize import short_form
from qtlplat.store.write.writer import Writer


class Run:
    """A stored run; `Store.run` and `Store.runs` give them.

    Attributes:
        record: What a listing knows of it; everything else is read when it is asked for.
    """

    def __init__(self, reader: Reader, record: RunRecord) -> None:
        self._reader = reader
        self.record = record

    def __repr__(self) -> str:
        return f"<run {self.id}: {escape_control(self.title)}, {self.status}>"

    def _repr_html_(self) -> str:
        """For notebooks: one line, with everything that was stored made inert."""
        scores = ", ".join(f"{name} {mean:.4f}" for name, mean in self._means().items())
        return escape(
            f"run {short(self.id)}: {escape_control(self.title)}, {self.status}{', ' + scores if scores else ''}"
        )

    def _means(self) -> dict[str, float]:
        found = {name: mean_std(values)[0] for name, values in self.record.metrics.items()}
        return {name: mean for name, mean in found.items() if mean is not None}

    @property
    def id(self) -> str:
        """16 hexadecimal characters."""
        return self.record.id

    @property
    def status(self) -> str:
        """running, finished, failed or interrupted."""
        return self.record.status

    @property
    def title(self) -> str:
        """Backbone and head, as they were asked for."""
        names = (self.record.components.get(role) for role in ("backbone", "head"))
        return " + ".join(component.name for component in names if component)

    @property
    def plan(self) -> Mapping[str, Any]:
        """The resolved plan."""
        return self.record.plan

    @explained
    def values(self, metric: str = "f1") -> tuple[float, ...]:
        """A metric of the head's finished cells, in their order.

        Args:
            metric: Its name.

        Raises:
            UsageError: The run does not have it.
        """
        if metric not in self.record.metrics:
            raise UsageError(unknown_name("metric", metric, self.record.metrics), where=f"run {self.id}")
        return tuple(self.record.metrics[metric])

    def mean(self, metric: str = "f1") -> float:
        """Mean over the head's finished cells.

        Args:
            metric: Its name.

        Raises:
            UsageError: The run does not have it.
        """
        mean, _ = mean_std(self.values(metric))
        assert mean is not None  # a metric that is there has a value
        return mean

    def std(self, metric: str = "f1") -> float | None:
        """Sample standard deviation (ddof = 1) over the head's finished cells; None of a single one.

        Args:
            metric: Its name.

        Raises:
            UsageError: The run does not have it.
        """
        return mean_std(self.values(metric))[1]

    @explained
    def cells(self) -> Records[CellRecord]:
        """All cells, the controls' too: see their `variant`."""
        return Records(self._reader.cells(self.id), rows.cell_row)

    @explained
    def epochs(self) -> Records[EpochRow]:
        """All epochs, by cell and number."""
        return Records(self._reader.epochs(self.id), rows.epoch_row)

    @explained
    def predictions(self) -> Records[PredictionRow]:
        """All predictions, by cell and sample."""
        return Records(self._reader.predictions(self.id), rows.prediction_row)

    @explained
    def artifacts(self) -> Records[ArtifactRow]:
        """The files that belong to the run."""
        return Records(self._reader.artifacts(self.id), vars)

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """Versions, host, threads and the like, as text by name."""
        return self._reader.environment(self.id)

    @explained
    def parents(self) -> list[Run]:
        """The runs that this one builds on; the pretrainings of its backbones."""
        ids = dict.fromkeys(cell.pretraining for cell in self.cells() if cell.pretraining)
        return [Run(self._reader, self._reader.run(one)) for one in ids]

    @explained
    def children(self) -> list[Run]:
        """The runs that build on this one, newest first."""
        return [Run(self._reader, self._reader.run(one)) for one in self._reader.children(self.id)]

    @explained
    def tag(self, *tags: str, remove: str | Sequence[str] = ()) -> None:
        """Give it tags, and take others away.

        Args:
            tags: To be added.
            remove: One or several.

        Raises:
            UsageError: A text is no tag.
        """
        remove = [remove] if isinstance(remove, str) else remove
        with Writer(self._reader.location) as writer:
            writer.tag([self.id], tags, remove)
        self.record = self._reader.run(self.id)

    @explained
    def note(self, text: str | None, *, append: bool = False) -> None:
        """Note something on it.

        Args:
            text: The note; None takes the present one away.
            append: Whether it comes below the present note.
        """
        with Writer(self._reader.location) as writer:
            writer.note(self.id, text, append=append)
        self.record = self._reader.run(self.id)

    def to_dict(self) -> dict[str, Any]:
        """In the shape of ``runs --json``."""
        return short_form(self.record)
