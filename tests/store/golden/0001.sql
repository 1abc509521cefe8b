PRAGMA application_id = 1364479056;
BEGIN TRANSACTION;
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
 WITHOUT ROWID

;
INSERT INTO "artifacts" VALUES('121ede91966b8fa9','weights/w.safetensors','weights','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',12,NULL,'{"cut": 1}');
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
	CONSTRAINT pk_cells PRIMARY KEY (run_id, position), 
	CONSTRAINT ck_cells_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted')), 
	CONSTRAINT fk_cells_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "cells" VALUES('29cf2e8b91e805eb',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL);
INSERT INTO "cells" VALUES('29cf2e8b91e805eb',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL);
INSERT INTO "cells" VALUES('98684d6668ca4674',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL);
INSERT INTO "cells" VALUES('98684d6668ca4674',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL);
INSERT INTO "cells" VALUES('d0fc1b447d928bb1',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25);
INSERT INTO "cells" VALUES('d0fc1b447d928bb1',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25);
INSERT INTO "cells" VALUES('fcf0b1510a755f59',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL);
INSERT INTO "cells" VALUES('fcf0b1510a755f59',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL);
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
 WITHOUT ROWID

;
INSERT INTO "components" VALUES('29cf2e8b91e805eb','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('98684d6668ca4674','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('d0fc1b447d928bb1','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('fcf0b1510a755f59','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
CREATE TABLE environment (
	run_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_environment PRIMARY KEY (run_id, name), 
	CONSTRAINT fk_environment_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "environment" VALUES('121ede91966b8fa9','odd','a "b"
');
INSERT INTO "environment" VALUES('121ede91966b8fa9','python','3.11');
INSERT INTO "environment" VALUES('29cf2e8b91e805eb','odd','a "b"
');
INSERT INTO "environment" VALUES('29cf2e8b91e805eb','python','3.11');
INSERT INTO "environment" VALUES('98684d6668ca4674','odd','a "b"
');
INSERT INTO "environment" VALUES('98684d6668ca4674','python','3.11');
INSERT INTO "environment" VALUES('d0fc1b447d928bb1','odd','a "b"
');
INSERT INTO "environment" VALUES('d0fc1b447d928bb1','python','3.11');
INSERT INTO "environment" VALUES('fcf0b1510a755f59','odd','a "b"
');
INSERT INTO "environment" VALUES('fcf0b1510a755f59','python','3.11');
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
 WITHOUT ROWID

;
INSERT INTO "epochs" VALUES('29cf2e8b91e805eb',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('29cf2e8b91e805eb',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('98684d6668ca4674',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('98684d6668ca4674',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('d0fc1b447d928bb1',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('d0fc1b447d928bb1',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('fcf0b1510a755f59',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('fcf0b1510a755f59',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
CREATE TABLE lineage (
	run_id TEXT NOT NULL, 
	role TEXT NOT NULL, 
	parent_id TEXT NOT NULL, 
	CONSTRAINT pk_lineage PRIMARY KEY (run_id, role, parent_id), 
	CONSTRAINT fk_lineage_parent_id_runs FOREIGN KEY(parent_id) REFERENCES runs (id), 
	CONSTRAINT fk_lineage_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "lineage" VALUES('29cf2e8b91e805eb','pretraining','121ede91966b8fa9');
INSERT INTO "lineage" VALUES('98684d6668ca4674','pretraining','121ede91966b8fa9');
INSERT INTO "lineage" VALUES('d0fc1b447d928bb1','pretraining','121ede91966b8fa9');
INSERT INTO "lineage" VALUES('fcf0b1510a755f59','pretraining','121ede91966b8fa9');
CREATE TABLE metrics (
	run_id TEXT NOT NULL, 
	cell INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	value FLOAT NOT NULL, 
	CONSTRAINT pk_metrics PRIMARY KEY (run_id, cell, name), 
	CONSTRAINT fk_metrics_run_id_cell_cells FOREIGN KEY(run_id, cell) REFERENCES cells (run_id, position) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "metrics" VALUES('d0fc1b447d928bb1',0,'auc','NaN');
INSERT INTO "metrics" VALUES('d0fc1b447d928bb1',0,'f1',0.75);
INSERT INTO "metrics" VALUES('d0fc1b447d928bb1',1,'auc','NaN');
INSERT INTO "metrics" VALUES('d0fc1b447d928bb1',1,'f1',0.75);
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

;
INSERT INTO "predictions" VALUES('29cf2e8b91e805eb',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('98684d6668ca4674',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('d0fc1b447d928bb1',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('fcf0b1510a755f59',0,'s1','image-1',1,0,'[0.1, 0.9]');
CREATE TABLE qtlplat_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT qtlplat_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "qtlplat_schema" VALUES('0001');
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
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT ck_runs_kind CHECK (kind IN ('run', 'pretraining')), 
	CONSTRAINT ck_runs_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted'))
);
INSERT INTO "runs" VALUES('121ede91966b8fa9','pretraining','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',1,'2026-11-25T04:10:33.156005+00:00','2026-11-25T04:10:33.201537+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 1.5}','');
INSERT INTO "runs" VALUES('d0fc1b447d928bb1','run','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',2,'2026-11-25T04:10:33.220367+00:00','2026-11-25T04:10:33.385170+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','');
INSERT INTO "runs" VALUES('98684d6668ca4674','run','failed','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',3,'2026-11-25T04:10:33.404419+00:00','2026-11-25T04:10:33.489661+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','loss is NaN');
INSERT INTO "runs" VALUES('fcf0b1510a755f59','run','interrupted','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',4,'2026-11-25T04:10:33.500545+00:00','2026-11-25T04:10:33.621234+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','');
INSERT INTO "runs" VALUES('29cf2e8b91e805eb','run','running','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',5,'2026-11-25T04:10:33.640456+00:00',NULL,'golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{}','');
CREATE INDEX ix_runs_fingerprint_status ON runs (fingerprint, status);
CREATE INDEX ix_runs_created ON runs (created);
CREATE INDEX ix_lineage_parent_id ON lineage (parent_id);
COMMIT;
