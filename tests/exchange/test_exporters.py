"""Exporters of plugins: what they are given, what is printed of what they write, whose fault an error is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from exchanged import Sent, qtlplat

Install = Callable[..., None]
PLUGIN = """
import json
from pydantic import Field
from qtlplat import ExporterSpec, Options, hookimpl

qtlplat_api_version = (1, 0)


class ListOptions(Options):
    indent: int = Field(0, ge=0, description="spaces of a level")


def write_plan(export):
    export.note("noted")
    print("printed")
    data = json.dumps(export.reader.run(export.runs[0]).plan, indent=export.options.indent or None).encode()
    export.save(data)
    return {"bytes": len(data)}


def write_ids(export):
    export.output.mkdir()
    return {run: export.output / run for run in export.runs}


@hookimpl
def qtlplat_exporters():
    return [
        ExporterSpec(name="plan", summary="a plan", write=write_plan, target="file", options=ListOptions),
        ExporterSpec(name="ids", summary="ids", write=write_ids, target="directory"),
        ExporterSpec(name="broken", summary="none", write=lambda export: 1 / 0, target="file"),
    ]
"""


@pytest.fixture(autouse=True)
def _installed(install: Install) -> None:
    install("acme-export", "acme_export", PLUGIN, entry="acme")


def test_one_run_into_a_file(sent: Sent, tmp_path: Path) -> None:
    done = qtlplat(sent.store, "export", sent.run, "--to", "plan[indent=2]", "-o", tmp_path / "p.json", "--json")
    assert done.code == 0, done.err
    text = (tmp_path / "p.json").read_text()
    assert text.startswith("{\n  ")
    assert done.json == {"to": "plan", "run": sent.run, "file": str(tmp_path / "p.json"), "bytes": len(text)}
    assert "noted" in done.err
    again = qtlplat(sent.store, "export", sent.run, "--to", "plan", "-o", tmp_path / "p.json")
    assert (again.code, "exists" in again.err) == (2, True)
    forced = ("-S", "exporter.indent=0", "--force")
    assert qtlplat(sent.store, "export", sent.run, "--to", "plan", "-o", tmp_path / "p.json", *forced).code == 0
    assert "\n" not in (tmp_path / "p.json").read_text()


def test_many_runs_into_a_directory(sent: Sent, tmp_path: Path) -> None:
    done = qtlplat(sent.store, "export", sent.run, sent.failed, "--to", "ids", tmp_path / "d", "--json")
    assert done.code == 0, done.err
    assert done.json["rows"] == [
        {"run": run, "written": str(tmp_path / "d" / run)} for run in (sent.run, sent.failed)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ("--to nothing -o f", 2, "unknown exporter 'nothing'"),
        ("--to plan --cell 1 -o f", 2, "--cell does not fit --to plan"),
        ("--to plan[indent=-1] -o f", 3, "indent"),
        ("--to plan", 2, "--to plan -o model.plan"),
        ("--to ids", 2, "--to ids DIR"),
        ("--to broken -o f", 4, "ZeroDivisionError"),
        ("--cell 1 -o b.zip", 2, "--cell does not fit --to bundle"),
        ("-S dataset.root=x -o b.zip", 2, "a bundle reads no data"),
    ],
)
def test_what_is_refused(
    words: str, code: int, told: str, sent: Sent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = qtlplat(sent.store, "export", sent.run, *words.split())
    assert (done.code, done.out) == (code, "")
    assert told in done.err
    assert not (tmp_path / "f").exists()


def test_they_are_listed(sent: Sent) -> None:
    listed = {row["name"]: row["provider"] for row in json.loads(qtlplat(sent.store, "ls", "exporters", "--json").out)}
    assert listed["plan"] == "acme-export"
    assert {"bundle", "report", "mlflow", "tensorboard", "onnx", "qasm", "qasm3"} <= listed.keys()
