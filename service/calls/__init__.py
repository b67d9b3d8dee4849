"""Every verb as the requests that it takes, one after the other. Sends nothing: a client does."""

from service.calls.datasets import (
    dataset,
    datasets,
    delete_dataset,
    ingest,
    ingest_call,
    put_labels,
)
from service.calls.heads import (
    card,
    delete_head,
    delete_version,
    head,
    heads,
    history,
    learn,
    promote,
    report,
    shown_version,
    suspects,
)
from service.calls.images import embed, erase, predict, ready, search, spaces
from service.calls.jobs import FINISHED, JobProgress, cancel, job, jobs, until_done, wait

__all__ = [
    "FINISHED",
    "JobProgress",
    "cancel",
    "card",
    "dataset",
    "datasets",
    "delete_dataset",
    "delete_head",
    "delete_version",
    "embed",
    "erase",
    "head",
    "heads",
    "history",
    "ingest",
    "ingest_call",
    "job",
    "jobs",
    "learn",
    "predict",
    "promote",
    "put_labels",
    "ready",
    "report",
    "search",
    "shown_version",
    "spaces",
    "suspects",
    "until_done",
    "wait",
]
