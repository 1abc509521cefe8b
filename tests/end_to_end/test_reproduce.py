"""A small publication, carried out from its plugin to its verdicts."""

import importlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from qtlplat.errors import BusyError, ConfigError, StoreError, TrainingError
from qtlplat.runs import execute as execute_module, reuse as needed_module
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

PLUGIN = """
from qtlplat import Budget, Claim, RecipeModel, RecipeSpec, hookimpl

qtlplat_api_version = (1, 0)

def model(name, head, replace="all", **more):
    return RecipeModel(name, "lenet2", head, replace, "kfold[folds=2]", "standard", **more)

MODELS = (
    model("net", None),
    model("hybrid", "dressed[qubits=2,layers=1]", figures=(4,)),
    model("shallow", "linear", 2),
    RecipeModel("held out", "lenet2", "dressed[qubits=2,layers=1]", "all", "holdout", "standard", instead_of="hybrid"),
)
CLAIMS = (
    Claim("count", "parameters", "net", "Table 3", 534482, 0, table=3),
    Claim("misprinted", "parameters", "hybrid", "Table 3", 266_980, 0, corrected=266_990, table=3),
    Claim("wrong", "reduction", "hybrid", "Table 5", 12.0, 0.01, "%", table=5),
    Claim("net accuracy", "accuracy", "net", "Table 3", 50.0, 50.0, "%", table=3),
    Claim("hybrid f1", "f1", "hybrid", "Table 3", 50.0, 50.0, "%", table=3),
    Claim("shallow f1", "f1", "shallow", "Table 4", 50.0, 50.0, "%", table=4),
    Claim("boost", "boost", "hybrid", "Table 4", 3.0, 0.0, "%", baseline="net", table=4),
)
TINY = dict(epochs=2, pretrain_epochs=1, n_init=1)

@hookimpl
def qtlplat_recipes():
    return [RecipeSpec(
        name="small2024", summary="a small publication", citation="Nobody, 2024",
        dataset="steel-synth[per_class=18,images_per_kind=8]", input_shape=(1, 200, 200), n_classes=2,
        models=MODELS, claims=CLAIMS,
        budgets=(
            Budget("tiny", "seconds", models=("net", "hybrid", "held out"), cuts={"epochs": "2 instead of 40"}, **TINY),
            Budget("more", "seconds", **TINY),
            Budget("short", "seconds", models=("net",), trains_less=True, **TINY),
        ),
        notes=("it contradicts itself",),
    )]
"""
CLAIM_KEYS = {
    "name", "kind", "quantity", "model", "where", "printed", "ours", "interval", "tolerance", "verdict", "runs",
}  # fmt: skip


def install(site):
    """A distribution of its own with the recipe, on sys.path."""
    (site / "small_recipe.py").write_text(PLUGIN)
    info = site / "small_recipe-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small-recipe\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[qtlplat]\nsmall = small_recipe\n")


@pytest.fixture(scope="module", autouse=True)
def site(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    install(site)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        yield site
    sys.modules.pop("small_recipe", None)


@pytest.fixture(scope="module")
def once():
    """What the first test that asks for it has made, for the others to copy."""
    return []


@pytest.fixture
def reproduced(once, json_of, tmp_path, tmp_path_factory):
    """A store in which the tiny budget has been carried out, and what was printed."""
    if not once:
        folder = tmp_path_factory.mktemp("reproduced")
        once += folder, json_of("reproduce small2024 --store", folder / "s.db")
    folder, facts = once
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return tmp_path / "s.db", facts


def verdicts(facts):
    return {claim["name"]: claim["verdict"] for claim in facts["claims"]}


def test_claims_are_held_against_runs_and_a_second_call_only_prints(reproduced, json_of, monkeypatch):
    store, facts = reproduced
    assert set(facts) >= {"recipe", "budget", "claims", "cuts", "notes", "models", "checks"}
    assert (facts["recipe"], facts["budget"]) == ("small2024", "tiny")
    assert set(facts["claims"][0]) >= CLAIM_KEYS
    assert verdicts(facts) == {
        "count": "confirmed", "misprinted": "misprint", "wrong": "contradicted", "net accuracy": "confirmed",
        "hybrid f1": verdicts(facts)["hybrid f1"], "shallow f1": "not run", "boost": verdicts(facts)["boost"],
    }  # fmt: skip
    reader = Reader(find_store(str(store)))
    claims = {claim["name"]: claim for claim in facts["claims"]}
    (run,) = claims["hybrid f1"]["runs"]
    values = reader.run(run).metrics["f1"]
    assert claims["hybrid f1"]["ours"] == pytest.approx(100 * sum(values) / 2, abs=1e-9)
    assert claims["boost"]["runs"] == [run, *claims["net accuracy"]["runs"]]
    assert reader.run(claims["net accuracy"]["runs"][0]).kind == "pretraining"
    assert claims["net accuracy"]["runs"][0] == reader.run(run).pretraining
    (check,) = facts["checks"]
    assert (check["of"], check["evaluator"], check["leakage"]) == ("hybrid", "holdout", 0)
    assert check["difference"] == pytest.approx(check["f1"] - sum(values) / 2, abs=1e-12)

    (kept,) = reader.reproductions("small2024")
    assert kept.id == facts["reproduction"]
    assert kept.content.cuts == facts["cuts"]
    assert [c.verdict for c in kept.content.claims] == [c["verdict"] for c in facts["claims"]]
    assert [c.ours for c in kept.content.claims] == [c["ours"] for c in facts["claims"]]

    before = store.read_bytes()
    for name in ("prepare.prepare", "build.count_parameters", "reuse.found_or_executed", "execute.pretrain_only"):
        monkeypatch.setattr(f"qtlplat.runs.{name}", None)  # calling it would be an error
    assert json_of("reproduce small2024 --store", store) == facts
    assert store.read_bytes() == before


def test_the_table_names_runs_cuts_notes_and_what_leaks(reproduced, qtlplat):
    store, facts = reproduced
    code, out, err = qtlplat("reproduce small2024 --store", store)
    assert code == 0, err
    lines = [line.split("\t") for line in out.splitlines()]
    assert lines[0] == ["claim", "printed", "ours", "interval", "verdict", "runs", "note"]
    row = next(line for line in lines if line[0] == "hybrid f1")
    assert row[5] == facts["claims"][4]["runs"][0][:8]
    assert "epochs: 2 instead of 40" in out
    assert "it contradicts itself" in out
    assert "leakage: their backbone was trained on" in out
    assert "3 of 3 models are stored" in err


@pytest.mark.slow
def test_an_interrupted_reproduction_goes_on_where_it_stopped(json_of, qtlplat, tmp_path, monkeypatch):
    store = tmp_path / "s.db"
    found_or_executed = needed_module.found_or_executed
    calls = []

    def killed(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return found_or_executed(*arguments, **options)

    monkeypatch.setattr(needed_module, "found_or_executed", killed)
    assert qtlplat("reproduce small2024 --store", store)[0] == 130
    reader = Reader(find_store(str(store)))
    first = {run.id for run in reader.runs()}
    assert len(first) == 2
    assert reader.reproductions() == []
    monkeypatch.setattr(needed_module, "found_or_executed", found_or_executed)
    facts = json_of("reproduce small2024 --store", store)
    runs = {run.id for run in reader.runs()}
    assert first < runs
    assert len(runs) == 3
    assert {model["run"] for model in facts["models"]} == runs


@pytest.mark.slow
def test_a_model_that_fails_does_not_stop_the_others(json_of, qtlplat, tmp_path, monkeypatch):
    store = tmp_path / "s.db"
    found_or_executed = needed_module.found_or_executed
    calls = []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == 1:
            raise TrainingError("the loss is not a number", fix="lower the rate")
        return found_or_executed(*arguments, **options)

    monkeypatch.setattr(needed_module, "found_or_executed", failing)
    code, out, err = qtlplat("reproduce small2024 --strict --json --store", store)
    assert code == 6
    assert "hybrid could not be run" in err
    assert "lower the rate" in err
    facts = json.loads(out)
    claims = {claim["name"]: claim for claim in facts["claims"]}
    assert (claims["hybrid f1"]["verdict"], claims["hybrid f1"]["ours"]) == ("not run", None)
    assert claims["hybrid f1"]["note"] == "could not be run: the loss is not a number"
    assert (claims["boost"]["verdict"], claims["net accuracy"]["verdict"]) == ("not run", "confirmed")
    assert facts["checks"][0]["f1"] is not None  # the model after it
    (kept,) = Reader(find_store(str(store))).reproductions()
    assert kept.id == facts["reproduction"]
    again = json_of("reproduce small2024 --store", store)
    assert {model["model"] for model in again["models"] if model["run"]} == {"net", "hybrid", "held out"}


def test_what_starts_from_a_backbone_that_failed_is_not_tried(qtlplat, tmp_path, monkeypatch):
    def failing(*arguments):
        raise TrainingError("the loss is not a number")

    tried = []
    monkeypatch.setattr(execute_module, "pretrain_only", failing)
    monkeypatch.setattr(needed_module, "found_or_executed", lambda *arguments, **_: tried.append(arguments))
    code, out, _ = qtlplat("reproduce small2024 --figure 4 --backbone lenet2 --json --store", tmp_path / "s.db")
    assert code == 6
    claims = {claim["name"]: claim for claim in json.loads(out)["claims"]}
    assert claims["hybrid f1"]["note"] == "could not be run: its backbone could not be pretrained, see net"
    assert claims["misprinted"]["verdict"] == "misprint"
    assert not any(prepared.plan.evaluator.name == "kfold" for prepared, *_ in tried)


def test_what_no_model_can_do_without_is_an_error_of_its_own(qtlplat, tmp_path, monkeypatch):
    def failing(*arguments):
        raise ConfigError("there is no such accelerator", fix="use cpu")

    monkeypatch.setattr("qtlplat.runs.prepare.prepare", failing)
    code, out, err = qtlplat("reproduce small2024 --store", tmp_path / "s.db")
    assert (code, out) == (3, "")
    assert "fix: use cpu" in err


@pytest.mark.parametrize("error", [StoreError("the disk is full"), BusyError("owned by another process")])
def test_what_the_store_says_stops_everything(qtlplat, tmp_path, monkeypatch, error):
    def failing(*arguments):
        raise error

    monkeypatch.setattr(execute_module, "pretrain_only", failing)
    code, out, _ = qtlplat("reproduce small2024 --store", tmp_path / "s.db")
    assert (code, out) == (error.exit_code, "")


def test_a_dry_run_judges_arithmetic_and_stores_nothing(qtlplat, tmp_path):
    store = tmp_path / "s.db"
    code, out, err = qtlplat("reproduce small2024 --dry-run --json --store", store)
    assert code == 0, err
    facts = json.loads(out)
    assert verdicts(facts)["misprinted"] == "misprint"
    assert verdicts(facts)["hybrid f1"] == "not run"
    assert [model["cells"] for model in facts["models"]] == [1, 2, 1]
    assert all(model["expected_seconds"] > 0 for model in facts["models"])
    assert "missing: hybrid, 2 cells" in err
    assert not store.exists()


def test_damaged_parameter_counts_are_counted_again(reproduced, json_of):
    store, facts = reproduced
    kept = sorted((find_store(str(store)).files / "parameter_counts").iterdir())
    assert len(kept) == 2  # the backbone's own layers are counted with the head of the defaults
    for path in kept:
        path.write_bytes(path.read_bytes()[:20])
    assert json_of("reproduce small2024 --store", store) == facts
    assert [len(path.read_bytes()) > 20 for path in kept] == [True, True]


@pytest.mark.slow
def test_a_complete_reproduction_needs_neither_torch_nor_pennylane(reproduced, site):
    store, _ = reproduced
    code = (
        "import sys; from qtlplat.cli.app import _run; "
        "assert _run(['reproduce', 'small2024', '--json', '-q', '--store', sys.argv[1]]) == 0; "
        "print([name for name in ('torch', 'pennylane') if name in sys.modules], file=sys.stderr)"
    )
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(store)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_stored_runs_say_how_long_others_take(reproduced, qtlplat):
    store, _ = reproduced
    _, _, err = qtlplat("reproduce small2024 --budget more --dry-run --store", store)
    assert "missing: shallow, 2 cells" in err
    assert "3 of 4 models are stored" in err


@pytest.mark.parametrize(("line", "code"), [("--table 5", 9), ("--table 3", 0), ("--table 5 --figure 4", 9)])
def test_strict_exits_with_9_where_a_claim_is_contradicted(qtlplat, tmp_path, line, code):
    assert qtlplat(f"reproduce small2024 --dry-run --strict {line} --store", tmp_path / "s.db")[0] == code


@pytest.mark.slow
def test_other_data_judges_no_metric(json_of, tmp_path):
    other = "--dataset 'steel-synth[per_class=16,images_per_kind=8]' --budget short --table 3"
    facts = json_of(f"reproduce small2024 {other} --store", tmp_path / "s.db")
    assert verdicts(facts)["net accuracy"] == "inconclusive"
    assert verdicts(facts)["count"] == "confirmed"
    assert "cannot be judged" in facts["cuts"]["dataset"]


def test_the_papers_counts_need_no_data(json_of, tmp_path):
    facts = json_of("reproduce bhowmik2024 --dry-run --store", tmp_path / "s.db")
    arithmetic = [claim for claim in facts["claims"] if claim["kind"] == "arithmetic"]
    assert len(arithmetic) == 12 + 9
    misprints = {claim["printed"]: claim["ours"] for claim in arithmetic if claim["verdict"] == "misprint"}
    assert misprints == {671_764: 671_774, 525_824: 525_854}
    assert {claim["verdict"] for claim in arithmetic} == {"misprint", "confirmed"}
    assert {claim["verdict"] for claim in facts["claims"] if claim["kind"] != "arithmetic"} == {"not run"}


@pytest.mark.parametrize(
    ("line", "words"),
    [("reproduce nothing2024", "unknown recipe"), ("reproduce bhowmik2024 --budget all", "unknown budget")],
)
def test_unknown_names_are_told_with_the_known_ones(qtlplat, line, words):
    code, out, err = qtlplat(line)
    assert (code, out) == (2, "")
    assert words in err


def test_a_recipe_is_listed_and_described(qtlplat, json_of):
    rows = {row["name"]: row for row in json_of("ls recipes")}
    assert rows["small2024"]["provider"] == "small-recipe"
    assert "bhowmik2024" in rows
    facts = json_of("info bhowmik2024")
    assert facts["kind"] == "recipe"
    assert len(facts["recipe"]["claims"]) == 12 * 2 + 9 * 2 + 1
    code, out, _ = qtlplat("info bhowmik2024")
    assert code == 0
    assert "Table III, row QTL-M-3 of CM-2" in out
