"""Placements: installed models in the folders of other programs"""

import sqlalchemy as sa
from alembic import op

from flowhub_jobs.database.stored_json import StoredJson

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UNFINISHED = "state <> 'placed'"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("place", StoredJson(), nullable=True))
    op.create_table(
        "placements",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("store_id", sa.String(length=32), server_default="", nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("artifact_key", sa.String(length=16), nullable=False),
        sa.Column("claim", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("option", sa.Text(), nullable=True),
        sa.Column("app", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("token", sa.String(length=16), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("how", sa.String(length=16), nullable=True),
        sa.Column("entries", StoredJson(), nullable=True),
        sa.Column("folders", StoredJson(), nullable=True),
        sa.Column("job_id", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("placed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_placements_job_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_placements")),
        sa.UniqueConstraint(
            "node", "store_id", "name", "app", "root", name=op.f("uq_placements_node_store_id_name_app_root")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_placements_unfinished",
        "placements",
        ["node"],
        sqlite_where=sa.text(UNFINISHED),
        postgresql_where=sa.text(UNFINISHED),
    )


def downgrade() -> None:
    op.drop_table("placements")
    op.drop_column("jobs", "place")
