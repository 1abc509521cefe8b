"""`qtlplat bench`: what to measure is read here, measured in `qtlplat_bench`, and printed. No torch when imported."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any

import click

from qtlplat.catalog.device import parse_device
from qtlplat.catalog.plan import ComponentChoice
from qtlplat.catalog.provider import Component
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.errors import UsageError, safe_repr
from qtlplat.specs import AnyHeadSpec, BackboneSpec
from qtlplat_bench.command_options import COLUMNS, SIZE, batch, classes, json_flag, notes, print_rows, threads
from qtlplat_bench.devices_command import devices as devices_command
from qtlplat_bench.duplicates_command import duplicates
from qtlplat_bench.stages_commands import checkpoint, run
from qtlplat_bench.store_command import store
from qtlplat_bench.verdict_command import verdict

DEVICES = "compiled,default.qubit,lightning.qubit"
MOST_SIZES = 64


@click.group("bench")
def bench_command() -> None:
    """Measure speed and the errors of comparisons and audits, and test devices.

    qtlplat and the usual implementation are timed alternately in one process. Times are medians; spread is the
    interquartile range divided by the median, and shows how busy the machine was.
    """


@bench_command.command("head")
@click.argument("name")
@batch
@click.option("--cells", type=SIZE, default=6, show_default=True, metavar="N", help="Cells in the stack.")
@click.option("--features", type=SIZE, default=2048, show_default=True, metavar="N", help="Features per sample.")
@classes
@click.option("--qubits", metavar="N|A..B", help="Set the head's option qubits; a range measures every size.")
@click.option("--layers", type=SIZE, metavar="N", help="Set the head's option layers.")
@threads
@click.option("--devices", metavar="D,D", help=f"What runs the circuit, one after the other. Default: {DEVICES}.")
@click.option("--repeats", type=SIZE, metavar="N", help="Of every step. Default: what fits into three seconds.")
@click.option("--circuit-only", is_flag=True, help="Leave out the layers around the circuit.")
@json_flag
@pass_settings
def head(
    settings: Settings, /, name: str, qubits: str | None, layers: int | None, devices: str | None, **given: Any
) -> None:
    """Time a training step of a head on several engines.

    NAME is a head, e.g. dressed5x3 or 'dressed[qubits=4]'. A step is forward and backward, without the optimizer.
    default.qubit means PennyLane's TorchLayer on it; times are compared with it, and so are, in float64, logits and
    gradients. Other devices are used as by `run --device`.
    """
    as_json = given.pop("as_json")
    heads = _heads(settings, name, qubits, layers)
    chosen = [parse_device(text) for text in re.split(r",(?![^\[]*\])", devices or DEVICES)]
    say = notes(settings)
    say("loading torch and PennyLane")
    from qtlplat_bench.head import Setting, bench_head

    rows: list[dict[str, Any]] = []
    for number, (component, options, choice) in enumerate(heads):
        # What cannot be had at all is refused; what fails at one size of many leaves the others to be shown.
        setting = Setting(devices=chosen, strict=devices is not None and number == 0, **given)
        say(f"{choice.component}: {', '.join(f'{key}={value}' for key, value in choice.options.items())}")
        rows += bench_head(component.spec, options, choice.provider, setting, say)
    print_rows(rows, COLUMNS, as_json, "TorchLayer")


@bench_command.command("backbone")
@click.argument("name")
@batch
@threads
@click.option("--repeats", type=SIZE, default=10, show_default=True, metavar="N", help="Of every step.")
@click.option("--image-size", type=SIZE, default=200, show_default=True, metavar="N", help="Height and width.")
@click.option("--channels", type=SIZE, default=1, show_default=True, metavar="N", help="Channels of the images.")
@classes
@json_flag
@pass_settings
def backbone(
    settings: Settings, /, name: str, image_size: int, channels: int, classes: int, as_json: bool, **given: Any
) -> None:
    """Time a pretraining step of a backbone.

    NAME is a backbone, e.g. lenet2. "plain" is the same network in ordinary torch.
    """
    component, options, choice = resolve_component("backbone", name, *open_components(settings))
    spec: BackboneSpec = component.spec
    say = notes(settings)
    say("loading torch")
    from qtlplat.runs.preflight import try_backbone
    from qtlplat_bench.backbone import bench_backbone

    shape = (channels, image_size, image_size)
    build = functools.partial(spec.build, options, input_shape=shape, n_classes=classes)
    try_backbone(build, shape, classes, choice.provider)
    say(f"{choice.name}: {given['repeats']} steps each")
    print_rows(bench_backbone(build, shape, classes, **given), COLUMNS, as_json, "plain")


def _heads(
    settings: Settings, name: str, qubits: str | None, layers: int | None
) -> list[tuple[Component[AnyHeadSpec], Any, ComponentChoice]]:
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
        raise UsageError(
            f"{safe_repr(text)} is no number of qubits", where="--qubits", fix="--qubits 5, or --qubits 2..8"
        )
    return sizes


bench_command.add_command(run)
bench_command.add_command(checkpoint)
bench_command.add_command(store)
bench_command.add_command(devices_command)
bench_command.add_command(verdict)
bench_command.add_command(duplicates)
