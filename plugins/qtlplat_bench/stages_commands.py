"""`qtlplat bench run` and `bench checkpoint`: whole stages of a run. No torch when imported."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from qtlplat.catalog.plan import ComponentChoice
from qtlplat.catalog.resolve import resolve_component
from qtlplat.cli.components import open_components
from qtlplat.cli.render.columns import Column, write_json
from qtlplat.cli.render.output import emit
from qtlplat.cli.settings import Settings, pass_settings
from qtlplat.cli.stores import asked_store
from qtlplat.errors import UsageError, safe_repr
from qtlplat.specs import AnyHeadSpec, BackboneSpec
from qtlplat_bench.command_options import MEASURED, SETTING, SIZE, batch, json_flag, notes, print_rows, threads

IMAGES = (1, 200, 200)  # C, H, W of what is measured
Network = tuple[BackboneSpec, Any, ComponentChoice]
Head = tuple[AnyHeadSpec, Any, ComponentChoice]

_STAGE_COLUMNS = (
    Column("engine", "engine"),
    *SETTING,
    Column("steps", "steps", right=True),
    Column("measured_steps", "measured", right=True),
    Column("measured_seconds", "measured s", right=True),
    Column("seconds", "whole stage s", right=True),
    *MEASURED[1:5],
)


_CHECKPOINT_COLUMNS = (
    Column("stage", "stage"),
    Column("epochs", "epochs", right=True),
    Column("ms_per_epoch", "ms/epoch", right=True),
    Column("ms_held_up", "ms held up", right=True),
    Column("ms_written", "ms written", right=True),
    Column("bytes", "bytes", right=True),
    Column("share", "share", right=True, show=lambda value: f"{value:.2%}"),
)


@click.command("run")
@click.option("--backbone", metavar="B", help="The network whose features are used. Default: the registry's.")
@click.option("--head", "head_name", metavar="H", help="What replaces its dense layers. Default: the registry's.")
@click.option("--replace", default="all", show_default=True, metavar="all|K", help="How many dense layers go.")
@click.option("--samples", type=click.IntRange(4), default=2200, show_default=True, metavar="N", help="Samples.")
@click.option("--folds", type=click.IntRange(2), default=6, show_default=True, metavar="N", help="Cells of the run.")
@click.option("--epochs", type=SIZE, default=40, show_default=True, metavar="N", help="Epochs of the head.")
@batch
@click.option(
    "--plain-steps",
    type=click.IntRange(2),
    default=60,
    show_default=True,
    metavar="N",
    help="Measured steps of the plain loop.",
)
@json_flag
@pass_settings
def run(
    settings: Settings, /, backbone: str | None, head_name: str | None, replace: str, as_json: bool, **given: Any
) -> None:
    """Compare the head stage of a run with a plain training loop.

    Features are random, as many as the backbone has for images of 200 x 200. Nothing is pretrained or stored.
    qtlplat trains all cells for all epochs. The plain loop (PennyLane's TorchLayer on default.qubit, Adam, the same
    features) is run for --plain-steps steps, and its seconds are extrapolated from them.
    """
    replaced = _replaced(replace)
    if given["samples"] < 2 * given["folds"]:
        raise UsageError(f"{given['samples']} samples are too few for {given['folds']} folds", where="--samples")
    say = notes(settings)
    network, (spec, options, choice) = _network_and_head(settings, backbone, head_name)
    say("loading torch and PennyLane")
    from qtlplat_bench.run import Stage, bench_run

    _, in_features = _built(network, replaced)
    stage = Stage(in_features=in_features, **given)
    say(f"{network[2].name} + {choice.name}: {stage.in_features} features, {stage.samples} samples")
    rows = bench_run(spec, options, choice.provider, stage, say)
    plain = rows[1]
    if plain["extrapolated"]:
        say(f"the plain loop's {plain['seconds']:.0f} s are extrapolated from {plain['measured_steps']} steps")
    print_rows(rows, _STAGE_COLUMNS, as_json, "plain")


@click.command("checkpoint")
@click.option("--backbone", metavar="B", help="The network that is pretrained. Default: the registry's.")
@click.option("--head", "head_name", metavar="H", help="The head to train on the features. Default: the registry's.")
@click.option("--samples", type=click.IntRange(40), default=2200, show_default=True, metavar="N", help="Images.")
@click.option("--folds", type=click.IntRange(2), default=6, show_default=True, metavar="N", help="Cells of the run.")
@click.option("--epochs", type=SIZE, default=40, show_default=True, metavar="N", help="Epochs of the heads.")
@click.option("--pretrain-epochs", type=SIZE, default=4, show_default=True, metavar="N", help="Of the backbone.")
@batch
@threads
@json_flag
@pass_settings
def checkpoint(
    settings: Settings,
    /,
    backbone: str | None,
    head_name: str | None,
    pretrain_epochs: int,
    as_json: bool,
    **given: Any,
) -> None:
    """Measure how long checkpoints delay a run.

    After every epoch a checkpoint is written while the next one trains. Training waits while tensors are copied, and
    for the disk if it is slower than an epoch. Images and features are random; the disk is that of the store, which
    does not change.
    """
    threads, say = given.pop("threads"), notes(settings)
    network, (spec, options, choice) = _network_and_head(settings, backbone, head_name)
    say("loading torch and PennyLane")
    from qtlplat.quantum.devices.threads import torch_threads
    from qtlplat_bench.checkpoint import bench_checkpoint
    from qtlplat_bench.run import Stage

    build, in_features = _built(network, "all")
    stage = Stage(in_features=in_features, **given)
    directory = asked_store(settings).path.parent
    directory = directory if directory.is_dir() else Path.cwd()
    say(f"{network[2].name}: {pretrain_epochs} epochs; {choice.name}: {stage.epochs} epochs; in {directory}")
    with torch_threads(threads):
        rows = bench_checkpoint(
            build,
            IMAGES,
            spec,
            options,
            choice.provider,
            stage,
            pretrain_epochs=pretrain_epochs,
            batch=given["batch"],
            directory=directory,
        )
    if as_json:
        write_json({"rows": rows})
        return
    emit(rows, _CHECKPOINT_COLUMNS)


def _network_and_head(settings: Settings, backbone: str | None, head: str | None) -> tuple[Network, Head]:
    """A backbone and a head by reference, the registry's defaults where None."""
    registry, catalog = open_components(settings)
    network, network_options, network_choice = resolve_component("backbone", backbone, registry, catalog)
    chosen, options, choice = resolve_component("head", head, registry, catalog)
    return (network.spec, network_options, network_choice), (chosen.spec, options, choice)


def _built(network: Network, replaced: Any) -> tuple[Callable[[], Any], int]:
    """What makes a backbone for the images that are measured, and how many features a head on it would get."""
    from qtlplat.backbones.model import WholeBackbone, kept_width, replaced_layers
    from qtlplat.runs.preflight import try_backbone
    from qtlplat_bench.run import CLASSES

    spec, options, choice = network
    build = functools.partial(spec.build, options, input_shape=IMAGES, n_classes=CLASSES)
    model = WholeBackbone(try_backbone(build, IMAGES, CLASSES, choice.provider), IMAGES[0])
    return build, kept_width(model, replaced_layers(replaced, len(model.dense)), IMAGES)


def _replaced(text: str) -> Any:
    """'all', or a number of dense layers."""
    if text != "all" and not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise UsageError(
            f"{safe_repr(text)} is not a number of dense layers",
            where="--replace",
            fix="--replace all, or --replace K with K from 1",
        )
    return text if text == "all" else int(text)
