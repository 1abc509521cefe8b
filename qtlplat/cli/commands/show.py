"""`qtlplat show RUN`: one run as a page for people or as JSON. No SQL here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from qtlplat.cli.render.columns import write_json
from qtlplat.cli.render.show_page import page
from qtlplat.cli.render.show_tables import cells, curve, env, params, plan
from qtlplat.cli.settings import Settings, add_common_options, pass_settings
from qtlplat.cli.stores import opened

if TYPE_CHECKING:
    from qtlplat.store.read.queries import Reader


def read_run(reader: Reader, run_id: str) -> dict[str, Any]:
    """All of a run but its predictions, in the shape of `show --json`."""
    from qtlplat.analysis.selection import selection
    from qtlplat.store.read.lineage import family
    from qtlplat.store.read.progress import progress
    from qtlplat.store.read.serialize import stored_form

    record = reader.run(run_id)
    run = stored_form(reader, record)
    options = run["plan"].get("pretraining", {})
    picked = run["kind"] == "pretraining" and run["status"] == "finished" and "monitor" in options
    run["selection"] = selection(run["epochs"], options["monitor"]) if picked else None
    run["lineage"] = family(reader, run_id).form()
    run["progress"] = progress(reader, [record])[run_id].form() if record.status == "running" else None
    return run


_SECTION = {"cells": cells, "curve": curve, "params": params, "plan": plan, "env": env}


@click.command("show")
@click.argument("reference", metavar="RUN")
@click.option("--cells", "sections", flag_value="cells", multiple=True, help="Only the cells and their metrics.")
@click.option("--curve", "sections", flag_value="curve", multiple=True, help="Only loss and accuracy by epoch.")
@click.option("--params", "sections", flag_value="params", multiple=True, help="Only the parameter counts.")
@click.option("--plan", "sections", flag_value="plan", multiple=True, help="Only the resolved plan, as JSON.")
@click.option("--env", "sections", flag_value="env", multiple=True, help="Only versions, host, device, threads.")
@click.option("--json", "as_json", is_flag=True, help="Everything, as strict JSON with stable keys.")
@pass_settings
def show_command(settings: Settings, reference: str, sections: tuple[str, ...], as_json: bool) -> None:
    """Show one run: cells, curves, parameters, plan, environment.

    RUN is the beginning of its id, @last, @-2 (the one before the last), @best:f1 or @tag:paper.
    """
    reader = opened(settings)
    run = read_run(reader, reader.resolve(reference))
    if as_json:
        write_json({key: run[key] for key in _json_keys(sections)} if sections else run)
    elif sections:
        for name in sections:
            _SECTION[name](run)
    else:
        page(run)


def _json_keys(sections: Sequence[str]) -> list[str]:
    """The keys of the JSON that belong to sections, in addition to those that identify the run."""
    parts = {"cells": ("metrics", "cells"), "curve": ("epochs",), "params": ("parameters",), "plan": ("plan",)}
    parts["env"] = ("environment",)
    return ["run", "kind", "status", *(key for name in sections for key in parts[name])]


add_common_options(show_command)
