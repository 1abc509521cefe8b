"""Figures as bytes: the same every time, no dates, nothing from outside, hostile names inert."""

import hashlib
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from figure_runs import cell, component, record, run_of
from matplotlib.colors import to_rgb

from qtlplat.errors import UsageError
from qtlplat_reports.figures import box, draw
from qtlplat_reports.figures.files import FORMATS, encoded, format_of, inline_svg
from qtlplat_reports.figures.stored import StoredRun
from qtlplat_reports.figures.style import COLOURS, inert, shortened

PROGRAM = """
import hashlib
from figure_runs import run_of
from qtlplat_reports.figures import draw
from qtlplat_reports.figures.files import FORMATS, encoded
for fmt in FORMATS:
    print(hashlib.sha256(encoded(draw("box", [run_of([0.5, 0.75, 0.8])]), fmt)).hexdigest())
"""


@pytest.mark.slow
def test_the_same_rows_give_the_same_bytes_in_another_process_with_other_settings(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.hashsalt: other\naxes.facecolor: red\n")
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    surroundings = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": path, "TZ": "Asia/Tokyo"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=tmp_path, env=surroundings, capture_output=True, text=True, check=True
    )
    here = [hashlib.sha256(encoded(draw("box", [run_of([0.5, 0.75, 0.8])]), fmt)).hexdigest() for fmt in FORMATS]
    assert done.stdout.split() == here


@pytest.mark.parametrize(("fmt", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
@pytest.mark.sampled(2)
def test_files_are_what_their_names_say_and_tell_no_date(fmt: str, start: bytes) -> None:
    data = encoded(draw("convergence", [run_of([0.5, 0.6])]), fmt)
    assert data.startswith(start)
    assert not re.search(rb"20\d\d-\d\d-\d\d|D:20\d\d|CreationDate|dc:date|Software", data)


def test_other_names_are_refused() -> None:
    assert format_of(Path("a/b.PDF")) == "pdf"
    for name in ("figure.jpg", "figure", "svg"):
        with pytest.raises(UsageError, match="is no PNG, SVG or PDF file"):
            format_of(Path(name))


@pytest.fixture
def inline() -> list[str]:
    runs = [run_of([0.5, 0.6], "1" * 16), run_of([0.6, 0.8], "2" * 16)]
    return [inline_svg(draw(kind, runs), f"the <{kind}>") for kind in ("box", "confusion", "convergence")]


def test_inline_figures_can_stand_in_one_page(inline: list[str]) -> None:
    ids = [name for text in inline for name in re.findall(r'\bid="([^"]*)"', text)]
    assert len(ids) == len(set(ids)) > 10
    for text in inline:
        own = set(re.findall(r'\bid="([^"]*)"', text))
        assert set(re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)) <= {
            (a, b) for a in own | {""} for b in own | {""}
        }
        assert ET.fromstring(text).tag == "svg"


def test_inline_figures_refer_to_nothing_outside_and_hold_no_style_or_script(inline: list[str]) -> None:
    for text in inline:
        assert not re.search(r"https?:|file:|<script|<style|style=|xmlns|<!|<\?| on\w+=", text)
        assert {t.split(":")[0] for t in re.findall(r'href="([^"#]*)', text)} <= {"", "data"}
    assert "<title>the &lt;box&gt;</title>" in inline[0]


def test_inline_figures_keep_their_colours_and_widths(inline: list[str]) -> None:
    plain = encoded(draw("box", [run_of([0.5, 0.6], "1" * 16), run_of([0.6, 0.8], "2" * 16)]), "svg").decode()
    for name in ("stroke", "fill", "stroke-width", "fill-opacity"):
        before = sorted(re.findall(rf'[" ;]{name}: ([^;"]+)', plain))
        assert before == sorted(re.findall(rf' {name}="([^"]+)"', inline[0]))


@pytest.mark.parametrize("name", ["$\\frac{1}$", "\x1b[31mred\x07", "<script>alert(1)</script>", "鋼板", "a" * 500])
@pytest.mark.sampled(1)
def test_hostile_names_are_drawn_as_text(name: str) -> None:
    components = {"head": component("head", name), "backbone": component("backbone", name)}
    stored = StoredRun(record("c" * 16, components=components), (cell(0, 0.5), cell(1, 0.6)))
    figure = box.draw(box.groups([stored]))
    (label,) = figure.axes[0].get_yticklabels()
    assert all(c.isprintable() or c == "\n" for c in label.get_text())
    assert "<script" not in inline_svg(figure, name)
    encoded(figure, "pdf")


def test_what_the_font_does_not_have_stands_as_an_escape() -> None:
    assert inert("F1 ± 鋼\x1b$") == "F1 ± \\u92fc\\x1b$"
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 6) == "abc…jk"


def test_no_two_colours_are_a_pair_of_red_and_green() -> None:
    assert len(set(COLOURS)) == len(COLOURS)
    for colour in COLOURS:
        red, green, blue = to_rgb(colour)
        assert not (green > red + 0.1 and green > blue + 0.1), colour
