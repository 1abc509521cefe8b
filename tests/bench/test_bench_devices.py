"""What devices are said to do is what they do: the table of the page agrees with the command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from qtlplat.cli.app import _run

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "devices.md"
# installed everywhere; the page has others too
QUICK = ["default.qubit", "lightning.qubit", "lightning.qubit[c_dtype=complex64]", "null.qubit"]
SLOW = ["default.mixed", "reference.qubit"]


def table(text: str) -> dict[str, dict[str, str]]:
    """The rows of a Markdown table by their first column, without versions, which differ from place to place."""
    plain = re.sub(r"\\([\[\]_])", r"\1", text)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in plain.splitlines() if line[:1] == "|"]
    head, _, *rows = lines
    found = {row[0]: dict(zip(head, row, strict=True)) for row in rows}
    for row in found.values():
        row["package"] = row["package"].split(" ")[0]
    return found


def agree(devices: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "devices", "--devices", ",".join(devices), "--md", "-q"]) == 0
    written, seen = table(PAGE.read_text(encoding="utf-8")), table(capsys.readouterr().out)
    assert list(seen) == devices
    assert {name: written[name] for name in seen} == seen


@pytest.mark.slow
def test_the_page_says_what_the_command_finds(capsys: pytest.CaptureFixture[str]) -> None:
    agree(QUICK, capsys)


@pytest.mark.slow
def test_the_page_is_right_about_slower_devices(capsys: pytest.CaptureFixture[str]) -> None:
    agree(SLOW, capsys)


def test_the_differences_are_numbers_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["bench", "devices", "--devices", "lightning.qubit[c_dtype=complex64],no.device", "--json", "-q"]) == 0
    single, missing = json.loads(capsys.readouterr().out)["rows"]
    assert 1e-9 < single["value_error"] < 1e-6
    assert (single["values"], single["shots"], single["repeats"], single["batch"]) == ("exact", True, True, False)
    assert "unknown device 'no.device'" in missing["problem"]
    assert missing["values"] is None
