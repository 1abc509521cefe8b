"""A stored run's trained model, put together again from its plan and its weights; trains nothing, needs no data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from qtlplat.backbones.features import BATCH
from qtlplat.backbones.model import WholeBackbone
from qtlplat.catalog.catalog import Catalog
from qtlplat.catalog.contained import contained
from qtlplat.catalog.plan import RunPlan
from qtlplat.errors import UntrustedError, describe_exception
from qtlplat.models.trained_run import TrainedRun, look_up
from qtlplat.quantum.devices.engine import Engine
from qtlplat.runs.build import built_backbone, built_head
from qtlplat.runs.engine_choice import choose_for
from qtlplat.seeding import isolated_rng
from qtlplat.state.weights import load_weights
from qtlplat.store.core.records import RunRecord
from qtlplat.store.read.queries import Reader


@dataclass(frozen=True, eq=False)
class TrainedCell:
    """A cell's head with the backbone in front of it. backbone: number of it among those of the model."""

    position: int
    fold: int
    seed: int
    backbone: int
    head: nn.Module


@dataclass(frozen=True, eq=False)
class Trained:
    """A stored run's model: uint8 images (B, C, H, W) -> probabilities (B, K), by each of its cells.

    shape: (C, H, W); replaced: dense layers that a head stands for; engine: what runs the circuit, None without one.
    """

    run: str
    plan: RunPlan
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    replaced: int
    backbones: tuple[WholeBackbone, ...]
    cells: tuple[TrainedCell, ...]
    engine: Engine | None

    @property
    def draws_shots(self) -> bool:
        """Whether its circuit gives other numbers each time."""
        return self.engine is not None and self.engine.reseeded is not None

    def logits(self, images: Tensor) -> Tensor:
        """Logits (cells, B, K) of uint8 images (B, C, H, W)."""
        features = [backbone.kept(images, self.replaced).float() for backbone in self.backbones]
        return torch.stack([cell.head(features[cell.backbone]) for cell in self.cells])

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        """Probabilities (cells, N, K) of images (N, C, H, W), rounded as they were when features were made of them."""
        n = len(images)
        filled = np.zeros((-(-n // BATCH) * BATCH, *self.shape), np.uint8)
        filled[:n] = images
        with contained(random=False, forks=False), torch.no_grad():
            parts = [self.logits(batch) for batch in torch.from_numpy(filled).split(BATCH)]
        result: npt.NDArray[np.float64] = torch.cat(parts, dim=1)[:, :n].double().softmax(-1).numpy()
        return result


def open_trained(
    reader: Reader, record: RunRecord, catalog: Catalog, *, cells: Sequence[int] = (), sets: Sequence[str] = ()
) -> Trained:
    """The trained model of a finished run. cells: positions, all of the head's where none is named.

    sets: ``dataset.option=value``; the data is read only for a run from before the shape of images was stored.

    Raises:
        UsageError: the run is a pretraining, has not finished, or has no such cell.
        StoreError: weights are missing.
        UntrustedError: they are not what was stored, or are those of another network.
        PluginError, ConfigError: as `qtlplat.catalog.reopen.stored_run`.
    """
    found = look_up(reader, record, catalog, cells=cells, sets=sets)
    resolved, shape, names = found.resolved, found.shape, found.class_names
    plan, head = resolved.plan.bind(record.dataset_digest), resolved.specs["head"].spec
    engine = choose_for(head, resolved.options["head"], plan)
    with isolated_rng():
        backbones, replaced, heads = _built(record, found, engine)
    order = list(backbones)
    return Trained(
        record.id,
        plan,
        shape,
        names,
        replaced,
        tuple(backbones.values()),
        tuple(
            TrainedCell(
                cell.position, cell.fold, cell.seed, order.index(found.sources[cell.position]), heads[cell.position]
            )
            for cell in found.cells
        ),
        engine,
    )


def _built(
    record: RunRecord, found: TrainedRun, engine: Engine | None
) -> tuple[dict[str, WholeBackbone], int, dict[int, nn.Module]]:
    """Backbones by the id of their pretraining, how many layers are replaced, heads by position; weights loaded."""
    resolved, shape, n_classes, sources = found.resolved, found.shape, len(found.class_names), found.sources
    backbones: dict[str, WholeBackbone] = {}
    for source in dict.fromkeys(sources.values()):
        _, model = built_backbone(resolved.specs["backbone"], resolved.options["backbone"], shape, n_classes)
        model.load_state_dict(load_weights(*found.weights[source]))
        backbones[source] = model.eval()
    built = built_head(resolved, engine, next(iter(backbones.values())), shape, n_classes)
    weights = load_weights(*found.weights[record.id])
    heads: dict[int, nn.Module] = {}
    for position in sources:
        start = f"cell{position}."
        state = {name.removeprefix(start): tensor for name, tensor in weights.items() if name.startswith(start)}
        head = built.make().eval()
        try:
            head.load_state_dict(state)
        except RuntimeError as error:
            raise UntrustedError(
                f"the weights of cell {position} do not fit the head: {describe_exception(error)}",
                where=f"run {record.id}",
                fix=f"the head's plugin may have changed; repeat the run: qtlplat replay {record.id[:8]}",
            ) from error
        heads[position] = head
    return backbones, built.replaced, heads
