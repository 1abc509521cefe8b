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
INSERT INTO "artifacts" VALUES('525f75d2d5c18a91','weights/w.safetensors','weights','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',12,NULL,'{"cut": 1}');
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
	CONSTRAINT ck_cells_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted')), 
	CONSTRAINT fk_cells_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "cells" VALUES('09c0ea0d2ed47288',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL,'head',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('09c0ea0d2ed47288',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL,'linear',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('32214a3d27a767ad',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25,'head',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('32214a3d27a767ad',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25,'linear',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('c6d3672a380dfca1',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL,'head',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('c6d3672a380dfca1',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL,'linear',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('d2f9c54e370159ab',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL,'head',0.25,0.5,0.125,'525f75d2d5c18a91');
INSERT INTO "cells" VALUES('d2f9c54e370159ab',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL,'linear',0.25,0.5,0.125,'525f75d2d5c18a91');
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
INSERT INTO "components" VALUES('09c0ea0d2ed47288','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('32214a3d27a767ad','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('c6d3672a380dfca1','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('d2f9c54e370159ab','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
CREATE TABLE environment (
	run_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_environment PRIMARY KEY (run_id, name), 
	CONSTRAINT fk_environment_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "environment" VALUES('09c0ea0d2ed47288','odd','a "b"
');
INSERT INTO "environment" VALUES('09c0ea0d2ed47288','python','3.11');
INSERT INTO "environment" VALUES('32214a3d27a767ad','odd','a "b"
');
INSERT INTO "environment" VALUES('32214a3d27a767ad','python','3.11');
INSERT INTO "environment" VALUES('525f75d2d5c18a91','odd','a "b"
');
INSERT INTO "environment" VALUES('525f75d2d5c18a91','python','3.11');
INSERT INTO "environment" VALUES('c6d3672a380dfca1','odd','a "b"
');
INSERT INTO "environment" VALUES('c6d3672a380dfca1','python','3.11');
INSERT INTO "environment" VALUES('d2f9c54e370159ab','odd','a "b"
');
INSERT INTO "environment" VALUES('d2f9c54e370159ab','python','3.11');
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
INSERT INTO "epochs" VALUES('09c0ea0d2ed47288',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('09c0ea0d2ed47288',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('32214a3d27a767ad',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('32214a3d27a767ad',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('c6d3672a380dfca1',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('c6d3672a380dfca1',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('d2f9c54e370159ab',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('d2f9c54e370159ab',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
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
INSERT INTO "lineage" VALUES('09c0ea0d2ed47288','pretraining','525f75d2d5c18a91');
INSERT INTO "lineage" VALUES('32214a3d27a767ad','pretraining','525f75d2d5c18a91');
INSERT INTO "lineage" VALUES('c6d3672a380dfca1','pretraining','525f75d2d5c18a91');
INSERT INTO "lineage" VALUES('d2f9c54e370159ab','pretraining','525f75d2d5c18a91');
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
INSERT INTO "metrics" VALUES('32214a3d27a767ad',0,'auc','NaN');
INSERT INTO "metrics" VALUES('32214a3d27a767ad',0,'f1',0.75);
INSERT INTO "metrics" VALUES('32214a3d27a767ad',1,'auc','NaN');
INSERT INTO "metrics" VALUES('32214a3d27a767ad',1,'f1',0.75);
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
INSERT INTO "predictions" VALUES('09c0ea0d2ed47288',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('32214a3d27a767ad',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('c6d3672a380dfca1',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('d2f9c54e370159ab',0,'s1','image-1',1,0,'[0.1, 0.9]');
CREATE TABLE qtlplat_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT qtlplat_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "qtlplat_schema" VALUES('0002');
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
INSERT INTO "reproductions" VALUES('b5510b2233d7ea55','r','dist','1.0','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','smoke','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"epochs": "2"}','2026-11-25T04:10:34.841271+00:00');
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
INSERT INTO "runs" VALUES('525f75d2d5c18a91','pretraining','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',1,'2026-11-25T04:10:34.198319+00:00','2026-11-25T04:10:34.237569+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 1.5}','');
INSERT INTO "runs" VALUES('32214a3d27a767ad','run','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',2,'2026-11-25T04:10:34.260443+00:00','2026-11-25T04:10:34.420725+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','');
INSERT INTO "runs" VALUES('c6d3672a380dfca1','run','failed','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',3,'2026-11-25T04:10:34.440323+00:00','2026-11-25T04:10:34.561733+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','loss is NaN');
INSERT INTO "runs" VALUES('d2f9c54e370159ab','run','interrupted','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',4,'2026-11-25T04:10:34.580340+00:00','2026-11-25T04:10:34.701146+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','');
INSERT INTO "runs" VALUES('09c0ea0d2ed47288','run','running','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',5,'2026-11-25T04:10:34.720368+00:00',NULL,'golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{}','');
CREATE INDEX ix_runs_fingerprint_status ON runs (fingerprint, status);
CREATE INDEX ix_runs_created ON runs (created);
CREATE INDEX ix_lineage_parent_id ON lineage (parent_id);
CREATE INDEX ix_reproductions_recipe_created ON reproductions (recipe, created);
COMMIT;
