"""The plugin host: what is loaded, what is refused, and that nothing broken spreads."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from fake_plugins import HEAD, Install

from qtlplat.catalog.host import Host, PluginStatus, found_plugins, load_plugins
from qtlplat.errors import PluginError


def status(host: Host, name: str) -> PluginStatus:
    (found,) = [p for p in host.plugins if p.name == name]
    return found


def heads(host: Host, distribution: str) -> list[str]:
    return [c.spec.name for c in host.components if c.provider.distribution == distribution]


def test_every_built_in_plugin_loads() -> None:
    host = load_plugins()
    assert {p.name: p.reason for p in host.plugins if p.state != "loaded"} == {}
    assert {"neu-det", "steel-synth", "lenet", "dressed", "linear", "mlp", "kfold"} <= {
        c.spec.name for c in host.components
    }


def test_a_strangers_plugin_is_loaded_with_its_provider(install: Install) -> None:
    install("acme-heads", "acme_good", HEAD.format(name="acme"), entry="acme")
    host = load_plugins()
    assert status(host, "acme").state == "loaded"
    (component,) = [c for c in host.components if c.provider.distribution == "acme-heads"]
    assert component.spec.name == "acme"
    assert (component.provider.version, component.provider.module) == ("1.5", "acme_good")


HOOKED = "from qtlplat import hookimpl\nqtlplat_api_version = (1, 0)\n@hookimpl\n"
BROKEN = {
    "import_error": ("import does_not_exist_anywhere", "ModuleNotFoundError", ""),
    "system_exit": ("raise SystemExit('licence expired')", "SystemExit: 'licence expired'", ""),
    "exception_with_markup": ("raise ValueError('[red]\\x1b[31m')", "ValueError", ""),
    "no_version": ("x = 1", "does not say which API", ""),
    "other_version": ("qtlplat_api_version = (99, 0)", "written for API version 99.0", ""),
    "no_pair": ("qtlplat_api_version = 1", "its API version 1 must be (major, minor)", ""),
    "hook_raises": (
        HOOKED + "def qtlplat_heads():\n    1 / 0",
        "qtlplat_heads raised ZeroDivisionError",
        "qtlplat_heads",
    ),
    "hook_exits": (
        HOOKED + "def qtlplat_heads():\n    raise SystemExit(3)",
        "qtlplat_heads raised SystemExit",
        "qtlplat_heads",
    ),
    "misspelt": (
        HOOKED + "def qtlplat_haeds():\n    return []",
        "there is no hook 'qtlplat_haeds'",
        "qtlplat_haeds",
    ),
    "unmarked": (
        "qtlplat_api_version = (1, 0)\ndef qtlplat_heads():\n    return []",
        "qtlplat_heads is not marked as a hook",
        "qtlplat_heads",
    ),
    "extra_argument": (
        HOOKED + "def qtlplat_heads(x):\n    return []",
        "cannot be registered: PluginValidationError",
        "",
    ),
    "returns_none": (
        HOOKED + "def qtlplat_heads():\n    pass",
        "must return a list of specs, returned None",
        "qtlplat_heads",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_recorded_and_costs_nobody_else(case: str, install: Install) -> None:
    source, reason, hook = BROKEN[case]
    install("broken-dist", f"broken_{case}", source, entry="broken")
    install("good-dist", f"good_beside_{case}", HEAD.format(name="good"), entry="zgood")
    host = load_plugins()
    broken = status(host, "broken")
    assert broken.state == "failed"
    assert reason in broken.reason
    assert broken.fix
    if hook:
        assert broken.hook == hook
    assert heads(host, "broken-dist") == []
    assert heads(host, "good-dist") == ["good"]
    assert [p.name for p in host.failed] == ["broken"]
    (line,) = host.warnings()
    assert "broken-dist" in line
    assert "\n" not in line
    assert "\x1b" not in line


def test_a_misspelt_hook_is_answered_with_the_near_one(install: Install) -> None:
    install("d", "near_miss", BROKEN["misspelt"][0], entry="near")
    assert status(load_plugins(), "near").fix == "rename it to qtlplat_heads"


BAD_SPECS = {
    "wrong_spec": (HEAD.format(name="x").replace("qtlplat_heads", "qtlplat_backbones"), "must be a BackboneSpec"),
    "bad_name": (HEAD.format(name="../Evil"), "name '../Evil' must be lower-case"),
    "bad_options": (
        HEAD.format(name="x").replace("build=build", "build=build, options=dict"),
        "options of x must be a subclass of qtlplat.Options",
    ),
    "not_callable": (HEAD.format(name="x").replace("build=build", "build=3"), "build of x must be a function"),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_a_bad_spec_is_left_out_alone(case: str, install: Install) -> None:
    source, reason = BAD_SPECS[case]
    more = "from qtlplat import EvaluatorSpec\n@hookimpl\ndef qtlplat_evaluators():\n    "
    more += "return [EvaluatorSpec(name='fine', summary='s', cells=lambda o, s: [])]\n"
    install("half-dist", f"half_{case}", f"{source}\n{more}", entry="half")
    host = load_plugins()
    half = status(host, "half")
    assert half.state == "loaded"
    assert heads(host, "half-dist") == ["fine"]
    (refused,) = half.refused
    assert reason in refused.reason
    (line,) = host.warnings()
    assert "half-dist" in line


def test_a_plugin_of_a_later_minor_version_is_loaded_with_a_note(install: Install) -> None:
    install("new-dist", "of_tomorrow", HEAD.format(name="new").replace("(1, 0)", "(1, 7)"), entry="new")
    host = load_plugins()
    assert heads(host, "new-dist") == ["new"]
    assert status(host, "new").warnings == (
        "it was written for API version 1.7, this qtlplat has 1.0: upgrade qtlplat",
    )


def test_a_disabled_plugin_is_not_even_imported(install: Install) -> None:
    install("d", "never_imported", "raise SystemExit", entry="off")
    for disabled in ("off", "d:off"):
        host = load_plugins([disabled])
        assert status(host, "off").state == "disabled"
        assert host.failed == []
    assert "never_imported" not in sys.modules


def test_finding_plugins_imports_none(install: Install) -> None:
    install("d", "looked_at_only", "raise SystemExit", entry="look")
    providers = {p.entry_point: p for _, p in found_plugins()}
    assert (providers["look"].distribution, providers["look"].module) == ("d", "looked_at_only")
    assert "looked_at_only" not in sys.modules


def test_a_warning_at_import_is_kept_for_the_doctor_and_does_not_kill(install: Install) -> None:
    install("d", "warns_loudly", "import warnings\nwarnings.warn('old API')\n" + HEAD.format(name="loud"), entry="loud")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        host = load_plugins()
    assert status(host, "loud").state == "loaded"
    assert status(host, "loud").warnings == ("UserWarning: 'old API'",)


def test_what_a_plugin_prints_at_import_stays_off_stdout(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("d", "prints_much", "print('hello')\n" + HEAD.format(name="printing"), entry="printing")
    assert status(load_plugins(), "printing").state == "loaded"
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_a_distribution_offering_a_name_twice_is_refused(install: Install) -> None:
    install("twice", "first_of_two", HEAD.format(name="same"), entry="one")
    install("twice", "second_of_two", HEAD.format(name="same"), entry="two")
    host = load_plugins()
    assert status(host, "one").state == "loaded"
    assert [one.reason for one in status(host, "two").refused] == ["head 'same' is offered twice: rename one"]
    assert heads(host, "twice") == ["same"]


def test_offered_specs_raises_what_the_host_would_record() -> None:
    from types import ModuleType

    from qtlplat.catalog.host import offered_specs

    with pytest.raises(PluginError, match="does not say which API"):
        offered_specs(ModuleType("empty"), "empty")


def test_loading_all_built_ins_imports_neither_torch_nor_pennylane() -> None:
    code = (
        "import sys; from qtlplat.catalog.host import load_plugins; host = load_plugins(); "
        "print([m for m in ('torch', 'pennylane', 'sklearn', 'PIL') if m in sys.modules], len(host.failed))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] 0"
