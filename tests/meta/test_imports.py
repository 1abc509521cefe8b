"""Commands that only look things up import neither torch nor PennyLane."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = [
    ["--help"],
    ["runs"],
    ["runs", "--watch", "--until-done"],
    ["show", "--help"],
    ["replay", "--help"],
    ["predict", "--help"],
    ["run", "--help"],
    ["reproduce", "--help"],
    ["info", "bhowmik2024"],
    ["compare", "--help"],
    ["plot", "--help"],
    ["ls"],
    ["info", "linear"],
    ["plugins", "list"],
    ["plugins", "doctor"],
    ["store", "path"],
]
HEAVY = ("torch", "pennylane", "sklearn", "scipy", "matplotlib")

# Runs the commands one after the other; prints, as JSON, each one's exit code and the heavy modules there are after it.
PROGRAM = """
import contextlib, io, json, sys
from pathlib import Path
from qtlplat.cli.app import _run
from qtlplat.store.backends.find import find_store
from qtlplat.store.write.writer import Writer

store, commands, heavy = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
Writer(find_store(store)).close()
seen = []
for command in commands:
    with contextlib.redirect_stdout(io.StringIO()):
        code = _run(command)
    seen.append([command, code, [name for name in heavy if name in sys.modules]])
print(json.dumps(seen))
"""


def seen(tmp_path: Path, commands: list[list[str]], heavy: tuple[str, ...]) -> list[list[object]]:
    store = str(tmp_path / "store.db")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, store, json.dumps(commands), json.dumps(heavy)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "QTLPLAT_STORE": store},
        cwd=tmp_path,
    )
    found: list[list[object]] = json.loads(done.stdout)
    return found


def test_looking_things_up_imports_nothing_heavy(tmp_path: Path) -> None:
    assert seen(tmp_path, COMMANDS, HEAVY) == [[command, 0, []] for command in COMMANDS]


def test_help_imports_no_database_and_no_numbers(tmp_path: Path) -> None:
    names = ("sqlalchemy", "numpy", "pluggy")
    code = "import sys; from qtlplat.cli.app import _run; _run(['--help'])"
    code += f"; print([n for n in {names} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_training_a_head_imports_no_compiler_of_torch_and_finding_it_or_its_circuit_again_no_torch_or_pennylane(
    tmp_path: Path,
) -> None:
    run = "run --dataset steel-synth[per_class=12] --head dressed[qubits=2,layers=1] --evaluator kfold[folds=2]".split()
    run += "--epochs 2 --pretrain-epochs 1 --reuse".split()
    assert seen(tmp_path, [run], ("torch._dynamo", "sympy")) == [[run, 0, []]]
    assert seen(tmp_path, [run], ("torch", "pennylane", "sklearn", "scipy", "PIL")) == [[run, 0, []]]
    others = [[*run[:-1], "--dry-run"], [*run[:-1], "-S", "training.learning_rate=0.002"]]
    unneeded = ("torch._dynamo", "sympy", "pennylane", "sklearn", "scipy", "matplotlib")
    assert seen(tmp_path, others, unneeded) == [[other, 0, []] for other in others]


def test_training_itself_imports_no_pennylane_and_no_scipy(tmp_path: Path) -> None:
    code = "import sys, qtlplat.runs.execute, qtlplat.runs.resume, qtlplat.runs.replay"
    code += "; print([n for n in ('pennylane', 'sklearn', 'scipy', 'sympy', 'torch._dynamo') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"
