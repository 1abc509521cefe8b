"""What users type after --device."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from qtlplat.catalog.device import DeviceChoice, parse_device
from qtlplat.errors import ConfigError, UsageError


@pytest.mark.parametrize(
    ("text", "name", "options", "canonical"),
    [
        ("auto", "auto", {"precision": "single"}, "auto"),
        ("compiled[precision=single]", "compiled", {"precision": "single"}, "compiled"),
        (" compiled[ precision = double ] ", "compiled", {"precision": "double"}, "compiled[precision=double]"),
        ("default.qubit[]", "default.qubit", {}, "default.qubit"),
        ("default.qubit[shots=1000]", "default.qubit", {"shots": 1000}, "default.qubit[shots=1000]"),
        (
            "default.mixed[strength=1e-2,noise=depolarizing]",
            "default.mixed",
            {"noise": "depolarizing", "strength": 0.01},
            "default.mixed[noise=depolarizing]",
        ),
        (
            "default.mixed[strength=0,noise=bitflip]",
            "default.mixed",
            {"noise": "bitflip", "strength": 0.0},
            "default.mixed[noise=bitflip,strength=0.0]",
        ),
        (
            'acme.chip[token="1",api=x,seed=3,batch_obs=true,precision=single]',
            "acme.chip",
            {"token": "1", "api": "x", "seed": 3, "batch_obs": True, "precision": "single"},
            'acme.chip[api=x,batch_obs=true,precision=single,seed=3,token="1"]',
        ),
    ],
)
def test_a_device_is_taken_apart_and_written_canonically(
    text: str, name: str, options: dict[str, Any], canonical: str
) -> None:
    choice = parse_device(text)
    assert (choice.name, choice.options) == (name, options)
    assert choice.text == canonical
    assert parse_device(canonical) == choice


@given(
    st.dictionaries(
        st.from_regex("[a-z_]{1,6}", fullmatch=True).filter(lambda k: k not in ("shots", "noise", "strength", "wires")),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
@pytest.mark.slow
def test_the_canonical_form_reads_back_whatever_the_values_are(options: dict[str, Any]) -> None:
    choice = DeviceChoice("acme.chip", options)
    assert parse_device(choice.text) == choice


@pytest.mark.parametrize("text", ["", "[shots=1]", "default.qubit[shots=1", "d[shots]", "d[shots=1,shots=2]"])
def test_what_cannot_be_read_is_a_usage_error_that_shows_how_to_write_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_device(text)
    assert caught.value.where == "--device"
    assert "default.qubit[shots=1000]" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("auto[shots=10]", ["device.shots: there is no such option; known: precision"]),
        ("compiled[precision=half]", ["device.precision: 'half': input should be 'single' or 'double'"]),
        (
            "d[shots=0,noise=loud]",
            ["device.shots: 0: input should be greater", "device.noise: 'loud': input should be"],
        ),
        ("d[shots=2.5]", ["device.shots: 2.5: input should be a valid integer"]),
        ("d[shots=true]", ["device.shots: True:"]),
        ("d[noise=bitflip,strength=1.5]", ["device.strength: 1.5: input should be less than or equal to 1"]),
        ("d[strength=0.1]", ["strength needs a noise"]),
        ("d[wires=7]", ["device.wires: cannot be chosen, the circuit says how many"]),
        ("d[a b=1,limit=1e999]", ["device.'a b': is no name", "device.limit: inf: must be finite"]),
    ],
)
def test_wrong_options_are_config_errors_all_at_once(text: str, messages: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_device(text)
    for message in messages:
        assert message in caught.value.what


@given(st.text(alphabet="ab=,.[]{}\"'1e9 -", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError, ConfigError):
        choice = parse_device(text)
        assert parse_device(choice.text) == choice
