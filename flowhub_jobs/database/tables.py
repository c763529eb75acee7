"""The tables of the database, for SQLite and PostgreSQL alike.

Times are whole microseconds since 1970, UTC: one type for SQLite and PostgreSQL, and comparable in SQL.
The end of a lease is on the machine's awake clock instead, which no user and no time service sets.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlalchemy.sql.elements import ColumnElement

from flowhub_jobs.database.job_conditions import LEFT_OF_BEGUN, LIVE, SMALLEST
from flowhub_jobs.database.stored_json import StoredJson

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _partial_index(condition: str) -> dict[str, Any]:
    """Return the options of an index that holds only some rows.

    PostgreSQL's own are `speak_postgresql`'s: to name them here would import its dialect with every command.
    """
    return {"sqlite_where": text(condition)}


def speak_postgresql() -> None:
    """Give the indexes that hold only some rows the options that PostgreSQL has for that; for what makes tables."""
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        if (condition := index.dialect_kwargs.get("sqlite_where")) is not None:
            index.dialect_kwargs["postgresql_where"] = condition


jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", String(64), nullable=False),  # ANY_NODE until a node has taken it
    Column("any_node", Boolean, nullable=False, server_default=text("false")),  # goes to another if its node is gone
    Column("kind", String(16), nullable=False, server_default="fetch"),  # enums.JobKind
    Column("task", StoredJson),  # what a job of another kind than `fetch` works on (values/jobs.py: JobTarget)
    Column("ref", Text, nullable=False),
    Column("model", Text),
    Column("option", Text),
    Column("format", String(16)),
    Column("artifact_key", String(16), nullable=False),  # Artifact.key of a fetch, else JobTarget.key_of
    Column("artifact", StoredJson, nullable=False),  # the artifact as it was enqueued: what `retry` fetches
    Column("source_origin", Text),  # of a fetch: the origin of its first file, as in host_waits
    Column("store", String(64), nullable=False, server_default="default"),  # the name of the one that it writes to
    Column("target", Text, nullable=False),  # the absolute path that it has, or is expected to get
    Column("state", String(16), nullable=False),
    Column("stage", String(16)),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("group", Text),
    Column("forced", Boolean, nullable=False, server_default=text("false")),
    Column("limit_bps", BigInteger),  # the most that it may fetch, bytes a second; NULL: what the node allows
    Column("attempt", Integer, nullable=False, server_default="0"),
    # What is known of its progress, for the screens; the journal in the partial is authoritative.
    Column("bytes_total", BigInteger),
    Column("bytes_done", BigInteger, nullable=False, server_default="0"),
    Column("bytes_fetched", BigInteger, nullable=False, server_default="0"),
    Column("sources", StoredJson),  # bytes_fetched by the origin that sent them; NULL: not known
    Column("rate_bps", BigInteger),
    Column("sha256_state", String(16), nullable=False, server_default="pending"),
    # Why it waits, and until when.
    Column("not_before", BigInteger),
    Column("wait_reason", String(16)),
    Column("wait_text", Text),
    Column("start_now", Boolean, nullable=False, server_default=text("false")),  # by `start`: no window holds it
    Column("wait_us", BigInteger),  # how long flowhub's own wait is; NULL for a time that the user named
    Column("faults", Integer, nullable=False, server_default="0"),  # in a row, without a new byte
    Column("fruitless_us", BigInteger, nullable=False, server_default="0"),  # what those tries and their waits took
    Column("rescues", Integer, nullable=False, server_default="0"),  # in a row, without any progress
    Column("furthest", Integer, nullable=False, server_default="0"),  # how many stages it ever finished
    Column("progressed", Boolean, nullable=False, server_default=text("false")),  # since the last rescue
    Column("intent", StoredJson),  # what the run was about to install (store/install.py)
    Column("requested", String(16)),  # enums.RequestedAction: what the user wants of a running job
    Column("place", StoredJson),  # the programs that it is to place the model in, once installed
    # The lease: who may write, and until when.
    Column("lease_token", String(32)),
    Column("lease_worker", String(64)),
    Column("lease_boot", String(64)),
    Column("lease_until", Float),  # seconds of system.awake_clock under lease_boot
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("error", StoredJson),
    sqlite_autoincrement=True,  # an id is never reused
)


# With the words written out, as in database/job_conditions.py.
is_live: ColumnElement[bool] = jobs.c.state.in_(
    [literal_column(f"'{state}'") for state in ("queued", "running", "paused")]
)
# Written out, too: a plan for all values (database/postgresql.py) cannot use their indexes for a state that is a value.
is_queued: ColumnElement[bool] = jobs.c.state == literal_column("'queued'")
is_running: ColumnElement[bool] = jobs.c.state == literal_column("'running'")

Index(
    "uq_jobs_live",
    jobs.c.node,
    jobs.c.artifact_key,
    unique=True,
    **_partial_index(LIVE),
)
Index(
    "ix_jobs_claim",
    jobs.c.node,
    jobs.c.priority.desc(),
    jobs.c.id,
    **_partial_index("state = 'queued'"),
)
# The claim's indexes for the other orders of the queue.
for _name, _order in (("ix_jobs_smallest", SMALLEST), ("ix_jobs_nearly_done", LEFT_OF_BEGUN)):
    Index(
        _name, jobs.c.node, jobs.c.priority.desc(), text(f"({_order})"), jobs.c.id, **_partial_index("state = 'queued'")
    )
Index(
    "ix_jobs_live",
    jobs.c.node,
    jobs.c.state,
    **_partial_index(LIVE),
)
Index("ix_jobs_any", jobs.c.node, **_partial_index(f"any_node AND {LIVE}"))
Index("ix_jobs_state", jobs.c.node, jobs.c.state, jobs.c.id)
# Partial, so that the planner never uses it to find the few live jobs.
Index("ix_jobs_ended", jobs.c.node, jobs.c.finished_at, jobs.c.id, **_partial_index("finished_at IS NOT NULL"))
Index("ix_jobs_created", jobs.c.node, jobs.c.created_at)
# For finding a later job for the same reference.
Index("ix_jobs_ref", jobs.c.node, jobs.c.ref, jobs.c.id)

# The earlier jobs that a job waits for. A table, not a list in a column: each claim reads from the rows of these jobs
# whether they have ended, which stays right after a `retry`, and both databases have an index for it.
job_after = Table(
    "job_after",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("after_id", Integer, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
)
Index("ix_job_after_after", job_after.c.after_id)

job_files = Table(
    "job_files",
    metadata,
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # its place in the artifact
    Column("path", Text, nullable=False),
    Column("bytes", BigInteger),
    Column("bytes_done", BigInteger, nullable=False, server_default="0"),
    Column("sha256", String(64)),  # expected: the catalog's, or what the Hub says of itself
    Column("validator", Text),  # what a resume of it is bound to
    Column("sha256_state", String(16), nullable=False, server_default="pending"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", String(64), nullable=False),
    Column("token", String(32), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("outcome", String(16)),  # completed, failed, waits, handed_back, paused, cancelled, rescued
    sqlite_autoincrement=True,
)
Index("ix_attempts_job", attempts.c.job_id)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="CASCADE")),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("code", String(32)),  # of the error behind it: programs read this, and people the text
    sqlite_autoincrement=True,
)
Index("ix_events_job", events.c.job_id, events.c.id)
Index("ix_events_at", events.c.at)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", String(64), nullable=False),
    Column("store_id", String(32), nullable=False, server_default=""),  # in which store; '': whichever is there
    Column("name", Text, nullable=False),  # in the store
    Column("name_key", Text, nullable=False),  # equal for names that differ only in case
    Column("artifact_key", String(16), nullable=False),
    Column("ref", Text, nullable=False),
    Column("model", Text),
    Column("option", Text),
    Column("format", String(16)),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64)),  # of a single file
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="SET NULL")),
    Column("artifact", StoredJson),  # as it was installed: where its bytes can be had again
    Column("linked_from", Text),  # the file or folder of another program whose bytes it shares
    Column("damage", StoredJson),  # the ranges of each file that the last `verify` found wrong; NULL: none
    Column("installed_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger, nullable=False),
    UniqueConstraint("node", "store_id", "name_key"),
    sqlite_autoincrement=True,
)
Index("ix_artifacts_key", artifacts.c.node, artifacts.c.artifact_key)

artifact_files = Table(
    "artifact_files",
    metadata,
    Column("artifact_id", Integer, ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),  # inside the folder; a single file's is its name
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),  # as it was installed: another one means changed by hand
)

# For finding a file that is about to be fetched here, under another name.
Index("ix_artifact_files_sha256", artifact_files.c.sha256)

# The running digest of each file at the ends of its pieces, by which a piece that changed on the disk is found.
artifact_pieces = Table(
    "artifact_pieces",
    metadata,
    Column("artifact_id", Integer, ForeignKey("artifacts.id", ondelete="CASCADE"), primary_key=True),
    Column("path", Text, primary_key=True),
    Column("piece", BigInteger, nullable=False),  # bytes
    Column("states", LargeBinary, nullable=False),  # 32 bytes for each whole piece (pieces/resumable_sha256.py)
)

# Models that `prune --to-fit` never removes. A pin is the model's, and stays with its next version.
pins = Table(
    "pins",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("claim", Text, primary_key=True),  # store.library_check.LibraryEntry.claim
    Column("set_at", BigInteger, nullable=False),
)

nodes = Table(
    "nodes",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("hostname", Text, nullable=False),
    Column("store", Text, nullable=False),
    Column("seen_at", BigInteger, nullable=False),  # on the database's clock, as workers.seen_at
    Column("owner", Text),  # the machine and home that work under this name; NULL: none does
    Column("version", String(32)),
    Column("disk_free", BigInteger),  # what jobs may still fill of the store's disk
    Column("ram", BigInteger),
    Column("gpus", StoredJson),  # name, vendor, vram_total_bytes of each
    Column("share_url", Text),  # where it shares its store; NULL: it does not
)

# The stores of a node, as they were last used, by their names in its settings.
stores = Table(
    "stores",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("path", Text, nullable=False),
    Column("store_id", String(32), nullable=False),  # as it stands in the store: another is another disk, none: offline
)

workers = Table(
    "workers",
    metadata,
    Column("worker", String(64), primary_key=True),
    Column("node", String(64), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
)

# A host that cannot be reached holds all queued jobs of its origin, and one of them tries it at a time.
host_waits = Table(
    "host_waits",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("origin", Text, primary_key=True),  # as in jobs.source_origin
    Column("since", BigInteger, nullable=False),  # when the first try failed
    Column("until", BigInteger, nullable=False),  # when the next try may begin
    Column("wait_us", BigInteger, nullable=False),  # from the last try to `until`
    Column("tries", Integer, nullable=False),
    Column("code", String(32), nullable=False),  # of the last error
    Column("host", Text),  # the host that failed: it may be another one, to which the origin redirects
    Column("text", Text, nullable=False),
    Column("prober", String(32)),  # the lease's token of the job that tries, or tried last
)

# A mirror that sent wrong bytes is not asked until then.
refused_mirrors = Table(
    "refused_mirrors",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("mirror", Text, primary_key=True),  # its URL prefix
    Column("until", BigInteger, nullable=False),
)

controls = Table(
    "controls",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("value", StoredJson),
    Column("until", BigInteger),
    Column("set_at", BigInteger, nullable=False),
)

# The references that are kept up to date (operations/subscriptions). `version` counts the writes of checks: the result
# of a check is written only on the row that it read.
subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # subscription_values.SubscriptionKind
    Column("ref", Text, nullable=False),  # a reference, `hf:owner/`, or the absolute path of a list file
    Column("include", StoredJson),  # globs over an owner's repositories and quants
    Column("every_us", BigInteger, nullable=False),
    Column("at_minute", Integer),  # the time of day, in minutes since local midnight; NULL: any
    Column("keep", Integer),  # old versions that stay; NULL: all
    Column("place", StoredJson),  # the programs that the jobs place the model in
    Column("created_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("checked_at", BigInteger),
    Column("changed_at", BigInteger),
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="SET NULL")),  # the last one that it queued
    Column("error", StoredJson),  # of the last check: code, message, hint, retryable
    Column("failures", Integer, nullable=False, server_default="0"),  # in a row
    Column("failing_since", BigInteger),
    Column("version", Integer, nullable=False, server_default="0"),
    UniqueConstraint("node", "ref"),
    sqlite_autoincrement=True,
)
Index("ix_subscriptions_due", subscriptions.c.node, subscriptions.c.next_at)

# The version of each model of a subscription that was seen last: another one is a change.
subscription_items = Table(
    "subscription_items",
    metadata,
    Column("subscription_id", Integer, ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True),
    Column("item", Text, primary_key=True),
    Column("version", Text, nullable=False),
)

# The jobs that a subscription queued: only what they installed may be removed for it.
subscription_jobs = Table(
    "subscription_jobs",
    metadata,
    Column("subscription_id", Integer, ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True),
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
)
Index("ix_subscription_jobs_job_id", subscription_jobs.c.job_id)

# The bytes that the workers of a node received, by local day (`2026-11-30`): what a cap counts.
wire_bytes = Table(
    "wire_bytes",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
)

# The same by minute (minutes since 1970), kept for a week: the speed of a night.
wire_minutes = Table(
    "wire_minutes",
    metadata,
    Column("node", String(64), primary_key=True),
    Column("minute", BigInteger, primary_key=True, autoincrement=False),
    Column("bytes", BigInteger, nullable=False),
)

# Models in the folders of other programs, by links. A row is written before the first link and removed after the last
# one: `state` says how far it is (placement/rows.py).
placements = Table(
    "placements",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("node", String(64), nullable=False),
    Column("store_id", String(32), nullable=False, server_default=""),  # as in artifacts
    Column("name", Text, nullable=False),  # of the model in the store
    Column("artifact_key", String(16), nullable=False),  # of the version that is placed, or is to be
    Column("claim", Text, nullable=False),  # Artifact.claim: a newer version of it takes the placement over
    Column("model", Text),
    Column("option", Text),
    Column("app", Text, nullable=False),  # a program, or `dir:PATH`
    Column("root", Text, nullable=False),  # the absolute path of its folder
    Column("state", String(16), nullable=False),
    Column("token", String(16), nullable=False),  # in the names of the files that are not yet in place
    Column("path", Text),  # the file or folder to open
    Column("how", String(16)),  # links.LinkKind
    Column("entries", StoredJson),  # the files, with stamps (placement/entries.py)
    Column("folders", StoredJson),  # those that flowhub made below the root
    Column("job_id", Integer, ForeignKey("jobs.id", ondelete="SET NULL")),  # the job whose history records it
    Column("created_at", BigInteger, nullable=False),
    Column("placed_at", BigInteger),
    Column("error", StoredJson),  # of the last try, of one that is tried again
    Column("tries", Integer, nullable=False, server_default="0"),  # that failed
    Column("next_at", BigInteger),  # the next try; null: at once
    UniqueConstraint("node", "store_id", "name", "app", "root"),
    sqlite_autoincrement=True,
)
Index("ix_placements_unfinished", placements.c.node, **_partial_index("state <> 'placed'"))
