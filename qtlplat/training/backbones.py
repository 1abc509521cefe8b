"""The frozen backbones of a run's cells: found by content or pretrained, and what they make of every image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.errors import StoreError
from qtlplat.store.queries import Reader
from qtlplat.training.checkpoint import load_weights
from qtlplat.training.features import features_key, frozen_features
from qtlplat.training.job import Job, recorded
from qtlplat.training.leak import leaks
from qtlplat.training.model import WholeBackbone
from qtlplat.training.prepare import Pretraining
from qtlplat.training.pretrain import Initialisation, pretrain, pretraining_cells
from qtlplat.training.rows import epoch_rows, ids_hash, new_cells, new_pretraining, prediction_rows


@dataclass(frozen=True)
class Pretrained:
    """A pretrained backbone: the run it comes from, the sha256 of its weights, the weights by name."""

    run: str
    sha256: str
    state: Mapping[str, Tensor]


def backbone_for(job: Job, wanted: Pretraining) -> Pretrained:
    """A backbone that cells start from: what an earlier run left, or pretrained now."""
    part = "" if wanted.within is None else ids_hash(job.prepared.images, wanted.within)
    fingerprint = job.prepared.plan.fingerprint_of_pretraining(wanted.seed, part)
    return _find(job, fingerprint, wanted.whose) or _pretrain(job, fingerprint, wanted, part)


def _find(job: Job, fingerprint: str, whose: str) -> Pretrained | None:
    """What an earlier pretraining of this fingerprint left, if it is there and whole."""
    reader = Reader(job.location)
    earlier = reader.find_finished(fingerprint, "pretraining")
    if earlier is None:
        return None
    try:
        artifact = next((a for a in reader.artifacts(earlier.id) if a.kind == "weights"), None)
        if artifact is None:
            raise StoreError("it has no weights")
        state = load_weights(job.location.files / artifact.path, artifact.sha256)
    except StoreError as error:
        job.progress.note(f"pretraining {earlier.id} cannot be used, training again: {error.what}")
        return None
    job.progress.note(f"backbone{whose} found: pretraining {earlier.id}")
    return Pretrained(earlier.id, artifact.sha256, state)


def _pretrain(job: Job, fingerprint: str, wanted: Pretraining, part: str) -> Pretrained:
    """Pretrain a backbone as a run of its own. part: sha256 of the ids of the samples that it may see, '' for all."""
    split, seed = wanted.split, wanted.seed
    plan, images = job.prepared.plan, job.prepared.images
    options = plan.pretraining
    cells = pretraining_cells(split, options, seed)
    with recorded(job, new_pretraining(job.prepared, fingerprint, seed, part)) as (run, _):
        seen: dict[str, Any] = {
            **leaks(cells[0], split, job.prepared.groups, options.select_by)
        }  # of each initialisation
        rows = [replace(row, **seen) for row in new_cells(cells, images)]
        job.writer.add_cells(run, rows)

        def keep(one: Initialisation) -> None:
            cell = cells[one.position]
            job.writer.add_predictions(run, prediction_rows(one.position, cell.test, images, one.probabilities))
            metrics = classification_metrics(images.labels[cell.test], one.probabilities)
            job.writer.finish_cell(run, one.position, metrics, one.seconds)

        best = pretrain(
            job.prepared.build_backbone,
            images,
            split,
            options,
            seed,
            progress=job.progress,
            on_epoch=lambda row: job.writer.add_epochs(run, epoch_rows([row])),
            on_initialisation=keep,
            accelerator=plan.accelerator,
        )
        facts = {
            "backbone": plan.backbone.identity(),
            "initialisation": best.position,
            "best_epoch": best.best_epoch,
            "selected_by": options.select_by,
        }
        artifact = job.save_weights(run, best.state, facts)
        which = f" of initialisation {best.position + 1}" if options.initialisations > 1 else ""
        job.progress.note(f"backbone{wanted.whose} pretrained: run {run}, best epoch {best.best_epoch}{which}")
    return Pretrained(run, artifact.sha256, best.state)


def features_of(job: Job, run: str, backbone: Pretrained) -> Tensor:
    """Frozen features float32 (N, F) of all samples, found or computed; the file is one of the run's."""
    prepared = job.prepared
    model = WholeBackbone(prepared.build_backbone(), prepared.images.shape[0])
    model.load_state_dict(backbone.state)
    features, path, found = frozen_features(
        model,
        prepared.replaced,
        prepared.images,
        job.location.files / "features",
        features_key(backbone.sha256, prepared.replaced, prepared.plan.dataset_digest),
        job.progress,
        accelerator=prepared.plan.accelerator,
    )
    if found:
        job.progress.note("frozen features found")
    shape = {"samples": features.shape[0], "features": features.shape[1]}
    job.add_artifact(run, "features", path, path.with_suffix(".sha256").read_text(), shape)
    return features
