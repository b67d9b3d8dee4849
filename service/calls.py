"""Every verb as the requests that it takes, one after the other. Sends nothing: a client does."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from service.client_errors import JobFailed, StillRunning
from service.exchange import (
    Answer,
    Asking,
    Call,
    Flow,
    Image,
    Images,
    NamedImage,
    ask,
    ask_page,
    files_of,
    json_call,
    path_of,
)

POLL_S = (0.05, 1.0)
"""How often a job is looked at: first, and at the slowest."""

FINISHED = ("succeeded", "failed", "cancelled")

JobProgress = Callable[[Answer], None]
"""Told the job whenever it was looked at."""


def predict(
    images: Images = (),
    heads: str | Sequence[str] | None = None,
    *,
    digests: Sequence[str] = (),
    evidence: int = 0,
    remember: bool = True,
) -> Flow:
    """Asks heads about images: 1 to 64 of them, or digests of images that are known.

    Args:
        images: what to look at.
        heads: `name`, `name@3` or `name@alias`; None asks the champion of every head.
        digests: known images, in place of `images`.
        evidence: how many of the nearest labelled images to name, 0 to 20.
        remember: whether the vectors may be kept.
    """
    asked = [heads] if isinstance(heads, str) else heads
    if digests:
        body = {"digests": list(digests), "heads": asked, "evidence": evidence}
        return ask(json_call("POST", "/v1/predict", body))
    fields: dict[str, str | list[str]] = {
        "evidence": str(evidence),
        "remember": str(remember).lower(),
    }
    if asked is not None:
        fields["heads"] = list(asked)
    return ask(Call("POST", "/v1/predict", fields=fields, files=files_of("images", images)))


def embed(images: Images) -> Flow:
    """Gives the vectors of 1 to 64 images, and the space that they live in."""
    return ask(Call("POST", "/v1/embed", files=files_of("images", images)))


def search(
    image: Image | NamedImage | None = None,
    *,
    digest: str | None = None,
    vector: Sequence[float] | None = None,
    k: int = 10,
    dataset: str | None = None,
    label: str | None = None,
) -> Flow:
    """Finds the `k` most similar images to an image, to a known digest or to a vector."""
    if image is None:
        query = {"digest": digest, "vector": None if vector is None else list(vector)}
        body = {**query, "k": k, "dataset": dataset, "label": label}
        return ask(
            json_call("POST", "/v1/search", {n: v for n, v in body.items() if v is not None})
        )
    filters = {"dataset": dataset, "label": label}
    fields: dict[str, str | list[str]] = {"k": str(k)}
    fields |= {name: value for name, value in filters.items() if value is not None}
    return ask(Call("POST", "/v1/search", fields=fields, files=files_of("image", image)))


def datasets() -> Flow:
    """Lists datasets with their counts."""
    return ask(Call("GET", "/v1/datasets"))


def dataset(name: str) -> Flow:
    """Shows one dataset: counts by label and group, problems found."""
    return ask(Call("GET", path_of("/v1/datasets/{}", name)))


def delete_dataset(name: str) -> Flow:
    """Deletes a dataset, and those of its images that no other dataset uses."""
    return ask(Call("DELETE", path_of("/v1/datasets/{}", name)))


def ingest(
    dataset: str,
    images: Images = (),
    labels: Sequence[str | None] | None = None,
    groups: Sequence[str | None] | None = None,
    splits: Sequence[str | None] | None = None,
    *,
    archive: Image | None = None,
) -> Flow:
    """Adds labelled images to a dataset, which is made if it is new. Safe to repeat.

    Args:
        dataset: its name.
        images: files; `labels`, `groups` and `splits` run parallel to them.
        labels: what each shows.
        groups: what ties images together, a patient for one.
        splits: `train`, `test` or None for each.
        archive: a zip or tar in folder-per-class layout, in place of `images`.
    """
    if archive is not None:
        path = path_of("/v1/datasets/{}/images", dataset)
        return ask(Call("POST", path, files=files_of("archive", archive)))
    return ask(ingest_call(dataset, images, labels, groups, splits))


def ingest_call(
    dataset: str,
    images: Images,
    labels: Sequence[str | None] | None,
    groups: Sequence[str | None] | None,
    splits: Sequence[str | None] | None,
) -> Call:
    """The one request of `ingest` with files."""
    columns = {"labels": labels, "groups": groups, "splits": splits}
    fields: dict[str, str | list[str]] = {
        name: [value or "" for value in column]
        for name, column in columns.items()
        if column is not None
    }
    path = path_of("/v1/datasets/{}/images", dataset)
    return Call("POST", path, fields=fields, files=files_of("images", images))


def put_labels(dataset: str, labels: Sequence[Mapping[str, str | None]]) -> Flow:
    """Sets labels and groups of images that a dataset holds.

    Args:
        dataset: its name.
        labels: for each image `{"digest": …, "label": …, "group": …}`; group may be absent.
    """
    body = {"labels": [dict(entry) for entry in labels]}
    return ask(json_call("PUT", path_of("/v1/datasets/{}/labels", dataset), body))


def learn(
    name: str,
    dataset: str,
    *,
    task: str = "auto",
    options: Mapping[str, Any] | None = None,
    wait: bool = False,
    timeout_s: float | None = None,
    on_progress: JobProgress | None = None,
    idempotency_key: str | None = None,
) -> Flow:
    """Asks for a head to be trained on a dataset; answers with the job.

    Args:
        name: of the head.
        dataset: what it learns from.
        task: `auto`, `binary` or `multiclass`.
        options: `allow_no_signal`, `seed`, `author`.
        wait: answer only when the job is done; `JobFailed` is raised where it failed.
        timeout_s: how long to wait at most.
        on_progress: told the job whenever it was looked at.
        idempotency_key: the same key is the same job; a new one is made where None is given.
    """
    body = {"name": name, "dataset": dataset, "task": task, "options": dict(options or {})}
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    job = yield from ask(replace(json_call("POST", "/v1/heads", body), headers=headers))
    if not wait:
        return job
    return (yield from _until_done(job, timeout_s, on_progress))


def heads() -> Flow:
    """Lists the heads of the library."""
    return ask(Call("GET", "/v1/heads"))


def head(name: str) -> Flow:
    """Shows one head: its versions, aliases and champion."""
    return ask(Call("GET", path_of("/v1/heads/{}", name)))


def card(name: str, version: int) -> Flow:
    """Shows what one version of a head says of itself."""
    return ask(Call("GET", path_of("/v1/heads/{}/versions/{}", name, version)))


def suspects(name: str, version: int, *, limit: int = 50) -> Flow:
    """Names training images whose label is in doubt, and those that are nearly the same."""
    path = path_of("/v1/heads/{}/versions/{}/suspects", name, version)
    return ask(Call("GET", f"{path}?limit={limit:d}"))


def report(name: str, version: int | None = None) -> Asking[str]:
    """Reports how good a version is, as a page of HTML; None is the champion or newest."""
    if version is None:
        version = shown_version((yield from head(name)))
    return (
        yield from ask_page(Call("GET", path_of("/v1/heads/{}/versions/{}/report", name, version)))
    )


def shown_version(head: Answer) -> int:
    """The version of a head that is meant where none is named."""
    version: int = head["champion"] or head["versions"][-1]["version"]
    return version


def promote(name: str, version: int, *, alias: str = "champion", reason: str = "") -> Flow:
    """Points an alias to a version; the champion answers where no version is named."""
    body = {"version": version, "reason": reason}
    return ask(json_call("PUT", path_of("/v1/heads/{}/aliases/{}", name, alias), body))


def history(name: str) -> Flow:
    """Shows who moved which alias of a head when."""
    return ask(Call("GET", path_of("/v1/heads/{}/history", name)))


def delete_head(name: str) -> Flow:
    """Deletes a head with all its versions."""
    return ask(Call("DELETE", path_of("/v1/heads/{}", name)))


def delete_version(name: str, version: int) -> Flow:
    """Deletes one version of a head."""
    return ask(Call("DELETE", path_of("/v1/heads/{}/versions/{}", name, version)))


def jobs() -> Flow:
    """Lists the newest jobs."""
    return ask(Call("GET", "/v1/jobs"))


def job(job_id: str) -> Flow:
    """Shows one job."""
    return ask(Call("GET", path_of("/v1/jobs/{}", job_id)))


def cancel(job_id: str) -> Flow:
    """Cancels a job: at once where it waits, at its next step where it runs."""
    return ask(Call("DELETE", path_of("/v1/jobs/{}", job_id)))


def wait(
    job_id: str, *, timeout_s: float | None = None, on_progress: JobProgress | None = None
) -> Flow:
    """Waits until a job is done; raises `JobFailed` where it failed or was cancelled."""
    found = yield from job(job_id)
    return (yield from _until_done(found, timeout_s, on_progress))


def erase(digest: str) -> Flow:
    """Erases an image everywhere; answers with the heads that were trained on it."""
    return ask(Call("DELETE", path_of("/v1/images/{}", digest)))


def spaces() -> Flow:
    """The backbones served and their identity."""
    return ask(Call("GET", "/v1/spaces"))


def ready() -> Flow:
    """Says whether requests can be answered now: `{"ready": true}`."""
    response = yield Call("GET", "/readyz")
    return {"ready": response.is_success}  # a server's probe has a body of its own, or none


def _until_done(job: Answer, timeout_s: float | None, on_progress: JobProgress | None) -> Flow:
    start, (pause_s, longest_s) = time.monotonic(), POLL_S
    while True:
        if on_progress is not None:
            on_progress(job)
        if job["state"] in FINISHED:
            break
        if timeout_s is not None and time.monotonic() - start > timeout_s:
            raise StillRunning(job, timeout_s)
        job = yield from ask(Call("GET", path_of("/v1/jobs/{}", job["id"]), after_s=pause_s))
        pause_s = min(longest_s, pause_s * 1.2)
    if job["state"] != "succeeded":
        raise JobFailed.of(job)
    return job
