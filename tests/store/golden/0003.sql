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
INSERT INTO "artifacts" VALUES('27b630f001c3dd5b','weights/w.safetensors','weights','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',12,NULL,'{"cut": 1}');
CREATE TABLE "cells" (
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
	variant TEXT DEFAULT 'head' NOT NULL, 
	leakage FLOAT, 
	group_leakage FLOAT, 
	selection_leakage FLOAT, 
	pretraining TEXT, 
	CONSTRAINT pk_cells PRIMARY KEY (run_id, position), 
	CONSTRAINT fk_cells_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE, 
	CONSTRAINT ck_cells_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted'))
)
 WITHOUT ROWID

;
INSERT INTO "cells" VALUES('3ec35888993f9b3d',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL,'head',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('3ec35888993f9b3d',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL,'linear',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('ad4cc51f5e99d915',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25,'head',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('ad4cc51f5e99d915',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25,'linear',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('ceadfffaa1e10c86',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL,'head',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('ceadfffaa1e10c86',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL,'linear',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('d8dab28a1bd1bdc5',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL,'head',0.25,0.5,0.125,'27b630f001c3dd5b');
INSERT INTO "cells" VALUES('d8dab28a1bd1bdc5',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL,'linear',0.25,0.5,0.125,'27b630f001c3dd5b');
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
	CONSTRAINT fk_claims_reproduction_id_reproductions FOREIGN KEY(reproduction_id) REFERENCES reproductions (id) ON DELETE CASCADE, 
	CONSTRAINT ck_claims_kind CHECK (kind IN ('arithmetic', 'metric', 'comparison')), 
	CONSTRAINT ck_claims_verdict CHECK (verdict IN ('confirmed', 'contradicted', 'inconclusive', 'misprint', 'not run'))
)
 WITHOUT ROWID

;
INSERT INTO "claims" VALUES('b5510b2233d7ea55',0,'f1','metric','f1','m','Table 1',95.0,'%',1.0,95.5,94.0,NULL,'inconclusive','6 cells','["aaaaaaaaaaaaaaaa"]');
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
INSERT INTO "components" VALUES('3ec35888993f9b3d','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('ad4cc51f5e99d915','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('ceadfffaa1e10c86','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('d8dab28a1bd1bdc5','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
CREATE TABLE environment (
	run_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_environment PRIMARY KEY (run_id, name), 
	CONSTRAINT fk_environment_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "environment" VALUES('27b630f001c3dd5b','odd','a "b"
');
INSERT INTO "environment" VALUES('27b630f001c3dd5b','python','3.11');
INSERT INTO "environment" VALUES('3ec35888993f9b3d','odd','a "b"
');
INSERT INTO "environment" VALUES('3ec35888993f9b3d','python','3.11');
INSERT INTO "environment" VALUES('ad4cc51f5e99d915','odd','a "b"
');
INSERT INTO "environment" VALUES('ad4cc51f5e99d915','python','3.11');
INSERT INTO "environment" VALUES('ceadfffaa1e10c86','odd','a "b"
');
INSERT INTO "environment" VALUES('ceadfffaa1e10c86','python','3.11');
INSERT INTO "environment" VALUES('d8dab28a1bd1bdc5','odd','a "b"
');
INSERT INTO "environment" VALUES('d8dab28a1bd1bdc5','python','3.11');
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
INSERT INTO "epochs" VALUES('3ec35888993f9b3d',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('3ec35888993f9b3d',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('ad4cc51f5e99d915',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('ad4cc51f5e99d915',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('ceadfffaa1e10c86',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('ceadfffaa1e10c86',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('d8dab28a1bd1bdc5',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('d8dab28a1bd1bdc5',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
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
INSERT INTO "lineage" VALUES('3ec35888993f9b3d','pretraining','27b630f001c3dd5b');
INSERT INTO "lineage" VALUES('ad4cc51f5e99d915','pretraining','27b630f001c3dd5b');
INSERT INTO "lineage" VALUES('ceadfffaa1e10c86','pretraining','27b630f001c3dd5b');
INSERT INTO "lineage" VALUES('d8dab28a1bd1bdc5','pretraining','27b630f001c3dd5b');
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
INSERT INTO "metrics" VALUES('ad4cc51f5e99d915',0,'auc','NaN');
INSERT INTO "metrics" VALUES('ad4cc51f5e99d915',0,'f1',0.75);
INSERT INTO "metrics" VALUES('ad4cc51f5e99d915',1,'auc','NaN');
INSERT INTO "metrics" VALUES('ad4cc51f5e99d915',1,'f1',0.75);
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
 WITHOUT ROWID

;
INSERT INTO "owners" VALUES('27b630f001c3dd5b',1,'2026-11-25T05:02:49.527146+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('3ec35888993f9b3d',1,'2026-11-25T05:02:49.860738+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('ad4cc51f5e99d915',1,'2026-11-25T05:02:49.584518+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('ceadfffaa1e10c86',1,'2026-11-25T05:02:49.939152+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('d8dab28a1bd1bdc5',1,'2026-11-25T05:02:49.748520+00:00','golden',1,'{}');
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
INSERT INTO "predictions" VALUES('3ec35888993f9b3d',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('ad4cc51f5e99d915',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('ceadfffaa1e10c86',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('d8dab28a1bd1bdc5',0,'s1','image-1',1,0,'[0.1, 0.9]');
CREATE TABLE qtlplat_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT qtlplat_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "qtlplat_schema" VALUES('0003');
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
INSERT INTO "reproductions" VALUES('b5510b2233d7ea55','r','dist','1.0','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','smoke','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"epochs": "2"}','2026-11-25T05:02:49.978892+00:00');
CREATE TABLE "runs" (
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
	owner INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (id), 
	CONSTRAINT ck_runs_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted')), 
	CONSTRAINT ck_runs_kind CHECK (kind IN ('run', 'pretraining'))
);
INSERT INTO "runs" VALUES('27b630f001c3dd5b','pretraining','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',1,'2026-11-25T05:02:49.525696+00:00','2026-11-25T05:02:49.564974+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 1.5}','',1);
INSERT INTO "runs" VALUES('ad4cc51f5e99d915','run','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',2,'2026-11-25T05:02:49.584107+00:00','2026-11-25T05:02:49.728510+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','',1);
INSERT INTO "runs" VALUES('d8dab28a1bd1bdc5','run','failed','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',3,'2026-11-25T05:02:49.748111+00:00','2026-11-25T05:02:49.841122+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','loss is NaN',1);
INSERT INTO "runs" VALUES('3ec35888993f9b3d','run','interrupted','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',4,'2026-11-25T05:02:49.860226+00:00','2026-11-25T05:02:49.931432+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','',1);
INSERT INTO "runs" VALUES('ceadfffaa1e10c86','run','running','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',5,'2026-11-25T05:02:49.938754+00:00',NULL,'golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{}','',1);
CREATE INDEX ix_lineage_parent_id ON lineage (parent_id);
CREATE INDEX ix_reproductions_recipe_created ON reproductions (recipe, created);
CREATE INDEX ix_runs_fingerprint_status ON runs (fingerprint, status);
CREATE INDEX ix_runs_created ON runs (created);
COMMIT;
