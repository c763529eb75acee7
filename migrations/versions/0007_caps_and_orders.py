"""Caps, a limit for each job, and the indexes for the orders of the queue"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LAST = "9223372036854775807"
ORDERS = {
    "ix_jobs_smallest": f"coalesce(bytes_total, {LAST})",
    "ix_jobs_nearly_done": (
        f"CASE WHEN bytes_done > 0 THEN coalesce(bytes_total - bytes_done, {LAST}) ELSE {LAST} END"
    ),
}
QUEUED = sa.text("state = 'queued'")


def upgrade() -> None:
    op.create_table(
        "wire_bytes",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "day", name=op.f("pk_wire_bytes")),
    )
    op.add_column("jobs", sa.Column("limit_bps", sa.BigInteger(), nullable=True))
    for name, order in ORDERS.items():
        columns = ["node", sa.text("priority DESC"), sa.text(f"({order})"), "id"]
        op.create_index(name, "jobs", columns, unique=False, sqlite_where=QUEUED, postgresql_where=QUEUED)


def downgrade() -> None:
    for name in ORDERS:
        op.drop_index(name, table_name="jobs")
    op.drop_column("jobs", "limit_bps")
    op.drop_table("wire_bytes")
