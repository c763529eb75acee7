"""PostgreSQL has the tables of Huey's queue of wakeups"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As huey 3.5 makes them (PostgresStorage.ddl, with the prefix `wakeup`): of processes that start together, all but one
# would fail at its CREATE TABLE IF NOT EXISTS.
TABLES = (
    "CREATE TABLE wakeup_kv (queue text NOT NULL, key text NOT NULL, value bytea NOT NULL, PRIMARY KEY (queue, key))",
    "CREATE TABLE wakeup_schedule (id bigserial PRIMARY KEY, queue text NOT NULL, data bytea NOT NULL, "
    "timestamp double precision NOT NULL)",
    "CREATE INDEX wakeup_schedule_queue_timestamp ON wakeup_schedule (queue, timestamp)",
    "CREATE TABLE wakeup_task (id bigserial PRIMARY KEY, queue text NOT NULL, data bytea NOT NULL, "
    "priority double precision NOT NULL DEFAULT 0.0)",
    "CREATE INDEX wakeup_task_queue_priority_id ON wakeup_task (queue, priority DESC, id)",
    "CREATE TABLE wakeup_counter (queue text NOT NULL, key text NOT NULL, value bigint NOT NULL DEFAULT 0, "
    "PRIMARY KEY (queue, key))",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite's queue is a file of its own
        for statement in TABLES:
            op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("wakeup_kv", "wakeup_schedule", "wakeup_task", "wakeup_counter"):
            op.drop_table(table)
