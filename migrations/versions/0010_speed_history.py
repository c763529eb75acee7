"""Nodes keep the bytes that they received in each minute"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "wire_minutes",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("minute", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "minute", name=op.f("pk_wire_minutes")),
    )


def downgrade() -> None:
    op.drop_table("wire_minutes")
