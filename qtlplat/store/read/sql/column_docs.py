"""What every view and table of the store means, column by column: the one source of `sql --schema` and the docs.

The tables' words are those of `schema.py`, the views' are here; a test compares them with the views of a store.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from qtlplat.store.core import schema
from qtlplat.store.core.columns import Facts, Number, Whole

_TYPES = ("text", "integer", "real", "JSON")
_RUN = """
run text the run's id
kind
"""
_COMPONENTS = """
dataset text name of the dataset, as it was asked for
backbone text name of the backbone
head text name of the head; NULL for a pretraining
evaluator text name of the evaluator; NULL for a pretraining
"""
_CELL = """
cell integer the cell's number within the run
backbone_index fold seed variant
"""
# view -> (what a row is, the tables that its columns are of, its columns by line); a line is "column type meaning",
# or names of columns that mean what they mean in the first of the tables that has them
_VIEWS = {
    "v_runs": (
        "A run outside of the trash, with its components, scores and remarks.",
        (schema.runs,),
        f"""{_RUN}
status created finished
{_COMPONENTS}
replaced integer dense layers of the backbone that the head stands for
seed
backbones integer number of independent backbones; NULL for a pretraining
f1 real mean over the head's finished cells, no controls; NULL where one of them is not a number
accuracy real mean over the same cells
precision real mean over the same cells
recall real mean over the same cells
roc_auc real mean over the same cells
average_precision real mean over the same cells
loss real mean over the same cells
brier real mean over the same cells
ece real mean over the same cells
f1_min real the least of them
f1_max real the greatest of them
f1_variance real their sample variance; its root is the ± sd of the listings
accuracy_min real the least accuracy
accuracy_max real the greatest accuracy
accuracy_variance real the sample variance of the accuracy
cells integer how many cells that is
trainable integer parameters of the head
parameters integer parameters of the whole model
frozen integer parameters that stayed as they were pretrained
leakage real share of what the head's cells test that its backbone was trained on, 0 to 1
group_leakage real share of it whose source image is in a training set
selection_leakage real share of it whose accuracy chose the backbone's best epoch
seconds real how long it took
pretraining text the run that its backbone comes from; NULL where there is none, or more than one
tags text its tags in alphabetical order, with ', ' between them
note text what is noted on it
error host fingerprint dataset_digest
""",
    ),
    "v_cells": (
        "A cell of such a run, those of controls and pretrainings too, with its final metrics.",
        (schema.cells, schema.runs),
        f"""{_RUN}{_COMPONENTS}{_CELL}
status n_train n_test
f1 real NULL: not measured, or not a number; so are the other metrics
accuracy real share of the test samples that were right
precision real of the test samples
recall real of the test samples
roc_auc real area under the ROC curve; of more than two classes the mean of one against the rest
average_precision real area under the precision-recall curve, likewise
loss real log-loss: mean cross-entropy on the test samples, nats
brier real Brier score, 0 to 1
ece real expected calibration error of the predicted class, 15 bins
leakage group_leakage selection_leakage seconds pretraining
""",
    ),
    "v_epochs": (
        "An epoch of such a cell.",
        (schema.epochs, schema.cells, schema.runs),
        f"""{_RUN}{_COMPONENTS}{_CELL}
epoch
train_loss real NULL: not measured, or not a number; so are the other values
train_accuracy test_loss test_accuracy seconds further
""",
    ),
    "v_predictions": (
        "A prediction of such a cell for one test sample.",
        (schema.predictions, schema.cells, schema.runs),
        f"""{_RUN}{_COMPONENTS}{_CELL}
sample text the sample's id
source label predicted
correct integer 1 where they are the same, else 0
confidence real the probability of the predicted class
class text the name of its class; NULL where the run does not know the names
predicted_class text the name of the class that was predicted
probabilities
""",
    ),
    "v_claims": (
        "A claim of a publication, with the outcome that it is part of.",
        (schema.claims, schema.reproductions),
        """
outcome text the id of the outcome
recipe budget created position name kind quantity model place printed unit tolerance ours low high verdict note runs
provider version dataset_digest
""",
    ),
}


@dataclass(frozen=True)
class ColumnMeaning:
    """A column. type: text, integer, real or JSON (a text that holds strict JSON)."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class TableMeaning:
    """A table or view. meaning: what a row is; columns: in their order; key: names of those that identify a row."""

    name: str
    is_view: bool
    meaning: str
    columns: tuple[ColumnMeaning, ...]
    key: tuple[str, ...] = ()


def views() -> list[TableMeaning]:
    """All views."""
    return [
        TableMeaning(name, True, meaning, tuple(_of_view(text, tables)))
        for name, (meaning, tables, text) in _VIEWS.items()
    ]


def _of_view(text: str, tables: tuple[sa.Table, ...]) -> list[ColumnMeaning]:
    found = []
    for line in filter(None, text.splitlines()):
        name, kind, *words = [*line.split(maxsplit=2), "", ""]
        if kind in _TYPES:
            found.append(ColumnMeaning(name, kind, words[0]))
        else:
            found += [_meaning(next(table.c[one] for table in tables if one in table.c)) for one in line.split()]
    return found


def tables() -> list[TableMeaning]:
    """All tables that hold records."""
    return [
        TableMeaning(
            table.name,
            False,
            table.info["row"],
            tuple(map(_meaning, table.c)),
            tuple(c.name for c in table.primary_key),
        )
        for table in schema.metadata.tables.values()
    ]


def _meaning(column: sa.Column[object]) -> ColumnMeaning:
    kinds = ((Facts, "JSON"), (Whole, "integer"), (Number, "real"))
    kind = next((name for known, name in kinds if isinstance(column.type, known)), "text")
    return ColumnMeaning(column.name, kind, column.doc or "")
