"""What every view and table of the store means, column by column: the one source of `sql --schema` and the docs.

The views' words are here, the tables' in `table_meanings.py`; `views.py` and `schema.py` make what is described, and a
test holds all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

from qtlplat.store.core import schema
from qtlplat.store.core.columns import Facts, Number, Whole
from qtlplat.store.read.sql.table_docs import TABLES

_WHICH = """
        run text the run's id
        kind text run or pretraining
"""
_COMPONENTS = """
        dataset text name of the dataset, as it was asked for
        backbone text name of the backbone
        head text name of the head; NULL for a pretraining
        evaluator text name of the evaluator; NULL for a pretraining
"""
_OF_CELL = """
        fold integer the fold, from 0
        seed integer the seed of this repetition
        variant text head, or the control that it belongs to
"""
# view -> (what a row is, "column type meaning" by line)
_VIEWS = {
    "v_runs": (
        "A run outside of the trash, with its components, scores and remarks.",
        f"""
        {_WHICH}
        status text running, finished, failed or interrupted; a run that was killed still says running
        created text when it started, UTC, ISO 8601
        finished text when it ended; NULL while it runs
        {_COMPONENTS}
        replaced integer dense layers of the backbone that the head stands for
        seed integer the seed that everything random follows from
        f1 real mean over the head's finished cells, no controls; NULL where one of them is not a number
        accuracy real mean over the same cells
        precision real mean over the same cells
        recall real mean over the same cells
        loss real mean over the same cells
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
        error text what stopped it, empty if nothing did
        host text the machine of the process that owned it last
        fingerprint text sha256 of everything that decides the numbers
        dataset_digest text sha256 of the prepared data
        """,
    ),
    "v_cells": (
        "A cell of such a run, those of controls and pretrainings too, with its final metrics.",
        f"""
        {_WHICH}
        {_COMPONENTS}
        cell integer its number within the run, from 0
        {_OF_CELL}
        status text running, finished, failed or interrupted
        n_train integer number of training samples
        n_test integer number of test samples
        f1 real NULL: not measured, or not a number; so are the other metrics
        accuracy real share of the test samples that were right
        precision real of the test samples
        recall real of the test samples
        loss real mean cross-entropy on the test samples
        leakage real share of its test samples that its backbone was trained on, 0 to 1
        group_leakage real share of them whose source image is in a training set
        selection_leakage real share of them whose accuracy chose the backbone's best epoch
        seconds real spent on it
        pretraining text the run that its backbone comes from
        """,
    ),
    "v_epochs": (
        "An epoch of such a cell.",
        f"""
        {_WHICH}
        {_COMPONENTS}
        cell integer the cell's number within the run
        {_OF_CELL}
        epoch integer its number
        train_loss real NULL: not measured, or not a number; so are the other values
        train_accuracy real share of the training samples that were right
        test_loss real mean cross-entropy on the test samples
        test_accuracy real share of the test samples that were right
        seconds real spent on it
        further JSON any other value by name, as validation_loss
        """,
    ),
    "v_predictions": (
        "A prediction of such a cell for one test sample.",
        f"""
        {_WHICH}
        {_COMPONENTS}
        cell integer the cell's number within the run
        {_OF_CELL}
        sample text the sample's id
        source text the image that the sample comes from
        label integer its class, as a number from 0
        predicted integer the class that was predicted
        correct integer 1 where they are the same, else 0
        confidence real the probability of the predicted class
        class text the name of its class; NULL where the run does not know the names
        predicted_class text the name of the class that was predicted
        probabilities JSON of every class, by label
        """,
    ),
    "v_claims": (
        "A claim of a publication, with the outcome that it is part of.",
        """
        outcome text the id of the outcome
        recipe text the recipe of the publication
        budget text how much of it was carried out
        created text when it was stored, or last reproduced, UTC, ISO 8601
            position integer the claim's number, from 0
        name text what it is called
        kind text arithmetic, metric or comparison
        quantity text what is claimed, as f1
        model text the model that it is about
        place text where it is printed
        printed real the printed value
        unit text of all its numbers
        tolerance real how far ours may be from the printed value
        ours real what was measured; NULL: nothing was
        low real lower end of its interval; NULL: there is none
        high real upper end of its interval
        verdict text confirmed, contradicted, inconclusive, misprint or not run
        note text why, in words
        runs JSON ids of the runs that it rests on
        provider text the distribution that offers the recipe
        version text the version of that
        dataset_digest text sha256 of the prepared data
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
    found = []
    for name, (meaning, text) in _VIEWS.items():
        columns = tuple(ColumnMeaning(*line.split(None, 2)) for line in _lines(text))
        found.append(TableMeaning(name, True, meaning, columns))
    return found


def tables() -> list[TableMeaning]:
    """All tables that hold records."""
    found = []
    for name, (meaning, text) in TABLES.items():
        table = schema.metadata.tables[name]
        lines = (line.split(None, 1) for line in _lines(text))
        columns = tuple(ColumnMeaning(column, _type(table.c[column].type), words) for column, words in lines)
        found.append(TableMeaning(name, False, meaning, columns, tuple(c.name for c in table.primary_key)))
    return found


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _type(kind: object) -> str:
    for known, name in ((Facts, "JSON"), (Whole, "integer"), (Number, "real")):
        if isinstance(kind, known):
            return name
    return "text"
