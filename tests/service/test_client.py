"""Both clients against the real application: every verb gives the answer of its route."""

import asyncio
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_server import picture

from service.client import AsyncClient, Client, JobFailed, NamedImage, PenultimateError
from service.local import LocalTransport, local_client
from service.settings import Settings

COLOURS = ("red", "green")
PER_COLOUR = 12


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def client(home: Path) -> Iterator[Client]:
    """A client of a home with one dataset and one head."""
    with local_client(Settings(backbone="toy", home=home, log_level="error")) as client:
        teach(client)
        yield client


def teach(client: Client) -> None:
    images = [NamedImage(f"{c}-{i}.png", picture(c, i)) for c in COLOURS for i in range(PER_COLOUR)]
    labels = [c for c in COLOURS for _ in range(PER_COLOUR)]
    answer = client.ingest("colours", images, labels)
    assert (answer["added"], answer["rejected"]) == (len(images), [])
    client.learn("colour", "colours", wait=True)


def test_predicting_answers_for_every_image_in_order(client: Client) -> None:
    answer = client.predict([picture("green", 100), b"no image", picture("red", 100)], evidence=2)

    results = answer["results"]
    assert [r["error"] and r["error"]["code"] for r in results] == [None, "not_an_image", None]
    assert [results[i]["predictions"][0]["label"] for i in (0, 2)] == ["green", "red"]
    assert len(results[0]["evidence"]) == 2


def test_predicting_for_a_known_digest_is_predicting_for_its_image(client: Client) -> None:
    by_image = client.predict(picture("red", 3), ["colour@1"])["results"][0]

    by_digest = client.predict(digests=[by_image["image"]["digest"]], heads="colour@champion")

    assert by_digest["results"][0]["predictions"] == by_image["predictions"]


def test_nothing_answered_is_an_error_that_carries_the_answer(client: Client) -> None:
    with pytest.raises(PenultimateError) as refused:
        client.predict(b"no image")

    assert refused.value.code == "nothing_answered"
    assert refused.value.answer is not None
    assert refused.value.answer["results"][0]["error"]["code"] == "not_an_image"
    assert refused.value.problems


def test_a_search_finds_what_is_alike_and_leaves_the_query_out(client: Client) -> None:
    image = picture("red", 3)
    vector = client.embed(image)["embeddings"][0]

    by_image = client.search(image, k=3, dataset="colours")["hits"]

    assert [h["label"] for h in by_image] == ["red"] * 3
    assert vector["digest"] not in [h["digest"] for h in by_image]
    assert client.search(digest=vector["digest"], k=3, dataset="colours")["hits"] == by_image
    own = client.search(vector=vector["vector"], k=1, label="red")["hits"][0]
    assert own["digest"] == vector["digest"]


def test_ingesting_again_finds_everything_known(client: Client) -> None:
    answer = client.ingest("colours", [picture("red", 0)], ["red"])

    assert (answer["added"], answer["known"]) == (0, 1)


def test_columns_that_do_not_match_the_images_are_refused(client: Client) -> None:
    with pytest.raises(PenultimateError) as refused:
        client.ingest("colours", [picture("red", 0)], ["red", "green"])

    assert (refused.value.status, refused.value.code) == (422, "invalid_request")


def test_datasets_labels_and_deletion(client: Client) -> None:
    added = client.ingest(
        "scratch", [picture("blue", 1), picture("blue", 2)], ["a", "b"], ["g", ""]
    )
    digest = added["images"][0]["digest"]

    client.put_labels("scratch", [{"digest": digest, "label": "b"}])

    assert "scratch" in [d["name"] for d in client.datasets()["datasets"]]
    assert client.dataset("scratch")["labels"] == {"b": 2}
    assert client.dataset("scratch")["groups"] == {"g": 1}
    assert client.delete_dataset("scratch")["images_removed"] == 2
    with pytest.raises(PenultimateError) as refused:
        client.dataset("scratch")
    assert refused.value.code == "dataset_not_found"


def test_an_archive_is_a_dataset_too(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/1.png", picture("blue", 8))
        archive.writestr("y/2.png", picture("blue", 9))

    assert client.ingest("archived", archive=path)["labels"] == {"x": 1, "y": 1}
    with path.open("rb") as file:
        assert client.ingest("archived", archive=file)["known"] == 2


def test_versions_aliases_history_and_deletion(client: Client) -> None:
    job = client.learn("short-lived", "colours", options={"seed": 1, "author": "Ada"}, wait=True)
    client.learn("short-lived", "colours", options={"seed": 2}, wait=True)
    assert job["result"] == {"head": "short-lived", "version": 1}
    assert client.card("short-lived", 1)["author"] == "Ada"

    head = client.promote("short-lived", 2, reason="newer")

    assert head == client.head("short-lived")
    assert head["champion"] == 2
    assert client.history("short-lived")["history"][0]["reason"] == "newer"
    assert client.promote("short-lived", 1, alias="old")["aliases"] == {"champion": 2, "old": 1}
    assert client.delete_version("short-lived", 2)["deleted"]
    assert client.head("short-lived")["champion"] == 1
    assert client.delete_head("short-lived")["deleted"]
    assert "short-lived" not in [h["name"] for h in client.heads()["heads"]]


def test_learning_tells_how_far_it_is_and_the_job_is_listed(client: Client) -> None:
    seen: list[float] = []

    job = client.learn(
        "told", "colours", wait=True, on_progress=lambda j: seen.append(j["progress"])
    )

    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert client.job(job["id"])["state"] == "succeeded"
    assert job["id"] in [j["id"] for j in client.jobs()["jobs"]]
    assert client.wait(job["id"])["result"] == job["result"]
    client.delete_head("told")


def test_the_same_idempotency_key_is_the_same_job(client: Client) -> None:
    one = client.learn("once", "colours", idempotency_key="k")
    two = client.learn("once", "colours", idempotency_key="k", wait=True)

    assert one["id"] == two["id"]
    client.delete_head("once")


def test_a_cancelled_job_is_an_error_for_whoever_waits(client: Client) -> None:
    job = client.learn("never", "colours")
    client.cancel(job["id"])

    with pytest.raises(JobFailed) as refused:
        client.wait(job["id"])

    assert refused.value.code == "job_cancelled"


def test_labels_that_cannot_be_learnt_from_are_refused_with_every_problem(client: Client) -> None:
    client.ingest("poor", [picture("red", 0), picture("green", 0)], ["red", "green"])

    with pytest.raises(PenultimateError) as refused:
        client.learn("poor", "poor")

    assert refused.value.code == "labels_not_ready"
    assert refused.value.problems


def test_erasing_names_the_heads_that_learnt_from_the_image(client: Client) -> None:
    client.ingest("erasable", [picture("red", 50)], ["red"])
    digest = client.embed(picture("red", 50))["embeddings"][0]["digest"]

    assert client.erase(digest)["erased"]
    with pytest.raises(PenultimateError) as refused:
        client.erase(digest)
    assert refused.value.code == "image_not_found"


def test_spaces_and_readiness(client: Client) -> None:
    space = client.spaces()["spaces"][0]

    assert client.ready() == {"ready": True}
    assert client.predict(picture("red", 1))["space"] == space["id"]


def test_a_folder_is_ingested_with_its_groups(client: Client, tmp_path: Path) -> None:
    for colour in COLOURS:
        (tmp_path / colour).mkdir()
        for i in range(2):
            (tmp_path / colour / f"{i}.png").write_bytes(picture(colour, 200 + i))
    (tmp_path / "red" / "broken.png").write_bytes(b"no image")
    (tmp_path / "groups.csv").write_text("path,group\nred/0.png,p1\ngreen/0.png,p2\n")

    answer = client.ingest_folder("from-folder", tmp_path, groups="groups.csv")

    assert (answer["added"], answer["labels"]) == (4, {"red": 2, "green": 2})
    assert [r["filename"] for r in answer["rejected"]] == ["red/broken.png"]
    assert client.dataset("from-folder")["groups"] == {"p1": 1, "p2": 1}


def test_a_folder_is_learnt_from_in_one_call(client: Client, tmp_path: Path) -> None:
    for colour in COLOURS:
        (tmp_path / colour).mkdir()
        for i in range(8):
            (tmp_path / colour / f"{i}.png").write_bytes(picture(colour, 800 + i))
    (tmp_path / "stray.png").write_bytes(picture("red", 900))
    (tmp_path / "groups.csv").write_text(
        "path,group\n" + "".join(f"{c}/{i}.png,p{i % 4}-{c}\n" for c in COLOURS for i in range(8))
    )

    added = client.ingest("plain", str(tmp_path))
    job = client.learn("at-once", tmp_path, groups="groups.csv", wait=True)

    assert (added["added"], added["labels"]) == (16, {"green": 8, "red": 8})
    assert any("stray.png" in note for note in added["notes"])
    assert job["result"] == {"head": "at-once", "version": 1}
    assert len(client.dataset("at-once")["groups"]) == 8


def test_what_a_folder_says_replaces_what_was_said_before_only_where_asked(
    client: Client, tmp_path: Path
) -> None:
    for name, seed in (("a/1.png", 700), ("a/2.png", 701), ("b/3.png", 702)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture("red", seed))
    client.ingest_folder("corrected", tmp_path)
    (tmp_path / "a" / "2.png").rename(tmp_path / "b" / "2.png")
    (tmp_path / "a" / "copy.png").write_bytes(picture("red", 702))

    both = client.ingest_folder("corrected", tmp_path)
    replaced = client.ingest_folder("corrected", tmp_path, relabel=True)

    assert both["labels"] == {"a": 3, "b": 2}
    assert replaced["labels"] == {"a": 2, "b": 2}  # 3.png lies in both folders: nobody can tell
    problems = client.dataset("corrected")["problems"]
    conflicts = [p["items"] for p in problems if p["code"] == "conflicting_labels"]
    assert conflicts == [[client.embed(picture("red", 702))["embeddings"][0]["digest"]]]


def asynchronously(client: Client, body: Callable[[AsyncClient], Any]) -> Any:
    """Runs a coroutine with an asynchronous client of the same application."""
    transport = client._http._transport
    assert isinstance(transport, LocalTransport)

    async def run() -> Any:
        async with AsyncClient("http://local", transport=transport._application) as other:
            return await body(other)

    return asyncio.run(run())


def test_the_asynchronous_client_gives_the_same_answers(client: Client, tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "1.png").write_bytes(picture("red", 300))

    async def body(other: AsyncClient) -> list[Any]:
        job = await other.learn("later", "colours", wait=True)
        return [
            job["state"],
            await other.predict(picture("red", 3), "colour"),
            await other.search(picture("red", 3), k=2),
            await other.head("colour"),
            (await other.ingest_folder("async", tmp_path))["added"],
        ]

    got = asynchronously(client, body)

    assert got == [
        "succeeded",
        client.predict(picture("red", 3), "colour"),
        client.search(picture("red", 3), k=2),
        client.head("colour"),
        1,
    ]


def test_the_asynchronous_client_refuses_alike(client: Client) -> None:
    async def body(other: AsyncClient) -> PenultimateError:
        with pytest.raises(PenultimateError) as refused:
            await other.head("nobody")
        return refused.value

    assert asynchronously(client, body).code == "head_not_found"


def test_nobody_there_is_the_same_error_for_both() -> None:
    async def body() -> None:
        async with AsyncClient("http://127.0.0.1:1") as other:
            await other.heads()

    with pytest.raises(PenultimateError, match="No usable answer") as refused:
        asyncio.run(body())

    assert isinstance(refused.value.__cause__, httpx.TransportError)
