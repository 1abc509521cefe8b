"""A store with runs of all sorts, and calling the command line on it inside the test's process."""

from __future__ import annotations

import contextlib
import io
import math
import signal
import tempfile
from functools import cache
from pathlib import Path

from called import Called

from qtlplat.cli.app import main
from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import ArtifactRow, ComponentRow, EpochRow, NewCell, NewRun
from qtlplat.store.write.writer import Writer

ESC = "\x1b[31mred\x1b]0;title\x07\x9b2J"
MARKUP = "[bold red]x[/bold red][link=http://x]y[/link]"
FORMULA = '=HYPERLINK("http://x";"y")'
HOSTILE = f"{FORMULA}\n{ESC}\t{MARKUP}|<script>`"


def qtlplat(store: Path | str, *arguments: str) -> Called:
    """Run a command on a store."""
    return called_with(*arguments, "--store", str(store))


def called_with(*arguments: str) -> Called:
    """Run a command line as it stands."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    code: object = None
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(arguments)
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.signal(signal.SIGTERM, before)
    assert isinstance(code, int)
    return Called(code, out.getvalue(), err.getvalue())


def component(role: str, name: str) -> ComponentRow:
    return ComponentRow(role, name, "dressed", "qtlplat", "0.1", "d" * 64, {"qubits": 5, "note": name})


def store_runs(path: Path, name: str = "mine", error: str = "loss is NaN") -> tuple[str, str, str]:
    """A pretraining, a finished run (one of its losses is NaN) and a failed one; returns their ids in that order."""
    content, ids = _stored(name, error)
    path.write_bytes(content)
    return ids


@cache
def _stored(name: str, error: str) -> tuple[bytes, tuple[str, str, str]]:
    """A store's file and its ids: made once, for making one takes longer than most tests do."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s.db"
        ids = _write(path, name, error)
        return path.read_bytes(), ids


PARAMETERS = {"backbone_total": 534482, "head": {"vqc": 15, "total": 42}}


def _write(path: Path, name: str, error: str) -> tuple[str, str, str]:
    roles = ("dataset", "backbone", "head", "evaluator")
    with Writer(find_store(str(path))) as writer:

        def start(kind: str, used: tuple[str, ...]) -> str:
            components = [component(role, name) for role in used]
            surroundings = {"python": "3.11", "argv": name}
            run = NewRun(kind, "f" * 64, 7, {"seed": 7, "note": name}, components, "a" * 64, surroundings, PARAMETERS)  # type: ignore[arg-type]
            return writer.start_run(run)

        pretraining = start("pretraining", roles[:2])
        writer.finish_run(pretraining, "finished", {"total": 1.0})
        run = start("run", roles)
        writer.link(run, "pretraining", pretraining)
        writer.add_cells(run, [NewCell(i, i, 7, 10, 5, "1" * 64, "2" * 64) for i in range(2)])
        for cell in range(2):
            losses = (1.0, 0.5, math.nan if cell else 0.25)
            writer.add_epochs(
                run, [EpochRow(cell, e, 0.1, {"test_loss": v, "test_accuracy": e / 4}) for e, v in enumerate(losses)]
            )
            writer.finish_cell(run, cell, {"f1": 0.9 + cell / 10, "accuracy": math.nan if cell else 1.0}, 2.0)
        writer.add_artifact(run, ArtifactRow("weights", "w.safetensors", "c" * 64, 12))
        writer.finish_run(run, "finished", {"total": 3.0, "heads": 2.0})
        failed = start("run", roles)
        writer.finish_run(failed, "failed", {}, error=error)
    return pretraining, run, failed


def is_inert(text: str) -> bool:
    """Whether a terminal would show the text as it stands: nothing but printable characters, tabs and newlines."""
    return all(c.isprintable() or c in "\n\t" for c in text)
