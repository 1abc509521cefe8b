"""Small runs of the whole program, in this process; torch and PennyLane are imported once."""

import json
import shlex

import pytest

from qtlplat.cli.app import _run

SMALL = (
    "--dataset 'steel-synth[per_class=18,images_per_kind=8,size=96]' --backbone lenet2 --evaluator 'kfold[folds=2]' "
    "--epochs 2 --pretrain-epochs 1"
)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path_factory):
    """No store, registry or data set of the surroundings is used."""
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
    for name in ("QTLPLAT_STORE", "QTLPLAT_REGISTRY", "QTLPLAT_NEU_DET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture
def qtlplat(capsys):
    """Run a command line; returns exit code, standard output and standard error."""

    def call(line, *more):
        capsys.readouterr()
        code = _run([*shlex.split(line), *map(str, more)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def json_of(qtlplat):
    """Run a command line that must succeed; returns its JSON."""

    def call(line, *more):
        code, out, err = qtlplat(line, *more, "--json")
        assert code == 0, err
        return json.loads(out)

    return call


@pytest.fixture(scope="session")
def stored(tmp_path_factory):
    """A store with one small finished run, for tests that only read; (path, nothing else happens to it)."""
    path = tmp_path_factory.mktemp("stored") / "store.db"
    assert _run([*shlex.split(f"run {SMALL} --head 'dressed[qubits=2,layers=1]' -q"), "--store", str(path)]) == 0
    return path
