"""Outages have a clock, and each model knows the store that it was installed in"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("artifacts") as artifacts:
        artifacts.add_column(sa.Column("store_id", sa.String(32), server_default="", nullable=False))
        artifacts.drop_constraint("uq_artifacts_node_name_key", type_="unique")
        artifacts.create_unique_constraint("uq_artifacts_node_store_id_name_key", ["node", "store_id", "name_key"])
    # Until now a node knew one store: what it has installed is there.
    op.execute(
        "UPDATE artifacts SET store_id = "
        "coalesce((SELECT nodes.store_id FROM nodes WHERE nodes.node = artifacts.node), '')"
    )
    op.create_table(
        "host_waits",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("wait_us", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("prober", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("node", "origin", name=op.f("pk_host_waits")),
    )
    op.execute("ALTER TABLE jobs RENAME COLUMN wish TO requested")
    op.add_column("jobs", sa.Column("source_origin", sa.Text(), nullable=True))
    op.add_column("jobs", sa.Column("wait_us", sa.BigInteger(), nullable=True))
    op.add_column("jobs", sa.Column("fruitless_us", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("jobs", sa.Column("start_now", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("events", sa.Column("code", sa.String(length=32), nullable=True))
    op.create_index("ix_jobs_ref", "jobs", ["node", "ref", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_jobs_ref", table_name="jobs")
    # Of two stores' entries of one name, the older schema has room for one.
    op.execute("DELETE FROM artifacts WHERE id NOT IN (SELECT max(id) FROM artifacts GROUP BY node, name_key)")
    with op.batch_alter_table("artifacts") as artifacts:
        artifacts.drop_constraint("uq_artifacts_node_store_id_name_key", type_="unique")
        artifacts.create_unique_constraint("uq_artifacts_node_name_key", ["node", "name_key"])
        artifacts.drop_column("store_id")
    op.drop_column("events", "code")
    op.drop_column("jobs", "start_now")
    op.drop_column("jobs", "fruitless_us")
    op.drop_column("jobs", "wait_us")
    op.drop_column("jobs", "source_origin")
    op.execute("ALTER TABLE jobs RENAME COLUMN requested TO wish")
    op.drop_table("host_waits")
