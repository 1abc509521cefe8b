"""What users type: references and -S texts."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from qtlplat.catalog.references import parse_reference, parse_sets, parse_value
from qtlplat.errors import UsageError


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("dressed5x3", "dressed5x3", {}),
        ("dressed[qubits=4,layers=2]", "dressed", {"qubits": 4, "layers": 2}),
        ("acme-heads:linear", "acme-heads:linear", {}),
        ("acme:mlp[hidden=[5,3],activation=tanh]", "acme:mlp", {"hidden": [5, 3], "activation": "tanh"}),
        (" mlp[ hidden = [5, 3] , dropout=0.5 ] ", "mlp", {"hidden": [5, 3], "dropout": 0.5}),
        ('d[root="a,b]=c",x=1]', "d", {"root": "a,b]=c", "x": 1}),
        ('d[root="say \\"hi, you\\"",x=1]', "d", {"root": 'say "hi, you"', "x": 1}),
        ("d[root=/a b/c=d,x=true,y=null]", "d", {"root": "/a b/c=d", "x": True, "y": None}),
        ("d[]", "d", {}),
        ("d[scale=pi/2]", "d", {"scale": "pi/2"}),
    ],
)
def test_a_reference_is_taken_apart(text: str, name: str, options: dict[str, Any]) -> None:
    reference = parse_reference(text, "head")
    assert reference.name == name
    assert {key: given.value for key, given in reference.options.items()} == options
    assert reference.text == text.strip()


@pytest.mark.parametrize("text", ["", "[a=1]", "d[a=1", "d]", "d[a]", "d[=1]", "d[a=1,a=2]", "d[a=1]x"])
def test_an_unreadable_reference_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(text, "head")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("1", 1),
        ("1e-3", 1e-3),
        ("true", True),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1,2", "1,2"),
        ("[1", "[1"),
    ],
)
def test_values_are_json_or_else_text(raw: str, value: Any) -> None:
    assert parse_value(raw) == value
    assert type(parse_value(raw)) is type(value)


def test_a_value_nested_too_deep_is_text() -> None:
    deep = "[" * 100_000
    assert parse_value(deep) == deep


@given(st.text())
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert parse_reference(text, "head").name.strip()


def test_sets_are_sorted_by_role_and_the_last_one_wins() -> None:
    sets = parse_sets(["head.layers=2", "dataset.root=/a=b", "head.layers=3"], ("dataset", "head"))
    assert sets["head"]["layers"].value == 3
    assert sets["dataset"]["root"].value == "/a=b"


@pytest.mark.parametrize("text", ["head.layers", "layers=2", "head.=2", "", "="])
def test_a_set_of_another_form_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not role"):
        parse_sets([text], ("head",))


def test_an_unknown_role_is_answered_with_the_near_one() -> None:
    with pytest.raises(UsageError, match="did you mean: training"):
        parse_sets(["trainig.epochs=2"], ("head", "training"))


@pytest.mark.parametrize(
    ("role", "place"), [("head", "--head"), ("device", "--device"), ("name", "NAME"), ("recipe", "RECIPE")]
)
def test_the_place_of_an_unreadable_reference_is_what_the_command_calls_it(role: str, place: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_reference("a]", role)
    assert refused.value.where == place
