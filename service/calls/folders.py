"""Images added to a dataset, one request or, of a folder, many of a good size with one answer.

Sends nothing itself: a client does.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.calls.datasets import ingest_call, put_labels
from service.client_errors import PenultimateError
from service.exchange import (
    BULK_PATIENCE_S,
    Answer,
    Call,
    Flow,
    Image,
    Images,
    NamedImage,
    ask,
    files_of,
    is_folder,
    is_given,
    path_of,
)
from service.folders import Entry, Folder, read_folder

BATCH_IMAGES = 64
BATCH_BYTES = 32 * 2**20
"""What one request carries at most; a larger file goes alone."""

INGEST_IMAGES = 128
"""Images of one request that adds them: what the server makes durable together."""

BATCH_LABELS = 10_000
"""Images whose labels one request sets."""

TOO_LARGE = 413

Progress = Callable[[int, int], None]
"""Told (files done, files in all)."""


def as_folder(
    folder: str | os.PathLike[str] | Folder,
    groups: str | os.PathLike[str] | None = None,
    splits: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> Folder:
    """The folder, read if it was not."""
    if isinstance(folder, Folder):
        return folder
    return read_folder(folder, groups=groups, splits=splits, labels=labels)


def cut(paths: Sequence[Path], most: int = BATCH_IMAGES) -> Iterator[slice]:
    """Cuts a list of files into requests, by number and by bytes."""
    start, size_bytes = 0, 0
    for i, path in enumerate(paths):
        own_bytes = _size_bytes(path)
        full = i - start >= most or size_bytes + own_bytes > BATCH_BYTES
        if full and i > start:
            yield slice(start, i)
            start, size_bytes = i, 0
        size_bytes += own_bytes
    if start < len(paths):
        yield slice(start, len(paths))


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
        images: files; `labels`, `groups` and `splits` run parallel to them. Or a folder, with one
            inside for each class: `ingest_folder` takes it with what more there is to say.
        labels: what each shows.
        groups: what ties images together, a patient for one.
        splits: `train`, `test` or None for each.
        archive: a zip or tar in folder-per-class layout, in place of `images`.

    Raises:
        ValueError: both images and an archive are given, or a folder and labels of its files.
        TypeError: labels, groups or splits are one text.
    """
    if is_folder(images):
        if any(column is not None for column in (labels, groups, splits, archive)):
            raise ValueError("a folder says its labels; `ingest_folder` takes CSVs beside it")
        return folder_flow(dataset, as_folder(images))
    if archive is not None:
        if is_given(images):
            raise ValueError("give images or an archive, not both")
        path = path_of("/v1/datasets/{}/images", dataset)
        return ask(Call("POST", path, files=files_of("archive", archive)))
    return ask(ingest_call(dataset, images, labels, groups, splits))


def ingest_flows(dataset: str, entries: Sequence[Entry]) -> Iterator[Flow]:
    """One flow for each request; each answers as `ingest` does."""
    parts = cut([e.path for e in entries], INGEST_IMAGES)
    return (_ingest(dataset, entries[part]) for part in parts)


def folder_flow(dataset: str, folder: Folder) -> Flow:
    """Adds a folder, one request after the other; answers as `ingest` does, added up."""
    tally = Tally(dataset, folder)
    for flow in ingest_flows(dataset, folder.entries):
        tally.add((yield from flow))
    return tally.answer


def relabel_flow(folder: Folder, answer: Answer) -> Flow:
    """Gives images that were known before the labels and groups that the folder says.

    An image that the folder itself has under two labels is left to the label check.

    Args:
        folder: what was ingested.
        answer: the answer to that.

    Returns:
        The same answer with the counts by label as they are afterwards.
    """
    entries = {entry.name: entry for entry in folder.entries}
    said: dict[str, set[Entry]] = {}
    for image in answer["images"]:
        said.setdefault(image["digest"], set()).add(entries[image["filename"]])
    known = {i["digest"] for i in answer["images"] if i["state"] == "known"}
    changes = [
        {"digest": digest, "label": labels.pop(), **_group_of(said[digest])}
        for digest in known
        if len(labels := {e.label for e in said[digest]}) == 1
    ]
    for start in range(0, len(changes), BATCH_LABELS):
        part = changes[start : start + BATCH_LABELS]
        changed = yield from put_labels(answer["dataset"], part)
        answer = {**answer, "labels": changed["labels"]}
    return answer


@dataclass
class Tally:
    """The answers to all batches as one, of the same shape.

    Args:
        dataset: what is filled.
        folder: where they are from; its notes are part of the answer.
        on_progress: told after every batch.
    """

    dataset: str
    folder: Folder
    on_progress: Progress | None = None
    answer: Answer = field(init=False)

    def __post_init__(self) -> None:
        self.answer = {**_empty(self.dataset), "notes": list(self.folder.notes)}
        self._tell()

    def add(self, answer: Answer) -> None:
        """Counts one batch."""
        _add(self.answer, answer)
        self._tell()

    def _tell(self) -> None:
        if self.on_progress is not None:
            a = self.answer
            done = a["added"] + a["known"] + len(a["rejected"])
            self.on_progress(done, len(self.folder.entries))


def _ingest(dataset: str, entries: Sequence[Entry]) -> Flow:
    """Ingests a batch; one that is too large for the server is halved until it fits."""
    readable, answer = _read(dataset, entries)
    if not readable:
        return answer
    try:
        _add(answer, (yield from ask(_request(dataset, readable))))
    except PenultimateError as error:
        if error.status != TOO_LARGE:
            raise
        if len(readable) == 1:
            said = {"code": error.code, "detail": error.detail, "hint": error.hint}
            answer["rejected"].append({"filename": readable[0][0].name, **said})
            return answer
    else:
        return answer
    left = [entry for entry, _ in readable]
    middle = len(left) // 2
    for half in (left[:middle], left[middle:]):
        _add(answer, (yield from _ingest(dataset, half)))
    return answer


def _request(dataset: str, readable: Sequence[tuple[Entry, bytes]]) -> Call:
    entries = [entry for entry, _ in readable]
    call = ingest_call(
        dataset,
        [NamedImage(entry.name, data) for entry, data in readable],
        [e.label for e in entries],
        [e.group for e in entries],
        [e.split for e in entries],
    )
    return replace(call, patience_s=BULK_PATIENCE_S)


def _read(dataset: str, entries: Sequence[Entry]) -> tuple[list[tuple[Entry, bytes]], Answer]:
    """The files that can be read, and an answer that rejects the others."""
    readable, answer = [], _empty(dataset)
    for entry in entries:
        try:
            readable.append((entry, entry.path.read_bytes()))
        except OSError as error:
            detail = f"The file cannot be read: {error.strerror}."
            answer["rejected"].append(
                {"filename": entry.name, "code": "unreadable_file", "detail": detail, "hint": ""}
            )
    return readable, answer


def _group_of(entries: set[Entry]) -> dict[str, str]:
    groups = sorted({e.group for e in entries if e.group is not None})
    return {"group": groups[0]} if len(groups) == 1 else {}


def _empty(dataset: str) -> Answer:
    return {
        "dataset": dataset,
        "added": 0,
        "known": 0,
        "rejected": [],
        "labels": {},
        "images": [],
        "unmatched": [],  # those of archives; no batch is one
    }


def _add(total: Answer, answer: Answer) -> None:
    """Adds what was answered to one request to what was answered to others before."""
    for name in ("added", "known", "rejected", "images"):
        total[name] += answer[name]
    # Requests overlap: the counts of whichever was answered last include those of the others.
    total["labels"] = max(total["labels"], answer["labels"], key=_size)


def _size_bytes(path: Path) -> int:
    """The size of a file; 0 of one that has gone meanwhile, which its reader will find out."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _size(labels: dict[str, int]) -> int:
    return sum(labels.values())
