"""Several stores of a node, and the store of each job"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("store", sa.String(length=64), server_default="default", nullable=False))
    op.create_table(
        "stores",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("store_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("node", "name", name=op.f("pk_stores")),
    )
    op.execute(
        "INSERT INTO stores (node, name, path, store_id) "
        "SELECT node, 'default', store, store_id FROM nodes WHERE store_id IS NOT NULL"
    )
    op.drop_column("nodes", "store_id")


def downgrade() -> None:
    op.add_column("nodes", sa.Column("store_id", sa.String(length=32), nullable=True))
    op.execute(
        "UPDATE nodes SET store_id = (SELECT stores.store_id FROM stores WHERE stores.node = nodes.node "
        "AND stores.name = 'default' AND stores.path = nodes.store)"
    )
    op.drop_table("stores")
    op.drop_column("jobs", "store")
