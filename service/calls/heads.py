"""Verbs of heads as the requests that they take, one after the other. Sends nothing."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from service.calls.folders import as_folder, folder_flow
from service.calls.jobs import JobProgress, until_done
from service.exchange import (
    Answer,
    Asking,
    Call,
    Flow,
    ask,
    ask_file,
    ask_page,
    json_call,
    path_of,
)


def learn(  # noqa: PLR0913 - most are options of one request
    name: str,
    dataset: str | os.PathLike[str],
    *,
    groups: str | os.PathLike[str] | None = None,
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
        dataset: what it learns from. Or a folder, as a `Path` or a text with a slash in it: it is
            added first, to the dataset that is called as the head is.
        groups: of a folder: CSV `path,group`, as `ingest_folder` takes it.
        task: `auto` (found from the labels), `binary`, `multiclass`, `multilabel`, `ordinal` or
            `regression`.
        options: `allow_no_signal`, `order`, `seed`, `author`, `report` ("full" or "fast").
        wait: answer only when the job is done; `JobFailed` is raised where it failed.
        timeout_s: how long to wait at most.
        on_progress: told the job whenever it was looked at.
        idempotency_key: the same key is the same job; a new one is made where None is given.
    """
    if not isinstance(dataset, str) or os.sep in dataset or "/" in dataset:
        yield from folder_flow(name, as_folder(dataset, groups))
        dataset = name
    elif groups is not None:
        raise ValueError("groups are those of a folder; a dataset has its own")
    body = {"name": name, "dataset": dataset, "task": task, "options": dict(options or {})}
    headers = {"Idempotency-Key": idempotency_key or uuid4().hex}
    job = yield from ask(replace(json_call("POST", "/v1/heads", body), headers=headers))
    if not wait:
        return job
    return (yield from until_done(job, timeout_s, on_progress))


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


def next_to_label(name: str, version: int, *, limit: int = 20) -> Flow:
    """Names the unlabelled images of the head's dataset that are most worth a label."""
    path = path_of("/v1/heads/{}/versions/{}/next", name, version)
    return ask(Call("GET", f"{path}?limit={limit:d}"))


def validate_head(name: str, dataset: str, version: int | None = None) -> Flow:
    """Tries a version on those images of a dataset that it never saw.

    Args:
        name: of the head.
        dataset: whose labels are the truth.
        version: None is the champion or newest.
    """
    if version is None:
        version = shown_version((yield from head(name)))
    path = path_of("/v1/heads/{}/versions/{}/validation", name, version)
    return (yield from ask(Call("GET", f"{path}?{urlencode({'dataset': dataset})}")))


def report(name: str, version: int | None = None, *, pictures: bool = True) -> Asking[str]:
    """Reports how good a version is, as a page of HTML.

    Args:
        name: of the head.
        version: None is the champion or newest.
        pictures: whether images of the dataset, and the names of their files, may be in it.
    """
    if version is None:
        version = shown_version((yield from head(name)))
    path = path_of("/v1/heads/{}/versions/{}/report", name, version)
    return (yield from ask_page(Call("GET", f"{path}?pictures={str(pictures).lower()}")))


def export_head(name: str, version: int | None = None) -> Asking[bytes]:
    """Gives a version as a file for another service: what it learnt, and no image.

    Args:
        name: of the head.
        version: None is the champion or newest.
    """
    if version is None:
        version = shown_version((yield from head(name)))
    path = path_of("/v1/heads/{}/versions/{}/file", name, version)
    return (yield from ask_file(Call("GET", path), "application/zip"))


def import_head(name: str, file: str | os.PathLike[str] | bytes) -> Flow:
    """Takes in a head that was learnt elsewhere, as a further version; answers with its card.

    Args:
        name: what it is called here.
        file: what `export_head` gave, or the path of it. The same file again adds no version.
    """
    data = file if isinstance(file, bytes) else Path(file).read_bytes()
    path = path_of("/v1/heads/{}/versions", name)
    return ask(Call("POST", path, files=[("file", (f"{name}.head.zip", data))]))


def shown_version(head: Answer) -> int:
    """The version of a head that is meant where none is named."""
    version: int = head["champion"] or head["versions"][-1]["version"]
    return version


def promote(name: str, version: int, *, alias: str = "champion", reason: str = "") -> Flow:
    """Points an alias to a version; the champion answers where no version is named."""
    body = {"version": version, "reason": reason}
    return ask(json_call("PUT", path_of("/v1/heads/{}/aliases/{}", name, alias), body))


def protect(name: str, *, protected: bool = True) -> Flow:
    """Lets only admins move a head's aliases and delete it, or whoever may train again."""
    return ask(json_call("PUT", path_of("/v1/heads/{}/protection", name), {"protected": protected}))


def history(name: str) -> Flow:
    """Shows who moved which alias of a head when."""
    return ask(Call("GET", path_of("/v1/heads/{}/history", name)))


def delete_head(name: str) -> Flow:
    """Deletes a head with all its versions."""
    return ask(Call("DELETE", path_of("/v1/heads/{}", name)))


def delete_version(name: str, version: int) -> Flow:
    """Deletes one version of a head."""
    return ask(Call("DELETE", path_of("/v1/heads/{}/versions/{}", name, version)))
