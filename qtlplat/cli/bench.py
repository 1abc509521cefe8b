"""`qtlplat bench`: what to measure is read here, measured in `qtlplat.bench`, and printed. No torch when imported."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from qtlplat.catalog.device import parse_device
from qtlplat.catalog.plan import ComponentChoice
from qtlplat.catalog.provider import Component
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.output import Column, emit, note, write_json
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.contracts import BackboneSpec, HeadSpec
from qtlplat.errors import UsageError, shown

DEVICES = "compiled,default.qubit,lightning.qubit"
MOST_SIZES = 64

_SIZE = click.IntRange(1)
_batch = click.option("--batch", type=_SIZE, default=64, show_default=True, metavar="N", help="Samples per step.")
_threads = click.option("--threads", type=_SIZE, default=1, show_default=True, metavar="N", help="Threads of torch.")
_classes = click.option("--classes", type=click.IntRange(2), default=2, show_default=True, metavar="N", help="Classes.")
_json = click.option("--json", "as_json", is_flag=True, help="Strict JSON with stable keys.")


def _scientific(value: Any) -> str:
    return f"{value:.0e}"


_MEASURED = (
    Column("ms_per_step", "ms/step", right=True),
    Column("ms_per_cell_step", "ms/cell step", right=True),
    Column("spread", "spread", right=True, show=lambda value: f"{value:.0%}"),
    Column("times", "times as fast", right=True),
    Column("max_value_error", "value error", right=True, show=_scientific),
    Column("max_gradient_error", "gradient error", right=True, show=_scientific),
)
_SETTING = tuple(Column(key, key, right=True) for key in ("qubits", "layers", "batch", "cells", "threads"))
_COLUMNS = (Column("engine", "engine"), *_SETTING, *_MEASURED)
_STAGE_COLUMNS = (
    Column("engine", "engine"),
    *_SETTING,
    Column("steps", "steps", right=True),
    Column("measured_steps", "measured", right=True),
    Column("measured_seconds", "measured s", right=True),
    Column("seconds", "whole stage s", right=True),
    *_MEASURED[1:5],
)


@click.group("bench")
def bench_command() -> None:
    """Measure how fast a head, a backbone or the head stage of a run is.

    What qtlplat computes is timed against the same thing as it is usually written, in turn, in one process. Medians are
    shown; spread is the interquartile range divided by the median, and tells how much else the machine had to do.
    """


@bench_command.command("head")
@click.argument("name")
@_batch
@click.option("--cells", type=_SIZE, default=6, show_default=True, metavar="N", help="Cells in the stack.")
@click.option("--features", type=_SIZE, default=2048, show_default=True, metavar="N", help="Features per sample.")
@_classes
@click.option("--qubits", metavar="N|A..B", help="Set the head's option qubits; a range measures every size.")
@click.option("--layers", type=_SIZE, metavar="N", help="Set the head's option layers.")
@_threads
@click.option("--devices", metavar="D,D", help=f"What runs the circuit, one after the other. Default: {DEVICES}.")
@click.option("--repeats", type=_SIZE, metavar="N", help="Of every step. Default: what fits into three seconds.")
@click.option("--circuit-only", is_flag=True, help="Leave out the layers around the circuit.")
@_json
@pass_settings
def head(
    settings: Settings, /, name: str, qubits: str | None, layers: int | None, devices: str | None, **given: Any
) -> None:
    """Time a training step of a head on several engines.

    NAME is a head, e.g. dressed5x3 or 'dressed[qubits=4]'. A step is forward and backward, without the optimizer.
    default.qubit stands for PennyLane's TorchLayer on it; times are compared with it, and so are, in float64, logits
    and gradients. Other devices are driven as `run --device` drives them.
    """
    as_json = given.pop("as_json")
    heads = _heads(settings, name, qubits, layers)
    chosen = [parse_device(text) for text in re.split(r",(?![^\[]*\])", devices or DEVICES)]
    say = _notes(settings)
    say("loading torch and PennyLane")
    from qtlplat.bench.head import Setting, bench_head

    rows: list[dict[str, Any]] = []
    for number, (component, options, choice) in enumerate(heads):
        assert isinstance(component.spec, HeadSpec)
        # What cannot be had at all is refused; what fails at one size of many leaves the others to be shown.
        setting = Setting(devices=chosen, strict=devices is not None and number == 0, **given)
        say(f"{choice.component}: {', '.join(f'{key}={value}' for key, value in choice.options.items())}")
        rows += bench_head(component.spec, options, choice.provider, setting, say)
    _print(rows, _COLUMNS, as_json, "TorchLayer")


@bench_command.command("backbone")
@click.argument("name")
@_batch
@_threads
@click.option("--repeats", type=_SIZE, default=10, show_default=True, metavar="N", help="Of every step.")
@click.option("--image-size", type=_SIZE, default=200, show_default=True, metavar="N", help="Height and width.")
@click.option("--channels", type=_SIZE, default=1, show_default=True, metavar="N", help="Channels of the images.")
@_classes
@_json
@pass_settings
def backbone(
    settings: Settings, /, name: str, image_size: int, channels: int, classes: int, as_json: bool, **given: Any
) -> None:
    """Time a pretraining step of a backbone.

    NAME is a backbone, e.g. lenet2. "plain" is the same network in torch as it is usually written.
    """
    component, options, choice = resolve_component("backbone", name, *open_components(settings))
    spec = component.spec
    assert isinstance(spec, BackboneSpec)
    say = _notes(settings)
    say("loading torch")
    from qtlplat.bench.backbone import bench_backbone
    from qtlplat.training.preflight import try_backbone

    shape = (channels, image_size, image_size)
    build = functools.partial(spec.build, options, shape, classes)
    try_backbone(build, shape, classes, choice.provider)
    say(f"{choice.name}: {given['repeats']} steps each")
    _print(bench_backbone(build, shape, classes, **given), _COLUMNS, as_json, "plain")


@bench_command.command("run")
@click.option("--backbone", metavar="B", help="The network whose features are used. Default: the registry's.")
@click.option("--head", "head_name", metavar="H", help="What replaces its dense layers. Default: the registry's.")
@click.option("--replace", default="all", show_default=True, metavar="all|K", help="How many dense layers go.")
@click.option("--samples", type=click.IntRange(4), default=2200, show_default=True, metavar="N", help="Samples.")
@click.option("--folds", type=click.IntRange(2), default=6, show_default=True, metavar="N", help="Cells of the run.")
@click.option("--epochs", type=_SIZE, default=40, show_default=True, metavar="N", help="Epochs of the head.")
@_batch
@click.option(
    "--plain-steps",
    type=click.IntRange(2),
    default=60,
    show_default=True,
    metavar="N",
    help="Measured steps of the plain loop.",
)
@_json
@pass_settings
def run(
    settings: Settings, /, backbone: str | None, head_name: str | None, replace: str, as_json: bool, **given: Any
) -> None:
    """Time the whole head stage of a run against a plain loop.

    Features are random, as many as the backbone has for images of 200 x 200; nothing is pretrained and nothing stored.
    qtlplat trains all cells for all epochs. The plain loop (PennyLane's TorchLayer on default.qubit, Adam, the same
    features) is run for --plain-steps steps, and its seconds are extrapolated from them.
    """
    replaced = _replaced(replace)
    if given["samples"] < 2 * given["folds"]:
        raise UsageError(f"{given['samples']} samples are too few for {given['folds']} folds", where="--samples")
    registry, catalog = open_components(settings)
    network, network_options, network_choice = resolve_component("backbone", backbone, registry, catalog)
    component, options, choice = resolve_component("head", head_name, registry, catalog)
    assert isinstance(network.spec, BackboneSpec)
    assert isinstance(component.spec, HeadSpec)
    say = _notes(settings)
    say("loading torch and PennyLane")
    from qtlplat.bench.run import CLASSES, Stage, bench_run
    from qtlplat.training.model import WholeBackbone, kept_width, replaced_layers
    from qtlplat.training.preflight import try_backbone

    shape = (1, 200, 200)
    build = functools.partial(network.spec.build, network_options, shape, CLASSES)
    model = WholeBackbone(try_backbone(build, shape, CLASSES, network_choice.provider), shape[0])
    stage = Stage(n_in=kept_width(model, replaced_layers(replaced, len(model.dense)), shape), **given)
    say(f"{network_choice.name} + {choice.name}: {stage.n_in} features, {stage.samples} samples")
    rows = bench_run(component.spec, options, choice.provider, stage, say)
    plain = rows[1]
    if plain["extrapolated"]:
        say(f"the plain loop's {plain['seconds']:.0f} s are extrapolated from {plain['measured_steps']} steps")
    _print(rows, _STAGE_COLUMNS, as_json, "plain")


def _heads(
    settings: Settings, name: str, qubits: str | None, layers: int | None
) -> list[tuple[Component, Any, ComponentChoice]]:
    """The head in every size that was asked for, with its options validated."""
    registry, catalog = open_components(settings)
    component, _, _ = resolve_component("head", name, registry, catalog)
    for option, value in (("qubits", qubits), ("layers", layers)):
        if value is not None and option not in component.spec.options.model_fields:
            raise UsageError(
                f"head {component.spec.name} has no option {option}",
                where=f"--{option}",
                fix=f"qtlplat info {component.spec.name} lists its options",
            )
    of_all = [f"head.layers={layers}"] if layers is not None else []
    sizes: Sequence[Sequence[str]] = [[f"head.qubits={size}"] for size in _range(qubits)] if qubits else [[]]
    return [resolve_component("head", name, registry, catalog, [*of_all, *size]) for size in sizes]


def _range(text: str) -> range:
    match = re.fullmatch(r"([0-9]{1,4})(?:\.\.([0-9]{1,4}))?", text.strip())
    sizes = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
    if not 0 < len(sizes) <= MOST_SIZES:
        raise UsageError(f"{shown(text)} is no number of qubits", where="--qubits", fix="--qubits 5, or --qubits 2..8")
    return sizes


def _replaced(text: str) -> Any:
    """'all', or a number of dense layers."""
    if text != "all" and not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise UsageError(
            f"{shown(text)} is not a number of dense layers",
            where="--replace",
            fix="--replace all, or --replace K with K from 1",
        )
    return text if text == "all" else int(text)


def _notes(settings: Settings) -> Callable[[str], None]:
    return note if settings.verbosity >= 0 else lambda _text: None


def _print(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], as_json: bool, plain: str) -> None:
    """JSON, or a table with how many times as fast as the plain engine a row is, cell by cell, at the same size."""
    if as_json:
        write_json({"rows": rows})
        return
    compared = {row["qubits"]: row["ms_per_cell_step"] for row in rows if row["engine"].startswith(plain)}
    with_ratio = [
        {**row, "times": compared[row["qubits"]] / row["ms_per_cell_step"] if row["qubits"] in compared else None}
        for row in rows
    ]
    emit(with_ratio, columns, empty="nothing could be measured")


for _command in (bench_command, *bench_command.commands.values()):
    add_common_options(_command)
