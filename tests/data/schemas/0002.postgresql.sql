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
    damage json
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
    text text NOT NULL
);
CREATE SEQUENCE public.events_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.events_id_seq OWNED BY public.events.id;
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
    wish character varying(16),
    lease_token character varying(32),
    lease_worker character varying(64),
    lease_boot character varying(64),
    lease_until double precision,
    created_at bigint NOT NULL,
    started_at bigint,
    finished_at bigint,
    error json,
    kind character varying(16) DEFAULT 'fetch'::character varying NOT NULL,
    task json
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
    store_id character varying(32),
    seen_at bigint NOT NULL
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
INSERT INTO public.alembic_version (version_num) VALUES ('0002');
INSERT INTO public.artifact_files (artifact_id, path, bytes, sha256, mtime_ns) VALUES (1, 'model-1.gguf', 1000, 'abababababababababababababababababababababababababababababababab', 1795000000000001);
INSERT INTO public.artifact_files (artifact_id, path, bytes, sha256, mtime_ns) VALUES (2, 'other.gguf', 1000, 'abababababababababababababababababababababababababababababababab', 1795000000000002);
INSERT INTO public.artifact_pieces (artifact_id, path, piece, states) VALUES (1, 'model-1.gguf', 1048576, '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
INSERT INTO public.artifact_pieces (artifact_id, path, piece, states) VALUES (2, 'other.gguf', 1048576, '\x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
INSERT INTO public.artifacts (id, node, name, name_key, artifact_key, ref, model, option, format, bytes, sha256, job_id, installed_at, verified_at, artifact, linked_from, damage) VALUES (1, 'n-dump', 'model-1.gguf', 'model-1.gguf', '0000000000000001', 'model-1@q4', 'model-1', 'option-1', 'gguf', 1000, 'sha256-1', 1, 1795000000000001, 1795000000000001, '{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', 'linked_from-1', 'null');
INSERT INTO public.artifacts (id, node, name, name_key, artifact_key, ref, model, option, format, bytes, sha256, job_id, installed_at, verified_at, artifact, linked_from, damage) VALUES (2, 'n-dump', 'other.gguf', 'other.gguf', '0000000000000002', 'model-2@q4', NULL, NULL, 'gguf', 1000, NULL, 2, 1795000000000002, 1795000000000002, '{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', NULL, 'null');
INSERT INTO public.attempts (id, job_id, attempt, worker, token, started_at, finished_at, outcome) VALUES (1, 1, 11, 'worker-1', 'token-1', 1795000000000001, 1795000000000001, 'outcome-1');
INSERT INTO public.attempts (id, job_id, attempt, worker, token, started_at, finished_at, outcome) VALUES (2, 2, 12, 'worker-2', 'token-2', 1795000000000002, NULL, NULL);
INSERT INTO public.controls (node, name, value, until, set_at) VALUES ('n-dump', 'name-1', '{"value": 1}', 1795000000000001, 1795000000000001);
INSERT INTO public.controls (node, name, value, until, set_at) VALUES ('n-dump', 'name-2', 'null', NULL, 1795000000000002);
INSERT INTO public.events (id, job_id, at, kind, text) VALUES (1, 1, 1795000000000001, 'kind-1', 'text-1');
INSERT INTO public.events (id, job_id, at, kind, text) VALUES (2, 2, 1795000000000002, 'kind-2', 'text-2');
INSERT INTO public.job_after (job_id, after_id) VALUES (3, 1);
INSERT INTO public.job_after (job_id, after_id) VALUES (3, 2);
INSERT INTO public.job_files (job_id, number, path, bytes, bytes_done, sha256, validator, sha256_state) VALUES (1, 11, 'model-1.gguf', 1795000000000001, 1795000000000001, 'sha256-1', 'validator-1', 'pending');
INSERT INTO public.job_files (job_id, number, path, bytes, bytes_done, sha256, validator, sha256_state) VALUES (2, 12, 'model-2.gguf', NULL, 1795000000000002, NULL, NULL, 'pending');
INSERT INTO public.jobs (id, node, ref, model, option, format, artifact_key, artifact, target, state, stage, priority, "group", forced, attempt, bytes_total, bytes_done, bytes_fetched, rate_bps, sha256_state, not_before, wait_reason, wait_text, faults, rescues, furthest, progressed, intent, wish, lease_token, lease_worker, lease_boot, lease_until, created_at, started_at, finished_at, error, kind, task) VALUES (1, 'n-dump', 'model-1@q4', 'model-1', 'q4', 'gguf', '0000000000000001', '{"ref": "model-1@q4", "model": "model-1", "option": "q4", "format": "gguf", "name": "model-1.gguf", "folder": false, "files": [{"path": "model-1.gguf", "url": "https://h.example/model-1.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', '/store/model-1.gguf', 'completed', NULL, 11, 'night', true, 11, 1000, 1000, 100, NULL, 'verified', NULL, NULL, 'wait_text-1', 11, 11, 11, true, 'null', NULL, NULL, NULL, NULL, NULL, 1795000000000001, 1795000000000011, 1795000000000021, 'null', 'fetch', 'null');
INSERT INTO public.jobs (id, node, ref, model, option, format, artifact_key, artifact, target, state, stage, priority, "group", forced, attempt, bytes_total, bytes_done, bytes_fetched, rate_bps, sha256_state, not_before, wait_reason, wait_text, faults, rescues, furthest, progressed, intent, wish, lease_token, lease_worker, lease_boot, lease_until, created_at, started_at, finished_at, error, kind, task) VALUES (2, 'n-dump', 'model-2@q4', 'model-2', 'q4', 'gguf', '0000000000000002', '{"ref": "model-2@q4", "model": "model-2", "option": "q4", "format": "gguf", "name": "model-2.gguf", "folder": false, "files": [{"path": "model-2.gguf", "url": "https://h.example/model-2.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', '/store/model-2.gguf', 'failed', NULL, 12, 'night', false, 12, 1000, 20, 200, NULL, 'pending', NULL, NULL, NULL, 12, 12, 12, false, 'null', NULL, NULL, NULL, NULL, NULL, 1795000000000002, 1795000000000012, 1795000000000022, '{"code": "source_missing", "message": "It is gone.", "hint": null, "retryable": false}', 'fetch', 'null');
INSERT INTO public.jobs (id, node, ref, model, option, format, artifact_key, artifact, target, state, stage, priority, "group", forced, attempt, bytes_total, bytes_done, bytes_fetched, rate_bps, sha256_state, not_before, wait_reason, wait_text, faults, rescues, furthest, progressed, intent, wish, lease_token, lease_worker, lease_boot, lease_until, created_at, started_at, finished_at, error, kind, task) VALUES (3, 'n-dump', 'model-3@q4', 'model-3', 'q4', 'gguf', '0000000000000003', '{"ref": "model-3@q4", "model": "model-3", "option": "q4", "format": "gguf", "name": "model-3.gguf", "folder": false, "files": [{"path": "model-3.gguf", "url": "https://h.example/model-3.gguf", "size": 1000, "sha256": "abababababababababababababababababababababababababababababababab", "git_sha1": null, "commit": null}], "hub": null}', '/store/model-3.gguf', 'queued', NULL, 13, 'night', false, 13, 1000, 30, 300, NULL, 'pending', NULL, NULL, NULL, 13, 13, 13, false, 'null', NULL, NULL, NULL, NULL, NULL, 1795000000000003, NULL, NULL, 'null', 'fetch', 'null');
INSERT INTO public.nodes (node, hostname, store, store_id, seen_at) VALUES ('n-dump', 'hostname-1', 'store-1', '55555555555555555555555555555555', 1795000000000001);
INSERT INTO public.nodes (node, hostname, store, store_id, seen_at) VALUES ('n-dump-2', 'hostname-2', 'store-2', '55555555555555555555555555555555', 1795000000000002);
INSERT INTO public.workers (worker, node, pid, slots, started_at, seen_at) VALUES ('worker-1', 'n-dump-1', 11, 11, 1795000000000001, 1795000000000001);
INSERT INTO public.workers (worker, node, pid, slots, started_at, seen_at) VALUES ('worker-2', 'n-dump-2', 12, 12, 1795000000000002, 1795000000000002);
SELECT pg_catalog.setval('public.artifacts_id_seq', 2, true);
SELECT pg_catalog.setval('public.attempts_id_seq', 2, true);
SELECT pg_catalog.setval('public.events_id_seq', 2, true);
SELECT pg_catalog.setval('public.jobs_id_seq', 3, true);
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
ALTER TABLE ONLY public.job_after
    ADD CONSTRAINT pk_job_after PRIMARY KEY (job_id, after_id);
ALTER TABLE ONLY public.job_files
    ADD CONSTRAINT pk_job_files PRIMARY KEY (job_id, number);
ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT pk_jobs PRIMARY KEY (id);
ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT pk_nodes PRIMARY KEY (node);
ALTER TABLE ONLY public.workers
    ADD CONSTRAINT pk_workers PRIMARY KEY (worker);
ALTER TABLE ONLY public.artifacts
    ADD CONSTRAINT uq_artifacts_node_name_key UNIQUE (node, name_key);
CREATE INDEX ix_artifact_files_sha256 ON public.artifact_files USING btree (sha256);
CREATE INDEX ix_artifacts_key ON public.artifacts USING btree (node, artifact_key);
CREATE INDEX ix_attempts_job ON public.attempts USING btree (job_id);
CREATE INDEX ix_events_at ON public.events USING btree (at);
CREATE INDEX ix_events_job ON public.events USING btree (job_id, id);
CREATE INDEX ix_job_after_after ON public.job_after USING btree (after_id);
CREATE INDEX ix_jobs_claim ON public.jobs USING btree (node, priority DESC, id) WHERE ((state)::text = 'queued'::text);
CREATE INDEX ix_jobs_created ON public.jobs USING btree (node, created_at);
CREATE INDEX ix_jobs_ended ON public.jobs USING btree (node, finished_at, id) WHERE (finished_at IS NOT NULL);
CREATE INDEX ix_jobs_live ON public.jobs USING btree (node, state) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'paused'::character varying])::text[]));
CREATE INDEX ix_jobs_state ON public.jobs USING btree (node, state, id);
CREATE UNIQUE INDEX uq_jobs_live ON public.jobs USING btree (node, artifact_key) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'paused'::character varying])::text[]));
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
