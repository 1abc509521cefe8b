"""The store's tables, as SQLAlchemy Core sees them; how they come about is the migrations' business."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, MetaData, Table

from qtlplat.store.core.columns import Facts, Number, Numbers, Text, Time, Whole
from qtlplat.store.core.run_columns import CountsJson, PlanJson

APPLICATION_ID = 0x51544C50  # "QTLP", in the header of the file: no other database is ever written to
VERSION_TABLE = "qtlplat_schema"
REVISIONS = ("0001",)  # in order; the last one is what this version reads and writes

# Values of an epoch that have a column of their own; any other is kept in `epochs.further`.
EPOCH_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _table(name: str, row: str, *parts: Any, sqlite_with_rowid: bool = False) -> Table:
    """A table. row: what each of its rows is, for `sql --schema` and the docs, as `doc` of the columns."""
    return Table(name, metadata, *parts, info={"row": row}, sqlite_with_rowid=sqlite_with_rowid)


def _key(name: str, kind: Any, doc: str, *parts: Any) -> Column[Any]:
    return Column(name, kind, *parts, primary_key=True, doc=doc)


def _column(name: str, kind: Any, doc: str) -> Column[Any]:
    return Column(name, kind, nullable=False, doc=doc)


def _optional(name: str, kind: Any, doc: str) -> Column[Any]:
    return Column(name, kind, doc=doc)


def _part_of_a_run() -> Column[Any]:
    return _key("run_id", Text, "the run that the row belongs to", ForeignKey("runs.id", ondelete="CASCADE"))


def _status(values: str = "'running', 'finished', 'failed', 'interrupted'") -> CheckConstraint:
    return CheckConstraint(f"status IN ({values})", name="status")


runs = _table(
    "runs",
    "A run, or a pretraining, which is one too.",
    _key("id", Text, "16 hexadecimal characters"),
    _column("kind", Text, "run or pretraining"),
    _column("status", Text, "running, finished, failed or interrupted; a run that was killed still says running"),
    _column("fingerprint", Text, "sha256 of everything that decides the numbers"),
    _column("seed", Whole, "the seed that everything random follows from"),
    _column("created", Time, "when it started, UTC, ISO 8601"),
    _optional("finished", Time, "when it ended; NULL while it runs"),
    _column("host", Text, "the machine of the process that owns or owned it last"),
    _column("pid", Whole, "the number of that process"),
    _column("dataset_digest", Text, "sha256 of the prepared data"),
    _column("plan", PlanJson, "the resolved plan"),
    _column("parameters", CountsJson, "the parameter counts: frozen, replaced, trained"),
    _column("seconds", Numbers, "how long it took, by stage: total, pretrain, features, heads"),
    _column("error", Text, "what stopped it, empty if nothing did"),
    _column("owner", Whole, "number of the process that owns it, or owned it last; above 1: it was resumed"),
    _column("classes", Facts(list), "names of the dataset's classes by label, as a JSON list"),
    _optional("image_shape", Facts(list), "channels, height and width of the images, as a JSON list; NULL: unknown"),
    _optional("made_for", Text, "the run that needs this pretraining; NULL: none does"),
    CheckConstraint("kind IN ('run', 'pretraining')", name="kind"),
    _status(),
    Index(None, "fingerprint", "status"),
    Index(None, "created"),
    sqlite_with_rowid=True,
)

owners = _table(
    "owners",
    "A process that owned a run; only the newest one may write.",
    _part_of_a_run(),
    _key("number", Whole, "1 for the process that started it, one more for each that took it up again"),
    _column("since", Time, "when it became the owner, UTC, ISO 8601"),
    _column("host", Text, "its machine"),
    _column("pid", Whole, "its number there"),
    _column("drift", Facts, "what had changed when it took the run up and was allowed to, as before and after by name"),
)

components = _table(
    "components",
    "A component of a run.",
    _part_of_a_run(),
    _key("role", Text, "dataset, backbone, head or evaluator"),
    _column("name", Text, "what was asked for, as the preset dressed5x3"),
    _column("component", Text, "what that stands for, as dressed"),
    _column("provider", Text, "the distribution that offers it"),
    _column("version", Text, "the version of that"),
    _column("digest", Text, "sha256 of the code that it uses"),
    _column("options", Facts, "all its options, resolved"),
)

cells = _table(
    "cells",
    "A training: a backbone, fold and seed of a head or of one of its controls; in a pretraining, an initialisation.",
    _part_of_a_run(),
    _key("position", Whole, "its number within the run, from 0"),
    _column("backbone_index", Whole, "which of the run's independent backbones it starts from, from 0"),
    _column("fold", Whole, "the fold, from 0"),
    _column("seed", Whole, "the seed of this repetition"),
    _column("n_train", Whole, "number of training samples"),
    _column("n_test", Whole, "number of test samples"),
    _column("train_hash", Text, "sha256 over the sorted ids of the training samples"),
    _column("test_hash", Text, "sha256 over the sorted ids of the test samples"),
    _column("status", Text, "running, finished, failed or interrupted"),
    _optional("seconds", Number, "spent on it"),
    _column("variant", Text, "head, or the control that it belongs to"),
    _optional("leakage", Number, "share of its test samples that its backbone was trained on, 0 to 1"),
    _optional(
        "group_leakage", Number, "share of them whose source image is in a training set, of the head or the backbone"
    ),
    _optional("selection_leakage", Number, "share of them whose accuracy chose the backbone's best epoch"),
    _optional("pretraining", Text, "the run that its backbone comes from"),
    _status(),
)


def _part_of_a_cell() -> tuple[Column[Any], ...]:
    return (
        _key("run_id", Text, "the run that the row belongs to"),
        _key("cell", Whole, "the cell of the run, its position"),
    )


def _to_the_cell() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run_id", "cell"], ["cells.run_id", "cells.position"], ondelete="CASCADE")


epochs = _table(
    "epochs",
    "An epoch of a cell; NULL: not measured.",
    *_part_of_a_cell(),
    _key("epoch", Whole, "its number"),
    _column("seconds", Number, "spent on it"),
    _optional("train_loss", Number, "mean cross-entropy on the training samples"),
    _optional("train_accuracy", Number, "share of the training samples that were right"),
    _optional("test_loss", Number, "mean cross-entropy on the test samples"),
    _optional("test_accuracy", Number, "share of the test samples that were right"),
    _column("further", Numbers, "any other value by name, as validation_loss"),
    _to_the_cell(),
)

metrics = _table(
    "metrics",
    "A final metric of a finished cell.",
    *_part_of_a_cell(),
    _key("name", Text, "f1, accuracy, roc_auc, loss, ... or one of the evaluator's own"),
    _column("value", Number, "its value"),
    _to_the_cell(),
)

candidates = _table(
    "candidates",
    "A way to train that was tried for a cell, in a cross-validation within its training samples.",
    *_part_of_a_cell(),
    _key("number", Whole, "its place in the grid, from 0"),
    _optional("learning_rate", Number, "of Adam; NULL: a control with a solver of its own"),
    _optional("epochs", Whole, "the number of epochs with the lowest mean loss; NULL: as above"),
    _column("options", Facts, "of a control with a solver of its own, by name"),
    _optional("loss", Number, "that loss: cross-entropy in nats, mean over the inner folds; NULL: training diverged"),
    _to_the_cell(),
)

predictions = _table(
    "predictions",
    "A prediction for one test sample.",
    *_part_of_a_cell(),
    _key("sample_id", Text, "the sample"),
    _column("source", Text, "the image that the sample comes from"),
    _column("label", Whole, "its class, as a number from 0"),
    _column("predicted", Whole, "the class that was predicted"),
    _column("probabilities", Numbers(list), "of every class, by label"),
    _to_the_cell(),
)

artifacts = _table(
    "artifacts",
    "A file that belongs to a run.",
    _part_of_a_run(),
    _key("path", Text, "where it lies below the store's directory of files"),
    _column("kind", Text, "weights, features, ..."),
    _column("sha256", Text, "of its content"),
    _column("bytes", Whole, "its size"),
    _optional("cell", Whole, "the cell that it belongs to; NULL: the whole run"),
    _column("meta", Facts, "facts about it"),
)

environment = _table(
    "environment",
    "Something that surrounded a run.",
    _part_of_a_run(),
    _key("name", Text, "python, torch, host, threads, ..."),
    _column("value", Text, "what it was, as text"),
)

lineage = _table(
    "lineage",
    "That a run builds on another one, or repeats it.",
    _part_of_a_run(),
    _key(
        "role",
        Text,
        "pretraining: gives its backbone; replay: is repeated; replay of heads: is repeated from its backbones",
    ),
    _key("parent_id", Text, "the run that is built upon", ForeignKey("runs.id")),
    Index(None, "parent_id"),
)

reproductions = _table(
    "reproductions",
    "The verdicts on a publication's claims, once for each different outcome.",
    _key("id", Text, "16 hexadecimal characters that follow from the content"),
    _column("recipe", Text, "the recipe of the publication"),
    _column("provider", Text, "the distribution that offers it"),
    _column("version", Text, "the version of that"),
    _column("digest", Text, "sha256 of the code that it uses"),
    _column("budget", Text, "how much of it was carried out"),
    _column("dataset_digest", Text, "sha256 of the prepared data"),
    _column("cuts", Facts, "omitted parts of the publication, by name"),
    _column("created", Time, "when it was stored, or last reproduced, UTC, ISO 8601"),
    Index(None, "recipe", "created"),
    sqlite_with_rowid=True,
)

claims = _table(
    "claims",
    "A claim of a publication, compared with runs.",
    _key("reproduction_id", Text, "the outcome that it is part of", ForeignKey("reproductions.id", ondelete="CASCADE")),
    _key("position", Whole, "its number there, from 0"),
    _column("name", Text, "what it is called"),
    _column("kind", Text, "arithmetic, metric or comparison"),
    _column("quantity", Text, "what is claimed, as f1"),
    _column("model", Text, "the model that it is about"),
    _column("place", Text, "where it is printed"),
    _column("printed", Number, "the printed value"),
    _column("unit", Text, "of all its numbers"),
    _column("tolerance", Number, "how far ours may be from the printed value"),
    _optional("ours", Number, "what was measured; NULL: nothing was"),
    _optional("low", Number, "lower end of its interval; NULL: there is none"),
    _optional("high", Number, "upper end of its interval"),
    _column("verdict", Text, "confirmed, contradicted, exceeded, inconclusive, misprint or not run"),
    _column("note", Text, "why, in words"),
    _column("runs", Facts(list), "ids of the runs that it rests on"),
    CheckConstraint("kind IN ('arithmetic', 'metric', 'comparison')", name="kind"),
    CheckConstraint(
        "verdict IN ('confirmed', 'contradicted', 'exceeded', 'inconclusive', 'misprint', 'not run')", name="verdict"
    ),
)

tags = _table(
    "tags",
    "A tag of a run.",
    _part_of_a_run(),
    _key("tag", Text, "the tag"),
    _column("since", Time, "when it was given, UTC, ISO 8601"),
    Index(None, "tag"),
)

notes = _table(
    "notes",
    "The note on a run; each has one note at most.",
    _part_of_a_run(),
    _column("text", Text, "the note"),
    _column("since", Time, "when it was written, UTC, ISO 8601"),
)

trash = _table(
    "trash",
    "That a run lies in the trash: it is not listed, and in no view, until it is taken out again.",
    _part_of_a_run(),
    _column("since", Time, "when it was put there, UTC, ISO 8601"),
)

sweeps = _table(
    "sweeps",
    "A sweep: runs that were asked for together. What of it is done follows from the runs themselves.",
    _key("id", Text, "16 hexadecimal characters that follow from the content"),
    _column("name", Text, "what it is called"),
    _column("created", Time, "when it was stored, UTC, ISO 8601"),
    _column("definition", Facts, "what was asked for: options with all their values, what was zipped and left out"),
    Index(None, "name", "created"),
    sqlite_with_rowid=True,
)

sweep_members = _table(
    "sweep_members",
    "A member of a sweep: a run that is wanted, whether there is one or not.",
    _key("sweep_id", Text, "the sweep that it is part of", ForeignKey("sweeps.id", ondelete="CASCADE")),
    _key("position", Whole, "its number there, from 0"),
    _column("fingerprint", Text, "of the run: a finished run that has it is this member"),
    _column("pretraining", Text, "the fingerprint of the backbone that its cells share"),
    _column("point", Facts, "its values of what varies in the sweep, by name"),
    _column("request", Facts, "what is asked of `qtlplat run`, by option"),
    Index(None, "fingerprint"),
)

sweep_failures = _table(
    "sweep_failures",
    "That a member of a sweep could not be trained; deleted when it is tried again.",
    _key("sweep_id", Text, "the sweep", ForeignKey("sweeps.id", ondelete="CASCADE")),
    _key("position", Whole, "the member"),
    _key("number", Whole, "from 1"),
    _column("since", Time, "when it ended, UTC, ISO 8601"),
    _column("kind", Text, "failed: an error; killed: its process ended, or hung"),
    _column("error", Text, "what stopped it"),
    _column("log", Text, "where its log lies below the store's directory of files, empty if there is none"),
    CheckConstraint("kind IN ('failed', 'killed')", name="kind"),
)

# Annotations of runs, and failures of members of sweeps, change at any time; all other tables of a record do not
# change once it has ended.
REMARKS = ("tags", "notes", "trash", "sweep_failures")

digests = _table(
    "digests",
    "What tells that the rows of a run, or of a reproduction, are still those that were stored.",
    _key("record", Text, "the id of the run or reproduction"),
    _key("part", Text, "the name of a table"),
    _column("sha256", Text, "of the record's rows in it"),
)

# table of records -> how others refer to it
OWNERS = {"runs": "run_id", "reproductions": "reproduction_id", "sweeps": "sweep_id"}


def key_of(table: Table) -> str | None:
    """The column with the id of a record, None for a table of something else."""
    if table.name in OWNERS:
        return "id"
    return next((reference for reference in OWNERS.values() if reference in table.c), None)
