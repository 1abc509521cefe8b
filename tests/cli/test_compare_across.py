"""`compare --across`: runs of several datasets as a table of ranks and differences, tested over the datasets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from compared_runs import CLASSICAL, cell, store_run
from scipy import stats
from stored_runs import HOSTILE, is_inert, qtlplat

HEADS = ("linear", "dressed5x3", "mlp")
DATASETS = 7


def store_study(path: Path, datasets: int = DATASETS, heads: tuple[str, ...] = HEADS, seeds: int = 1) -> pd.DataFrame:
    """Runs of each head on each dataset, six folds each; returns the mean F1 of every run."""
    random, rows = np.random.default_rng(5), []
    for number in range(datasets):
        level = random.uniform(0.7, 0.9)
        for i, head in enumerate(heads):
            for seed in range(seeds):
                f1 = np.round(level + 0.02 * i + random.normal(0, 0.02, 6), 4).tolist()
                cells = [cell(fold, fold, 0, test_hash=f"{number} {fold}") for fold in range(6)]
                run = store_run(
                    path, f1, head=head, dataset=f"data{number}", digest=f"{number}" * 64, cells=cells,
                    parameters=CLASSICAL, plan={"seed": seed, "training": {"epochs": 5}},
                )  # fmt: skip
                rows.append({"run": run, "head": head, "dataset": f"data{number}", "seed": seed, "f1": np.mean(f1)})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    store = tmp_path_factory.mktemp("across") / "s.db"
    return store, store_study(store)


def asked(store: Path, runs: Any, *arguments: str) -> Any:
    called = qtlplat(store, "compare", *runs, "--across", "dataset", *arguments, "--json")
    assert (called.code, called.err) == (0, "")
    return json.loads(called.out, parse_constant=pytest.fail)


def test_ranks_and_tests_are_those_of_pandas_and_scipy(study: tuple[Path, pd.DataFrame]) -> None:
    store, table = study
    found = asked(store, table.run)
    values = table.pivot_table(index="dataset", columns="head", values="f1")[list(HEADS)]
    assert (found["across"], found["blocks"], found["baseline"]) == (["dataset"], values.index.tolist(), table.run[0])
    assert [row["label"] for row in found["rows"]] == list(HEADS)
    assert [row["mean"] for row in found["rows"]] == pytest.approx(values.mean().tolist(), rel=1e-12)
    assert [row["std"] for row in found["rows"]] == pytest.approx(values.std(ddof=1).tolist(), rel=1e-12)
    ranks = values.rank(axis=1, ascending=False)
    assert [row["rank"] for row in found["rows"]] == pytest.approx(ranks.mean().tolist())
    assert pd.DataFrame(found["ranks"]).T[list(HEADS)].to_numpy().tolist() == ranks.to_numpy().tolist()
    expected = stats.friedmanchisquare(*values.to_numpy().T)
    assert found["friedman"]["chi2"] == pytest.approx(expected.statistic, rel=1e-12)
    assert found["nemenyi"]["p"]["linear"]["mlp"] < 0.05
    raw = []
    for row in found["rows"][1:]:
        differences = values[row["label"]] - values["linear"]
        assert row["difference"] == pytest.approx(differences.mean(), rel=1e-9)
        assert [one["difference"] for one in row["blocks"].values()] == pytest.approx(differences.tolist(), abs=1e-11)
        assert (row["better"], row["worse"]) == ((differences > 0).sum(), (differences < 0).sum())
        assert row["p"] == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue, rel=1e-12)
        assert sum(row["rope"][name] for name in ("worse", "equal", "better")) == pytest.approx(1)
        assert row["needed"]["datasets"] > 1
        assert row["variance"].keys() == {"block", "fold"}
        raw.append(row["p"])
    assert [row["p_adjusted"] for row in found["rows"][1:]] == pytest.approx(holm(raw))
    assert found["rows"][2]["verdict"].startswith("better across 7 datasets")


def holm(p: list[float]) -> list[float]:
    """Of two tests: the smaller one doubled, the greater one at least that."""
    small = min(1.0, 2 * min(p))
    return [small if one == min(p) else max(small, one) for one in p]


def test_tables_for_people(study: tuple[Path, pd.DataFrame]) -> None:
    store, table = study
    called = qtlplat(store, "compare", *table.run, "--across", "dataset")
    assert called.out.splitlines()[0].split("\t")[:2] == ["configuration", "mean rank"]
    assert "Friedman: p = " in called.err
    assert "it takes" in called.err
    assert "varies by" in called.err
    csv = pd.read_csv(pd.io.common.StringIO(qtlplat(store, "compare", *table.run, "--across", "dataset", "--csv").out))
    assert csv.label.tolist() == list(HEADS)


def test_several_seeds_are_one_value_and_a_loss_is_turned(tmp_path: Path) -> None:
    table = store_study(tmp_path / "s.db", 6, HEADS[:2], seeds=2)
    found = asked(tmp_path / "s.db", table.run)
    means = table.groupby(["head", "dataset"]).f1.mean()
    assert [len(row["runs"]) for row in found["rows"]] == [12, 12]
    assert found["rows"][1]["blocks"]["data3"]["mean"] == pytest.approx(means["dressed5x3", "data3"])
    assert (found["friedman"], found["nemenyi"]) == (None, None)
    lost = asked(tmp_path / "s.db", table.run, "--metric", "loss")
    assert lost["lower_is_better"]
    for one, other in zip(found["rows"], lost["rows"], strict=True):
        assert other["rank"] == one["rank"]
        assert other["difference"] == pytest.approx(-one["difference"]) if one["difference"] else True
        assert (other["p"], other["rope"]) == (one["p"], one["rope"])


def test_missing_runs_leave_their_dataset_out(study: tuple[Path, pd.DataFrame]) -> None:
    store, table = study
    some = table[~((table["head"] == "mlp") & (table.dataset == "data2"))]
    found = asked(store, some.run)
    assert "data2" not in found["blocks"]
    assert found["notes"] == ["1 dataset of 7 left out, for runs are missing: mlp on data2"]


def test_few_datasets_say_what_they_cannot(study: tuple[Path, pd.DataFrame]) -> None:
    store, table = study
    few = table[table.dataset.isin(["data0", "data1", "data2"])]
    row = asked(store, few.run)["rows"][2]
    assert row["verdict"].startswith("no verdict from 3 datasets")
    assert "cannot have a p below 0.05" in row["verdict"]
    assert row["needed"]["power_now"] == 0
    one = table[table.dataset == "data0"]
    called = qtlplat(store, "compare", *one.run, "--across", "dataset")
    assert (called.code, called.out) == (2, "")
    assert "nothing can be said in general" in called.err
    called = qtlplat(store, "compare", *table[table["head"] == "mlp"].run, "--across", "dataset")
    assert "all runs are of one configuration, 'mlp'" in called.err
    apart = pd.concat(
        [
            table[(table["head"] == "mlp") & (table.dataset == "data0")],
            table[(table["head"] == "linear") & (table.dataset == "data1")],
        ]
    )
    called = qtlplat(store, "compare", *apart.run, "--across", "dataset")
    assert "missing: mlp on data1, linear on data0" in called.err


@pytest.mark.parametrize(
    ("across", "words"),
    [("datset", "datset"), (",", "no field is named"), ("training.epoks", "epochs"), ("backbone", "different data")],
)
def test_what_is_not_understood_ends_with_2(study: tuple[Path, pd.DataFrame], across: str, words: str) -> None:
    store, table = study
    called = qtlplat(store, "compare", *table.run, "--across", across)
    assert (called.code, called.out) == (2, "")
    assert words in called.err


def test_other_fields_make_blocks_and_configurations_are_told_apart(tmp_path: Path) -> None:
    store, runs = tmp_path / "s.db", []
    for backbone in ("lenet1", "lenet2", "lenet3"):
        for rate in (0.1, 0.2):
            f1 = [0.8 + rate / 10 + fold / 100 + len(runs) / 1000 for fold in range(6)]
            runs.append(store_run(store, f1, backbone=backbone, plan={"seed": 0, "training": {"learning_rate": rate}}))
    called = qtlplat(store, "compare", *runs, "--across", "backbone", "--json")
    found = json.loads(called.out)
    assert found["blocks"] == ["lenet1", "lenet2", "lenet3"]
    labels = [row["label"] for row in found["rows"]]
    assert labels == [f"dressed5x3 [training.learning_rate={rate}]" for rate in (0.1, 0.2)]
    assert "tested on the same data" in found["notes"][0]
    found = json.loads(qtlplat(store, "compare", *runs, "--across", "training.learning_rate", "--json").out)
    assert (found["blocks"], [row["label"] for row in found["rows"]]) == (
        ["0.1", "0.2"],
        ["lenet1", "lenet2", "lenet3"],
    )


def test_the_critical_difference_diagram_has_the_numbers_of_compare(
    study: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    store, table = study
    compared = asked(store, table.run)
    plot = ("plot", *table.run, "--kind", "ranks")
    found = json.loads(qtlplat(store, *plot, "--json").out, parse_constant=pytest.fail)
    ranks = {row["label"]: row["rank"] for row in compared["rows"]}
    assert [row["label"] for row in found["rows"]] == sorted(ranks, key=lambda label: ranks[label])
    for row in found["rows"]:
        assert (row["rank"], row["n"]) == (ranks[row["label"]], DATASETS)
        assert row["critical_difference"] == compared["nemenyi"]["critical_difference"]
        alike = {label for group in compared["nemenyi"]["groups"] if row["label"] in group for label in group}
        assert set(row["not_told_apart"]) == alike - {row["label"]}
    told = qtlplat(store, *plot)
    assert "mean rank of F1" in told.out
    file = tmp_path / "cd.svg"
    assert qtlplat(store, *plot, "-o", str(file)).code == 0
    assert file.read_bytes().startswith(b"<?xml")
    called = qtlplat(store, "plot", table.run[0], "--across", "dataset")
    assert (called.code, "--across is of ranks only" in called.err) == (2, True)
    called = qtlplat(store, *plot, "--across", "backbone")
    assert "different data" in called.err


def test_hostile_names_are_inert(tmp_path: Path) -> None:
    runs = [
        store_run(
            tmp_path / "s.db", [0.8, 0.9, number / 10], head=head, dataset=f"{HOSTILE}{number}", digest=str(number) * 64
        )
        for number in range(3)
        for head in (HOSTILE, "=1+1")
    ]
    for form in ([], ["--csv"], ["--md"], ["--json"]):
        called = qtlplat(tmp_path / "s.db", "compare", *runs, "--across", "dataset", *form)
        assert called.code == 0, called.err
        assert is_inert(called.out + called.err)
