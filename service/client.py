"""The product from Python: `Client` blocks, `AsyncClient` does not; both say the same verbs.

    from service.client import Client
    with Client("http://127.0.0.1:3000") as client:
        client.ingest_folder("chest-xrays", "xrays", groups="groups.csv")
        client.learn("pneumonia", "chest-xrays", wait=True)
        client.predict(["new.png"])["results"][0]["predictions"]

Answers are the HTTP answers as they come. Refusals are exceptions with the problem's fields. What
each verb takes is written in `calls`; how requests are repeated, in `exchange.py`.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

import httpx

from service.calls.folders import Progress, Tally, as_folder, ingest_flows, relabel_flow
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
    unreachable,
)
from service.folders import Folder
from service.verbs import AsyncVerbs, Verbs

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

T = TypeVar("T")

IN_FLIGHT = 2
"""Requests under way at once with a folder: while one is worked on, the next is on its way."""


class Client(Verbs):
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
            The answer of `ingest`, added up over all requests, and as `notes` what the folder's
            owner should know: files left out, rows that match nothing.

        Raises:
            FolderUnusable: the folder or a CSV cannot be used.
        """
        found = as_folder(folder, groups, splits, labels)
        tally = Tally(dataset, found, on_progress)
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


class AsyncClient(AsyncVerbs):
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
        tally = Tally(dataset, found, on_progress)
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
