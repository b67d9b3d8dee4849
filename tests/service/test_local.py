"""The home folder without a server: the same application, a trainer only where one is needed."""

import asyncio
import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from live_server import picture

from features.errors import StoreUnavailable
from features.store import FeatureStore
from service import local
from service.client import Client, NamedImage, PenultimateError
from service.errors import CatalogUnavailable
from service.local import LocalTransport, local_client
from service.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(backbone="toy", home=tmp_path / "home", log_level="error")


def trainer_of(client: Client) -> subprocess.Popen[bytes] | None:
    transport = client._http._transport
    assert isinstance(transport, LocalTransport)
    supervisor = transport._supervisor
    return None if supervisor is None else supervisor._process


def test_answers_carry_the_status_and_headers_of_the_application(settings: Settings) -> None:
    transport = LocalTransport(settings)
    with httpx.Client(transport=transport, base_url="http://local") as http:
        answer = http.get("/v1/heads/nobody", headers={"X-Request-ID": "mine"})

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.json()["code"] == "head_not_found"


def test_what_one_client_stored_the_next_one_finds(settings: Settings) -> None:
    with local_client(settings) as client:
        client.ingest("d", [picture("red", 1)], ["red"])
    with local_client(settings) as client:
        assert client.dataset("d")["labels"] == {"red": 1}
        assert client.predict(picture("red", 1))["results"][0]["image"]["cached"]


def test_whoever_has_the_home_is_told_what_a_client_of_a_server_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreUnavailable("/home/records", "No space left on device", hint="Free some space.")

    monkeypatch.setattr("service.client.time.sleep", lambda _: None)
    with local_client(settings) as client:
        monkeypatch.setattr(FeatureStore, "put", full)
        with pytest.raises(PenultimateError, match=r"/home/records.*No space left") as refused:
            client.ingest("d", [picture("red", 1)], ["red"])
        monkeypatch.undo()
    assert refused.value.hint == "Free some space."


def test_threads_may_ask_at_once(settings: Settings) -> None:
    with local_client(settings) as client:
        got: list[int] = []
        threads = [
            threading.Thread(
                target=lambda i=i: got.append(
                    client.ingest("d", [picture("red", i)], ["red"])["added"]
                )
            )
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert got == [1] * 8
        assert client.dataset("d")["images"] == 8


def test_a_trainer_starts_with_the_first_job_and_ends_with_the_client(settings: Settings) -> None:
    colours = ("red", "green")
    images = [NamedImage(f"{c}{i}.png", picture(c, i)) for c in colours for i in range(6)]
    with local_client(settings) as client:
        client.ingest("d", images, [c for c in colours for _ in range(6)])
        with pytest.raises(PenultimateError):
            client.learn("h", "nothing")
        assert trainer_of(client) is None

        client.learn("h", "d", wait=True)

        trainer = trainer_of(client)
        assert trainer is not None
        assert trainer.poll() is None
    assert trainer.poll() is not None


def test_a_home_that_cannot_be_opened_says_so_and_leaves_nothing_running(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threading.active_count()
    settings.home.mkdir()
    (settings.home / "catalog.sqlite").write_bytes(b"this is no database" * 100)

    with pytest.raises(CatalogUnavailable):
        local_client(settings)

    monkeypatch.setattr(local, "create_app", None)
    (settings.home / "catalog.sqlite").unlink()
    with pytest.raises(TypeError):
        local_client(settings)
    assert threading.active_count() <= before + 1  # the toy's threads may take a moment


def test_a_form_of_many_parts_arrives_in_large_pieces_and_whole() -> None:
    files = [("images", (f"{i}.png", bytes([i]) * 20_000)) for i in range(200)]
    request = httpx.Request("POST", "http://local", data={"labels": ["a"] * 200}, files=files)
    assert isinstance(request.stream, httpx.AsyncByteStream)

    async def pieces() -> list[bytes]:
        return [piece async for piece in local._Gathered(request.stream)]

    arrived = asyncio.run(pieces())
    assert b"".join(arrived) == request.read()
    sizes = [len(piece) for piece in arrived]
    assert min(sizes[:-1]) >= local.CHUNK_BYTES
    assert max(sizes) < local.CHUNK_BYTES + 2**17
