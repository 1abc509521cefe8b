from typing import Any

import pytest
from pydantic import BaseModel

from qtlplat import DatasetSpec, PluginError
from qtlplat.catalog.plugin_calls import source_files


def files_of(answer: Any) -> Any:
    def files(options: BaseModel, sources: list[str]) -> Any:
        return answer(sources)

    spec = DatasetSpec(name="d", summary="s", load=lambda _: None, locate_files=files)  # type: ignore[arg-type, return-value]
    return source_files(spec, None, "lab", ["a", "b"])


def test_a_dataset_that_names_no_files_has_none() -> None:
    assert source_files(DatasetSpec(name="d", summary="s", load=lambda _: None), None, "lab", ["a"]) == {}  # type: ignore[arg-type, return-value]


def test_files_are_told_by_source() -> None:
    assert files_of(lambda sources: {source: f"/data/{source}" for source in sources}) == {
        "a": "/data/a",
        "b": "/data/b",
    }


@pytest.mark.parametrize("answer", [lambda _: 1, lambda _: {"a": 1}, lambda _: {1: "a"}, lambda _: [1 / 0]])
def test_anything_but_text_by_source_is_the_plugins_fault(answer: Any) -> None:
    with pytest.raises(PluginError) as caught:
        files_of(answer)
    assert caught.value.where == "lab"
