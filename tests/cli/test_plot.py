import json
import sys
from pathlib import Path

import pytest
from stored_runs import HOSTILE, Called, is_inert, qtlplat, store_runs

from qtlplat.store.backends.find import find_store
from qtlplat.store.core.records import EpochRow, NewCell, NewRun, PredictionRow
from qtlplat.store.write.writer import Writer
from qtlplat_reports.figures import KINDS
from qtlplat_reports.plot_text import strip

OF_ONE_DATASET = [kind for kind in KINDS if kind != "ranks"]  # those are in test_compare_across.py
PARAMETERS = {"backbone_total": 1000, "replaced_layers": 4, "model_total": 400}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


@pytest.fixture
def runs(store: Path) -> tuple[str, str]:
    """Two finished runs with a control each: three folds, three epochs, two predictions a cell."""
    with Writer(find_store(str(store))) as writer:

        def finished(f1: list[float]) -> str:
            run = writer.start_run(NewRun("run", "f" * 64, 0, {}, [], "a" * 64, {}, PARAMETERS))
            variants = [*((i, "head") for i in range(3)), (0, "mlp"), (1, "mlp"), (0, "head/0.5"), (1, "head/0.5")]
            tests = [f"{fold}" * 64 for fold, _ in variants]
            writer.add_cells(
                run,
                [
                    NewCell(i, fold, 0, 10, 5, f"other than {fold}", tests[i], variant=variant)
                    for i, (fold, variant) in enumerate(variants)
                ],
            )
            for i in range(len(variants)):
                losses, accuracies = (0.9, 0.6, 0.5 - i / 10), (0.5, 0.75, 0.5 + i / 10)
                pairs = enumerate(zip(losses, accuracies, strict=True), start=1)
                values = [EpochRow(i, e, 0.1, {"test_loss": x, "test_accuracy": a}) for e, (x, a) in pairs]
                writer.add_epochs(run, values)
                rows = [(f"s{fold}a", 0, 0.75), (f"s{fold}b", 1, 0.8)] if (fold := i % 3) < 2 else [("s2a", 1, 1.0)]
                writer.add_predictions(
                    run, [PredictionRow(i, s, s[:-1], label, int(p > 0.5), (1 - p, p)) for s, label, p in rows]
                )
                writer.finish_cell(run, i, {"f1": f1[i]}, 1.0)
            writer.finish_run(run, "finished", {"total": 1.0})
            return run

        return finished([0.5, 0.75, 1.0, 0.5, 0.5, 0.4, 0.6]), finished([0.625, 0.75, 0.75, 0.25, 0.5, 0.4, 0.6])


def plot(store: Path, *arguments: str) -> Called:
    called = qtlplat(store, "plot", *arguments)
    assert called.code == 0, called.err
    return called


def cells_of(out: str) -> list[list[str]]:
    return [line.split("\t") for line in out.splitlines()]


# --- in the terminal


def test_convergence_is_a_line_of_blocks_for_the_best_fold(store: Path, runs: tuple[str, str]) -> None:
    run = runs[0][:8]
    assert cells_of(plot(store, runs[0]).out) == [
        ["run", "measure", "best", "first", "best, by epoch", "last", "all, last epoch", "n", "epochs"],
        [run, "test loss", "fold 2", "0.9000", "█▄▁", "0.3000", "0.3000 to 0.5000", "3", "3"],
        [run, "test accuracy", "fold 2", "0.5000", "▁█▇", "0.7000", "0.5000 to 0.7000", "3", "3"],
    ]


def test_boxes_are_strips_with_their_numbers(store: Path, runs: tuple[str, str]) -> None:
    head, control, *_ = cells_of(plot(store, *runs, "--kind", "box").out)[1:]
    assert head[:9] == [
        "head on backbone, last 4", runs[0][:8], "3", "0.5000", "0.6250", "0.7500", "0.8750", "1.0000", "0.7500"
    ]  # fmt: skip
    # from 0.25 (a control of the other run) to 1 on 40 characters
    assert head[9] == " " * 13 + "───────▒▒▒▒▒▒█▒▒▒▒▒▒───────"
    assert control[0] == "control: mlp"


def test_f1_against_parameters_is_a_table(store: Path, runs: tuple[str, str]) -> None:
    rows = cells_of(plot(store, *runs, "--kind", "pareto").out)
    assert [row[:6] for row in rows[1:]] == [
        ["head on backbone, last 4", runs[0][:8], "400", "0.7500", "0.2500", "3"],
        ["head on backbone, last 4", runs[1][:8], "400", "0.7083", "0.0722", "3"],
    ]
    assert [row[7] for row in rows[1:]] == ["yes", ""]


def test_confusion_is_a_table_of_counts_and_shares(store: Path, runs: tuple[str, str]) -> None:
    assert plot(store, runs[0], "--kind", "confusion").out.splitlines() == [
        f"head on backbone, last 4 ({runs[0]})",
        "true class\tn\tpredicted 0\tpredicted 1",
        "0\t2\t0 (0.0 %)\t2 (100.0 %)",
        "1\t3\t0 (0.0 %)\t3 (100.0 %)",
    ]


def test_differences_are_told_with_their_interval(store: Path, runs: tuple[str, str]) -> None:
    (row,) = cells_of(plot(store, *runs, "--kind", "differences").out)[1:]
    # differences 0.125, 0, -0.25: mean -1/24, variance 0.036458; 4.302653 is Student's t for 2 degrees, 0.975
    assert row[:8] == [
        "head on backbone, last 4", "head on backbone, last 4", f"{runs[1][:8]} − {runs[0][:8]}", "3", "3", "-0.0417",
        "-0.7916", "+0.7083",
    ]  # fmt: skip
    assert row[8].count("◆") == 1
    (control,) = cells_of(plot(store, runs[0], "--kind", "differences").out)[1:]
    assert control[:6] == ["control: mlp", "head on backbone, last 4", runs[0][:8], "2", "2", "-0.1250"]


def test_errors_are_listed_without_the_images(store: Path, runs: tuple[str, str]) -> None:
    called = plot(store, runs[0], "--kind", "errors")
    assert called.out.splitlines()[1:] == [
        "sample\tsource\ttrue class\tpredicted\twrong\tof\tprobability",
        "s0a\ts0\t0\t1\t1\t1\t0.750",
        "s1a\ts1\t0\t1\t1\t1\t0.750",
    ]
    assert "2 of 5 samples wrong" in called.err


def test_strips_put_marks_where_they_belong() -> None:
    assert strip(5, 0.0, 1.0, [(0.0, 1.0, "─"), (0.25, 0.5, "▒"), (1.0, 1.0, "◆")]) == "─▒▒─◆"
    assert strip(5, 1.0, 1.0, [(1.0, 1.0, "◆")]) == "  ◆  "


@pytest.mark.parametrize("kind", OF_ONE_DATASET)
def test_the_terminal_needs_no_matplotlib(
    store: Path, runs: tuple[str, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert plot(store, runs[0], "--kind", kind).out


def test_hostile_text_is_inert(store: Path) -> None:
    store_runs(store, name=HOSTILE)
    for kind in ("convergence", "box"):
        called = qtlplat(store, "plot", "@-2", "--kind", kind)
        assert called.code == 0
        assert is_inert(called.out + called.err)


# --- as JSON


@pytest.mark.parametrize("kind", OF_ONE_DATASET)
def test_every_kind_has_strict_json_with_full_ids(store: Path, runs: tuple[str, str], kind: str) -> None:
    called = plot(store, runs[0], "--kind", kind, "--json")
    found = json.loads(called.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert found["kind"] == kind
    assert [run["run"] for run in found["runs"]] == [runs[0]]
    assert found["rows"]
    assert called.err == ""


def test_an_interval_without_spread_is_null(store: Path, runs: tuple[str, str]) -> None:
    found = json.loads(plot(store, runs[0], "--kind", "box", "--json").out)["rows"]
    assert [row["variant"] for row in found] == ["head", "mlp"]
    (row,) = json.loads(plot(store, *runs, "--kind", "differences", "--json").out)["rows"]
    assert row["first"] == {"run": runs[1], "variant": "head", "name": "head on backbone, last 4"}
    assert [one["difference"] for one in row["cells"]] == [0.125, 0.0, -0.25]


def test_classes_have_the_names_that_the_run_has_stored(store: Path) -> None:
    with Writer(find_store(str(store))) as writer:
        names = ("defect-free", HOSTILE)
        run = writer.start_run(NewRun("run", "f" * 64, 0, {}, [], "a" * 64, {}, PARAMETERS, names))
        writer.add_cells(run, [NewCell(0, 0, 0, 10, 5, "1" * 64, "2" * 64)])
        writer.add_predictions(run, [PredictionRow(0, s, s, i, 1, (0.25, 0.75)) for i, s in enumerate("ab")])
        writer.finish_cell(run, 0, {"f1": 0.5}, 1.0)
        writer.finish_run(run, "finished", {"total": 1.0})
    out = plot(store, run, "--kind", "confusion").out
    assert is_inert(out)
    assert out.splitlines()[1].startswith("true class\tn\tpredicted defect-free\tpredicted =HYPERLINK")
    assert plot(store, run, "--kind", "errors").out.splitlines()[2].split("\t")[:3] == ["a", "a", "defect-free"]
    found = json.loads(plot(store, run, "--kind", "confusion", "--json").out)
    assert found["rows"][0]["classes"] == ["defect-free", HOSTILE]


# --- as files


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", [kind for kind in OF_ONE_DATASET if kind != "errors"])
def test_a_file_is_written_whole_and_not_again_without_force(
    store: Path, runs: tuple[str, str], kind: str, tmp_path: Path
) -> None:
    file = tmp_path / "figure.svg"
    called = plot(store, *runs, "--kind", kind, "-o", str(file))
    content = file.read_bytes()
    assert called.out.splitlines()[1] == f"{file}\t{len(content)}"
    assert content.startswith(b"<?xml")
    again = qtlplat(store, "plot", *runs, "--kind", kind, "-o", str(file))
    assert again.code == 2
    assert "--force" in again.err
    plot(store, *runs, "--kind", kind, "-o", str(file), "--force")
    assert file.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_figure_of_another_kind_takes_no_metric(store: Path, runs: tuple[str, str]) -> None:
    called = qtlplat(store, "plot", runs[0], "--kind", "errors", "--metric", "f1")
    assert called.code == 2
    assert "a figure of errors shows no metric of choice" in called.err
    assert "--kind convergence or pareto or box or differences or learning or ranks" in called.err
    called = qtlplat(store, "plot", runs[0], "--kind", "box", "--metric", "roc_auc")
    assert (called.code, "no finished cells with a finite roc_auc" in called.err) == (3, True)
    assert json.loads(plot(store, *runs, "--kind", "box", "--metric", "f1", "--json").out)["metric"] == "f1"


def test_without_matplotlib_a_file_is_refused_with_the_command_that_installs_it(
    store: Path, runs: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    called = qtlplat(store, "plot", runs[0], "-o", str(tmp_path / "a.png"))
    assert (called.code, called.out) == (3, "")
    assert "pip install 'qtlplat[plot]'" in called.err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["@last", "-o", "a.jpg"], 2, "is no PNG, SVG or PDF file"),
        (["@last", "@-2", "--kind", "errors"], 2, "shows one run"),
        (["@last", "--kind", "pie"], 2, "pie"),
        (["@last", "--json", "-o", "a.svg"], 2, "--json, --csv and --output"),
        (["@last", "@-2", "--kind", "errors", "--json"], 2, "shows one run"),
        (["@last", "-S", "dataset.root=x"], 2, "-S needs --kind errors and -o"),
        ([], 2, "no run is named"),
        (["zzz"], 2, "no run 'zzz'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    store: Path, runs: tuple[str, str], arguments: list[str], code: int, said: str
) -> None:
    called = qtlplat(store, "plot", *arguments)
    assert (called.code, called.out) == (code, "")
    assert said in called.err


def test_a_run_that_has_nothing_to_show_says_so(store: Path) -> None:
    *_, failed = store_runs(store)
    called = qtlplat(store, "plot", failed)
    assert called.code == 3
    assert f"run {failed[:8]} has no epochs" in called.err
    assert f"run {failed[:8]} is failed" in called.err


def test_a_run_that_is_named_twice_is_drawn_once(store: Path, runs: tuple[str, str]) -> None:
    assert plot(store, runs[1], "@last", "--kind", "box").out.count(runs[1][:8]) == 2  # the head and its control


def test_a_directory_that_cannot_be_written_is_an_error_of_the_disk(
    store: Path, runs: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no directory")
    called = qtlplat(store, "plot", runs[0], "-o", str(tmp_path / "file" / "a.svg"))
    assert called.code == 5
    assert "cannot write" in called.err
