"""`qtlplat report`: numbers that are the store's, forms that are inert, files written whole or not at all."""

import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from compared_runs import cell, predictions, store_controls, store_run
from scipy.stats import binomtest
from stored_runs import HOSTILE, is_inert, qtlplat

from qtlplat.analysis.comparison import compare
from qtlplat.analysis.sides import variants
from qtlplat.catalog.calls import load_images
from qtlplat.catalog.resolve import Request, resolve, resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.settings import Settings
from qtlplat.contracts import DatasetSpec, ImageSet
from qtlplat.conventions import class_facts
from qtlplat.store.location import find_store
from qtlplat.store.queries import Reader
from qtlplat.store.records import ArtifactRow, ClaimRow, ComponentRow, EpochRow, NewCell, NewReproduction, NewRun
from qtlplat.store.writer import Writer

TEX = r"\input{/etc/passwd}%\end{table}$x^2_3&#~"
NASTY = f"{HOSTILE}{TEX}</title></script><img src=http://x onerror=alert(1)>\"'"
LEDGER = {
    "backbone_total": 534482, "kept": 262880, "replaced": 271602, "replaced_layers": 4, "model_total": 271110,
    "head": {"pre_net": 8196, "vqc": 24, "post_net": 10, "total": 8230}, "controls": {"linear": 4098},
    "reduction_percent_model": 49.27612, "reduction_percent_replaced": 96.96983,
}  # fmt: skip
PARTS = {"component": "c", "provider": "dist", "options": {"size": 3}, "locations": []}
PLAN = {"seed": 0, **dict.fromkeys(("dataset", "backbone", "head", "evaluator"), PARTS)}


class Page(HTMLParser):
    """What a browser would make of a page: tags with attributes, tables by caption, all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._open: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "table":
            self._rows = []
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data: str) -> None:
        self.text += data
        if "caption" in self._open:
            self._caption += data
        elif self._rows and {"td", "th"} & {*self._open}:
            self._rows[-1][-1] += data

    def table(self, caption: str) -> list[dict[str, str]]:
        head, *rows = self.tables[caption]
        return [dict(zip(head, map(str.strip, row), strict=True)) for row in rows]


def backbone(path: Path, f1: float = 0.9516, name: str = "lenet2", status: str = "finished") -> str:
    """A pretraining with two initialisations, the second one kept."""
    rows = [ComponentRow(role, name, "c", "dist", "0.1", "d" * 64, {}) for role in ("dataset", "backbone")]
    plan = {"dataset": PARTS, "backbone": PARTS, "seed": 0, "pretraining": {"select_by": "test", "epochs": 2}}
    with Writer(find_store(str(path))) as writer:
        run = writer.start_run(
            NewRun("pretraining", "p", 0, plan, rows, "a" * 64, {"python": "3.11", "accelerator": "cuda"})
        )
        writer.add_cells(run, [NewCell(i, 0, i, 100, 25, "1" * 64, "2" * 64) for i in range(2)])
        for i in range(2):
            writer.add_epochs(run, [EpochRow(i, e, 0.1, {"test_accuracy": 0.5 + i / 4 + e / 100}) for e in (1, 2)])
            writer.finish_cell(run, i, {"f1": f1 - (1 - i) / 10}, 1.0)
        writer.add_artifact(run, ArtifactRow("weights", "w", "c" * 64, 1, None, {"initialisation": 1}))
        writer.finish_run(run, status, {"total": 2.0})  # type: ignore[arg-type]
    return run


def page(store: Path, *arguments: str) -> Page:
    out = store.with_name("report.html")
    called = qtlplat(store, "report", *arguments, "-o", str(out), "--force")
    assert called.code == 0, called.err
    return Page(out.read_text(encoding="utf-8"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A controlled run, and the same head under nested with its backbone."""
    path = tmp_path / "s.db"
    store_controls(path, linear=(0.97, 0.98, 0.99, 0.96, 0.97, 0.98), shuffled=(0.5, 0.49, 0.52, 0.47, 0.5, 0.51))
    changes = {"leak": 0.0, "group_leak": 0.0, "pretraining": backbone(path)}
    cells = [cell(i, i, test_hash=f"other {i}", **changes) for i in range(3)]
    store_run(path, (0.9, 0.91, 0.89), cells=cells, evaluator="nested6", parameters=LEDGER, plan=PLAN)
    return path


# --- numbers are the store's


def test_every_score_is_that_of_its_run(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    rows = {row["run"]: row for row in page(store).table("All models")}
    runs = {run.id[:8]: run for run in reader.runs()}
    assert rows.keys() == runs.keys()
    for short, run in runs.items():
        cells = [c for c in reader.cells(run.id) if c.variant == "head"]
        if run.kind == "pretraining":
            cells = [c for c in cells if c.position == 1]  # the initialisation that was kept
        values = [c.metrics["f1"] for c in cells]
        mean = sum(values) / len(values)
        assert rows[short]["F1 %"] == f"{100 * mean:.2f}"
        assert rows[short]["n"] == str(len(values))
        if len(values) > 1:
            sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
            assert rows[short]["± sd"] == f"{100 * sd:.2f}"
        if run.kind == "run":
            leaks = {c.leak for c in cells}
            assert leaks == {float(rows[short]["leak %"]) / 100}


def test_parameters_are_those_of_the_ledger(store: Path) -> None:
    (row,) = page(store).table("Parameters")
    values = [
        int(row[name].replace(",", "")) for name in ("backbone", "frozen", "replaced", "trainable", "whole model")
    ]
    assert values == [534482, 262880, 271602, 8230, 271110]
    assert [row[name] for name in ("pre-net", "circuit", "post-net")] == ["8,196", "24", "10"]
    model = next(r for r in page(store).table("All models") if r["run"] == row["run"])
    assert (model["reduction, model %"], model["reduction, Eq. 7 %"]) == ("49.28", "96.97")


def test_controls_and_evaluators_have_the_differences_of_compare(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    sides = {run.id: variants(run, reader.cells(run.id)) for run in reader.runs(kind="run")}
    head, *controls = next(found for found in sides.values() if len(found) > 1)
    nested = next(found for found in sides.values() if len(found) == 1)[0]
    shown = page(store)
    (caption,) = [c for c in shown.tables if c.endswith("kfold6")]
    expected = compare(head, controls)
    for row, told in zip(expected, shown.table(caption), strict=True):
        assert told["variant"] == row.variant
        assert told["verdict"] == row.verdict
        if row.test:
            assert float(told["difference"]) == pytest.approx(100 * row.test.mean, abs=0.005)
            assert [float(end) for end in told["interval"].split(" to ")] == pytest.approx(
                [100 * end for end in row.test.interval], abs=0.005
            )
    (_, other) = shown.table(next(c for c in shown.tables if "several evaluators" in c))
    expected_other = compare(head, [nested])[1]
    assert other["run"] == nested.run.id[:8]
    assert expected_other.test
    assert float(other["difference"]) == pytest.approx(100 * expected_other.test.mean, abs=0.005)
    assert other["verdict"] == expected_other.verdict


def test_controls_are_held_against_their_head_sample_by_sample(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    cells = [cell(2 * i + fold, fold, variant=v) for i, v in enumerate(("head", "linear", "mlp")) for fold in range(2)]
    right = {0: [True] * 10, 1: [True] * 9 + [False], 2: [False] * 6 + [True] * 4, 3: [False] * 2 + [True] * 8}
    predicted = {position: predictions(position, samples) for position, samples in right.items()}
    store_run(path, (0.9, 0.8, 0.7, 0.75, 0.7, 0.7), cells=cells, parameters=LEDGER, predicted=predicted)
    shown = page(path)
    head, linear, mlp = shown.table(next(c for c in shown.tables if c.endswith("kfold6")))
    # 8 samples only the head gets right, 1 only the linear head does; mlp has no predictions
    assert float(linear["McNemar p"]) == pytest.approx(binomtest(1, 9).pvalue, abs=0.0005)
    assert (head["McNemar p"], mlp["McNemar p"]) == ("", "")
    assert "McNemar: exact" in shown.text


def test_picking_on_the_test_part_is_told(store: Path) -> None:
    (row,) = page(store).table("Backbones")[:1]
    assert row["picked by test %"] == "77.00"
    assert row["last epochs %"] == "64.50"
    assert row["picking adds"] == "+12.50"
    assert row["epoch of initialisation"] == "2 of 2"


def test_leaks_are_told_before_any_score(store: Path) -> None:
    out = qtlplat(store, "report").out
    assert out.index("(72 %)") < out.index("(98 %)") < out.index("| run ")


def test_every_table_of_numbers_names_its_runs(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    known = {run.id[:8] for run in reader.runs()}
    exempt = {"What the runs ran on"}
    for caption, (head, *rows) in page(store).tables.items():
        if caption not in exempt:
            assert head[0] in ("run", "backbone")
            assert {row[0].strip() for row in rows} <= known


# --- claims


def outcome(*claims: ClaimRow, budget: str = "smoke") -> NewReproduction:
    cuts = {"epochs": f"6 instead of 120 {NASTY}"}
    return NewReproduction("nobody2024", "dist", "1.0", "d" * 64, budget, "a" * 64, cuts, claims)


def claim(name: str, runs: tuple[str, ...], ours: float | None, verdict: str) -> ClaimRow:
    ends = (None, None) if ours is None else (94.5, 97.25)
    place = "Table III"
    return ClaimRow(name, "metric", "f1", "m", place, 95.0, "%", 1.0, ours, *ends, verdict, "6 cells", runs)


def test_claims_stand_with_our_number_and_their_runs(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    nested = next(r.id for r in reader.runs() if r.components["evaluator"].name == "nested6")
    with Writer(find_store(str(store))) as writer:
        writer.add_reproduction(outcome(claim("old", (), None, "not run")))
        rows = (claim("F1", (nested,), 96.125, "inconclusive"), claim("other", (), None, "not run"))
        writer.add_reproduction(outcome(*rows, budget="quick"))
        writer.add_reproduction(outcome(claim("old", (), None, "not run"), budget="paper"))
    shown = page(store, "--recipe", "nobody2024", "--budget", "quick")
    assert_self_contained(shown)
    first, second = shown.table("Claims")
    assert (first["claim"], first["where"], first["printed"], first["ours"]) == (
        "F1",
        "Table III",
        "95.00 %",
        "96.12 %",
    )
    assert (first["interval"], first["verdict"], first["runs"]) == ("94.50 to 97.25", "inconclusive", nested[:8])
    assert (second["ours"], second["interval"], second["verdict"]) == ("", "", "not run")
    assert "1 inconclusive, 1 not run" in shown.text
    assert "6 instead of 120" in shown.text
    assert {row["run"] for row in shown.table("Runs")} == {run.id[:8] for run in reader.runs()}
    assert "Reproduction of nobody2024" in qtlplat(store, "report", "--recipe", "nobody2024").out
    unknown = qtlplat(store, "report", "--recipe", "nobody2024", "--budget", "huge")
    assert unknown.code == 2
    assert "there is paper, quick, smoke" in unknown.err


def test_a_reproduction_brings_its_heads_under_other_evaluators(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    first = store_run(path, (0.9, 0.8), parameters=LEDGER)
    other = store_run(path, (0.7, 0.8), parameters=LEDGER, evaluator="nested6")
    store_run(path, (0.7, 0.8), parameters=LEDGER, head="linear")
    matched = store_run(path, (0.6, 0.7), parameters=LEDGER, dataset="matched", digest="b" * 64)
    shorter = {"seed": 0, "pretraining": {"epochs": 3}}  # of another budget: another training of the same head
    store_run(path, (0.5, 0.6), parameters=LEDGER, evaluator="nested6", plan=shorter)
    store_run(path, (0.5, 0.6), parameters=LEDGER, dataset="matched", digest="b" * 64, plan=shorter)
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(outcome(claim("F1", (first,), 85.0, "inconclusive")))
    shown = page(path, "--recipe", "nobody2024")
    assert {row["run"] for row in shown.table("Runs")} == {first[:8], other[:8], matched[:8]}
    rows = shown.table(next(c for c in shown.tables if "several datasets" in c))
    assert {row["run"] for row in rows} == {first[:8], matched[:8]}


@pytest.mark.parametrize("name", ["training", "pretraining", "seed"])
def test_runs_that_were_trained_otherwise_do_not_stand_side_by_side(tmp_path: Path, name: str) -> None:
    path = tmp_path / "s.db"
    paper = store_run(path, (0.9, 0.8))
    nested = store_run(path, (0.7, 0.8), evaluator="nested6")
    store_run(path, (0.5, 0.6), evaluator="nested6", plan={"seed": 0, name: 3})  # the newest of its sort
    shown = page(path)
    (caption,) = [c for c in shown.tables if "several evaluators" in c]
    assert {row["run"] for row in shown.table(caption)} == {paper[:8], nested[:8]}


def test_an_outcome_of_a_whole_budget_comes_before_a_newer_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    whole = outcome(claim("whole", (), None, "not run"))
    part = outcome(claim("part", (), None, "not run"))
    part = replace(part, cuts={**part.cuts, "selection": "only figure 4, as asked for"})
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(part)
    assert [row["claim"] for row in page(path, "--recipe", "nobody2024").table("Claims")] == ["part"]
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(whole)
        writer.add_reproduction(part)
    for budget in ((), ("--budget", "smoke")):
        shown = page(path, "--recipe", "nobody2024", *budget)
        assert [row["claim"] for row in shown.table("Claims")] == ["whole"]


def test_what_a_recipe_says_of_its_publication_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Writer(find_store(str(path))) as writer:
        writer.add_reproduction(replace(outcome(claim("F1", (), None, "not run")), recipe="bhowmik2024"))
    called = qtlplat(path, "report", "--recipe", "bhowmik2024")
    assert called.code == 0, called.err
    assert "Surface Anomaly Detection" in called.out


# --- the same head on other data


def test_the_same_head_on_two_datasets_stands_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    ids = [store_run(path, (0.9, 0.8), dataset=name, digest=digest) for name, digest in (("a", "a"), ("b", "b"))]
    shown = page(path)
    rows = shown.table(next(c for c in shown.tables if "several datasets" in c))
    assert {(row["run"], row["dataset"]) for row in rows} == {(ids[0][:8], "a"), (ids[1][:8], "b")}
    assert {row["dataset"] for row in shown.table("Runs")} == {"a", "b"}


SMALL = "steel-synth[per_class=12,images_per_kind=4,size=48,min_side=24]"


def test_data_is_audited_where_asked_for_and_at_hand(tmp_path: Path) -> None:
    registry, catalog = open_components(Settings())
    request = Request(dataset=SMALL, backbone="lenet2", head="linear")
    plan = resolve(request, registry, catalog).plan.model_dump(mode="json")
    images = small_images()
    path = tmp_path / "s.db"
    store_run(path, (0.9, 0.8), dataset=SMALL, digest=images.digest, plan=plan)
    store_run(path, (0.9, 0.8), dataset="gone", digest="b" * 64, plan=plan)
    shown = page(path, "--audit")
    samples = {row["what"]: row["number"] for row in shown.table("Samples")}
    assert samples["images"] == str(len(images))
    assert samples["source images"] == str(len(set(images.groups)))
    trivial = shown.table("What trivial features alone reach, under grouped folds")
    assert all(0 <= float(row["F1 %"]) <= 100 for row in trivial)
    assert "the dataset has changed" in shown.text
    assert "was not audited" in page(path).text


def small_images() -> ImageSet:
    registry, catalog = open_components(Settings())
    component, options, choice = resolve_component("dataset", SMALL, registry, catalog)
    assert isinstance(component.spec, DatasetSpec)
    return load_images(component.spec, options, choice.provider)


def test_a_leak_of_many_runs_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    for leak in (0.7, 0.8, 0.8, 0.75):
        cells = [cell(i, i, leak=leak, group_leak=0.0, selection_leak=0.25) for i in range(2)]
        store_run(path, (0.9, 0.8), cells=cells)
    out = qtlplat(path, "report").out
    assert r"every run of a head (70 to 80 %)" in out
    assert "best epoch was chosen on a part of what is tested in every run of a head (25 %)" in out


# --- runs that did not end


def test_failed_and_interrupted_runs_are_listed_with_what_stopped_them(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    good = store_run(path, (0.9, 0.8), parameters=LEDGER)
    cells = [cell(i, i) for i in range(3)]
    cut = store_run(path, (0.7,), cells=cells, parameters=LEDGER, status="interrupted")
    with Writer(find_store(str(path))) as writer:
        failed = writer.start_run(NewRun("run", "f", 0, {}, [], "a" * 64, {}))
        writer.finish_run(failed, "failed", {}, error="cannot read /home/ada/x.zip: loss is NaN")
        running = writer.start_run(NewRun("run", "g", 0, {}, [], "a" * 64, {}))
        rows = {row["run"]: row for row in page(path).table("Runs that are not finished")}
        assert rows[running[:8]]["status"] == "running"
    assert rows.keys() == {cut[:8], failed[:8], running[:8]}
    assert rows[cut[:8]]["finished cells"] == "1 of 3"
    assert rows[failed[:8]]["what stopped it"] == "cannot read …: loss is NaN"
    models = {row["run"]: row for row in page(path).table("All models")}
    assert models[good[:8]]["n"] == "2"
    assert models[cut[:8]]["n"] == "1"
    assert models[failed[:8]]["F1 %"] == ""


# --- inert in every form


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "s.db"
    parts = {"component": NASTY, "provider": NASTY, "options": {NASTY: NASTY}, "locations": []}
    plan = {"note": NASTY, **dict.fromkeys(("dataset", "backbone", "head", "evaluator"), parts)}
    cells = [cell(2 * i + fold, fold, variant=v, leak=0.5) for i, v in enumerate(("head", NASTY)) for fold in range(2)]
    store_run(
        path, (0.9, 0.8, 0.7, 0.75), head=NASTY, dataset=NASTY, backbone=NASTY, evaluator=NASTY, cells=cells,
        parameters=LEDGER, plan=plan, environment=class_facts((NASTY, f"{NASTY}鋼 two")),
        predicted={0: predictions(0, [True, False])},
    )  # fmt: skip
    backbone(path, name=NASTY)
    with Writer(find_store(str(path))) as writer:
        environment = {"python": NASTY, "engine": NASTY, "command": f"run --head {NASTY}"}
        failed = writer.start_run(NewRun("run", "f", 0, plan, [], "a" * 64, environment))
        writer.finish_run(failed, "failed", {}, error=NASTY)
    return path


def assert_self_contained(shown: Page) -> None:
    names = {name for name, _ in shown.tags}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "foreignobject", "image"}
    for tag, attributes in shown.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "src", "xlink:href", "action", "data", "style"):
                assert re.match(r"#|data:image/", value or ""), (tag, name, value)
            if name not in ("content", "aria-label"):
                assert not re.search(r"url\((?!#)", value or "")
    assert shown.tags[3][0] == "meta"
    policy = next(
        a["content"] for n, a in shown.tags if n == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script" not in policy


def test_html_is_self_contained(store: Path) -> None:
    shown = page(store)
    assert_self_contained(shown)
    assert any(name == "svg" for name, _ in shown.tags)
    ids = [a["id"] for _, a in shown.tags if "id" in a]
    assert len(ids) == len(set(ids))
    targets = {a["href"] for n, a in shown.tags if n == "a"}
    assert targets <= {f"#{i}" for i in ids}


def test_hostile_text_is_inert_in_html(hostile: Path) -> None:
    shown = page(hostile)
    assert_self_contained(shown)
    assert is_inert(shown.text)
    assert "<script>" in shown.text  # it is there, as text
    assert "<img src=" in shown.text


def test_hostile_text_is_inert_in_markdown(hostile: Path) -> None:
    called = qtlplat(hostile, "report")
    assert called.code == 0
    assert is_inert(called.out)
    prose = re.sub(r"^(`{3,})sh\n.*?\n\1$", "", called.out, flags=re.MULTILINE | re.DOTALL)
    assert "```" not in prose.replace("\\`", "")
    assert not re.search(r"(?<!\\)<", prose)
    assert not re.search(r"(?<!\\)://", prose)
    assert "[" not in re.sub(r"\\.", "", prose)


@pytest.mark.parametrize("which", ["store", "hostile"])
def test_markdown_tables_have_equal_numbers_of_cells(which: str, request: pytest.FixtureRequest) -> None:
    out = qtlplat(request.getfixturevalue(which), "report").out
    tables = re.findall(r"(?:^\|.*\|\n)+", out, re.MULTILINE)
    assert len(tables) >= 7
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", re.sub(r"\\\\", "", line))) for line in table.splitlines()}
        assert len(widths) == 1, table


@pytest.mark.parametrize("which", ["store", "hostile"])
def test_latex_is_balanced_and_uses_known_commands_only(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    out = tmp_path / "report.tex"
    assert qtlplat(request.getfixturevalue(which), "report", "-o", str(out)).code == 0
    text = out.read_text(encoding="utf-8")
    assert is_inert(text)
    assert text.isascii()
    body = "\n".join(text.splitlines()[2:])
    assert "%" not in re.sub(r"\\%", "", body)
    commands = set(re.findall(r"\\([a-zA-Z]+)", body))
    assert commands <= {
        "begin", "end", "centering", "footnotesize", "scriptsize", "caption", "label", "toprule", "midrule",
        "bottomrule", "tabularnewline", "texttt", "ttfamily", "par", "smallskip", "raggedright", "linewidth",
        "allowbreak", "pm", "dots", "times", "textbackslash", "textasciitilde", "textasciicircum", "textless",
        "textgreater", "textbar", "char", "resizebox", "clearpage", "ifdim", "width", "else", "fi", "shortstack",
    }  # fmt: skip
    bare = re.sub(r"\\[{}$&#_%]", "", body)
    depth = 0
    for c in bare:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    assert bare.count("$") % 2 == 0
    assert re.findall(r"\\begin\{(\w+)\}", body).count("table") == re.findall(r"\\end\{(\w+)\}", body).count("table")
    for table in re.findall(r"\\begin\{tabular\}(.*?)\\end\{tabular\}", bare, re.DOTALL):
        rows = [line.count("&") for line in table.splitlines() if line.endswith(r"\tabularnewline")]
        assert len(set(rows)) == 1


WRAPPER = r"""\documentclass[a4paper]{article}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs,graphicx}
\begin{document}
\input{report.tex}
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("which", ["store", "hostile", pytest.param("many", marks=pytest.mark.slow)])
def test_latex_compiles_and_nothing_stands_beyond_the_page(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    assert qtlplat(request.getfixturevalue(which), "report", "-o", str(tmp_path / "report.tex")).code == 0
    (tmp_path / "paper.tex").write_text(WRAPPER, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "paper.log").read_text(encoding="latin-1")
    assert done.returncode == 0, log[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    assert "Overfull" not in log
    assert "Float too large" not in log
    assert "multiply defined" not in log


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Forty runs with controls: long tables of sentences, and as many commands."""
    path = tmp_path / "many.db"
    for _ in range(40):
        store_controls(path, linear=(0.97, 0.98, 0.99, 0.96, 0.97, 0.98))
    cells = [cell(i, i, test_hash=f"other {i}") for i in range(3)]
    for i in range(20):
        options = {f"option_{k}": k for k in range(30)}
        plan = {**PLAN, "head": {**PARTS, "options": options}}
        store_run(path, (0.9, 0.91, 0.89), cells=cells, evaluator=f"kfold{i}", parameters=LEDGER, plan=plan)
    return path


# --- what leaks, and what is mistaken for what


def test_the_selection_leak_stands_beside_the_others_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    cells = [cell(i, i, leak=0.0, group_leak=0.5, selection_leak=0.125 * i) for i in range(3)]
    store_run(path, (0.9, 0.91, 0.89), cells=cells, parameters=LEDGER)
    shown = page(path)
    for caption in ("All models", "What was seen before it was tested"):
        (row,) = shown.table(caption)
        assert [row[f"{name}leak %"] for name in ("", "group ", "selection ")] == ["0.0", "50.0", "12.5"]
    assert "selection leak: share whose accuracy chose the backbone's best epoch" in shown.text
    assert "| leak % | group leak % | selection leak % |" in qtlplat(path, "report").out
    out = tmp_path / "report.tex"
    assert qtlplat(path, "report", "-o", str(out)).code == 0
    assert re.search(r"leak.*group.*selection.*0\.0 & 50\.0 & 12\.5", out.read_text(encoding="utf-8"), re.DOTALL)


def test_what_leaks_in_a_backbone_s_own_test_part_is_told_too(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Writer(find_store(str(path))) as writer:
        rows = [ComponentRow(role, role, "c", "dist", "0.1", "d" * 64, {}) for role in ("dataset", "backbone")]
        run = writer.start_run(NewRun("pretraining", "p", 0, {"seed": 0}, rows, "a" * 64, {}))
        seen = {"leak": 0.0, "group_leak": 0.875, "selection_leak": 1.0}
        writer.add_cells(run, [NewCell(0, 0, 0, 100, 25, "1" * 64, "2" * 64, **seen)])  # type: ignore[arg-type]
        writer.finish_cell(run, 0, {"f1": 0.9}, 1.0)
        writer.finish_run(run, "finished", {"total": 2.0})
    shown = page(path)
    (row,) = shown.table("All models")
    assert [row[f"{name}leak %"] for name in ("", "group ", "selection ")] == ["0.0", "87.5", "100.0"]
    assert "1 pretraining of backbones (1 finished), started 20" in shown.text
    assert "0 runs" not in shown.text


def test_an_unknown_selection_leak_is_left_open(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store_run(path, (0.9,), cells=[cell(0, 0, leak=0.5, group_leak=0.5)], parameters=LEDGER)
    (row,) = page(path).table("What was seen before it was tested")
    assert (row["leak %"], row["selection leak %"]) == ("50.0", "")


def test_mistakes_are_counted_by_class_for_the_head_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    cells = [cell(0, 0), cell(1, 1), cell(2, 0, variant="linear")]
    predicted = {
        0: predictions(0, [True, True, False]), 1: predictions(1, [True, False], label=0),
        2: predictions(2, [False] * 3),
    }  # fmt: skip
    run = store_run(path, (0.9, 0.8, 0.1), cells=cells, predicted=predicted)
    none, one = page(path).table("What was taken for what")
    assert (none["run"], none["true class"], none["taken for 0"], none["taken for 1"]) == (run[:8], "0", "1", "1")
    assert (one["true class"], one["taken for 0"], one["taken for 1"], one["right %"]) == ("1", "1", "2", "66.67")


def test_more_classes_than_a_table_holds_are_left_to_the_figure(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    row = replace(predictions(0, [True])[0], probabilities=(1 / 9,) * 9)
    run = store_run(path, (0.9,), cells=[cell(0, 0)], predicted={0: [row]})
    assert f"9 classes are too many for a table: qtlplat plot {run[:8]} --kind confusion" in page(path).text


def test_predictions_of_a_control_alone_are_no_mistakes_of_the_head(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store_run(path, (0.9, 0.8), cells=[cell(0, 0), cell(1, 0, variant="linear")], predicted={1: predictions(1, [True])})
    assert "No run of a head has stored predictions." in page(path).text


# --- privacy


def test_nothing_private_is_told(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Writer(find_store(str(path))) as writer:
        names = ("dataset", "backbone", "head", "evaluator")
        rows = [
            ComponentRow(r, f"{r}[root=/home/ada/{r}]", r, "d", "1", "d" * 64, {"root": "/home/ada"}) for r in names
        ]
        parts = {"component": "c", "provider": "p", "options": {"root": "/home/ada", "n": 1}, "locations": ["root"]}
        plan = {"seed": 0, **dict.fromkeys(names, parts)}
        environment = {
            "host": "adas-laptop",
            "python": "3.11",
            "command": "run -S dataset.root=/home/ada --store ada.db",
        }
        run = writer.start_run(NewRun("run", "f", 0, plan, rows, "a" * 64, environment, LEDGER))
        writer.add_cells(run, [cell(0, 0)])
        writer.finish_cell(run, 0, {"f1": 0.5}, 1.0)
        writer.finish_run(run, "failed", {}, error="disk full: /home/ada/s.db")
    for suffix in (".html", ".md", ".tex"):
        out = tmp_path / f"report{suffix}"
        assert qtlplat(path, "report", "-o", str(out)).code == 0
        text = out.read_text(encoding="utf-8")
        assert "ada" not in text
        assert "/home" not in text


# --- files and flags


def test_without_a_file_markdown_goes_to_stdout(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.md"
    assert qtlplat(store, "report", "-o", str(out)).code == 0
    called = qtlplat(store, "report")
    assert called.out == out.read_text(encoding="utf-8")
    assert called.err == ""


def test_the_same_store_gives_the_same_bytes(store: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.html", tmp_path / "b.html"]
    for file in files:
        assert qtlplat(store, "report", "-o", str(file)).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_brings_its_backbone_and_no_other_run(store: Path) -> None:
    reader = Reader(find_store(str(store)))
    nested = next(r.id for r in reader.runs() if r.components["evaluator"].name == "nested6")
    rows = page(store, nested[:8]).table("Runs")
    assert {row["run"] for row in rows} == {nested[:8], str(reader.cells(nested)[0].pretraining)[:8]}


def test_a_pretraining_alone_has_a_command_that_makes_it(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    run = backbone(path)
    out = qtlplat(path, "report", run).out
    assert re.search(
        r"^qtlplat run --dataset .*--head linear .*--accelerator cuda .*--pretrain-epochs 2", out, re.MULTILINE
    )


def test_an_existing_file_is_left_alone_without_force(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("mine", encoding="utf-8")
    called = qtlplat(store, "report", "-o", str(out))
    assert called.code == 2
    assert "--force" in called.err
    assert out.read_text(encoding="utf-8") == "mine"
    assert qtlplat(store, "report", "-o", str(out), "--force").code == 0
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_directory_that_is_not_there_is_said_before_any_work(store: Path, tmp_path: Path) -> None:
    called = qtlplat(store, "report", "-o", str(tmp_path / "no such" / "report.html"))
    assert (called.code, called.out) == (5, "")
    assert "mkdir -p" in called.err
    assert not (tmp_path / "no such").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "report.pdf"], ".html, .md or .tex"),
        (["-o", "report"], ".html, .md or .tex"),
        (["--budget", "quick"], "--recipe"),
        (["-S", "dataset.root=x"], "--audit"),
        (["--recipe", "nobody2020"], "qtlplat reproduce"),
        (["f" * 16], "there is no run"),
    ],
)
def test_wrong_uses_name_the_way_out(store: Path, arguments: list[str], words: str) -> None:
    called = qtlplat(store, "report", *arguments)
    assert called.code == 2
    assert words in called.err
    assert called.out == ""


def test_an_empty_store_is_told(tmp_path: Path) -> None:
    called = qtlplat(tmp_path / "none.db", "report")
    assert called.code == 2
    assert "no runs" in called.err
    assert not (tmp_path / "none.db").exists()


def test_without_matplotlib_only_the_figures_are_missing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = page(store)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    without = page(store)
    assert not any(name == "svg" for name, _ in without.tags)
    assert without.tables == whole.tables
    assert "pip install 'qtlplat[plot]'" in without.text
    assert "--kind convergence" in without.text or "--kind pareto" in without.text
