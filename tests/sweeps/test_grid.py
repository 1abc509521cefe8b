"""What is typed, and which points that makes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, strategies as st

from qtlplat.catalog.references import parse_value, value_text
from qtlplat.errors import UsageError
from qtlplat_sweeps.grid import MOST_POINTS, make_grid
from qtlplat_sweeps.values import split, values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", ["3"]),
        ("a|b|c", ["a", "b", "c"]),
        ("2..5", ["2", "3", "4", "5"]),
        ("-1..1", ["-1", "0", "1"]),
        ("2..9:3", ["2", "5", "8"]),
        ("1|4..6", ["1", "4", "5", "6"]),
        ("1e-4..1e-2*3", ["1e-4", "0.001", "1e-2"]),
        ("1..8*4", ["1", "2.0", "4.0", "8"]),
        ("0..1+5", ["0", "0.25", "0.5", "0.75", "1"]),
        ("../data/x", ["../data/x"]),
        ("a..b", ["a..b"]),
        ('"2..5"', ['"2..5"']),
        ('"a|b"', ['"a|b"']),
        ("[1|2]", ["[1|2]"]),
        ("", [""]),
    ],
)
def test_values(text: str, expected: list[str]) -> None:
    assert values(text, "-S x") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.1..0.5", "how many values"),
        ("5..2", "does not ascend"),
        ("3..3", "does not ascend"),
        ("0..1*4", "logarithmic scale has no 0"),
        ("1..2*1", "has 2 to"),
        ("1..20:0", "no range"),
        ("1..99999999", "too long"),
        ("1|1", "occurs twice"),
        ("1||2", "a value is missing"),
        ("1..3|2", "occurs twice"),
        ("1..1.000001+9", "occurs twice"),
    ],
)
def test_refused_values(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        values(text, "-S x")
    assert caught.value.where == "-S x"
    assert caught.value.fix


@given(
    st.floats(1e-8, 1e8, allow_subnormal=False),
    st.floats(1.5, 1e6, allow_subnormal=False),
    st.integers(2, 40),
)
def test_values_on_a_scale_are_those_of_numpy(low: float, factor: float, number: int) -> None:
    """numpy.geomspace and numpy.linspace, to the six digits that are kept."""
    high = low * factor
    for kind, spaced in (("*", np.geomspace), ("+", np.linspace)):
        found = [float(parse_value(one)) for one in values(f"{low!r}..{high!r}{kind}{number}", "-S x")]
        assert found == pytest.approx(list(spaced(low, high, number)), rel=5e-6)


@given(st.lists(st.one_of(st.integers(), st.text("abcd |.,*'", min_size=1), st.booleans()), min_size=1, unique_by=repr))
def test_any_values_can_be_listed(wanted: list[object]) -> None:
    """Quoted as `value_text` or JSON quotes them, they come back."""
    texts = [json.dumps(one) if isinstance(one, str) else value_text(one) for one in wanted]
    assert [parse_value(one) for one in values("|".join(texts), "-S x")] == wanted


def test_split_leaves_brackets_and_quotes_alone() -> None:
    assert split('a[b,c], "d,e" ,{"f": [1,2]}', ",") == ["a[b,c]", '"d,e"', '{"f": [1,2]}']


def test_every_combination_is_a_point() -> None:
    grid = make_grid(
        {
            "head": "dressed[qubits=2..4,layers=1|2],linear",
            "seed": "0..1",
            "sets": ("training.learning_rate=1e-3|1e-2",),
        }
    )
    assert {name: len(found) for name, found in grid.axes.items()} == {
        "head": 2, "head.qubits": 3, "head.layers": 2, "seed": 2, "training.learning_rate": 2,
    }  # fmt: skip
    assert len(grid.points) == (3 * 2 + 1) * 2 * 2
    first, last = grid.points[0], grid.points[-1]
    assert first.request == {"head": "dressed[qubits=2,layers=1]", "seed": 0, "sets": ["training.learning_rate=1e-3"]}
    assert first.at == {
        "head": "dressed", "head.qubits": 2, "head.layers": 1, "seed": 0, "training.learning_rate": 0.001,
    }  # fmt: skip
    assert last.at == {"head": "linear", "seed": 1, "training.learning_rate": 0.01}
    assert len({json.dumps(point.request) for point in grid.points}) == len(grid.points)


def test_what_has_one_value_varies_nowhere() -> None:
    grid = make_grid({"head": "dressed[qubits=3]", "epochs": "5", "controls": "linear,mlp", "tune": True})
    assert grid.axes == {}
    (point,) = grid.points
    assert point.request == {
        "head": "dressed[qubits=3]",
        "epochs": 5,
        "controls": "linear,mlp",
        "tune": True,
        "sets": [],
    }


def test_zipped_axes_advance_together() -> None:
    typed = {"head": "dressed[qubits=2..4,layers=1..3]", "seed": "7..9"}
    grid = make_grid(typed, ["qubits,layers,seed"])
    assert [tuple(point.at.values()) for point in grid.points] == [(2, 1, 7), (3, 2, 8), (4, 3, 9)]
    with pytest.raises(UsageError, match=r"head.qubits has 3, head.layers has 2"):
        make_grid({"head": "dressed[qubits=2..4,layers=1|2]"}, ["qubits,layers"])
    with pytest.raises(UsageError, match="nothing called 'depth' varies"):
        make_grid(typed, ["qubits,depth"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"head": "dressed[qubits=2|3]", "sets": ("head.qubits=4|5",)}, "head.qubits varies in two places"),
        ({"seed": "1.5"}, "'1.5' is not a whole number"),
        ({"seed": "0..9999", "sets": ("training.batch_size=1..100",)}, f"more than {MOST_POINTS:,}"),
    ],
)
def test_refused_grids(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make_grid(options)


def test_two_references_of_one_component_are_told_apart_by_their_options() -> None:
    grid = make_grid({"head": "dressed[qubits=2],dressed[qubits=5]"})
    assert grid.axes == {"head": ["dressed[qubits=2]", "dressed[qubits=5]"]}


def test_true_is_another_value_than_1() -> None:
    assert make_grid({"head": "mlp[bias=true|1]"}).axes == {"head.bias": [True, 1]}
    assert len(make_grid({"head": "mlp[bias=true|1]"}).axes["head.bias"]) == 2
