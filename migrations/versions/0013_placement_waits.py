"""Placements that could not be made yet keep the error, and the time of the next try"""

import sqlalchemy as sa
from alembic import op

from flowhub_jobs.database.stored_json import StoredJson

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("placements", sa.Column("error", StoredJson(), nullable=True))
    op.add_column("placements", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("placements", sa.Column("next_at", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("placements", "next_at")
    op.drop_column("placements", "tries")
    op.drop_column("placements", "error")
