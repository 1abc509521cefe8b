"""The store's tables, as SQLAlchemy Core sees them; how they come about is the migrations' business."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, Table, literal_column, text

from qtlplat.conventions import ROLES
from qtlplat.store.core.columns import Facts, Number, Numbers, Text, Time, Whole
from qtlplat.store.core.run_columns import CountsJson, PlanJson
from qtlplat.store.core.table_parts import (
    column,
    key,
    metadata as metadata,  # noqa: PLC0414 -- whoever asks for tables finds it here
    optional,
    part_of_a_cell,
    part_of_a_run,
    status_check,
    table_of,
    to_the_cell,
)

APPLICATION_ID = 0x51544C50  # "QTLP", in the header of the file: no other database is ever written to
VERSION_TABLE = "qtlplat_schema"
REVISIONS = ("0001",)  # in order; the last one is what this version reads and writes

# Values of an epoch that have a column of their own; any other is kept in `epochs.further`.
EPOCH_COLUMNS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")

FACTS = (*ROLES, "condition")  # columns of `runs` that follow from its components
RUNNING = "status = 'running'"
runs = table_of(
    "runs",
    "A run, or a pretraining, which is one too.",
    key("id", Text, "16 hexadecimal characters"),
    column("kind", Text, "run or pretraining"),
    column("status", Text, "running, finished, failed or interrupted; a run that was killed still says running"),
    column("fingerprint", Text, "sha256 of everything that decides the numbers"),
    column("seed", Whole, "the seed that everything random follows from"),
    column("created", Time, "when it started, UTC, ISO 8601"),
    optional("finished", Time, "when it ended; NULL while it runs"),
    column("host", Text, "the machine of the process that owns or owned it last"),
    column("pid", Whole, "the number of that process"),
    column("dataset_digest", Text, "sha256 of the prepared data"),
    *(optional(role, Text, f"name of the {role}, as it was asked for; NULL: there is none") for role in ROLES),
    optional("condition", Text, "the same for runs whose scores are comparable: of their data and their evaluator"),
    column("plan", PlanJson, "the resolved plan"),
    column("parameters", CountsJson, "the parameter counts: frozen, replaced, trained"),
    column("seconds", Numbers, "how long it took, by stage: total, pretrain, features, heads"),
    column("error", Text, "what stopped it, empty if nothing did"),
    column("owner", Whole, "number of the process that owns it, or owned it last; above 1: it was resumed"),
    column("classes", Facts(list), "names of the dataset's classes by label, as a JSON list"),
    optional("image_shape", Facts(list), "channels, height and width of the images, as a JSON list; NULL: unknown"),
    optional("made_for", Text, "the run that needs this pretraining; NULL: none does"),
    CheckConstraint("kind IN ('run', 'pretraining')", name="kind"),
    status_check(),
    Index(None, "fingerprint", "status"),
    Index(None, "created"),
    # what listings and rankings ask of every run, without its long columns; lists have the order of ids
    Index("ix_runs_facts", "id", "kind", "status", "created", *FACTS),
    Index(None, "condition", "created"),
    # the same for a server is made there: to name PostgreSQL here would load its dialect for every file
    Index("ix_runs_running", "id", sqlite_where=text(RUNNING)).ddl_if(dialect="sqlite"),
    sqlite_with_rowid=True,
)
IS_RUNNING = runs.c.status == literal_column("'running'")  # a bound value would not use the index of these rows alone

owners = table_of(
    "owners",
    "A process that owned a run; only the newest one may write.",
    part_of_a_run(),
    key("number", Whole, "1 for the process that started it, one more for each that took it up again"),
    column("since", Time, "when it became the owner, UTC, ISO 8601"),
    column("host", Text, "its machine"),
    column("pid", Whole, "its number there"),
    column("drift", Facts, "what had changed when it took the run up and was allowed to, as before and after by name"),
)

components = table_of(
    "components",
    "A component of a run.",
    part_of_a_run(),
    key("role", Text, "dataset, backbone, head or evaluator"),
    column("name", Text, "what was asked for, as the preset dressed5x3"),
    column("component", Text, "what that stands for, as dressed"),
    column("provider", Text, "the distribution that offers it"),
    column("version", Text, "the version of that"),
    column("digest", Text, "sha256 of the code that it uses"),
    column("options", Facts, "all its options, resolved"),
)

cells = table_of(
    "cells",
    "A training: a backbone, fold and seed of a head or of one of its controls; in a pretraining, an initialisation.",
    part_of_a_run(),
    key("position", Whole, "its number within the run, from 0"),
    column("backbone_index", Whole, "which of the run's independent backbones it starts from, from 0"),
    column("fold", Whole, "the fold, from 0"),
    column("seed", Whole, "the seed of this repetition"),
    column("n_train", Whole, "number of training samples"),
    column("n_test", Whole, "number of test samples"),
    column("train_hash", Text, "sha256 over the sorted ids of the training samples"),
    column("test_hash", Text, "sha256 over the sorted ids of the test samples"),
    column("status", Text, "running, finished, failed or interrupted"),
    optional("seconds", Number, "spent on it"),
    column("variant", Text, "head, or the control that it belongs to"),
    optional("leakage", Number, "share of its test samples that its backbone was trained on, 0 to 1"),
    optional(
        "group_leakage", Number, "share of them whose source image is in a training set, of the head or the backbone"
    ),
    optional("selection_leakage", Number, "share of them whose accuracy chose the backbone's best epoch"),
    optional("pretraining", Text, "the run that its backbone comes from"),
    status_check(),
)


epochs = table_of(
    "epochs",
    "An epoch of a cell; NULL: not measured.",
    *part_of_a_cell(),
    key("epoch", Whole, "its number"),
    column("seconds", Number, "spent on it"),
    optional("train_loss", Number, "mean cross-entropy on the training samples"),
    optional("train_accuracy", Number, "share of the training samples that were right"),
    optional("test_loss", Number, "mean cross-entropy on the test samples"),
    optional("test_accuracy", Number, "share of the test samples that were right"),
    column("further", Numbers, "any other value by name, as validation_loss"),
    to_the_cell(),
)

metrics = table_of(
    "metrics",
    "A final metric of a finished cell.",
    *part_of_a_cell(),
    key("name", Text, "f1, accuracy, roc_auc, loss, ... or one of the evaluator's own"),
    column("value", Number, "its value"),
    to_the_cell(),
)

run_metrics = table_of(
    "run_metrics",
    "A final metric over the finished cells of a variant of a run; it follows from `metrics`.",
    part_of_a_run(),
    key("variant", Text, "head, or the control that the cells belong to"),
    key("name", Text, "the metric"),
    optional("mean", Number, "mean over the cells; NULL, as the next three, where a cell's value is not a number"),
    optional("sd", Number, "sample standard deviation; NULL for a single cell, too"),
    optional("least", Number, "the least value"),
    optional("most", Number, "the greatest value"),
    column("n", Whole, "how many cells have a number"),
    Index("ix_run_metrics_mean", "name", "variant", "mean"),
)

candidates = table_of(
    "candidates",
    "A way to train that was tried for a cell, in a cross-validation within its training samples.",
    *part_of_a_cell(),
    key("number", Whole, "its place in the grid, from 0"),
    optional("learning_rate", Number, "of Adam; NULL: a control with a solver of its own"),
    optional("epochs", Whole, "the number of epochs with the lowest mean loss; NULL: as above"),
    column("options", Facts, "of a control with a solver of its own, by name"),
    optional("loss", Number, "that loss: cross-entropy in nats, mean over the inner folds; NULL: training diverged"),
    to_the_cell(),
)

predictions = table_of(
    "predictions",
    "A prediction for one test sample.",
    *part_of_a_cell(),
    key("sample_id", Text, "the sample"),
    column("source", Text, "the image that the sample comes from"),
    column("label", Whole, "its class, as a number from 0"),
    column("predicted", Whole, "the class that was predicted"),
    column("probabilities", Numbers(list), "of every class, by label"),
    to_the_cell(),
)

artifacts = table_of(
    "artifacts",
    "A file that belongs to a run.",
    part_of_a_run(),
    key("path", Text, "where it lies below the store's directory of files"),
    column("kind", Text, "weights, features, ..."),
    column("sha256", Text, "of its content"),
    column("bytes", Whole, "its size"),
    optional("cell", Whole, "the cell that it belongs to; NULL: the whole run"),
    column("meta", Facts, "facts about it"),
)

environment = table_of(
    "environment",
    "Something that surrounded a run.",
    part_of_a_run(),
    key("name", Text, "python, torch, host, threads, ..."),
    column("value", Text, "what it was, as text"),
)

lineage = table_of(
    "lineage",
    "That a run builds on another one, or repeats it.",
    part_of_a_run(),
    key(
        "role",
        Text,
        "pretraining: gives its backbone; replay: is repeated; replay of heads: is repeated from its backbones",
    ),
    key("parent_id", Text, "the run that is built upon", ForeignKey("runs.id")),
    Index(None, "parent_id"),
)

reproductions = table_of(
    "reproductions",
    "The verdicts on a publication's claims, once for each different outcome.",
    key("id", Text, "16 hexadecimal characters that follow from the content"),
    column("recipe", Text, "the recipe of the publication"),
    column("provider", Text, "the distribution that offers it"),
    column("version", Text, "the version of that"),
    column("digest", Text, "sha256 of the code that it uses"),
    column("budget", Text, "how much of it was carried out"),
    column("dataset_digest", Text, "sha256 of the prepared data"),
    column("cuts", Facts, "omitted parts of the publication, by name"),
    column("created", Time, "when it was stored, or last reproduced, UTC, ISO 8601"),
    Index(None, "recipe", "created"),
    sqlite_with_rowid=True,
)

claims = table_of(
    "claims",
    "A claim of a publication, compared with runs.",
    key("reproduction_id", Text, "the outcome that it is part of", ForeignKey("reproductions.id", ondelete="CASCADE")),
    key("position", Whole, "its number there, from 0"),
    column("name", Text, "what it is called"),
    column("kind", Text, "arithmetic, metric or comparison"),
    column("quantity", Text, "what is claimed, as f1"),
    column("model", Text, "the model that it is about"),
    column("place", Text, "where it is printed"),
    column("printed", Number, "the printed value"),
    column("unit", Text, "of all its numbers"),
    column("tolerance", Number, "how far ours may be from the printed value"),
    optional("ours", Number, "what was measured; NULL: nothing was"),
    optional("low", Number, "lower end of its interval; NULL: there is none"),
    optional("high", Number, "upper end of its interval"),
    column("verdict", Text, "confirmed, contradicted, exceeded, inconclusive, misprint or not run"),
    column("note", Text, "why, in words"),
    column("runs", Facts(list), "ids of the runs that it rests on"),
    CheckConstraint("kind IN ('arithmetic', 'metric', 'comparison')", name="kind"),
    CheckConstraint(
        "verdict IN ('confirmed', 'contradicted', 'exceeded', 'inconclusive', 'misprint', 'not run')", name="verdict"
    ),
)

tags = table_of(
    "tags",
    "A tag of a run.",
    part_of_a_run(),
    key("tag", Text, "the tag"),
    column("since", Time, "when it was given, UTC, ISO 8601"),
    Index(None, "tag"),
)

notes = table_of(
    "notes",
    "The note on a run; each has one note at most.",
    part_of_a_run(),
    column("text", Text, "the note"),
    column("since", Time, "when it was written, UTC, ISO 8601"),
)

trash = table_of(
    "trash",
    "That a run lies in the trash: it is not listed, and in no view, until it is taken out again.",
    part_of_a_run(),
    column("since", Time, "when it was put there, UTC, ISO 8601"),
)

sweeps = table_of(
    "sweeps",
    "A sweep: runs that were asked for together. What of it is done follows from the runs themselves.",
    key("id", Text, "16 hexadecimal characters that follow from the content"),
    column("name", Text, "what it is called"),
    column("created", Time, "when it was stored, UTC, ISO 8601"),
    column("definition", Facts, "what was asked for: options with all their values, what was zipped and left out"),
    Index(None, "name", "created"),
    sqlite_with_rowid=True,
)

sweep_members = table_of(
    "sweep_members",
    "A member of a sweep: a run that is wanted, whether there is one or not.",
    key("sweep_id", Text, "the sweep that it is part of", ForeignKey("sweeps.id", ondelete="CASCADE")),
    key("position", Whole, "its number there, from 0"),
    column("fingerprint", Text, "of the run: a finished run that has it is this member"),
    column("pretraining", Text, "the fingerprint of the backbone that its cells share"),
    column("point", Facts, "its values of what varies in the sweep, by name"),
    column("request", Facts, "what is asked of `qtlplat run`, by option"),
    Index(None, "fingerprint"),
)

sweep_failures = table_of(
    "sweep_failures",
    "That a member of a sweep could not be trained; deleted when it is tried again.",
    key("sweep_id", Text, "the sweep", ForeignKey("sweeps.id", ondelete="CASCADE")),
    key("position", Whole, "the member"),
    key("number", Whole, "from 1"),
    column("since", Time, "when it ended, UTC, ISO 8601"),
    column("kind", Text, "failed: an error; killed: its process ended, or hung"),
    column("error", Text, "what stopped it"),
    column("log", Text, "where its log lies below the store's directory of files, empty if there is none"),
    CheckConstraint("kind IN ('failed', 'killed')", name="kind"),
)

# Annotations of runs, and failures of members of sweeps, change at any time; all other tables of a record do not
# change once it has ended.
REMARKS = ("tags", "notes", "trash", "sweep_failures")

digests = table_of(
    "digests",
    "What tells that the rows of a run, or of a reproduction, are still those that were stored.",
    key("record", Text, "the id of the run or reproduction"),
    key("part", Text, "the name of a table"),
    column("sha256", Text, "of the record's rows in it"),
)

# table of records -> how others refer to it
OWNERS = {"runs": "run_id", "reproductions": "reproduction_id", "sweeps": "sweep_id"}


def key_of(table: Table) -> str | None:
    """The column with the id of a record, None for a table of something else."""
    if table.name in OWNERS:
        return "id"
    return next((reference for reference in OWNERS.values() if reference in table.c), None)
