BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0013');
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
, kind VARCHAR(16) DEFAULT 'fetch' NOT NULL, task JSON, source_origin TEXT, wait_us BIGINT, fruitless_us BIGINT DEFAULT '0' NOT NULL, start_now BOOLEAN DEFAULT false NOT NULL, any_node BOOLEAN DEFAULT false NOT NULL, limit_bps BIGINT, place JSON, sources JSON, store VARCHAR(64) DEFAULT 'default' NOT NULL);
INSERT INTO "jobs" VALUES(1,'n-dump','model-1@q4','model-1','q4','gguf','0000000000000001','{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','/store/model-1.gguf','completed',NULL,11,'night',1,11,1000,1000,100,NULL,'verified',NULL,NULL,'wait_text-1',11,11,11,1,'null',NULL,NULL,NULL,NULL,NULL,1795000000000001,1795000000000011,1795000000000021,'null','fetch','null','https://h.example:443',1795000000000001,1795000000000001,1,0,5000000,'["hf-cache"]','{"https://h.example:443": 100}','store-1');
INSERT INTO "jobs" VALUES(2,'n-dump','model-2@q4','model-2','q4','gguf','0000000000000002','{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','/store/model-2.gguf','failed',NULL,12,'night',0,12,1000,20,200,NULL,'pending',NULL,NULL,NULL,12,12,12,0,'null',NULL,NULL,NULL,NULL,NULL,1795000000000002,1795000000000012,1795000000000022,'{"code": "source_missing", "message": "It is gone.", "hint": null, "retryable": false}','fetch','null','https://h.example:443',NULL,1795000000000002,0,0,5000000,'["hf-cache"]','{"https://h.example:443": 200}','store-2');
INSERT INTO "jobs" VALUES(3,'n-dump','model-3@q4','model-3','q4','gguf','0000000000000003','{"ref": "model-3@q4", "model": "model-3", "option": "q4", "format": "gguf", "name": "model-3.gguf", "folder": false, "files": [{"path": "model-3.gguf", "url": "https://h.example/model-3.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}','/store/model-3.gguf','queued',NULL,13,'night',0,13,1000,30,300,NULL,'pending',NULL,NULL,NULL,13,13,13,0,'null',NULL,NULL,NULL,NULL,NULL,1795000000000003,NULL,NULL,'null','fetch','null','https://h.example:443',NULL,1795000000000003,0,0,5000000,'["hf-cache"]','{"https://h.example:443": 300}','store-3');
CREATE TABLE nodes (
	node VARCHAR(64) NOT NULL, 
	hostname TEXT NOT NULL, 
	store TEXT NOT NULL, 
	seen_at BIGINT NOT NULL, owner TEXT, version VARCHAR(32), disk_free BIGINT, ram BIGINT, gpus JSON, share_url TEXT, 
	CONSTRAINT pk_nodes PRIMARY KEY (node)
);
INSERT INTO "nodes" VALUES('n-dump','hostname-1','store-1',1795000000000001,'owner-1','version-1',1795000000000001,1795000000000001,'[{"name": "A", "vendor": "nvidia", "vram_total_bytes": 17179869184}]','share_url-1');
INSERT INTO "nodes" VALUES('n-dump-2','hostname-2','store-2',1795000000000002,NULL,NULL,NULL,NULL,'null',NULL);
CREATE TABLE pins (
	node VARCHAR(64) NOT NULL, 
	claim TEXT NOT NULL, 
	set_at BIGINT NOT NULL, 
	CONSTRAINT pk_pins PRIMARY KEY (node, claim)
);
INSERT INTO "pins" VALUES('n-dump','claim-1',1795000000000001);
INSERT INTO "pins" VALUES('n-dump','claim-2',1795000000000002);
CREATE TABLE placements (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	node VARCHAR(64) NOT NULL, 
	store_id VARCHAR(32) DEFAULT '' NOT NULL, 
	name TEXT NOT NULL, 
	artifact_key VARCHAR(16) NOT NULL, 
	claim TEXT NOT NULL, 
	model TEXT, 
	option TEXT, 
	app TEXT NOT NULL, 
	root TEXT NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	token VARCHAR(16) NOT NULL, 
	path TEXT, 
	how VARCHAR(16), 
	entries JSON, 
	folders JSON, 
	job_id INTEGER, 
	created_at BIGINT NOT NULL, 
	placed_at BIGINT, error JSON, tries INTEGER DEFAULT '0' NOT NULL, next_at BIGINT, 
	CONSTRAINT fk_placements_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE SET NULL, 
	CONSTRAINT uq_placements_node_store_id_name_app_root UNIQUE (node, store_id, name, app, root)
);
INSERT INTO "placements" VALUES(1,'n-dump','55555555555555555555555555555555','name-1','artifact_key-1','claim-1','model-1','option-1','app-1','root-1','placed','token-1','path-1','how-1','[]','[]',1,1795000000000001,1795000000000001,'{"error": 1}',11,1795000000000001);
INSERT INTO "placements" VALUES(2,'n-dump','55555555555555555555555555555555','name-2','artifact_key-2','claim-2',NULL,NULL,'app-2','root-2','placed','token-2',NULL,NULL,'[]','[]',2,1795000000000002,NULL,'null',12,NULL);
CREATE TABLE refused_mirrors (
	node VARCHAR(64) NOT NULL, 
	mirror TEXT NOT NULL, 
	until BIGINT NOT NULL, 
	CONSTRAINT pk_refused_mirrors PRIMARY KEY (node, mirror)
);
INSERT INTO "refused_mirrors" VALUES('n-dump','mirror-1',1795000000000001);
INSERT INTO "refused_mirrors" VALUES('n-dump','mirror-2',1795000000000002);
CREATE TABLE stores (
	node VARCHAR(64) NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	path TEXT NOT NULL, 
	store_id VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_stores PRIMARY KEY (node, name)
);
INSERT INTO "stores" VALUES('n-dump','name-1','path-1','55555555555555555555555555555555');
INSERT INTO "stores" VALUES('n-dump','name-2','path-2','55555555555555555555555555555555');
CREATE TABLE subscription_items (
	subscription_id INTEGER NOT NULL, 
	item TEXT NOT NULL, 
	version TEXT NOT NULL, 
	CONSTRAINT pk_subscription_items PRIMARY KEY (subscription_id, item), 
	CONSTRAINT fk_subscription_items_subscription_id FOREIGN KEY(subscription_id) REFERENCES subscriptions (id) ON DELETE CASCADE
);
INSERT INTO "subscription_items" VALUES(1,'item-1','version-1');
INSERT INTO "subscription_items" VALUES(2,'item-2','version-2');
CREATE TABLE subscription_jobs (
	subscription_id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	CONSTRAINT pk_subscription_jobs PRIMARY KEY (subscription_id, job_id), 
	CONSTRAINT fk_subscription_jobs_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE, 
	CONSTRAINT fk_subscription_jobs_subscription_id FOREIGN KEY(subscription_id) REFERENCES subscriptions (id) ON DELETE CASCADE
);
INSERT INTO "subscription_jobs" VALUES(1,1);
INSERT INTO "subscription_jobs" VALUES(2,2);
CREATE TABLE subscriptions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	node VARCHAR(64) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	ref TEXT NOT NULL, 
	include JSON, 
	every_us BIGINT NOT NULL, 
	at_minute INTEGER, 
	keep INTEGER, 
	place JSON, 
	created_at BIGINT NOT NULL, 
	next_at BIGINT NOT NULL, 
	checked_at BIGINT, 
	changed_at BIGINT, 
	job_id INTEGER, 
	error JSON, 
	failures INTEGER DEFAULT '0' NOT NULL, 
	failing_since BIGINT, 
	version INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT fk_subscriptions_job_id FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE SET NULL, 
	CONSTRAINT uq_subscriptions_node_ref UNIQUE (node, ref)
);
INSERT INTO "subscriptions" VALUES(1,'n-dump','reference','ref-1','null',1795000000000001,90,11,'["hf-cache"]',1795000000000001,1795000000000001,1795000000000001,1795000000000001,1,'null',11,1795000000000001,11);
INSERT INTO "subscriptions" VALUES(2,'n-dump','reference','ref-2','null',1795000000000002,90,NULL,'["hf-cache"]',1795000000000002,1795000000000002,NULL,NULL,2,'null',12,NULL,12);
CREATE TABLE wire_bytes (
	node VARCHAR(64) NOT NULL, 
	day VARCHAR(10) NOT NULL, 
	bytes BIGINT NOT NULL, 
	CONSTRAINT pk_wire_bytes PRIMARY KEY (node, day)
);
INSERT INTO "wire_bytes" VALUES('n-dump','2026-11-29',1795000000000001);
INSERT INTO "wire_bytes" VALUES('n-dump','2026-11-30',1795000000000002);
CREATE TABLE wire_minutes (
	node VARCHAR(64) NOT NULL, 
	minute BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	CONSTRAINT pk_wire_minutes PRIMARY KEY (node, minute)
);
INSERT INTO "wire_minutes" VALUES('n-dump',1795000000000001,1795000000000001);
INSERT INTO "wire_minutes" VALUES('n-dump',1795000000000002,1795000000000002);
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
CREATE INDEX ix_subscriptions_due ON subscriptions (node, next_at);
CREATE INDEX ix_subscription_jobs_job_id ON subscription_jobs (job_id);
CREATE INDEX ix_jobs_any ON jobs (node) WHERE any_node AND state IN ('queued', 'running', 'paused');
CREATE INDEX ix_jobs_smallest ON jobs (node, priority DESC, (coalesce(bytes_total, 9223372036854775807)), id) WHERE state = 'queued';
CREATE INDEX ix_jobs_nearly_done ON jobs (node, priority DESC, (CASE WHEN bytes_done > 0 THEN coalesce(bytes_total - bytes_done, 9223372036854775807) ELSE 9223372036854775807 END), id) WHERE state = 'queued';
CREATE INDEX ix_placements_unfinished ON placements (node) WHERE state <> 'placed';
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',3);
INSERT INTO "sqlite_sequence" VALUES('attempts',2);
INSERT INTO "sqlite_sequence" VALUES('events',2);
INSERT INTO "sqlite_sequence" VALUES('placements',2);
INSERT INTO "sqlite_sequence" VALUES('subscriptions',2);
COMMIT;
