"""Which home a catalog belongs to, where it does not lie in one."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes room for the home's id; the next start on a home writes it."""
    op.add_column("registry", sa.Column("home", sa.String(length=32), nullable=True))
