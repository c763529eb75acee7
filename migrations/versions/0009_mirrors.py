"""Jobs know which origins sent their bytes, and nodes which mirrors sent wrong ones"""

import sqlalchemy as sa
from alembic import op

from flowhub_jobs.database.stored_json import StoredJson

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("sources", StoredJson(), nullable=True))
    op.create_table(
        "refused_mirrors",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("mirror", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("node", "mirror", name=op.f("pk_refused_mirrors")),
    )


def downgrade() -> None:
    op.drop_table("refused_mirrors")
    op.drop_column("jobs", "sources")
