CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.artifact_files (
    artifact_id integer NOT NULL,
    path text NOT NULL,
    bytes bigint NOT NULL,
    sha256 character varying(64) NOT NULL,
    mtime_ns bigint NOT NULL
);
CREATE TABLE public.artifact_pieces (
    artifact_id integer NOT NULL,
    path text NOT NULL,
    piece bigint NOT NULL,
    states bytea NOT NULL
);
CREATE TABLE public.artifacts (
    id integer NOT NULL,
    node character varying(64) NOT NULL,
    name text NOT NULL,
    name_key text NOT NULL,
    artifact_key character varying(16) NOT NULL,
    ref text NOT NULL,
    model text,
    option text,
    format character varying(16),
    bytes bigint NOT NULL,
    sha256 character varying(64),
    job_id integer,
    installed_at bigint NOT NULL,
    verified_at bigint NOT NULL,
    artifact json,
    linked_from text,
    damage json,
    store_id character varying(32) DEFAULT ''::character varying NOT NULL
);
CREATE SEQUENCE public.artifacts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.artifacts_id_seq OWNED BY public.artifacts.id;
CREATE TABLE public.attempts (
    id integer NOT NULL,
    job_id integer NOT NULL,
    attempt integer NOT NULL,
    worker character varying(64) NOT NULL,
    token character varying(32) NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint,
    outcome character varying(16)
);
CREATE SEQUENCE public.attempts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.attempts_id_seq OWNED BY public.attempts.id;
CREATE TABLE public.controls (
    node character varying(64) NOT NULL,
    name character varying(32) NOT NULL,
    value json,
    until bigint,
    set_at bigint NOT NULL
);
CREATE TABLE public.events (
    id integer NOT NULL,
    job_id integer,
    at bigint NOT NULL,
    kind character varying(32) NOT NULL,
    text text NOT NULL,
    code character varying(32)
);
CREATE SEQUENCE public.events_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.events_id_seq OWNED BY public.events.id;
CREATE TABLE public.host_waits (
    node character varying(64) NOT NULL,
    origin text NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    wait_us bigint NOT NULL,
    tries integer NOT NULL,
    code character varying(32) NOT NULL,
    host text,
    text text NOT NULL,
    prober character varying(32)
);
CREATE TABLE public.job_after (
    job_id integer NOT NULL,
    after_id integer NOT NULL
);
CREATE TABLE public.job_files (
    job_id integer NOT NULL,
    number integer NOT NULL,
    path text NOT NULL,
    bytes bigint,
    bytes_done bigint DEFAULT '0'::bigint NOT NULL,
    sha256 character varying(64),
    validator text,
    sha256_state character varying(16) DEFAULT 'pending'::character varying NOT NULL
);
CREATE TABLE public.jobs (
    id integer NOT NULL,
    node character varying(64) NOT NULL,
    ref text NOT NULL,
    model text,
    option text,
    format character varying(16),
    artifact_key character varying(16) NOT NULL,
    artifact json NOT NULL,
    target text NOT NULL,
    state character varying(16) NOT NULL,
    stage character varying(16),
    priority integer DEFAULT 0 NOT NULL,
    "group" text,
    forced boolean DEFAULT false NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    bytes_total bigint,
    bytes_done bigint DEFAULT '0'::bigint NOT NULL,
    bytes_fetched bigint DEFAULT '0'::bigint NOT NULL,
    rate_bps bigint,
    sha256_state character varying(16) DEFAULT 'pending'::character varying NOT NULL,
    not_before bigint,
    wait_reason character varying(16),
    wait_text text,
    faults integer DEFAULT 0 NOT NULL,
    rescues integer DEFAULT 0 NOT NULL,
    furthest integer DEFAULT 0 NOT NULL,
    progressed boolean DEFAULT false NOT NULL,
    intent json,
    requested character varying(16),
    lease_token character varying(32),
    lease_worker character varying(64),
    lease_boot character varying(64),
    lease_until double precision,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    error json,
    kind character varying(16) DEFAULT 'fetch'::character varying NOT NULL,
    task json,
    source_origin text,
    wait_us bigint,
    fruitless_us bigint DEFAULT '0'::bigint NOT NULL,
    start_now boolean DEFAULT false NOT NULL,
    any_node boolean DEFAULT false NOT NULL,
    limit_bps bigint,
    place json,
    sources json,
    store character varying(64) DEFAULT 'default'::character varying NOT NULL
);
CREATE SEQUENCE public.jobs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.jobs_id_seq OWNED BY public.jobs.id;
CREATE TABLE public.nodes (
    node character varying(64) NOT NULL,
    hostname text NOT NULL,
    store text NOT NULL,
    seen_at bigint NOT NULL,
    owner text,
    version character varying(32),
    disk_free bigint,
    ram bigint,
    gpus json,
    share_url text
);
CREATE TABLE public.pins (
    node character varying(64) NOT NULL,
    claim text NOT NULL,
    set_at bigint NOT NULL
);
CREATE TABLE public.placements (
    id integer NOT NULL,
    node character varying(64) NOT NULL,
    store_id character varying(32) DEFAULT ''::character varying NOT NULL,
    name text NOT NULL,
    artifact_key character varying(16) NOT NULL,
    claim text NOT NULL,
    model text,
    option text,
    app text NOT NULL,
    root text NOT NULL,
    state character varying(16) NOT NULL,
    token character varying(16) NOT NULL,
    path text,
    how character varying(16),
    entries json,
    folders json,
    job_id integer,
    created_at bigint NOT NULL,
    placed_at bigint,
    error json,
    tries integer DEFAULT 0 NOT NULL,
    next_at bigint
);
CREATE SEQUENCE public.placements_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.placements_id_seq OWNED BY public.placements.id;
CREATE TABLE public.refused_mirrors (
    node character varying(64) NOT NULL,
    mirror text NOT NULL,
    until bigint NOT NULL
);
CREATE TABLE public.stores (
    node character varying(64) NOT NULL,
    name character varying(64) NOT NULL,
    path text NOT NULL,
    store_id character varying(32) NOT NULL
);
CREATE TABLE public.subscription_items (
    subscription_id integer NOT NULL,
    item text NOT NULL,
    version text NOT NULL
);
CREATE TABLE public.subscription_jobs (
    subscription_id integer NOT NULL,
    job_id integer NOT NULL
);
CREATE TABLE public.subscriptions (
    id integer NOT NULL,
    node character varying(64) NOT NULL,
    kind character varying(16) NOT NULL,
    ref text NOT NULL,
    include json,
    every_us bigint NOT NULL,
    at_minute integer,
    keep integer,
    place json,
    created_at bigint NOT NULL,
    next_at bigint NOT NULL,
    checked_at bigint,
    changed_at bigint,
    job_id integer,
    error json,
    failures integer DEFAULT 0 NOT NULL,
    failing_since bigint,
    version integer DEFAULT 0 NOT NULL
);
CREATE SEQUENCE public.subscriptions_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.subscriptions_id_seq OWNED BY public.subscriptions.id;
CREATE TABLE public.wakeup_counter (
    queue text NOT NULL,
    key text NOT NULL,
    value bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.wakeup_kv (
    queue text NOT NULL,
    key text NOT NULL,
    value bytea NOT NULL
);
CREATE TABLE public.wakeup_schedule (
    id bigint NOT NULL,
    queue text NOT NULL,
    data bytea NOT NULL,
    "timestamp" double precision NOT NULL
);
CREATE SEQUENCE public.wakeup_schedule_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.wakeup_schedule_id_seq OWNED BY public.wakeup_schedule.id;
CREATE TABLE public.wakeup_task (
    id bigint NOT NULL,
    queue text NOT NULL,
    data bytea NOT NULL,
    priority double precision DEFAULT 0.0 NOT NULL
);
CREATE SEQUENCE public.wakeup_task_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.wakeup_task_id_seq OWNED BY public.wakeup_task.id;
CREATE TABLE public.wire_bytes (
    node character varying(64) NOT NULL,
    day character varying(10) NOT NULL,
    bytes bigint NOT NULL
);
CREATE TABLE public.wire_minutes (
    node character varying(64) NOT NULL,
    minute bigint NOT NULL,
    bytes bigint NOT NULL
);
CREATE TABLE public.workers (
    worker character varying(64) NOT NULL,
    node character varying(64) NOT NULL,
    pid integer NOT NULL,
    slots integer NOT NULL,
    started_at bigint NOT NULL,
    seen_at bigint NOT NULL
);
ALTER TABLE ONLY public.artifacts ALTER COLUMN id SET DEFAULT nextval('public.artifacts_id_seq'::regclass);
ALTER TABLE ONLY public.attempts ALTER COLUMN id SET DEFAULT nextval('public.attempts_id_seq'::regclass);
ALTER TABLE ONLY public.events ALTER COLUMN id SET DEFAULT nextval('public.events_id_seq'::regclass);
ALTER TABLE ONLY public.jobs ALTER COLUMN id SET DEFAULT nextval('public.jobs_id_seq'::regclass);
ALTER TABLE ONLY public.placements ALTER COLUMN id SET DEFAULT nextval('public.placements_id_seq'::regclass);
ALTER TABLE ONLY public.subscriptions ALTER COLUMN id SET DEFAULT nextval('public.subscriptions_id_seq'::regclass);
ALTER TABLE ONLY public.wakeup_schedule ALTER COLUMN id SET DEFAULT nextval('public.wakeup_schedule_id_seq'::regclass);
ALTER TABLE ONLY public.wakeup_task ALTER COLUMN id SET DEFAULT nextval('public.wakeup_task_id_seq'::regclass);
INSERT INTO public.alembic_version (version_num) VALUES ('0013');
INSERT INTO public.artifact_files (artifact_id, path, bytes, sha256, mtime_ns) VALUES (1, 'model-1.gguf', 1000, 'abababababababababababababababababababababababababababababababab', 1795000000000001);
INSERT INTO public.artifact_files (artifact_id, path, bytes, sha256, mtime_ns) VALUES (2, 'other.gguf', 1000, 'abababababababababababababababababababababababababababababababab', 1795000000000002);
INSERT INTO public.artifact_pieces (artifact_id, path, piece, states) VALUES (1, 'model-1.gguf', 1048576, '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
INSERT INTO public.artifact_pieces (artifact_id, path, piece, states) VALUES (2, 'other.gguf', 1048576, '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
INSERT INTO public.artifacts (id, node, name, name_key, artifact_key, ref, model, option, format, bytes, sha256, job_id, installed_at, verified_at, artifact, linked_from, damage, store_id) VALUES (1, 'n-dump', 'model-1.gguf', 'model-1.gguf', '0000000000000001', 'model-1@q4', 'model-1', 'option-1', 'gguf', 1000, 'sha256-1', 1, 1795000000000001, 1795000000000001, '{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', 'linked_from-1', 'null', '55555555555555555555555555555555');
INSERT INTO public.artifacts (id, node, name, name_key, artifact_key, ref, model, option, format, bytes, sha256, job_id, installed_at, verified_at, artifact, linked_from, damage, store_id) VALUES (2, 'n-dump', 'other.gguf', 'other.gguf', '0000000000000002', 'model-2@q4', NULL, NULL, 'gguf', 1000, NULL, 2, 1795000000000002, 1795000000000002, '{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', NULL, 'null', '55555555555555555555555555555555');
INSERT INTO public.attempts (id, job_id, attempt, worker, token, started_at, finished_at, outcome) VALUES (1, 1, 11, 'worker-1', 'token-1', 1795000000000001, 1795000000000001, 'outcome-1');
INSERT INTO public.attempts (id, job_id, attempt, worker, token, started_at, finished_at, outcome) VALUES (2, 2, 12, 'worker-2', 'token-2', 1795000000000002, NULL, NULL);
INSERT INTO public.controls (node, name, value, until, set_at) VALUES ('n-dump', 'name-1', '{"value": 1}', 1795000000000001, 1795000000000001);
INSERT INTO public.controls (node, name, value, until, set_at) VALUES ('n-dump', 'name-2', 'null', NULL, 1795000000000002);
INSERT INTO public.events (id, job_id, at, kind, text, code) VALUES (1, 1, 1795000000000001, 'kind-1', 'text-1', 'code-1');
INSERT INTO public.events (id, job_id, at, kind, text, code) VALUES (2, 2, 1795000000000002, 'kind-2', 'text-2', NULL);
INSERT INTO public.host_waits (node, origin, since, until, wait_us, tries, code, host, text, prober) VALUES ('n-dump', 'origin-1', 1795000000000001, 1795000000000001, 1795000000000001, 11, 'code-1', 'host-1', 'text-1', 'prober-1');
INSERT INTO public.host_waits (node, origin, since, until, wait_us, tries, code, host, text, prober) VALUES ('n-dump', 'origin-2', 1795000000000002, 1795000000000002, 1795000000000002, 12, 'code-2', NULL, 'text-2', NULL);
INSERT INTO public.job_after (job_id, after_id) VALUES (3, 1);
INSERT INTO public.job_after (job_id, after_id) VALUES (3, 2);
INSERT INTO public.job_files (job_id, number, path, bytes, bytes_done, sha256, validator, sha256_state) VALUES (1, 11, 'model-1.gguf', 1795000000000001, 1795000000000001, 'sha256-1', 'validator-1', 'pending');
INSERT INTO public.job_files (job_id, number, path, bytes, bytes_done, sha256, validator, sha256_state) VALUES (2, 12, 'model-2.gguf', NULL, 1795000000000002, NULL, NULL, 'pending');
INSERT INTO public.jobs (id, node, ref, model, option, format, artifact_key, artifact, target, state, stage, priority, "group", forced, attempt, bytes_total, bytes_done, bytes_fetched, rate_bps, sha256_state, not_before, wait_reason, wait_text, faults, rescues, furthest, progressed, intent, requested, lease_token, lease_worker, lease_boot, lease_until, created_at, started_at, finished_at, error, kind, task, source_origin, wait_us, fruitless_us, start_now, any_node, limit_bps, place, sources, store) VALUES (1, 'n-dump', 'model-1@q4', 'model-1', 'q4', 'gguf', '0000000000000001', '{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', '/store/model-1.gguf', 'completed', NULL, 11, 'night', true, 11, 1000, 1000, 100, NULL, 'verified', NULL, NULL, 'wait_text-1', 11, 11, 11, true, 'null', NULL, NULL, NULL, NULL, NULL, 1795000000000001, 1795000000000011, 1795000000000021, 'null', 'fetch', 'null', 'https://h.example:443', 1795000000000001, 1795000000000001, true, false, 5000000, '["hf-cache"]', '{"https://h.example:443": 100}', 'store-1');
INSERT INTO public.jobs (id, node, ref, model, option, format, artifact_key, artifact, target, state, stage, priority, "group", forced, attempt, bytes_total, bytes_done, bytes_fetched, rate_bps, sha256_state, not_before, wait_reason, wait_text, faults, rescues, furthest, progressed, intent, requested, lease_token, lease_worker, lease_boot, lease_until, created_at, started_at, finished_at, error, kind, task, source_origin, wait_us, fruitless_us, start_now, any_node, limit_bps, place, sources, store) VALUES (2, 'n-dump', 'model-2@q4', 'model-2', 'q4', 'gguf', '0000000000000002', '{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', '/store/model-2.gguf', 'failed', NULL, 12, 'night', false, 12, 1000, 20, 200, NULL, 'pending', NULL, NULL, NULL, 12, 12, 12, false, 'null', NULL, NULL, NULL, NULL, NULL, 1795000000000002, 1795000000000012, 1795000000000022, '{"code": "source_missing", "message": "It is gone.", "hint": null, "retryable": false}', 'fetch', 'null', 'https://h.example:443', NULL, 1795000000000002, false, false, 5000000, '["hf-cache"]', '{"https://h.example:443": 200}', 'store-2');
INSERT INTO public.jobs (id, node, ref, model, option, format, artifact_key, artifact, target, state, stage, priority, "group", forced, attempt, bytes_total, bytes_done, bytes_fetched, rate_bps, sha256_state, not_before, wait_reason, wait_text, faults, rescues, furthest, progressed, intent, requested, lease_token, lease_worker, lease_boot, lease_until, created_at, started_at, finished_at, error, kind, task, source_origin, wait_us, fruitless_us, start_now, any_node, limit_bps, place, sources, store) VALUES (3, 'n-dump', 'model-3@q4', 'model-3', 'q4', 'gguf', '0000000000000003', '{"ref": "model-3@q4", "model": "model-3", "option": "q4", "format": "gguf", "name": "model-3.gguf", "folder": false, "files": [{"path": "model-3.gguf", "url": "https://h.example/model-3.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', '/store/model-3.gguf', 'queued', NULL, 13, 'night', false, 13, 1000, 30, 300, NULL, 'pending', NULL, NULL, NULL, 13, 13, 13, false, 'null', NULL, NULL, NULL, NULL, NULL, 1795000000000003, NULL, NULL, 'null', 'fetch', 'null', 'https://h.example:443', NULL, 1795000000000003, false, false, 5000000, '["hf-cache"]', '{"https://h.example:443": 300}', 'store-3');
INSERT INTO public.nodes (node, hostname, store, seen_at, owner, version, disk_free, ram, gpus, share_url) VALUES ('n-dump', 'hostname-1', 'store-1', 1795000000000001, 'owner-1', 'version-1', 1795000000000001, 1795000000000001, '[{"name": "A", "vendor": "nvidia", "vram_total_bytes": 17179869184}]', 'share_url-1');
INSERT INTO public.nodes (node, hostname, store, seen_at, owner, version, disk_free, ram, gpus, share_url) VALUES ('n-dump-2', 'hostname-2', 'store-2', 1795000000000002, NULL, NULL, NULL, NULL, 'null', NULL);
INSERT INTO public.pins (node, claim, set_at) VALUES ('n-dump', 'claim-1', 1795000000000001);
INSERT INTO public.pins (node, claim, set_at) VALUES ('n-dump', 'claim-2', 1795000000000002);
INSERT INTO public.placements (id, node, store_id, name, artifact_key, claim, model, option, app, root, state, token, path, how, entries, folders, job_id, created_at, placed_at, error, tries, next_at) VALUES (1, 'n-dump', '55555555555555555555555555555555', 'name-1', 'artifact_key-1', 'claim-1', 'model-1', 'option-1', 'app-1', 'root-1', 'placed', 'token-1', 'path-1', 'how-1', '[]', '[]', 1, 1795000000000001, 1795000000000001, '{"error": 1}', 11, 1795000000000001);
INSERT INTO public.placements (id, node, store_id, name, artifact_key, claim, model, option, app, root, state, token, path, how, entries, folders, job_id, created_at, placed_at, error, tries, next_at) VALUES (2, 'n-dump', '55555555555555555555555555555555', 'name-2', 'artifact_key-2', 'claim-2', NULL, NULL, 'app-2', 'root-2', 'placed', 'token-2', NULL, NULL, '[]', '[]', 2, 1795000000000002, NULL, 'null', 12, NULL);
INSERT INTO public.refused_mirrors (node, mirror, until) VALUES ('n-dump', 'mirror-1', 1795000000000001);
INSERT INTO public.refused_mirrors (node, mirror, until) VALUES ('n-dump', 'mirror-2', 1795000000000002);
INSERT INTO public.stores (node, name, path, store_id) VALUES ('n-dump', 'name-1', 'path-1', '55555555555555555555555555555555');
INSERT INTO public.stores (node, name, path, store_id) VALUES ('n-dump', 'name-2', 'path-2', '55555555555555555555555555555555');
INSERT INTO public.subscription_items (subscription_id, item, version) VALUES (1, 'item-1', 'version-1');
INSERT INTO public.subscription_items (subscription_id, item, version) VALUES (2, 'item-2', 'version-2');
INSERT INTO public.subscription_jobs (subscription_id, job_id) VALUES (1, 1);
INSERT INTO public.subscription_jobs (subscription_id, job_id) VALUES (2, 2);
INSERT INTO public.subscriptions (id, node, kind, ref, include, every_us, at_minute, keep, place, created_at, next_at, checked_at, changed_at, job_id, error, failures, failing_since, version) VALUES (1, 'n-dump', 'reference', 'ref-1', 'null', 1795000000000001, 90, 11, '["hf-cache"]', 1795000000000001, 1795000000000001, 1795000000000001, 1795000000000001, 1, 'null', 11, 1795000000000001, 11);
INSERT INTO public.subscriptions (id, node, kind, ref, include, every_us, at_minute, keep, place, created_at, next_at, checked_at, changed_at, job_id, error, failures, failing_since, version) VALUES (2, 'n-dump', 'reference', 'ref-2', 'null', 1795000000000002, 90, NULL, '["hf-cache"]', 1795000000000002, 1795000000000002, NULL, NULL, 2, 'null', 12, NULL, 12);
INSERT INTO public.wire_bytes (node, day, bytes) VALUES ('n-dump', '2026-11-29', 1795000000000001);
INSERT INTO public.wire_bytes (node, day, bytes) VALUES ('n-dump', '2026-11-30', 1795000000000002);
INSERT INTO public.wire_minutes (node, minute, bytes) VALUES ('n-dump', 1795000000000001, 1795000000000001);
INSERT INTO public.wire_minutes (node, minute, bytes) VALUES ('n-dump', 1795000000000002, 1795000000000002);
INSERT INTO public.workers (worker, node, pid, slots, started_at, seen_at) VALUES ('worker-1', 'n-dump-1', 11, 11, 1795000000000001, 1795000000000001);
INSERT INTO public.workers (worker, node, pid, slots, started_at, seen_at) VALUES ('worker-2', 'n-dump-2', 12, 12, 1795000000000002, 1795000000000002);
SELECT pg_catalog.setval('public.artifacts_id_seq', 2, true);
SELECT pg_catalog.setval('public.attempts_id_seq', 2, true);
SELECT pg_catalog.setval('public.events_id_seq', 2, true);
SELECT pg_catalog.setval('public.jobs_id_seq', 3, true);
SELECT pg_catalog.setval('public.placements_id_seq', 2, true);
SELECT pg_catalog.setval('public.subscriptions_id_seq', 2, true);
SELECT pg_catalog.setval('public.wakeup_schedule_id_seq', 1, false);
SELECT pg_catalog.setval('public.wakeup_task_id_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.artifact_files
    ADD CONSTRAINT pk_artifact_files PRIMARY KEY (artifact_id, path);
ALTER TABLE ONLY public.artifact_pieces
    ADD CONSTRAINT pk_artifact_pieces PRIMARY KEY (artifact_id, path);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT pk_artifacts PRIMARY KEY (id);
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT pk_attempts PRIMARY KEY (id);
ALTER TABLE ONLY public.controls
    ADD CONSTRAINT pk_controls PRIMARY KEY (node, name);
ALTER TABLE ONLY public.events
    ADD CONSTRAINT pk_events PRIMARY KEY (id);
ALTER TABLE ONLY public.host_waits
    ADD CONSTRAINT pk_host_waits PRIMARY KEY (node, origin);
ALTER TABLE ONLY public.job_after
    ADD CONSTRAINT pk_job_after PRIMARY KEY (job_id, after_id);
ALTER TABLE ONLY public.job_files
    ADD CONSTRAINT pk_job_files PRIMARY KEY (job_id, number);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (id);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT pk_nodes PRIMARY KEY (node);
ALTER TABLE ONLY public.pins
    ADD CONSTRAINT pk_pins PRIMARY KEY (node, claim);
ALTER TABLE ONLY public.placements
    ADD CONSTRAINT pk_placements PRIMARY KEY (id);
ALTER TABLE ONLY public.refused_mirrors
    ADD CONSTRAINT pk_refused_mirrors PRIMARY KEY (node, mirror);
ALTER TABLE ONLY public.stores
    ADD CONSTRAINT pk_stores PRIMARY KEY (node, name);
ALTER TABLE ONLY public.subscription_items
    ADD CONSTRAINT pk_subscription_items PRIMARY KEY (subscription_id, item);
ALTER TABLE ONLY public.subscription_jobs
    ADD CONSTRAINT pk_subscription_jobs PRIMARY KEY (subscription_id, job_id);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT pk_subscriptions PRIMARY KEY (id);
ALTER TABLE ONLY public.wire_bytes
    ADD CONSTRAINT pk_wire_bytes PRIMARY KEY (node, day);
ALTER TABLE ONLY public.wire_minutes
    ADD CONSTRAINT pk_wire_minutes PRIMARY KEY (node, minute);
ALTER TABLE ONLY public.workers
    ADD CONSTRAINT pk_workers PRIMARY KEY (worker);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT uq_artifacts_node_store_id_name_key UNIQUE (node, store_id, name_key);
ALTER TABLE ONLY public.placements
    ADD CONSTRAINT uq_placements_node_store_id_name_app_root UNIQUE (node, store_id, name, app, root);
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT uq_subscriptions_node_ref UNIQUE (node, ref);
ALTER TABLE ONLY public.wakeup_counter
    ADD CONSTRAINT wakeup_counter_pkey PRIMARY KEY (queue, key);
ALTER TABLE ONLY public.wakeup_kv
    ADD CONSTRAINT wakeup_kv_pkey PRIMARY KEY (queue, key);
ALTER TABLE ONLY public.wakeup_schedule
    ADD CONSTRAINT wakeup_schedule_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.wakeup_task
    ADD CONSTRAINT wakeup_task_pkey PRIMARY KEY (id);
CREATE INDEX ix_artifact_files_sha256 ON public.artifact_files USING btree (sha256);
CREATE INDEX ix_artifacts_key ON public.artifacts USING btree (node, artifact_key);
CREATE INDEX ix_attempts_job ON public.attempts USING btree (job_id);
CREATE INDEX ix_events_at ON public.events USING btree (at);
CREATE INDEX ix_events_job ON public.events USING btree (job_id, id);
CREATE INDEX ix_job_after_after ON public.job_after USING btree (after_id);
CREATE INDEX ix_jobs_any ON public.jobs USING btree (node) WHERE (any_node AND ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'paused'::character varying])::text[])));
CREATE INDEX ix_jobs_claim ON public.jobs USING btree (node, priority DESC, id) WHERE ((state)::text = 'queued'::text);
CREATE INDEX ix_jobs_created ON public.jobs USING btree (node, created_at);
CREATE INDEX ix_jobs_ended ON public.jobs USING btree (node, finished_at, id) WHERE (finished_at IS NOT NULL);
CREATE INDEX ix_jobs_live ON public.jobs USING btree (node, state) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'paused'::character varying])::text[]));
CREATE INDEX ix_jobs_nearly_done ON public.jobs USING btree (node, priority DESC, (
CASE
    WHEN (bytes_done > 0) THEN COALESCE((bytes_total - bytes_done), '9223372036854775807'::bigint)
    ELSE '9223372036854775807'::bigint
END), id) WHERE ((state)::text = 'queued'::text);
CREATE INDEX ix_jobs_ref ON public.jobs USING btree (node, ref, id);
CREATE INDEX ix_jobs_smallest ON public.jobs USING btree (node, priority DESC, COALESCE(bytes_total, '9223372036854775807'::bigint), id) WHERE ((state)::text = 'queued'::text);
CREATE INDEX ix_jobs_state ON public.jobs USING btree (node, state, id);
CREATE INDEX ix_placements_unfinished ON public.placements USING btree (node) WHERE ((state)::text <> 'placed'::text);
CREATE INDEX ix_subscription_jobs_job_id ON public.subscription_jobs USING btree (job_id);
CREATE INDEX ix_subscriptions_due ON public.subscriptions USING btree (node, next_at);
CREATE UNIQUE INDEX uq_jobs_live ON public.jobs USING btree (node, artifact_key) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'paused'::character varying])::text[]));
CREATE INDEX wakeup_schedule_queue_timestamp ON public.wakeup_schedule USING btree (queue, "timestamp");
CREATE INDEX wakeup_task_queue_priority_id ON public.wakeup_task USING btree (queue, priority DESC, id);
ALTER TABLE ONLY public.artifact_files
    ADD CONSTRAINT fk_artifact_files_artifact_id FOREIGN KEY (artifact_id) REFERENCES public.artifacts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.artifact_pieces
    ADD CONSTRAINT fk_artifact_pieces_artifact_id FOREIGN KEY (artifact_id) REFERENCES public.artifacts(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT fk_artifacts_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.attempts
    ADD CONSTRAINT fk_attempts_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.events
    ADD CONSTRAINT fk_events_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.job_after
    ADD CONSTRAINT fk_job_after_after_id FOREIGN KEY (after_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.job_after
    ADD CONSTRAINT fk_job_after_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.job_files
    ADD CONSTRAINT fk_job_files_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.placements
    ADD CONSTRAINT fk_placements_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.subscription_items
    ADD CONSTRAINT fk_subscription_items_subscription_id FOREIGN KEY (subscription_id) REFERENCES public.subscriptions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.subscription_jobs
    ADD CONSTRAINT fk_subscription_jobs_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.subscription_jobs
    ADD CONSTRAINT fk_subscription_jobs_subscription_id FOREIGN KEY (subscription_id) REFERENCES public.subscriptions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.subscriptions
    ADD CONSTRAINT fk_subscriptions_job_id FOREIGN KEY (job_id) REFERENCES public.jobs(id) ON DELETE SET NULL;
