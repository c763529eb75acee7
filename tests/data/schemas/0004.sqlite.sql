BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE artifact_files (
	artifact_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	CONSTRAINT pk_artifact_files PRIMARY KEY (artifact_id, path), 
	CONSTRAINT fk_artifact_files_artifact_id FOREIGN KEY(artifact_id) REFERENCES artifacts (id) ON DELETE CASCADE
);
INSERT INTO "artifact_files" VALUES(1,'model-1.gguf',1000,'abababababababababababababababababababababababababababababababab',1795000000000001);
INSERT INTO "artifact_files" VALUES(2,'other.gguf',1000,'abababababababababababababababababababababababababababababababab',1795000000000002);
CREATE TABLE artifact_pieces (
	artifact_id INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	piece BIGINT NOT NULL, 
	states BLOB NOT NULL, 
	CONSTRAINT pk_artifact_pieces PRIMARY KEY (artifact_id, path), 
	CONSTRAINT fk_artifact_pieces_artifact_id FOREIGN KEY(artifact_id) REFERENCES artifacts (id) ON DELETE CASCADE
);
INSERT INTO "artifact_pieces" VALUES(1,'model-1.gguf',1048576,X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F');
INSERT INTO "artifact_pieces" VALUES(2,'other.gguf',1048576,X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F');
CREATE TABLE "artifacts" (
	id INTEGER NOT NULL, 
	node VARCHAR(64) NOT NULL, 
	name TEXT NOT NULL, 
	name_key TEXT NOT NULL, 
	artifact_key VARCHAR(16) NOT NULL, 
	ref TEXT NOT NULL, 
	model TEXT, 
	option TEXT, 
	format VARCHAR(16), 
	bytes BIGINT NOT NULL, 
	sha256 VARCHAR(64), 
	job_id INTEGER, 
	installed_at BIGINT NOT NULL, 
	verified_at BIGINT NOT NULL, 
	artifact JSON, 
	linked_from TEXT, 
	damage JSON, 
	store_id VARCHAR(32) DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT fk_artifacts_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE SET NULL, 
	CONSTRAINT uq_artifacts_node_store_id_name_key UNIQUE (node, store_id, name_key)
);
INSERT INTO "artifacts" VALUES(1,'n-dump','model-1.gguf','model-1.gguf','0000000000000001','model-1@q4','model-1','option-1','gguf',1000,'sha256-1',1,1795000000000001,1795000000000001,'{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','linked_from-1','null','55555555555555555555555555555555');
INSERT INTO "artifacts" VALUES(2,'n-dump','other.gguf','other.gguf','0000000000000002','model-2@q4',NULL,NULL,'gguf',1000,NULL,2,1795000000000002,1795000000000002,'{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}',NULL,'null','55555555555555555555555555555555');
CREATE TABLE attempts (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	job_id INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	worker VARCHAR(64) NOT NULL, 
	token VARCHAR(32) NOT NULL, 
	started_at BIGINT NOT NULL, 
	finished_at BIGINT, 
	outcome VARCHAR(16), 
	CONSTRAINT fk_attempts_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "attempts" VALUES(1,1,11,'worker-1','token-1',1795000000000001,1795000000000001,'outcome-1');
INSERT INTO "attempts" VALUES(2,2,12,'worker-2','token-2',1795000000000002,NULL,NULL);
CREATE TABLE controls (
	node VARCHAR(64) NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	value JSON, 
	until BIGINT, 
	set_at BIGINT NOT NULL, 
	CONSTRAINT pk_controls PRIMARY KEY (node, name)
);
INSERT INTO "controls" VALUES('n-dump','name-1','{"value": 1}',1795000000000001,1795000000000001);
INSERT INTO "controls" VALUES('n-dump','name-2','null',NULL,1795000000000002);
CREATE TABLE events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	job_id INTEGER, 
	at BIGINT NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, code VARCHAR(32), 
	CONSTRAINT fk_events_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "events" VALUES(1,1,1795000000000001,'kind-1','text-1','code-1');
INSERT INTO "events" VALUES(2,2,1795000000000002,'kind-2','text-2',NULL);
CREATE TABLE host_waits (
	node VARCHAR(64) NOT NULL, 
	origin TEXT NOT NULL, 
	since BIGINT NOT NULL, 
	until BIGINT NOT NULL, 
	wait_us BIGINT NOT NULL, 
	tries INTEGER NOT NULL, 
	code VARCHAR(32) NOT NULL, 
	host TEXT, 
	text TEXT NOT NULL, 
	prober VARCHAR(32), 
	CONSTRAINT pk_host_waits PRIMARY KEY (node, origin)
);
INSERT INTO "host_waits" VALUES('n-dump','origin-1',1795000000000001,1795000000000001,1795000000000001,11,'code-1','host-1','text-1','prober-1');
INSERT INTO "host_waits" VALUES('n-dump','origin-2',1795000000000002,1795000000000002,1795000000000002,12,'code-2',NULL,'text-2',NULL);
CREATE TABLE job_after (
	job_id INTEGER NOT NULL, 
	after_id INTEGER NOT NULL, 
	CONSTRAINT pk_job_after PRIMARY KEY (job_id, after_id), 
	CONSTRAINT fk_job_after_after_id FOREIGN KEY(after_id) REFERENCES jobs (id) ON DELETE CASCADE, 
	CONSTRAINT fk_job_after_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "job_after" VALUES(3,1);
INSERT INTO "job_after" VALUES(3,2);
CREATE TABLE job_files (
	job_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	path TEXT NOT NULL, 
	bytes BIGINT, 
	bytes_done BIGINT DEFAULT '0' NOT NULL, 
	sha256 VARCHAR(64), 
	validator TEXT, 
	sha256_state VARCHAR(16) DEFAULT 'pending' NOT NULL, 
	CONSTRAINT pk_job_files PRIMARY KEY (job_id, number), 
	CONSTRAINT fk_job_files_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
INSERT INTO "job_files" VALUES(1,11,'model-1.gguf',1795000000000001,1795000000000001,'sha256-1','validator-1','pending');
INSERT INTO "job_files" VALUES(2,12,'model-2.gguf',NULL,1795000000000002,NULL,NULL,'pending');
CREATE TABLE jobs (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	node VARCHAR(64) NOT NULL, 
	ref TEXT NOT NULL, 
	model TEXT, 
	option TEXT, 
	format VARCHAR(16), 
	artifact_key VARCHAR(16) NOT NULL, 
	artifact JSON NOT NULL, 
	target TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	stage VARCHAR(16), 
	priority INTEGER DEFAULT '0' NOT NULL, 
	"group" TEXT, 
	forced BOOLEAN DEFAULT (false) NOT NULL, 
	attempt INTEGER DEFAULT '0' NOT NULL, 
	bytes_total BIGINT, 
	bytes_done BIGINT DEFAULT '0' NOT NULL, 
	bytes_fetched BIGINT DEFAULT '0' NOT NULL, 
	rate_bps BIGINT, 
	sha256_state VARCHAR(16) DEFAULT 'pending' NOT NULL, 
	not_before BIGINT, 
	wait_reason VARCHAR(16), 
	wait_text TEXT, 
	faults INTEGER DEFAULT '0' NOT NULL, 
	rescues INTEGER DEFAULT '0' NOT NULL, 
	furthest INTEGER DEFAULT '0' NOT NULL, 
	progressed BOOLEAN DEFAULT (false) NOT NULL, 
	intent JSON, 
	requested VARCHAR(16), 
	lease_token VARCHAR(32), 
	lease_worker VARCHAR(64), 
	lease_boot VARCHAR(64), 
	lease_until FLOAT, 
	created_at BIGINT NOT NULL, 
	started_at BIGINT, 
	finished_at BIGINT, 
	error JSON
, kind VARCHAR(16) DEFAULT 'fetch' NOT NULL, task JSON, source_origin TEXT, wait_us BIGINT, fruitless_us BIGINT DEFAULT '0' NOT NULL, start_now BOOLEAN DEFAULT false NOT NULL);
INSERT INTO "jobs" VALUES(1,'n-dump','model-1@q4','model-1','q4','gguf','0000000000000001','{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','/store/model-1.gguf','completed',NULL,11,'night',1,11,1000,1000,100,NULL,'verified',NULL,NULL,'wait_text-1',11,11,11,1,'null',NULL,NULL,NULL,NULL,NULL,1795000000000001,1795000000000011,1795000000000021,'null','fetch','null','https://h.example:443',1795000000000001,1795000000000001,1);
INSERT INTO "jobs" VALUES(2,'n-dump','model-2@q4','model-2','q4','gguf','0000000000000002','{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','/store/model-2.gguf','failed',NULL,12,'night',0,12,1000,20,200,NULL,'pending',NULL,NULL,NULL,12,12,12,0,'null',NULL,NULL,NULL,NULL,NULL,1795000000000002,1795000000000012,1795000000000022,'{"code": "source_missing", "message": "It is gone.", "hint": null, "retryable": false}','fetch','null','https://h.example:443',NULL,1795000000000002,0);
INSERT INTO "jobs" VALUES(3,'n-dump','model-3@q4','model-3','q4','gguf','0000000000000003','{"ref": "model-3@q4", "model": "model-3", "option": "q4", "format": "gguf", "name": "model-3.gguf", "folder": false, "files": [{"path": "model-3.gguf", "url": "https://h.example/model-3.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','/store/model-3.gguf','queued',NULL,13,'night',0,13,1000,30,300,NULL,'pending',NULL,NULL,NULL,13,13,13,0,'null',NULL,NULL,NULL,NULL,NULL,1795000000000003,NULL,NULL,'null','fetch','null','https://h.example:443',NULL,1795000000000003,0);
CREATE TABLE nodes (
	node VARCHAR(64) NOT NULL, 
	hostname TEXT NOT NULL, 
	store TEXT NOT NULL, 
	store_id VARCHAR(32), 
	seen_at BIGINT NOT NULL, 
	CONSTRAINT pk_nodes PRIMARY KEY (node)
);
INSERT INTO "nodes" VALUES('n-dump','hostname-1','store-1','55555555555555555555555555555555',1795000000000001);
INSERT INTO "nodes" VALUES('n-dump-2','hostname-2','store-2','55555555555555555555555555555555',1795000000000002);
CREATE TABLE workers (
	worker VARCHAR(64) NOT NULL, 
	node VARCHAR(64) NOT NULL, 
	pid INTEGER NOT NULL, 
	slots INTEGER NOT NULL, 
	started_at BIGINT NOT NULL, 
	seen_at BIGINT NOT NULL, 
	CONSTRAINT pk_workers PRIMARY KEY (worker)
);
INSERT INTO "workers" VALUES('worker-1','n-dump-1',11,11,1795000000000001,1795000000000001);
INSERT INTO "workers" VALUES('worker-2','n-dump-2',12,12,1795000000000002,1795000000000002);
CREATE INDEX ix_jobs_created ON jobs (node, created_at);
CREATE INDEX ix_jobs_state ON jobs (node, state, id);
CREATE INDEX ix_jobs_claim ON jobs (node, priority DESC, id) WHERE state = 'queued';
CREATE INDEX ix_jobs_ended ON jobs (node, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX ix_jobs_live ON jobs (node, state) WHERE state IN ('queued', 'running', 'paused');
CREATE UNIQUE INDEX uq_jobs_live ON jobs (node, artifact_key) WHERE state IN ('queued', 'running', 'paused');
CREATE INDEX ix_attempts_job ON attempts (job_id);
CREATE INDEX ix_events_at ON events (at);
CREATE INDEX ix_events_job ON events (job_id, id);
CREATE INDEX ix_job_after_after ON job_after (after_id);
CREATE INDEX ix_artifact_files_sha256 ON artifact_files (sha256);
CREATE INDEX ix_artifacts_key ON artifacts (node, artifact_key);
CREATE INDEX ix_jobs_ref ON jobs (node, ref, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',3);
INSERT INTO "sqlite_sequence" VALUES('attempts',2);
INSERT INTO "sqlite_sequence" VALUES('events',2);
COMMIT;
