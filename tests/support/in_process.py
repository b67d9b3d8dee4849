"""The application in this process: requests without a port, training without a child process."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from service.catalog import Job
from service.http import create_app
from service.metrics import PrometheusMetrics
from service.product import Product
from service.schemas import LearnOptions
from service.settings import Settings
from service.trainer import Trainer
from service.wiring import build
from service.workflows.learn import request_learning


def settings_of(home: Path, **given: Any) -> Settings:
    """Settings for a home on the toy backbone."""
    return Settings(home=home, backbone="toy", threads=1, **given)


class Http:
    """Sends requests to an application, one after the other or many at once."""

    def __init__(self, app: FastAPI, product: Product, metrics: PrometheusMetrics) -> None:
        self.app = app
        self.product = product
        self.metrics = metrics
        self.client: tuple[str, int] | None = ("127.0.0.1", 4242)

    def request(self, method: str, url: str, **options: Any) -> Response:
        """One request; an answer for whatever happens."""
        return asyncio.run(self._send(method, url, options))

    def together(self, requests: Iterable[tuple[str, str, dict[str, Any]]]) -> list[Response]:
        """Several requests at the same time."""

        async def send_all() -> list[Response]:
            return await asyncio.gather(*(self._send(*request) for request in requests))

        return asyncio.run(send_all())

    def get(self, url: str, **options: Any) -> Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Response:
        return self.request("PUT", url, **options)

    def delete(self, url: str, **options: Any) -> Response:
        return self.request("DELETE", url, **options)

    def predict(self, *images: bytes, **fields: Any) -> Response:
        """Asks about images, named by their place."""
        return self.post("/v1/predict", files=files(*images), data=fields)

    def count(self, name: str) -> float:
        """One counter of the metrics page."""
        lines = self.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    def work(self) -> list[Job]:
        """Does every job that waits, as the trainer would; returns them as they ended."""
        return work(self.product)

    async def _send(self, method: str, url: str, options: dict[str, Any]) -> Response:
        transport = ASGITransport(
            self.app,
            raise_app_exceptions=False,
            client=self.client,  # type: ignore[arg-type]  # a server may not know its client
        )
        async with AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, url, **options)


@contextmanager
def opened(settings: Settings) -> Iterator[Http]:
    """The application on a home."""
    metrics = PrometheusMetrics()
    app = create_app(settings, metrics)
    product = app.state.product = build(settings, metrics)
    try:
        yield Http(app, product, metrics)
    finally:
        product.close()


def files(*images: bytes, field: str = "images") -> list[tuple[str, tuple[str, bytes]]]:
    """Images as httpx takes them, named by their place."""
    return [(field, (f"{n}.png", data)) for n, data in enumerate(images)]


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A body that does not say how long it is."""
    for part in parts:
        yield part


def teach(product: Product, head: str, dataset: str, task: str = "auto", **options: Any) -> Job:
    """Trains a head in this process; the job as it ended."""
    asked = LearnOptions(**options)
    request_learning(product, "default", name=head, dataset=dataset, task=task, options=asked)
    return work(product)[-1]


def work(product: Product) -> list[Job]:
    """Does every job that waits."""
    trainer = Trainer(product, Event())
    done = []
    while job := product.catalog.jobs.claim(trainer._owner):
        trainer.work(job)
        done.append(product.catalog.jobs.get(job.workspace, job.id))
    return done


def refused(answer: Response, status: int, code: str) -> Any:
    """The problem object of a refusal, checked to be whole."""
    assert (answer.status_code, answer.headers["content-type"]) == (
        status,
        "application/problem+json",
    ), answer.text
    body = answer.json()
    assert isinstance(body, dict)
    assert body["type"] == "about:blank"
    assert (body["status"], body["code"]) == (status, code), body
    assert all(isinstance(body[key], str) and body[key] for key in ("title", "detail", "hint"))
    assert answer.headers["x-request-id"]
    return body
