"""Nodes say what they are, and a job may be for any node"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NODE = {
    "owner": sa.Text(),
    "version": sa.String(32),
    "disk_free": sa.BigInteger(),
    "ram": sa.BigInteger(),
    "gpus": sa.JSON(),
    "share_url": sa.Text(),
}
ONLY = "any_node AND state IN ('queued', 'running', 'paused')"


def upgrade() -> None:
    for name, kind in NODE.items():
        op.add_column("nodes", sa.Column(name, kind, nullable=True))
    op.add_column("jobs", sa.Column("any_node", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index(
        "ix_jobs_any", "jobs", ["node"], unique=False, sqlite_where=sa.text(ONLY), postgresql_where=sa.text(ONLY)
    )


def downgrade() -> None:
    # The older schema knows no job without a node, and no worker would ever claim it.
    op.execute("DELETE FROM jobs WHERE node = '*'")
    op.drop_index("ix_jobs_any", table_name="jobs")
    op.drop_column("jobs", "any_node")
    for name in NODE:
        op.drop_column("nodes", name)
