"""The product from Python: `Client` blocks, `AsyncClient` does not; both say the same verbs.

    from service.client import Client
    with Client("http://127.0.0.1:3000") as client:
        client.ingest_folder("chest-xrays", "xrays", groups="groups.csv")
        client.learn("pneumonia", "chest-xrays", wait=True)
        client.predict(["new.png"])["results"][0]["predictions"]

Answers are the HTTP answers as they come. Refusals are exceptions with the problem's fields. What
each verb takes is written in `calls.py`; how requests are repeated, in `exchange.py`.
"""

import asyncio
import functools
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from service import calls
from service.batches import Progress, Tally, as_folder, ingest_flows, relabel_flow
from service.client_errors import (
    FolderUnusable,
    JobFailed,
    PenultimateError,
    ServerUnreachable,
    StillRunning,
)
from service.exchange import (
    Answer,
    Asking,
    Call,
    Flow,
    Image,
    Images,
    NamedImage,
    address,
    advance,
    http_options,
    sign,
    unreachable,
)
from service.folders import Folder

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "FolderUnusable",
    "Image",
    "Images",
    "JobFailed",
    "NamedImage",
    "PenultimateError",
    "ServerUnreachable",
    "StillRunning",
]

P = ParamSpec("P")
T = TypeVar("T")

IN_FLIGHT = 2
"""Requests under way at once with a folder: while one is worked on, the next is on its way."""


def _verb(build: Callable[P, Asking[T]]) -> "Callable[Concatenate[Client, P], T]":
    @functools.wraps(build)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.run(build(*args, **kwargs))

    sign(method, build)
    return method


def _async_verb(
    build: Callable[P, Asking[T]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[None, None, T]]":
    @functools.wraps(build)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.run(await asyncio.to_thread(build, *args, **kwargs))

    sign(method, build)
    return method


class Client:
    """A client that blocks. Threads may share it.

    Args:
        url: where the server is, as in `http://127.0.0.1:3000`.
        key: sent as a bearer token.
        timeout_s: how long one answer may take.
        transport: how requests travel, where not over the network.
    """

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 300.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = address(url)
        self._http = httpx.Client(transport=transport, **http_options(self.url, key, timeout_s))

    predict = _verb(calls.predict)
    embed = _verb(calls.embed)
    search = _verb(calls.search)
    datasets = _verb(calls.datasets)
    dataset = _verb(calls.dataset)
    delete_dataset = _verb(calls.delete_dataset)
    ingest = _verb(calls.ingest)
    put_labels = _verb(calls.put_labels)
    learn = _verb(calls.learn)
    heads = _verb(calls.heads)
    head = _verb(calls.head)
    card = _verb(calls.card)
    report = _verb(calls.report)
    suspects = _verb(calls.suspects)
    promote = _verb(calls.promote)
    history = _verb(calls.history)
    delete_head = _verb(calls.delete_head)
    delete_version = _verb(calls.delete_version)
    jobs = _verb(calls.jobs)
    job = _verb(calls.job)
    cancel = _verb(calls.cancel)
    wait = _verb(calls.wait)
    erase = _verb(calls.erase)
    spaces = _verb(calls.spaces)
    ready = _verb(calls.ready)

    def ingest_folder(
        self,
        dataset: str,
        folder: str | os.PathLike[str] | Folder,
        *,
        groups: str | os.PathLike[str] | None = None,
        splits: str | os.PathLike[str] | None = None,
        labels: str | os.PathLike[str] | None = None,
        relabel: bool = False,
        on_progress: Progress | None = None,
    ) -> Answer:
        """Adds a folder to a dataset, one folder inside for each class. Safe to repeat.

        Args:
            dataset: made if it is new.
            folder: where the images are.
            groups: CSV `path,group`; this and the next two as `folders.read_folder` takes them.
            splits: CSV `path,split`.
            labels: CSV `path,label`.
            relabel: what the folder says of a known image replaces what was said of it before;
                otherwise both labels are kept, and the label check names the image.
            on_progress: told (files done, files in all).

        Returns:
            The answer of `ingest`, added up over all requests.

        Raises:
            FolderUnusable: the folder or a CSV cannot be used.
        """
        found = as_folder(folder, groups, splits, labels)
        tally = Tally(dataset, len(found.entries), on_progress)
        for answer in self.stream(ingest_flows(dataset, found.entries)):
            tally.add(answer)
        return self.run(relabel_flow(found, tally.answer)) if relabel else tally.answer

    def run(self, flow: Asking[T]) -> T:
        """Sends the requests of one flow."""
        step = advance(flow)
        while isinstance(step, Call):
            time.sleep(step.after_s)
            try:
                response = self._http.send(step.request(self._http))
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise unreachable(self.url, error) from error
            step = advance(flow, response)
        return step

    def stream(self, flows: Iterable[Flow]) -> Iterator[Answer]:
        """The answers of many flows in their order, two under way at once."""
        waiting: deque[Future[Answer]] = deque()
        with ThreadPoolExecutor(IN_FLIGHT, "client") as pool:
            for flow in flows:
                waiting.append(pool.submit(self.run, flow))
                if len(waiting) == IN_FLIGHT:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def close(self) -> None:
        """Closes every connection."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient:
    """A client that does not block; the arguments are those of `Client`."""

    def __init__(
        self,
        url: str,
        key: str | None = None,
        *,
        timeout_s: float = 300.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = address(url)
        self._http = httpx.AsyncClient(
            transport=transport, **http_options(self.url, key, timeout_s)
        )

    predict = _async_verb(calls.predict)
    embed = _async_verb(calls.embed)
    search = _async_verb(calls.search)
    datasets = _async_verb(calls.datasets)
    dataset = _async_verb(calls.dataset)
    delete_dataset = _async_verb(calls.delete_dataset)
    ingest = _async_verb(calls.ingest)
    put_labels = _async_verb(calls.put_labels)
    learn = _async_verb(calls.learn)
    heads = _async_verb(calls.heads)
    head = _async_verb(calls.head)
    card = _async_verb(calls.card)
    report = _async_verb(calls.report)
    suspects = _async_verb(calls.suspects)
    promote = _async_verb(calls.promote)
    history = _async_verb(calls.history)
    delete_head = _async_verb(calls.delete_head)
    delete_version = _async_verb(calls.delete_version)
    jobs = _async_verb(calls.jobs)
    job = _async_verb(calls.job)
    cancel = _async_verb(calls.cancel)
    wait = _async_verb(calls.wait)
    erase = _async_verb(calls.erase)
    spaces = _async_verb(calls.spaces)
    ready = _async_verb(calls.ready)

    async def ingest_folder(
        self,
        dataset: str,
        folder: str | os.PathLike[str] | Folder,
        *,
        groups: str | os.PathLike[str] | None = None,
        splits: str | os.PathLike[str] | None = None,
        labels: str | os.PathLike[str] | None = None,
        relabel: bool = False,
        on_progress: Progress | None = None,
    ) -> Answer:
        """Adds a folder to a dataset, as `Client.ingest_folder` does."""
        found = await asyncio.to_thread(as_folder, folder, groups, splits, labels)
        tally = Tally(dataset, len(found.entries), on_progress)
        async for answer in self.stream(ingest_flows(dataset, found.entries)):
            tally.add(answer)
        return await self.run(relabel_flow(found, tally.answer)) if relabel else tally.answer

    async def run(self, flow: Asking[T]) -> T:
        """Sends the requests of one flow."""
        step = await asyncio.to_thread(advance, flow)
        while isinstance(step, Call):
            await asyncio.sleep(step.after_s)
            try:
                response = await self._http.send(step.request(self._http))
            except (httpx.TransportError, httpx.InvalidURL) as error:
                raise unreachable(self.url, error) from error
            step = await asyncio.to_thread(advance, flow, response)
        return step

    async def stream(self, flows: Iterable[Flow]) -> AsyncIterator[Answer]:
        """The answers of many flows in their order, two under way at once."""
        waiting: deque[asyncio.Task[Answer]] = deque()
        try:
            for flow in flows:
                waiting.append(asyncio.create_task(self.run(flow)))
                if len(waiting) == IN_FLIGHT:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
