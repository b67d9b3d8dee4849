"""The tables of the catalog. Owns their shape alone: no queries, no rules."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

workspaces = Table(
    "workspaces",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created", String(32), nullable=False),
)

datasets = Table(
    "datasets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workspace", String(64), ForeignKey("workspaces.name"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("created", String(32), nullable=False),
    UniqueConstraint("workspace", "name"),
)

# One row for each label that an image was given: the same image under two labels is kept as two
# rows, so that the label check can name it.
labels = Table(
    "labels",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("dataset_id", ForeignKey("datasets.id", ondelete="CASCADE"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("label", String(200)),
    Column("group", String(200)),
    Column("split", String(8)),
    Column("filename", String(1024)),
    Column("added", String(32), nullable=False),
    UniqueConstraint("dataset_id", "digest", "label"),
    Index("ix_labels_digest", "digest"),
    # What a dataset holds is counted after every batch that is added to it.
    Index("ix_labels_label", "dataset_id", "label"),
)

heads = Table(
    "heads",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workspace", String(64), ForeignKey("workspaces.name"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("created", String(32), nullable=False),
    # Outlives the versions, so that a number is never given twice.
    Column("last_version", Integer, nullable=False, default=0),
    Column("protected", Boolean, nullable=False, default=False),
    UniqueConstraint("workspace", "name"),
)

versions = Table(
    "versions",
    metadata,
    Column("head_id", ForeignKey("heads.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("artefact", String(64), nullable=False),
    Column("space_id", String(64), nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("created", String(32), nullable=False),
    Index("ix_versions_artefact", "artefact"),
)

training_images = Table(
    "training_images",
    metadata,
    Column("head_id", Integer, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("label", String(200), nullable=False),
    # Which row of the head's out-of-fold answers is this image's; none where it was kept aside.
    Column("row", Integer),
    Index("ix_training_images_digest", "digest"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("head_id", ForeignKey("heads.id", ondelete="CASCADE"), primary_key=True),
    Column("alias", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
)

alias_moves = Table(
    "alias_moves",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("head_id", ForeignKey("heads.id", ondelete="CASCADE"), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("version", Integer),
    Column("previous", Integer),
    Column("reason", String(1000), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("at", String(32), nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace", String(64), ForeignKey("workspaces.name"), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("progress", Float, nullable=False, default=0.0),
    Column("stage", String(200), nullable=False, default=""),
    Column("request", JSON, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
    Column("idempotency_key", String(255)),
    Column("created", String(32), nullable=False),
    Column("started", String(32)),
    Column("finished", String(32)),
    Column("owner", String(128)),
    Column("heartbeat", Float),
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancel_requested", Boolean, nullable=False, default=False),
    Column("actor", String(64), nullable=False),
    UniqueConstraint("workspace", "idempotency_key"),
    Index("ix_jobs_state", "state", "created"),
)

erasures = Table(
    "erasures",
    metadata,
    Column("workspace", String(64), primary_key=True),
    Column("digest", String(64), primary_key=True),
    Column("requested", String(32), nullable=False),
)

# Where a workspace has records. Each space is noted before its first one is written.
spaces = Table(
    "spaces",
    metadata,
    Column("workspace", String(64), primary_key=True),
    Column("space_id", String(64), primary_key=True),
    Column("description", JSON, nullable=False),
    Column("noted", String(32), nullable=False),
)

# One row: moves whenever a head, a version or an alias does, so that every worker can tell with
# one small read whether what it has loaded is still true.
registry = Table(
    "registry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("generation", Integer, nullable=False),
    # Whose catalog this is, where it does not lie in the home itself.
    Column("home", String(32)),
)

# Never removed: the audit tells keys apart by name, and a home that had a key stays closed.
keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("workspace", String(64), ForeignKey("workspaces.name"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("created", String(32), nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("expires", String(32)),
    Column("revoked", String(32)),
    UniqueConstraint("workspace", "name"),
)

# Lines are added and never changed; `chain.py` says how each follows from the one before it.
audit = Table(
    "audit",
    metadata,
    Column("workspace", String(64), ForeignKey("workspaces.name"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("at", String(32), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("action", String(128), nullable=False),
    Column("which", String(200), nullable=False),
    Column("result", String(64), nullable=False),
    Column("details", JSON, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
