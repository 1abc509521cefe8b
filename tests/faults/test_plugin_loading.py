"""A plugin that fails to load costs other commands one line, and is an error where it is named.

Every way to fail is tried on one kind of component, in turn; the long form tries it on all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from faulty_plugins import FUNCTIONS, HOOK, KINDS, MODULES, SPEC, SPECS, source, with_attribute, with_hook
from outcome import assert_fine, assert_inert, assert_refused, here
from sampling import crossed, sampled

Faulty = Callable[..., None]
NAMES = {"dataset": "squares", "backbone": "net", "head": "dense", "evaluator": "half", "recipe": "paper"}


def assert_left_out(reason: str) -> None:
    """Other commands go on with one warning; the plugin's name, its components and the doctor say what is wrong."""
    assert_fine(here("info", "kfold"), "faulty-lab")
    assert_refused(here("info", "faulty-lab:dense", "--kind", "head"), 4, reason, "faulty-lab")
    doctor = here("plugins", "doctor", "--json")
    assert doctor.code == 4
    assert '"failed"' in doctor.out
    assert_inert(doctor)


def assert_spec_left_out(kind: str, reason: str) -> None:
    """The spec alone is missing, with one warning; the doctor says what is wrong, the others of its plugin work."""
    assert_fine(here("info", "kfold"), "faulty-lab")
    doctor = here("plugins", "doctor", "--json")
    assert doctor.code == 4
    (row,) = [row for row in json.loads(doctor.out) if row["provider"] == "faulty-lab"]
    assert row["state"] == "incomplete"
    assert reason in row["reason"]
    assert_inert(doctor)
    for other, name in NAMES.items():
        done = here("info", f"faulty-lab:{name}", "--kind", other)
        if other != kind:
            assert_fine(done, "faulty-lab")
        elif done.code:  # unknown if its name is what is wrong
            assert_refused(done, 2 if "error: unknown" in done.err else 4)


def test_the_sound_plugin_is_loaded(faulty: Faulty) -> None:
    faulty()
    assert_fine(here("ls"))
    for name in ("squares", "net", "dense", "half", "paper"):
        assert_fine(here("info", name))


@pytest.mark.parametrize("fault", sampled(MODULES, 2))
@pytest.mark.sampled(4)
def test_a_module_that_fails(fault: str, faulty: Faulty) -> None:
    changes, reason = MODULES[fault]
    faulty(f"\n{changes}\n")
    assert_left_out(reason)


@pytest.mark.parametrize(("fault", "kind"), crossed(HOOK, KINDS))
@pytest.mark.sampled(4)
def test_a_hook_that_fails(fault: str, kind: str, faulty: Faulty) -> None:
    body, reason = HOOK[fault]
    faulty(text=with_hook(kind, body))
    reason = reason.format(Spec=SPECS[kind])
    if reason.startswith("must be a ") or reason == "twice":
        assert_spec_left_out(kind, reason)
    else:
        assert_left_out(reason)


@pytest.mark.parametrize(
    ("fault", "kind"),
    # options of a recipe are no argument of it: whatever else is there is not taken over
    [one for one in crossed(SPEC, KINDS, 2) if (SPEC[one.values[0]][0], one.values[1]) != ("options", "recipe")],
)
@pytest.mark.sampled(4)
def test_a_spec_that_is_wrong(fault: str, kind: str, faulty: Faulty) -> None:
    attribute, value, reason = SPEC[fault]
    faulty(text=with_attribute(kind, attribute, value))
    assert_spec_left_out(kind, reason)


@pytest.mark.parametrize(
    ("kind", "name"), sampled([(kind, name) for kind, names in FUNCTIONS.items() for name in names], 4)
)
def test_a_function_that_is_none(kind: str, name: str, faulty: Faulty) -> None:
    faulty(text=with_attribute(kind, name, "3"))
    assert_spec_left_out(kind, f"{name} of")


@pytest.mark.parametrize("kind", sampled(KINDS, 3))
def test_a_hook_that_is_misspelt(kind: str, faulty: Faulty) -> None:
    hook = f"qtlplat_{kind}s"
    faulty(text=source().replace(f"@hookimpl\ndef {hook}", f"@hookimpl\ndef {hook[:-2]}"))
    assert_left_out("there is no hook")
    assert_refused(here("info", "faulty-lab:dense", "--kind", "head"), 4, f"rename it to {hook}")


@pytest.mark.parametrize("kind", sampled(KINDS, 5))
def test_a_hook_that_is_not_marked(kind: str, faulty: Faulty) -> None:
    hook = f"qtlplat_{kind}s"
    faulty(text=source().replace(f"@hookimpl\ndef {hook}", f"def {hook}"))
    assert_left_out(f"{hook} is not marked as a hook")
