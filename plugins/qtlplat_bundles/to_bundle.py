"""The exporter `bundle`: runs in one file, without damaged ones that were not named, and with a report on request."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from qtlplat import Export, UsageError, safe_repr


def to_bundle(export: Export) -> dict[str, Any]:
    """Write the bundle; facts about it.

    Raises:
        UsageError: The file is no .zip file, or a run has not ended.
        StoreError: A run is damaged or lacks a file, or the disk is full.
    """
    if export.output.suffix.lower() != ".zip":
        what = f"{safe_repr(str(export.output))} is no .zip file"
        raise UsageError(what, where="--output", fix="for example: -o bundle.zip")
    if export.sets:
        raise UsageError("a bundle reads no data, and has no use for -S dataset...", where="-S", fix="leave it out")
    from qtlplat.store.read.access import DamagedRunError
    from qtlplat_bundles.bundle import write_bundle
    from qtlplat_bundles.extract import NotWholeError, with_parents

    reader = export.reader
    try:
        report = _report(export) if export.options.report else None
        done = write_bundle(reader.location, export.runs, export.save, report)
    except NotWholeError as error:
        bad = [run for run in export.runs if error.runs.intersection(with_parents(reader, [run]))]
        if reader.named.intersection(bad) or not reader.leave_out(dict.fromkeys(bad, "")):
            raise
        raise DamagedRunError(bad[0], "", reader.location) from error  # the runs are chosen again, without it
    return {"bytes": done.bytes, "runs": list(done.runs), "built_upon": list(done.built_upon), "files": done.files}


def _report(export: Export) -> bytes:
    """The page that the exporter `report` of qtlplat writes about the runs."""
    from qtlplat_bundles.manifest import REPORT

    spec = export.catalog.component("exporter", "qtlplat:report").spec
    with tempfile.TemporaryDirectory(prefix="qtlplat-report-") as folder:
        spec.write(replace(export, output=Path(folder), options=spec.options()))
        return Path(folder, REPORT).read_bytes()
