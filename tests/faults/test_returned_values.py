"""Everything that a plugin returns, with every hostile value in its place: taken, or refused in the plugin's name."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hostile_values import HELPERS, QUANTUM, RETURNED, VALUES
from outcome import Outcome, assert_inert, assert_refused, at_most, here
from sampling import crossed

from qtlplat.catalog import returned
from qtlplat.errors import PluginError

Faulty = Callable[..., None]
LONG = 7  # with a number of places that 7 does not divide, every place meets other values than its neighbours
RUN = "run --dataset squares --backbone net --head dense --evaluator half --epochs 1 --dry-run".split()
COMMANDS = {
    "run": [*RUN, "--json"],
    "circuit": [*RUN, "--json"],
    "info": "info faulty-lab:dense --kind head --json".split(),
    "check": "data check squares --json".split(),
    "reproduce": "reproduce paper --dry-run --json".split(),
}
WRONG = {"run": (3, 4), "circuit": (3, 4), "info": (4,), "check": (3, 4, 8), "reproduce": (2, 3, 4)}


def outcome(place: str, value: str, faulty: Faulty) -> tuple[Outcome, str]:
    change, command = RETURNED[place]
    # a hook that offers no sound specs is one of a plugin that failed to load
    faulty((QUANTUM if command == "circuit" else "") + HELPERS + "\n\n" + change.format(value=VALUES[value]) + "\n")
    with at_most(60):
        return here(*COMMANDS[command]), command


@pytest.mark.parametrize(("value", "place"), crossed(VALUES, list(RETURNED), long=LONG))
@pytest.mark.sampled(12)
def test_a_value_is_taken_or_refused_in_the_plugins_name(value: str, place: str, faulty: Faulty) -> None:
    done, command = outcome(place, value, faulty)
    if done.code == 0 or (command == "check" and done.code in (3, 8)):  # the problems are what it prints
        json.loads(done.out)
        assert_inert(done)
        return
    assert_refused(done, done.code, out=command == "check")
    renamed = place == "a spec's name" and done.code == 2  # a sound name, but not the one that is asked for
    assert renamed or done.code in WRONG[command], done.err
    if done.code == 4:
        assert "faulty-lab" in done.err
        assert "a bug in" not in done.err


METRICS = {
    "a fine decimal": 0.5,
    "a fine fraction": 0.5,
    "a NumPy number": 0.5,
    "an array without axes": 0.5,
    "a tensor without axes": 0.5,
}
REFUSED = set(VALUES) - set(METRICS) - {"NaN", "infinity"}


@pytest.mark.parametrize("value", VALUES)
def test_a_number_is_a_real_number_that_fits_a_float(value: str) -> None:
    names: dict[str, object] = {}
    exec(HELPERS, names)
    given = eval(VALUES[value], names)
    if value in METRICS:
        assert returned.number(given, "it") == METRICS[value]
        assert type(returned.number(given, "it")) is float
    elif value in REFUSED:
        with pytest.raises((PluginError, SystemExit, ZeroDivisionError)):
            returned.number(given, "it")


def test_the_message_names_plugin_spec_and_value(faulty: Faulty) -> None:
    faulty("\n\ndef metrics(labels, probabilities):\n    return {'a': 10**400}\n")
    assert_refused(here(*RUN), 4, "half: metric a", "1000", "faulty-lab")


@pytest.mark.parametrize("kind", [str, int, float])
def test_plain_values_are_of_plain_classes(kind: type) -> None:
    class Own(kind):  # type: ignore[misc, valid-type]
        pass

    from qtlplat import Problem

    assert type(returned._plain(Own("3"))) is kind
    assert type(returned.problem(Problem(*(type("T", (str,), {})("a") for _ in range(3)))).what) is str
