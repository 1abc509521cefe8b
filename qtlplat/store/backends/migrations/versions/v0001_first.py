"""Revision 0001: everything. On a server the tables are created from `schema.metadata` instead."""

# ruff: noqa: E501 -- SQL as SQLite keeps it

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    for statement in TABLES.split(";\n"):
        op.execute(statement)


TABLES = """\
CREATE TABLE digests (
    record TEXT NOT NULL,
    part TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    CONSTRAINT pk_digests PRIMARY KEY (record, part)
)
 WITHOUT ROWID;
CREATE TABLE reproductions (
    id TEXT NOT NULL,
    recipe TEXT NOT NULL,
    provider TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    budget TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    cuts TEXT NOT NULL,
    created TEXT NOT NULL,
    CONSTRAINT pk_reproductions PRIMARY KEY (id)
);
CREATE INDEX ix_reproductions_recipe_created ON reproductions (recipe, created);
CREATE TABLE runs (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    seed INTEGER NOT NULL,
    created TEXT NOT NULL,
    finished TEXT,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    dataset_digest TEXT NOT NULL,
    "plan" TEXT NOT NULL,
    parameters TEXT NOT NULL,
    seconds TEXT NOT NULL,
    error TEXT NOT NULL,
    owner INTEGER NOT NULL,
    classes TEXT NOT NULL,
    image_shape TEXT,
    made_for TEXT,
    CONSTRAINT pk_runs PRIMARY KEY (id),
    CONSTRAINT ck_runs_kind CHECK (kind IN ('run', 'pretraining')),
    CONSTRAINT ck_runs_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted'))
);
CREATE INDEX ix_runs_created ON runs (created);
CREATE INDEX ix_runs_fingerprint_status ON runs (fingerprint, status);
CREATE TABLE artifacts (
    run_id TEXT NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    cell INTEGER,
    meta TEXT NOT NULL,
    CONSTRAINT pk_artifacts PRIMARY KEY (run_id, path),
    CONSTRAINT fk_artifacts_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE cells (
    run_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    fold INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    n_train INTEGER NOT NULL,
    n_test INTEGER NOT NULL,
    train_hash TEXT NOT NULL,
    test_hash TEXT NOT NULL,
    status TEXT NOT NULL,
    seconds FLOAT,
    variant TEXT NOT NULL,
    leakage FLOAT,
    group_leakage FLOAT,
    selection_leakage FLOAT,
    pretraining TEXT,
    CONSTRAINT pk_cells PRIMARY KEY (run_id, position),
    CONSTRAINT ck_cells_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted')),
    CONSTRAINT fk_cells_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE claims (
    reproduction_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    quantity TEXT NOT NULL,
    model TEXT NOT NULL,
    place TEXT NOT NULL,
    printed FLOAT NOT NULL,
    unit TEXT NOT NULL,
    tolerance FLOAT NOT NULL,
    ours FLOAT,
    low FLOAT,
    high FLOAT,
    verdict TEXT NOT NULL,
    note TEXT NOT NULL,
    runs TEXT NOT NULL,
    CONSTRAINT pk_claims PRIMARY KEY (reproduction_id, position),
    CONSTRAINT ck_claims_kind CHECK (kind IN ('arithmetic', 'metric', 'comparison')),
    CONSTRAINT ck_claims_verdict CHECK (verdict IN ('confirmed', 'contradicted', 'inconclusive', 'misprint', 'not run')),
    CONSTRAINT fk_claims_reproduction_id_reproductions FOREIGN KEY(reproduction_id) REFERENCES reproductions (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE components (
    run_id TEXT NOT NULL,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    component TEXT NOT NULL,
    provider TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    options TEXT NOT NULL,
    CONSTRAINT pk_components PRIMARY KEY (run_id, role),
    CONSTRAINT fk_components_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE environment (
    run_id TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_environment PRIMARY KEY (run_id, name),
    CONSTRAINT fk_environment_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE lineage (
    run_id TEXT NOT NULL,
    role TEXT NOT NULL,
    parent_id TEXT NOT NULL,
    CONSTRAINT pk_lineage PRIMARY KEY (run_id, role, parent_id),
    CONSTRAINT fk_lineage_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT fk_lineage_parent_id_runs FOREIGN KEY(parent_id) REFERENCES runs (id)
)
 WITHOUT ROWID;
CREATE INDEX ix_lineage_parent_id ON lineage (parent_id);
CREATE TABLE notes (
    run_id TEXT NOT NULL,
    text TEXT NOT NULL,
    since TEXT NOT NULL,
    CONSTRAINT pk_notes PRIMARY KEY (run_id),
    CONSTRAINT fk_notes_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE owners (
    run_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    since TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    drift TEXT NOT NULL,
    CONSTRAINT pk_owners PRIMARY KEY (run_id, number),
    CONSTRAINT fk_owners_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE tags (
    run_id TEXT NOT NULL,
    tag TEXT NOT NULL,
    since TEXT NOT NULL,
    CONSTRAINT pk_tags PRIMARY KEY (run_id, tag),
    CONSTRAINT fk_tags_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE INDEX ix_tags_tag ON tags (tag);
CREATE TABLE trash (
    run_id TEXT NOT NULL,
    since TEXT NOT NULL,
    CONSTRAINT pk_trash PRIMARY KEY (run_id),
    CONSTRAINT fk_trash_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE epochs (
    run_id TEXT NOT NULL,
    cell INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    seconds FLOAT NOT NULL,
    train_loss FLOAT,
    train_accuracy FLOAT,
    test_loss FLOAT,
    test_accuracy FLOAT,
    further TEXT NOT NULL,
    CONSTRAINT pk_epochs PRIMARY KEY (run_id, cell, epoch),
    CONSTRAINT fk_epochs_run_id_cell_cells FOREIGN KEY(run_id, cell) REFERENCES cells (run_id, position) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE metrics (
    run_id TEXT NOT NULL,
    cell INTEGER NOT NULL,
    name TEXT NOT NULL,
    value FLOAT NOT NULL,
    CONSTRAINT pk_metrics PRIMARY KEY (run_id, cell, name),
    CONSTRAINT fk_metrics_run_id_cell_cells FOREIGN KEY(run_id, cell) REFERENCES cells (run_id, position) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE TABLE predictions (
    run_id TEXT NOT NULL,
    cell INTEGER NOT NULL,
    sample_id TEXT NOT NULL,
    source TEXT NOT NULL,
    label INTEGER NOT NULL,
    predicted INTEGER NOT NULL,
    probabilities TEXT NOT NULL,
    CONSTRAINT pk_predictions PRIMARY KEY (run_id, cell, sample_id),
    CONSTRAINT fk_predictions_run_id_cell_cells FOREIGN KEY(run_id, cell) REFERENCES cells (run_id, position) ON DELETE CASCADE
)
 WITHOUT ROWID
"""
