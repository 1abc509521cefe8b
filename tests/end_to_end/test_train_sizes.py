"""`run --train-sizes`: the same heads on fewer training samples, beside a run that stays what it is without them."""

import pytest

from qtlplat.cli.app import _run

from .conftest import SMALL

LINE = f"run {SMALL} --head 'dressed[qubits=2,layers=1]' --controls linear"


@pytest.fixture(scope="module")
def sized(tmp_path_factory):
    import shlex

    path = tmp_path_factory.mktemp("sized") / "store.db"
    assert _run([*shlex.split(f"{LINE} -q"), "--store", str(path)]) == 0
    assert _run([*shlex.split(f"{LINE} --train-sizes 0.3,0.6 -q"), "--store", str(path)]) == 0
    return path


def test_the_scores_of_the_run_are_those_without_train_sizes(sized, json_of):
    run, plain = json_of("show @last --store", sized), json_of("show @-2 --store", sized)
    assert run["metrics"] == plain["metrics"]
    assert run["fingerprint"] != plain["fingerprint"]
    assert run["plan"]["train_sizes"] == [0.3, 0.6, 1.0]
    names = ["head", "head/0.6", "head/0.3", "linear", "linear/0.6", "linear/0.3"]
    assert [cell["variant"] for cell in run["cells"]] == [name for name in names for _ in range(2)]
    assert {cell["n_train"] for cell in run["cells"] if cell["variant"] == "head/0.3"} == {6}
    whole = [(c["variant"], c["fold"], c["metrics"]) for c in run["cells"] if "/" not in c["variant"]]
    assert whole == [(c["variant"], c["fold"], c["metrics"]) for c in plain["cells"]]


def test_pages_have_curves_and_comparisons_only_whole_training_parts(sized, qtlplat):
    code, out, _ = qtlplat("show @last --store", sized)
    assert code == 0
    assert "f1 by number of training samples, on the same test samples (mean ± sd)" in out
    (table,) = [part for part in out.split("\n\n") if part.startswith("f1 by number")]
    assert [line.split()[0] for line in table.splitlines()[2:5]] == ["6", "10", "18"]
    assert "for this backbone only" in table
    code, out, err = qtlplat("compare @last --json --store", sized)
    assert code == 0, err
    assert "/0.3" not in out
    code, out, err = qtlplat("runs --where 'f1@\"linear/0.3\" >= 0' --json --store", sized)
    assert code == 0, err
    assert '"run"' in out


@pytest.mark.parametrize("sizes", ["0", "1.5", "-0.1", "half", ""])
def test_shares_that_make_no_sense_are_refused(sizes, qtlplat, tmp_path):
    code, _, err = qtlplat(f"{LINE} --train-sizes={sizes} --store", tmp_path / "store.db")
    assert code == 3
    assert "--train-sizes" in err
    assert not (tmp_path / "store.db").exists()
