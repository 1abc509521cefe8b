"""A wrong --device or --accelerator is refused with the right code, before any work."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from quantum.made_devices import install

from qtlplat.cli.app import _run

SMALL = ["run", "--dry-run", "--dataset", "steel-synth[per_class=12,images_per_kind=4]", "--head", "dressed[qubits=2]"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--device", "default.qubit[shots"], 2, "cannot be read"),
        (["--accelerator", "abacus"], 2, "'abacus' is not one of 'cpu', 'cuda'"),
        (["--device", "compiled[shots=10]"], 3, "device.shots: there is no such option"),
        (["--device", "default.mixed[noise=loud]", "--seed", "-1"], 3, "2 options are wrong"),
    ],
)
def test_what_is_wrong_in_itself_is_refused_without_reading_data(
    flags: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(["run", "--dry-run", "--dataset", "neu-det", "-S", "dataset.root=/nowhere/at/all", *flags]) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("default.qbit", "did you mean: default.qubit"),
        ("lightning.qubit[colour=red]", "unexpected keyword argument 'colour'"),
        ("default.qubit[noise=bitflip]", "default.mixed"),
    ],
)
@pytest.mark.sampled(1)
def test_what_the_device_refuses_is_refused_before_any_work(
    device: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run([*SMALL, "--device", device, "--store", str(tmp_path / "s.db")]) == 3
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""
    assert not (tmp_path / "s.db").exists()


@pytest.mark.slow
def test_a_dry_run_shows_the_device_in_canonical_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run([*SMALL, "--device", "default.qubit[seed=1, shots=20]", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "default.qubit[seed=1,shots=20]"


@pytest.fixture
def _made_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.mark.usefixtures("_made_devices")
def test_shots_that_a_device_chooses_itself_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run([*SMALL, "--device", "made.own_shots", "--json"]) == 0
    captured = capsys.readouterr()
    engine = json.loads(captured.out)["engine"]
    assert engine["gradient"] == "parameter-shift"
    assert engine["shots"] == {"number": 1000, "chosen_by_device": True, "repeatable": False}
    assert "made.own_shots gives no exact values: it draws shots (1000, chosen by the device)" in captured.err
    assert "the shots of made.own_shots cannot be repeated" in captured.err


@pytest.mark.usefixtures("_made_devices")
def test_info_tells_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["info", "dressed[qubits=2]", "--device", "made.own_shots"]) == 0
    assert "shots       1000, chosen by the device, which do not follow the seed" in capsys.readouterr().out


def test_a_device_that_computes_nothing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run([*SMALL, "--device", "null.qubit"]) == 3
    assert "error: device null.qubit computes other values than the circuit has: 0 inst" in capsys.readouterr().err


@pytest.mark.usefixtures("_made_devices")
@pytest.mark.filterwarnings("default")
def test_warnings_of_a_device_are_told_once_and_inert(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's: whoever runs qtlplat has none
    assert _run([*SMALL, "--device", "made.warns"]) == 0
    err = capsys.readouterr().err
    assert err.count("calibration") == err.count("chip") == 1
    assert "warning from made_devices: no calibration \\x1b[31mdata\n" in err
    assert "warning from made: the \\x1b[31mchip is warm\n" in err
    assert "\x1b" not in err
