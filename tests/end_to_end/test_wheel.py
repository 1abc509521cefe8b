"""The wheel alone, away from any checkout, holds everything that the first command needs."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import qtlplat

ROOT = Path(qtlplat.__file__).parents[1]
RUN = (
    "run", "--backbone", "lenet2", "--head", "dressed5x3", "--epochs", "1", "--pretrain-epochs", "1", "--evaluator",
    "kfold[folds=2]", "-S", "dataset.per_class=18", "-S", "dataset.images_per_kind=8", "--store", "store.db", "--json",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="not run from a checkout: there is nothing to build")
def test_the_unpacked_wheel_runs_the_first_command(tmp_path):
    build = "import sys, hatchling.build as b; print(b.build_wheel(sys.argv[1]))"
    name = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()[-1]
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(tmp_path / name) as wheel:  # a pure wheel is installed by unpacking it
        wheel.extractall(site)
    # site-packages only, without its .pth files: an editable install of the checkout must not help
    installed = Path(next(p for p in sys.path if p.endswith("site-packages")))
    code = f"import sys; sys.path[:0] = [{str(site)!r}]; sys.path.append({str(installed)!r}); " + (
        "import qtlplat; assert qtlplat.__file__.startswith(sys.path[0]); from qtlplat.cli.app import main; main()"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QTLPLAT", "PYTHON"))}
    result = subprocess.run(
        [sys.executable, "-S", "-c", code, *RUN],
        cwd=empty,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["status"] == "finished"
