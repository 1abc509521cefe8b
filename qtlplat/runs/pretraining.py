"""The frozen backbones of a run's cells: found by content or pretrained, and what they make of every image."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from qtlplat.analysis.metrics import classification_metrics
from qtlplat.backbones.features import features_key, frozen_features
from qtlplat.backbones.leakage import leaks
from qtlplat.backbones.model import WholeBackbone
from qtlplat.backbones.pretrain import BackboneTraining, pretraining_cells
from qtlplat.backbones.trainer import Network
from qtlplat.catalog.plan import PretrainingPlan
from qtlplat.contracts import Split
from qtlplat.errors import BusyError, StoreError
from qtlplat.quantum.devices.threads import torch_threads
from qtlplat.runs.cells import Pretraining
from qtlplat.runs.context import ResumePoint, RunContext, recorded
from qtlplat.runs.drift import drift
from qtlplat.runs.prepare import Material, Prepared
from qtlplat.runs.reuse_misses import why_not_again
from qtlplat.runs.rows import ids_hash, new_cells, new_pretraining, prediction_rows
from qtlplat.runs.thread_count import asked_for, earlier_threads, measured_threads, stored_threads
from qtlplat.seeding import isolated_rng
from qtlplat.state.epochs import TrainedEpoch
from qtlplat.state.weights import load_weights
from qtlplat.store.core.files_lock import taking_up
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader
from qtlplat.store.write.shared_work import Work, claimed


@dataclass(frozen=True)
class Pretrained:
    """A pretrained backbone: the run it comes from, the sha256 of its weights, the weights by name."""

    run: str
    sha256: str
    state: Mapping[str, Tensor]


def backbone_for(job: RunContext, prepared: Prepared, wanted: Pretraining, made_for: str = "") -> Pretrained:
    """A backbone that cells start from: what an earlier run left, or pretrained now.

    made_for: id of the run that needs it. A replay takes what the run that it does again started from, or what was
    pretrained for itself.
    """
    part = "" if wanted.within is None else ids_hash(prepared.images, wanted.within)
    plan = prepared.plan.pretraining_plan(wanted.seed, part)
    if job.replay and job.replay.heads_only:
        return stored_backbone(job.reader, job.replay.of, wanted.positions[0])
    rest = (job, plan, prepared.material, wanted.split, wanted.whose, made_for)
    if job.replay:
        again = _interrupted(job, plan, made_for)
        source = pretraining_of(job.reader, job.replay.of, wanted.positions[0])
        return _find(job, plan, wanted.whose, made_for) or pretrained(*rest, again, source)

    def tell(who: str) -> None:
        job.progress.note(f"backbone{wanted.whose}: {who}")

    with claimed(job.location, one_pretraining(plan), lambda: _doing(job, plan), tell, job.stop.check):
        found = _find(job, plan, wanted.whose, made_for)
        if found:
            return found
        again = _interrupted(job, plan, made_for)
        try:
            return pretrained(*rest, again)
        except BusyError:
            if again is None:
                raise
            return pretrained(*rest)  # somebody else was first to go on with it


def one_pretraining(plan: PretrainingPlan) -> Work:
    """A pretraining as work that runs share; for a store on a server, only runs of one machine share its weights."""
    return Work(f"pretraining {plan.fingerprint}", "files")


def _doing(job: RunContext, plan: PretrainingPlan) -> RunRecord | None:
    """The pretraining with this plan that is running, no replay."""
    running = job.reader.running(plan.fingerprint, "pretraining")
    return next((run for run in running if run.replay_of is None), None)


def _find(job: RunContext, plan: PretrainingPlan, whose: str, made_for: str) -> Pretrained | None:
    """The weights of the newest earlier pretraining with this plan, if they are intact; None if there is none.

    For a store on a server, weights may be on other machines.
    """
    unusable = ""
    for earlier in job.reader.finished(plan.fingerprint, "pretraining"):
        if not _may_be_used(job, earlier, made_for):
            continue
        try:
            found = _weights_of(job.reader, earlier.id)
        except StoreError as error:
            unusable = unusable or f"pretraining {earlier.id} cannot be used, training again: {error.what}"
            continue
        job.progress.note(f"backbone{whose} found: pretraining {earlier.id}")
        return found
    if not unusable and job.replay is None:
        unusable = why_not_again(job.reader, plan, "pretraining")
    if unusable:
        job.progress.note(unusable)
    return None


def _weights_of(reader: Reader, run: str) -> Pretrained:
    """What a pretraining left. Raises StoreError if it is not there or damaged, UntrustedError."""
    artifact = next((a for a in reader.artifacts(run) if a.kind == "weights"), None)
    if artifact is None:
        raise StoreError("it has no weights")
    return Pretrained(run, artifact.sha256, load_weights(reader.location.files / artifact.path, artifact.sha256))


def stored_backbone(reader: Reader, run: str, position: int) -> Pretrained:
    """The backbone that a stored run's cell started from. Raises StoreError if its weights are gone or damaged."""
    source = pretraining_of(reader, run, position)
    try:
        return _weights_of(reader, source)
    except StoreError as error:
        error.where = error.where or f"pretraining {source} of run {run}"
        error.fix = error.fix or f"pretrain it again: qtlplat replay {run[:8]}"
        raise


def pretraining_of(reader: Reader, run: str, position: int) -> str:
    """Id of the pretraining that a stored run's cell started from. Raises StoreError if that is not known."""
    cells = {cell.position: cell.pretraining for cell in reader.cells(run)}
    source = cells.get(position) or reader.run(run).pretraining
    if source is None:
        raise StoreError(f"cell {position} of run {run} does not say what its backbone is", where=f"run {run}")
    return source


def _may_be_used(job: RunContext, pretraining: RunRecord, made_for: str) -> bool:
    """Whether a run may use it: a replay uses none but those that were made for itself."""
    return job.replay is None or (pretraining.made_for or "") == made_for


def _interrupted(job: RunContext, plan: PretrainingPlan, made_for: str) -> ResumePoint | None:
    """The newest interrupted pretraining with this plan that can be resumed without changes, or with accepted ones."""
    for record in job.reader.interrupted(plan.fingerprint, "pretraining"):
        if not _may_be_used(job, record, made_for):
            continue
        changes = drift(record, plan, job.reader)
        if not changes or job.allow_drift:
            return ResumePoint(record.id, changes)
    return None


def pretrained(
    job: RunContext,
    plan: PretrainingPlan,
    material: Material,
    split: Split,
    whose: str = "",
    made_for: str = "",
    again: ResumePoint | None = None,
    replay_of: str = "",
) -> Pretrained:
    """Pretrain a backbone as a separate run, or resume an interrupted one.

    split: training, validation and test samples; whose: its description in messages; made_for: the run that needs it;
    replay_of: the replayed pretraining.
    """
    images, options = material.images, plan.pretraining
    cells = pretraining_cells(split, options, plan.seed)
    with (
        torch_threads(_threads(job, plan, material, split, again, replay_of)),
        recorded(job, (), lambda: new_pretraining(plan, images, made_for, replay_of), again, made_for) as (run, clock),
        job.checkpoints(run) as checkpoints,
    ):
        seen: dict[str, Any] = {**leaks(cells[0], split, material.groups, options.monitor)}
        rows = [replace(row, **seen) for row in new_cells(cells, images)]
        finished = job.add_cells(run, rows, resumed=again is not None)

        training = BackboneTraining(
            material.build_backbone,
            images,
            split,
            options,
            plan.seed,
            progress=job.progress,
            accelerator=plan.accelerator,
        )
        if again and (start := checkpoints.take_up(training.restore)):
            clock.restore(start)
            place = f"initialisation {start.facts['position'] + 1}, " if options.n_init > 1 else ""
            job.progress.note(f"pretraining {run} resumes after {place}epoch {start.facts['epoch']}")
        with closing(training.run()) as trained:
            for one in trained:
                if one is None:
                    job.stop.check()
                elif isinstance(one, TrainedEpoch):
                    job.keep_epoch(run, one, len(cells), checkpoints, clock)
                elif one.position not in finished:  # before an interruption
                    test = cells[one.position].test
                    job.writer.add_predictions(run, prediction_rows(one.position, test, images, one.probabilities))
                    metrics = classification_metrics(images.labels[test], one.probabilities)
                    job.writer.finish_cell(run, one.position, metrics, one.seconds)
        best = training.best
        facts = {
            "backbone": plan.backbone.identity(),
            "initialisation": best.position,
            "best_epoch": best.best_epoch,
            "selected_by": options.monitor,
        }
        artifact = job.save_weights(run, best.state, facts)
        which = f" of initialisation {best.position + 1}" if options.n_init > 1 else ""
        job.progress.note(f"backbone{whose} pretrained: run {run}, best epoch {best.best_epoch}{which}")
    return Pretrained(run, artifact.sha256, best.state)


def _threads(
    job: RunContext, plan: PretrainingPlan, material: Material, split: Split, again: ResumePoint | None, replay_of: str
) -> int:
    """The previous number for a resumed, replayed or repeated pretraining on this machine; else a measured one."""
    if before := stored_threads(job.reader, again.run) if again else None:
        return before
    if plan.accelerator != "cpu" or asked_for():
        return torch.get_num_threads()
    earlier = job.reader.finished(plan.fingerprint, "pretraining")
    if known := stored_threads(job.reader, replay_of) if replay_of else earlier_threads(job.reader, earlier):
        return known
    options, images = plan.pretraining, material.images

    def fresh() -> Network:
        pixels, labels = torch.tensor(images.images), torch.tensor(images.labels)
        return Network(material.build_backbone, pixels, labels, split, options, plan.seed)

    steps = options.n_init * options.epochs * -(-len(split.train) // options.batch_size)
    with isolated_rng():
        return measured_threads(fresh, steps, job.progress.note)


def features_of(job: RunContext, prepared: Prepared, run: str, backbone: Pretrained) -> Tensor:
    """Frozen features float32 (N, F) of all samples, found or computed; the file is one of the run's."""
    model = WholeBackbone(prepared.build_backbone(), prepared.images.shape[0])
    model.load_state_dict(backbone.state)
    key = features_key(backbone.sha256, prepared.replaced, prepared.plan.dataset_digest)
    with _alone_at_features(job, key, run, backbone.run), taking_up(job.location):
        features, path, found = frozen_features(
            model,
            prepared.replaced,
            prepared.images,
            job.location.files / "features",
            key,
            job.progress,
            accelerator=prepared.plan.accelerator,
            on_step=job.stop.check,
            afresh=job.replay is not None,
        )
        if found:
            job.progress.note("frozen features found")
        shape = {"samples": features.shape[0], "features": features.shape[1]}
        job.add_artifact(run, "features", path, path.with_suffix(".sha256").read_text(), shape)
    return features


def _alone_at_features(job: RunContext, key: str, run: str, backbone: str) -> AbstractContextManager[object]:
    """Hold the lock of features while finding or computing them; a replay, which reuses none, does not wait."""
    if job.replay:
        return nullcontext()

    def doing() -> RunRecord | None:
        # who computes features knows its backbone and has no cells yet; who came first, most likely
        runs = job.reader.several([one for one in job.reader.children(backbone) if one != run])
        waiting = [one for one in runs if one.status == "running" and not job.reader.cells(one.id)]
        return waiting[-1] if waiting else None

    def tell(who: str) -> None:
        job.progress.note(f"frozen features: {who}")

    return claimed(job.location, Work(f"features {key}", "files"), doing, tell, job.stop.check)
