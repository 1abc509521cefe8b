"""Grids of controls with solvers of their own: combinations in order, and what a grid may not be."""

import pytest

from qtlplat.catalog.verify import spec_problem
from qtlplat.control_specs import FittedControlSpec


def spec(grid, **more):
    return FittedControlSpec(name="theirs", summary="of a third party", fit=print, grid=grid, **more)


def test_candidates_are_all_combinations_the_last_name_first():
    grid = {"kind": ("a", "b"), "C": [0.1, 1]}
    assert spec_problem(spec(grid, fit_each=print), "control") == ""
    assert spec(grid).candidates == [{"kind": kind, "C": c} for kind in ("a", "b") for c in (0.1, 1)]
    assert (spec({}).candidates, spec_problem(spec({}), "control")) == ([], "")


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ([1, 2], "must map names of options to lists of values"),
        ({"seed": [1]}, "names of keyword arguments of fit, not 'seed'"),
        ({"not a name": [1]}, "not 'not a name'"),
        ({"C": []}, "a list of values for C, not []"),
        ({"C": 1.0}, "a list of values for C, not 1.0"),
        ({"C": [float("nan")]}, "texts and finite numbers for C"),
        ({"C": [None]}, "texts and finite numbers for C, not None"),
        ({"C": [1, 1.0]}, "a value of C more than once"),
        ({"a": list(range(20)), "b": list(range(6))}, "has 120 candidates, at most 100"),
    ],
)
def test_what_is_no_grid_is_refused(grid, words):
    problem = spec_problem(spec(grid), "control")
    assert problem.startswith("grid of theirs ")
    assert words in problem


def test_what_fits_candidates_is_a_function():
    assert spec_problem(spec({}, fit_each=3), "control") == "fit_each of theirs must be a function or None, is 3"
