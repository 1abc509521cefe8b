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
INSERT INTO "artifacts" VALUES('9367d63f26ed2fc4','weights/w.safetensors','weights','cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc',12,NULL,'{"cut": 1}');
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
	leak FLOAT, 
	group_leak FLOAT, 
	selection_leak FLOAT, 
	pretraining TEXT, 
	CONSTRAINT pk_cells PRIMARY KEY (run_id, position), 
	CONSTRAINT ck_cells_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted')), 
	CONSTRAINT fk_cells_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "cells" VALUES('0fa2b6df16593025',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL,'head',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('0fa2b6df16593025',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','interrupted',NULL,'linear',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('9b430e9e20f516dd',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL,'head',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('9b430e9e20f516dd',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','failed',NULL,'linear',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('ab78e1f0f973abcc',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25,'head',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('ab78e1f0f973abcc',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','finished',1.25,'linear',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('c77cb79e3323321f',0,0,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL,'head',0.25,0.5,0.125,'9367d63f26ed2fc4');
INSERT INTO "cells" VALUES('c77cb79e3323321f',1,1,7,10,5,'1111111111111111111111111111111111111111111111111111111111111111','2222222222222222222222222222222222222222222222222222222222222222','running',NULL,'linear',0.25,0.5,0.125,'9367d63f26ed2fc4');
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
INSERT INTO "components" VALUES('0fa2b6df16593025','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('9b430e9e20f516dd','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('ab78e1f0f973abcc','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
INSERT INTO "components" VALUES('c77cb79e3323321f','head','dressed5x3','dressed','qtlplat','0.1','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','{"qubits": 5, "note": "ü=1"}');
CREATE TABLE digests (
	record TEXT NOT NULL, 
	part TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	CONSTRAINT pk_digests PRIMARY KEY (record, part)
)
 WITHOUT ROWID

;
INSERT INTO "digests" VALUES('0fa2b6df16593025','artifacts','1ca6b0d5bb0933d39e559ec836d44649206a3af43583ac75da258c0f88715262');
INSERT INTO "digests" VALUES('0fa2b6df16593025','cells','fad9e543ccc8e211838c6ead23b3abf03373e4b9b75be3709e125c0015e17ab9');
INSERT INTO "digests" VALUES('0fa2b6df16593025','components','de5f5760fdc67c1ede6dd0a7d4fefc608156eac0acec33a1afa7709e8426f500');
INSERT INTO "digests" VALUES('0fa2b6df16593025','environment','563b832696ff4d47e624c86d0c7f56e459455b71e78123106996c84342f6815e');
INSERT INTO "digests" VALUES('0fa2b6df16593025','epochs','b1d71f895fba446e78e4dbf3b1d939ef4edb6875beb899c1324fa461f0d66f1a');
INSERT INTO "digests" VALUES('0fa2b6df16593025','lineage','7be8a350849afa1c78c06661350ac46dcb894ff0c1ca5dd47317cb75300cc9d0');
INSERT INTO "digests" VALUES('0fa2b6df16593025','metrics','b6bdec50e8618aab0fbd520281961342292b5250d7d5f111e6a2f44e8c3c6169');
INSERT INTO "digests" VALUES('0fa2b6df16593025','owners','79e0f855302ff6f0825c18e75699484fc16ff719b1e8af40ac50edd4ec96eb09');
INSERT INTO "digests" VALUES('0fa2b6df16593025','predictions','683cc8ebd48a23f63a9b9d73935bb86d225dbae49217966d5eb13d97a845a86a');
INSERT INTO "digests" VALUES('0fa2b6df16593025','runs','13024be57151bbf7cd91e42a5748af549238652a9e4573225beb06baebc20e72');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','artifacts','bed4081646ec848daef0b097687574bc05fbcd001e0a63c0fc73dc3a14c72d6f');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','cells','eaa4efbb191b1b8e5e0c97abf9b18f6eb01c33ec35160ff6a60f76cac6597326');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','components','e0d05fa08b67041bcbd3a3195798398dd5cf549d55865c4c1e691c78ec6a6d35');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','environment','11d8177c7f753cca241a93e8af07092ea83a8bccf4cc08fe78c06b6db622446d');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','epochs','cf93bc4564077d6746cf23a91a954fdef553c834d40545fbff6a3623675c04b0');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','lineage','af0d00ee6e606c8a5579a951f69a3396b07c52645c3f9d88c3ac96a34b49c94b');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','metrics','b6bdec50e8618aab0fbd520281961342292b5250d7d5f111e6a2f44e8c3c6169');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','owners','a961dbea26347320fb4fb724174fa840c59f2070b99dc34847bf36f13376c113');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','predictions','8956fdd1807329fc0f8b8d4bc083a8ed751449c9bb8716d76f16566c06d9843b');
INSERT INTO "digests" VALUES('9367d63f26ed2fc4','runs','ce86ff7849ba1e3e9304058b377bd87d17dbf86e3ff68fd30cb735c33b3b860f');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','artifacts','1ca6b0d5bb0933d39e559ec836d44649206a3af43583ac75da258c0f88715262');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','cells','236e21e1709ca56c2e67242ee8a5bb6cc488b83fdaa4d7ba5e61b36789258fec');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','components','781468a681d16ae27a582ee62373740cee62b0ddcc7225d6d511a59e20c449bd');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','environment','6058341a346ab4bee24589f1a0fb8f272311a6b44cdb6aaeb112224eac3cb251');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','epochs','145a20bf5aa1dafb2e2621ca13e80b6c9c1d48d34d2736c84cdac041d7d7c65b');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','lineage','58533bbdbcb0cbcfe5fa9b2462b567fc2d5031f9a8f65a85ca6096d60511d6f8');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','metrics','b6bdec50e8618aab0fbd520281961342292b5250d7d5f111e6a2f44e8c3c6169');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','owners','245aeed3ed316ad92bec135f483a43d37cf4a37981f0be738329265a213237e8');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','predictions','b31aa2b5e1251f0db6604b0f4f138fc918b9c4fc9ec0fe644a9a2b5448700056');
INSERT INTO "digests" VALUES('9b430e9e20f516dd','runs','b1d93562a647b7c5854c5f038121e241fa35162ac42d3d8dd59439dc661f9581');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','artifacts','1ca6b0d5bb0933d39e559ec836d44649206a3af43583ac75da258c0f88715262');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','cells','648d565105ad3de020a6ce75942796f0ab7c91d80e5671c2178f618850f7d4d7');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','components','d82054028fc9a1634c01fcaf9c3242964eaa32f7a39a4e046228774464ac0015');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','environment','19bc1c2a6dd9e050d4875a5430440e5db466f9d257adb28cf3ae7bf46d272884');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','epochs','022c14d2751bf5c9492acbc8697e7865dcc7e8ce168820ac5dbe61e1fbf7d2f8');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','lineage','cbc16234931bf89aec7149cd632cda08290fb88e36b79d1e26297239577b89c6');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','metrics','0d70844e4b843b809fbdc95a0e5a1c05a901a5aab3cde7c267b1b5fb53ec23b1');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','owners','8297869315f2c933d9a7e4bcb3e3ad1b6a315a73b46915142395dee735bc2e76');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','predictions','90abff88f0762edd74589d7f54f4d2d5291db46c68218a2c91ed8de9bf034d6c');
INSERT INTO "digests" VALUES('ab78e1f0f973abcc','runs','e0836f7ba4072b07515d555222db665d30f9c7c43521cdb69fc4029fd78c42f1');
INSERT INTO "digests" VALUES('b5510b2233d7ea55','claims','6c7bd44563c434ee3cb076d5edee420ef1fe54c79f97439796f118438456cb19');
INSERT INTO "digests" VALUES('b5510b2233d7ea55','reproductions','6422ed726ab4b0a2b05d0c571338c0adba10e79df9cd6c5508cdf73b32ca2023');
CREATE TABLE environment (
	run_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_environment PRIMARY KEY (run_id, name), 
	CONSTRAINT fk_environment_run_id_runs FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "environment" VALUES('0fa2b6df16593025','odd','a "b"
');
INSERT INTO "environment" VALUES('0fa2b6df16593025','python','3.11');
INSERT INTO "environment" VALUES('9367d63f26ed2fc4','odd','a "b"
');
INSERT INTO "environment" VALUES('9367d63f26ed2fc4','python','3.11');
INSERT INTO "environment" VALUES('9b430e9e20f516dd','odd','a "b"
');
INSERT INTO "environment" VALUES('9b430e9e20f516dd','python','3.11');
INSERT INTO "environment" VALUES('ab78e1f0f973abcc','odd','a "b"
');
INSERT INTO "environment" VALUES('ab78e1f0f973abcc','python','3.11');
INSERT INTO "environment" VALUES('c77cb79e3323321f','odd','a "b"
');
INSERT INTO "environment" VALUES('c77cb79e3323321f','python','3.11');
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
INSERT INTO "epochs" VALUES('0fa2b6df16593025',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('0fa2b6df16593025',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('9b430e9e20f516dd',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('9b430e9e20f516dd',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('ab78e1f0f973abcc',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('ab78e1f0f973abcc',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
INSERT INTO "epochs" VALUES('c77cb79e3323321f',0,0,0.5,'NaN',NULL,9e999,NULL,'{"extra": "-Infinity"}');
INSERT INTO "epochs" VALUES('c77cb79e3323321f',1,0,0.5,NULL,NULL,NULL,0.1,'{}');
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
INSERT INTO "lineage" VALUES('0fa2b6df16593025','pretraining','9367d63f26ed2fc4');
INSERT INTO "lineage" VALUES('9b430e9e20f516dd','pretraining','9367d63f26ed2fc4');
INSERT INTO "lineage" VALUES('ab78e1f0f973abcc','pretraining','9367d63f26ed2fc4');
INSERT INTO "lineage" VALUES('c77cb79e3323321f','pretraining','9367d63f26ed2fc4');
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
INSERT INTO "metrics" VALUES('ab78e1f0f973abcc',0,'auc','NaN');
INSERT INTO "metrics" VALUES('ab78e1f0f973abcc',0,'f1',0.75);
INSERT INTO "metrics" VALUES('ab78e1f0f973abcc',1,'auc','NaN');
INSERT INTO "metrics" VALUES('ab78e1f0f973abcc',1,'f1',0.75);
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
INSERT INTO "owners" VALUES('0fa2b6df16593025',1,'2026-11-25T09:11:06.656401+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('9367d63f26ed2fc4',1,'2026-11-25T09:11:06.612733+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('9b430e9e20f516dd',1,'2026-11-25T09:11:06.644502+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('ab78e1f0f973abcc',1,'2026-11-25T09:11:06.626634+00:00','golden',1,'{}');
INSERT INTO "owners" VALUES('c77cb79e3323321f',1,'2026-11-25T09:11:06.668149+00:00','golden',1,'{}');
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
INSERT INTO "predictions" VALUES('0fa2b6df16593025',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('9b430e9e20f516dd',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('ab78e1f0f973abcc',0,'s1','image-1',1,0,'[0.1, 0.9]');
INSERT INTO "predictions" VALUES('c77cb79e3323321f',0,'s1','image-1',1,0,'[0.1, 0.9]');
CREATE TABLE qtlplat_schema (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT qtlplat_schema_pkc PRIMARY KEY (version_num)
);
INSERT INTO "qtlplat_schema" VALUES('0004');
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
INSERT INTO "reproductions" VALUES('b5510b2233d7ea55','r','dist','1.0','dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd','smoke','eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee','{"epochs": "2"}','2026-11-25T09:11:06.675916+00:00');
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
	CONSTRAINT ck_runs_kind CHECK (kind IN ('run', 'pretraining')), 
	CONSTRAINT ck_runs_status CHECK (status IN ('running', 'finished', 'failed', 'interrupted'))
);
INSERT INTO "runs" VALUES('9367d63f26ed2fc4','pretraining','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',1,'2026-11-25T09:11:06.611442+00:00','2026-11-25T09:11:06.617656+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 1.5}','',1);
INSERT INTO "runs" VALUES('ab78e1f0f973abcc','run','finished','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',2,'2026-11-25T09:11:06.626286+00:00','2026-11-25T09:11:06.640388+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','',1);
INSERT INTO "runs" VALUES('9b430e9e20f516dd','run','failed','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',3,'2026-11-25T09:11:06.644168+00:00','2026-11-25T09:11:06.652408+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','loss is NaN',1);
INSERT INTO "runs" VALUES('0fa2b6df16593025','run','interrupted','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',4,'2026-11-25T09:11:06.656071+00:00','2026-11-25T09:11:06.664170+00:00','golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{"total": 2.5}','',1);
INSERT INTO "runs" VALUES('c77cb79e3323321f','run','running','ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',5,'2026-11-25T09:11:06.667799+00:00',NULL,'golden',1,'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','{"replace": "all", "training": {"epochs": 2, "rate": 0.0004}}','{"head": {"total": 6}}','{}','',1);
CREATE INDEX ix_lineage_parent_id ON lineage (parent_id);
CREATE INDEX ix_reproductions_recipe_created ON reproductions (recipe, created);
CREATE INDEX ix_runs_fingerprint_status ON runs (fingerprint, status);
CREATE INDEX ix_runs_created ON runs (created);
COMMIT;
