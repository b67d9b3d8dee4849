"""Verbs of datasets as the requests that they take. Sends nothing: a client does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from service.calls.jobs import JobProgress, until_done
from service.exchange import Call, Flow, Images, ask, files_of, json_call, path_of


def datasets() -> Flow:
    """Lists datasets with their counts."""
    return ask(Call("GET", "/v1/datasets"))


def dataset(name: str) -> Flow:
    """Shows one dataset: counts by label and group, problems found."""
    return ask(Call("GET", path_of("/v1/datasets/{}", name)))


def delete_dataset(name: str) -> Flow:
    """Deletes a dataset, and those of its images that no other dataset uses."""
    return ask(Call("DELETE", path_of("/v1/datasets/{}", name)))


def look(dataset: str) -> Flow:
    """Says whether plain methods can tell a dataset's classes apart, before a head is trained."""
    return ask(Call("GET", path_of("/v1/datasets/{}/look", dataset)))


def compare(
    dataset: str,
    backbones: Sequence[str] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    wait: bool = False,
    timeout_s: float | None = None,
    on_progress: JobProgress | None = None,
    idempotency_key: str | None = None,
) -> Flow:
    """Asks for backbones to be compared on a dataset; answers with the job.

    Args:
        dataset: what heads learn from in each space.
        backbones: their names; None takes those whose weights come as packages. The served one is
            always compared.
        options: `seed`.
        wait: answer only when the job is done; `JobFailed` is raised where it failed.
        timeout_s: how long to wait at most.
        on_progress: told the job whenever it was looked at.
        idempotency_key: the same key is the same job; a new one is made where None is given.
    """
    body: dict[str, Any] = {"options": dict(options or {})}
    if backbones is not None:
        body["backbones"] = list(backbones)
    call = json_call("POST", path_of("/v1/datasets/{}/compare", dataset), body)
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    job = yield from ask(replace(call, headers=headers))
    if not wait:
        return job
    return (yield from until_done(job, timeout_s, on_progress))


def ingest_call(
    dataset: str,
    images: Images,
    labels: Sequence[str | None] | None,
    groups: Sequence[str | None] | None,
    splits: Sequence[str | None] | None,
) -> Call:
    """The one request of `ingest` with files."""
    columns = {"labels": labels, "groups": groups, "splits": splits}
    for name, column in columns.items():
        if isinstance(column, str):
            raise TypeError(f"{name} must have an entry for each image, not one text")
    fields: dict[str, str | list[str]] = {
        name: [value or "" for value in column]
        for name, column in columns.items()
        if column is not None and any(column)  # a part that says nothing costs as much as a label
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
