"""registry.toml: which files hold, how they lie over each other, what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtlplat.catalog.registry import load_registry, shipped_registry
from qtlplat.errors import ConfigError


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration directory, empty."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "qtlplat"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_shipped_registry_is_valid_and_knows_the_papers_presets(tmp_path: Path) -> None:
    registry = load_registry(cwd=tmp_path)
    assert registry.files == (shipped_registry(),)
    assert {"lenet1", "lenet2", "lenet3"} <= set(registry.presets["backbone"])
    assert registry.presets["head"]["dressed5x3"].options == {"qubits": 5, "layers": 3}
    assert registry.presets["head"]["dressed5x3"].source == shipped_registry()
    assert registry.defaults["dataset"] == ("neu-det", "steel-synth")
    assert registry.defaults["head"] == ("dressed5x3",)
    assert registry.protocols["paper"].pretraining.n_init == 5


def test_the_nearest_project_file_lies_over_the_users_and_both_over_the_shipped(
    tmp_path: Path, own_config: Path
) -> None:
    user = write(
        own_config / "registry.toml",
        '[defaults]\nhead = "mine"\nevaluator = "kfold3"\n[plugins]\ndisabled = ["lenet"]\n'
        '[heads.mine]\ncomponent = "mlp"\n[evaluators.kfold3]\ncomponent = "kfold"\noptions = { folds = 3 }\n',
    )
    write(tmp_path / ".qtlplat" / "registry.toml", '[defaults]\nhead = "too-far"\n')
    project = write(
        tmp_path / "a" / ".qtlplat" / "registry.toml",
        '[plugins]\ndisabled = ["dressed"]\n[heads.mine]\ncomponent = "linear"\nsummary = "nearer"\n',
    )
    (tmp_path / "a" / "b").mkdir()
    registry = load_registry(cwd=tmp_path / "a" / "b")
    assert registry.files == (shipped_registry(), user, project)
    assert registry.defaults["head"] == ("mine",)
    assert registry.defaults["evaluator"] == ("kfold3",)
    assert registry.defaults["backbone"] == ("lenet2",)
    assert registry.disabled == ("lenet", "dressed")
    mine = registry.presets["head"]["mine"]
    assert (mine.component, mine.summary, mine.source) == ("linear", "nearer", project)


def test_an_explicit_file_replaces_all_others(tmp_path: Path) -> None:
    write(tmp_path / ".qtlplat" / "registry.toml", '[heads.near]\ncomponent = "mlp"\n')
    only = write(tmp_path / "only.toml", '[heads.alone]\ncomponent = "mlp"\n')
    registry = load_registry(str(only), cwd=tmp_path)
    assert list(registry.presets["head"]) == ["alone"]
    assert registry.defaults == {}
    assert registry.files == (only,)


def test_every_problem_of_every_file_is_told_with_file_and_path(tmp_path: Path, own_config: Path) -> None:
    user = write(own_config / "registry.toml", "[defaults]\nhead = 3\n")
    project = write(
        tmp_path / ".qtlplat" / "registry.toml",
        '[heds.x]\ncomponent = "a"\n[heads.y]\noptions = { a = 1 }\n[heads."Bad Name"]\ncomponent = "a"\n'
        "[protocols.p]\ntraining = { epochs = 0 }\n",
    )
    with pytest.raises(ConfigError) as caught:
        load_registry(cwd=tmp_path)
    text = caught.value.what
    assert f"{user}: defaults.head: input should be a valid string, is 3" in text
    assert f"{project}: heds: there is no such key" in text
    assert f"{project}: heads.y.component: field required" in text
    assert f"{project}: heads: name 'Bad Name' must be" in text
    assert f"{project}: protocols.p.training.epochs: input should be greater than or equal to 1, is 0" in text
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[defaults]\nhead = \n", "is not TOML: Invalid value (at line 2, column 8)"),
        (b"x = '\xff'", "is not UTF-8"),
        (b"defaults = 3", "defaults: input should be a valid dictionary"),
        (b"heads = 3", "heads: input should be a valid dictionary"),
        (b"[heads]\nx = 3", "heads.x: input should be a valid dictionary"),
        (b"[defaults]\ndataset = []", "defaults.dataset"),
    ],
)
def test_an_unreadable_file_is_a_config_error(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_registry(str(path))
    assert message in caught.value.what
    assert str(path) in caught.value.what


def test_a_missing_explicit_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load_registry(str(tmp_path / "nowhere.toml"))
