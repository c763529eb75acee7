"""Outages have a clock, and each model knows the store that it was installed in"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("start_now", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_index("ix_jobs_ref", "jobs", ["node", "ref", "id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_jobs_ref", table_name="jobs")
    op.drop_column("jobs", "start_now")
