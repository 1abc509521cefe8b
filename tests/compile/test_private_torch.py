"""With a torch that is newer than any that was tried, nothing private to it is used, and the numbers are the same."""

import re
import tomllib
from pathlib import Path

import pytest
import torch

from qtlplat.catalog.contained import contained
from qtlplat.cli.app import _run
from qtlplat.compile.private_torch import NEWEST_TRIED, gradients_and_auxiliary, untried
from qtlplat.plugin_modules import called
from qtlplat.store.backends.find import find_store
from qtlplat.store.read.queries import Reader

ROOT = Path(__file__).parents[2]
RUN = "run --dataset steel-synth[per_class=12] --backbone lenet2 --head dressed[qubits=2,layers=1] --json".split()
RUN += "--evaluator kfold[folds=2] --epochs 2 --pretrain-epochs 1".split()


def test_the_installed_torch_is_tried_and_the_range_of_the_project_ends_there() -> None:
    assert untried() == ""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (torch_range,) = [line for line in dependencies if line.startswith("torch")]
    assert re.search(r"<(\d+)\.(\d+)", torch_range)
    major, minor = map(int, re.search(r"<(\d+)\.(\d+)", torch_range).groups())  # type: ignore[union-attr]
    assert (major, minor - 1) == NEWEST_TRIED


@pytest.mark.parametrize(("version", "newer"), [("2.13.1+cpu", False), ("2.14.0", True), ("3.0.0a1", True)])
def test_newer_releases_are_named(version: str, newer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", version)
    assert (version in untried()) == newer


def test_only_one_module_uses_what_is_private_to_torch() -> None:
    private = re.compile(r"torch\._C\b|torch\._ops\b|_functorch\b|torch\.utils\._python_dispatch|_should_skip_dynamo")
    users = {
        path.relative_to(ROOT / "qtlplat").as_posix()
        for path in (ROOT / "qtlplat").rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    }
    assert users == {"compile/private_torch.py"}


@pytest.mark.parametrize("case", ["used", "one unused", "constant"])
def test_gradients_are_those_of_torch_func(case: str) -> None:
    def loss(own: dict[str, torch.Tensor], x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x @ own["w"] if case == "one unused" else x @ own["w"] + own["b"]
        y = x if case == "constant" else y
        return y.sin().square().sum(), y.detach() * 2

    own = {"w": torch.rand(3, 5, 2), "b": torch.rand(3, 2)}
    x = torch.rand(3, 7, 5)
    with torch.no_grad():  # as training steps are run
        expected, (_, auxiliary) = torch.func.vmap(torch.func.grad_and_value(loss, has_aux=True))(own, x)
        found, other = torch.func.vmap(gradients_and_auxiliary(loss))(own, x)
    assert torch.equal(other, auxiliary)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert torch.equal(gradient, expected[name])
        assert gradient.stride() == expected[name].stride()


def test_a_torch_that_lacks_a_private_function_still_runs_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch._C, "_len_torch_function_stack")
    monkeypatch.delattr(torch.autograd.forward_ad, "_current_level")
    assert called(torch.nn.Flatten(), torch.zeros(2, 3)).shape == (2, 3)
    with contained():
        pass


@pytest.mark.slow
def test_a_run_on_a_newer_torch_trains_on_the_plain_path_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = []
    for name in ("tried", "untried"):
        assert _run([*RUN, "--store", str(tmp_path / f"{name}.db")]) == 0
        messages.append(capsys.readouterr().err)
        monkeypatch.setattr(torch, "__version__", "2.99.0")
    usual, said = messages
    assert "circuit on compiled" in usual
    assert "circuit on default.qubit" in said
    assert "runs untraced" in said
    assert "torch 2.99.0 is newer than 2.13" in said
    assert losses(tmp_path / "untried.db") == pytest.approx(losses(tmp_path / "tried.db"), abs=1e-5)


def losses(store: Path) -> list[float]:
    """Test losses of all epochs of the head."""
    reader = Reader(find_store(str(store)))
    return [row.values["test_loss"] for row in reader.epochs(reader.runs(kind="run")[0].id)]
