"""The library knows where its models came from, and the digests of their pieces; jobs have kinds"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact_pieces",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("piece", sa.BigInteger(), nullable=False),
        sa.Column("states", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name=op.f("fk_artifact_pieces_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "path", name=op.f("pk_artifact_pieces")),
    )
    op.create_index("ix_artifact_files_sha256", "artifact_files", ["sha256"], unique=False)
    op.add_column("artifacts", sa.Column("artifact", sa.JSON(), nullable=True))
    op.add_column("artifacts", sa.Column("linked_from", sa.Text(), nullable=True))
    op.add_column("artifacts", sa.Column("damage", sa.JSON(), nullable=True))
    op.add_column("jobs", sa.Column("kind", sa.String(length=16), server_default="fetch", nullable=False))
    op.add_column("jobs", sa.Column("task", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "task")
    op.drop_column("jobs", "kind")
    op.drop_column("artifacts", "damage")
    op.drop_column("artifacts", "linked_from")
    op.drop_column("artifacts", "artifact")
    op.drop_index("ix_artifact_files_sha256", table_name="artifact_files")
    op.drop_table("artifact_pieces")
