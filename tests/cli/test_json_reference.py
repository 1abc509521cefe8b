"""The keys that listings print as JSON are all in the reference, down to the innermost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compared_runs import LINEAR, QUANTUM, predictions, store_run
from stored_runs import qtlplat

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
OF_THE_STORE = ("values", "group")  # keys below these are run ids and fields


def keys_of(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from keys_of(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            if key not in OF_THE_STORE:
                yield from keys_of(part)


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "@-2", "@last"],
        ["diff", "@-2", "@last"],
        ["best"],
        ["pareto", "f1", "parameters"],
        ["errors", "@last"],
    ],
)
def test_every_key_is_documented(tmp_path: Path, command: list[str]) -> None:
    wrong = {0: predictions(0, [True, False])}
    parameters = {"model_total": 7}
    store_run(tmp_path / "s.db", LINEAR, head="linear", predicted=wrong, parameters=parameters)
    store_run(tmp_path / "s.db", QUANTUM, predicted=wrong, parameters=parameters)
    found = json.loads(qtlplat(tmp_path / "s.db", *command, "--json").out)
    text = PAGE.split(f"\n## qtlplat {command[0]}\n", 1)[1].split("\n## ", 1)[0]
    keys = set(keys_of(found)) - {"f1", "parameters"}
    assert len(keys) > 5
    assert {key for key in keys if f'"{key}"' not in text and f"`{key}`" not in text} == set()
