"""Failed jobs no longer name images and groups: what they named outlived its erasure."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

JOBS = sa.table("jobs", sa.column("id", sa.String), sa.column("error", sa.JSON))


def upgrade() -> None:
    """Empties the lists of what was wrong with; what was wrong stays."""
    connection = op.get_bind()
    for job, error in connection.execute(sa.select(JOBS.c.id, JOBS.c.error)).all():
        if error and error.get("problems"):
            problems = [{**one, "items": []} for one in error["problems"]]
            changed = sa.update(JOBS).where(JOBS.c.id == job)
            connection.execute(changed.values(error={**error, "problems": problems}))
