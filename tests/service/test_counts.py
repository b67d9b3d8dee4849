"""What a request may cost, in things that can be counted: the same on every machine, at any load.

A slower machine passes, a second look at an image does not. The milliseconds are in
`benchmarks/speed`.
"""

import gc
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from anyio import to_thread
from fastapi import routing
from in_process import Http, files
from live_server import picture
from sqlalchemy import event
from starlette import formparsers

from classifiers.zoo import Zoo
from features import pipeline
from features.keys import digest
from features.store import FeatureStore
from features.table import Table
from features.testing import ToyBackbone
from service import access
from service.names import DEFAULT_WORKSPACE
from service.product import Product
from service.workflows.predict import NOW_HEADS, NOW_IMAGES, predict_digests

RED, GREEN = picture("red", 100), picture("green", 101)

TOUCHING = {"open", "os.listdir", "os.scandir", "sqlite3.connect", "subprocess.Popen"}
"""Audit events of Python that reach for a file, a database or a process."""

_listening: list[Counter[str]] = []


def _hear(name: str, arguments: tuple[Any, ...]) -> None:
    if _listening and name in TOUCHING:
        _listening[-1][f"{name} {arguments[0]}"] += 1


sys.addaudithook(_hear)  # for as long as the process lives; deaf unless something is counted


class Work:
    """Counts what is done, by name."""

    def __init__(self) -> None:
        self.done = Counter[str]()

    def counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted each time that it is called."""

        def call(*given: Any, **named: Any) -> Any:
            self.done[name] += 1
            return function(*given, **named)

        return call

    def query(self, *_: Any) -> None:
        self.done["query"] += 1

    @contextmanager
    def of_block(self) -> Iterator[Counter[str]]:
        """What is done inside, once it has ended; files that Python touches as "touched"."""
        touched = Counter[str]()
        before, found = self.done.copy(), Counter[str]()
        _listening.append(touched)
        try:
            yield found
        finally:
            _listening.remove(touched)
            found.update({name: n - before[name] for name, n in self.done.items()})
            found["touched"] = touched.total()
            self.touched = touched


@pytest.fixture
def work(http: Http, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    """Counts the work of the application; both heads are loaded and `RED` is known."""
    known(http, RED)
    monkeypatch.setattr(access, "REFRESH_S", float("inf"))  # else a thread reads keys now and then
    work = Work()
    for owner, attribute, name in (
        (pipeline, "decode", "decode"),
        (ToyBackbone, "run", "forward"),
        (FeatureStore, "get", "look-up"),
        (FeatureStore, "get_now", "glance"),
        (FeatureStore, "put", "append"),
        (Table, "refresh", "log read"),
        (Zoo, "load", "load"),
        (to_thread, "run_sync", "thread"),
        (routing, "solve_dependencies", "framework"),
        (formparsers, "SpooledTemporaryFile", "temporary file"),
    ):
        monkeypatch.setattr(owner, attribute, work.counted(name, getattr(owner, attribute)))
    engine = http.product.catalog.database._engine
    event.listen(engine, "before_cursor_execute", work.query)
    yield work
    event.remove(engine, "before_cursor_execute", work.query)


def known(http: Http, *images: bytes) -> None:
    """Has images looked at, their vectors stored and everything that answers loaded."""
    for _ in range(2):
        assert http.predict(*images).status_code == 200
        http.product.embedder.flush()


def add_heads(product: Product, count: int) -> list[str]:
    """Registers more heads, all with the artefact of the first; returns their names."""
    (artefact,) = {
        v.artefact for v in product.catalog.heads.entry(DEFAULT_WORKSPACE, "colour").versions
    }
    names = [f"more-{number}" for number in range(count)]
    with product.catalog.database.write() as connection:
        for name in names:
            product.catalog.heads.register(
                connection,
                DEFAULT_WORKSPACE,
                name,
                artefact=artefact,
                space_id=product.space.id,
                dataset="colour",
                training={},
                actor="test",
            )
    return names


def cost(work: Work, http: Http, *images: bytes, **fields: Any) -> Counter[str]:
    with work.of_block() as done:
        answer = http.predict(*images, **fields)
        http.product.embedder.flush()
    assert answer.status_code == 200
    return done


def test_a_new_image_is_decoded_once_looked_at_once_and_takes_no_thread(
    http: Http, work: Work
) -> None:
    done = cost(work, http, GREEN)
    assert (done["decode"], done["forward"], done["append"]) == (1, 1, 1)
    assert (done["glance"], done["look-up"], done["thread"], done["query"]) == (2, 0, 0, 0)


def test_an_image_sent_five_times_at_once_is_one_look(http: Http, work: Work) -> None:
    done = cost(work, http, GREEN, RED, GREEN, GREEN, GREEN, GREEN)
    assert (done["decode"], done["forward"], done["look-up"]) == (1, 1, 0)


def test_new_images_of_one_request_are_one_look_up_and_one_append(http: Http, work: Work) -> None:
    images = [(f"{n}.png", picture("blue", n)) for n in range(6)]
    store = http.product.workspaces[DEFAULT_WORKSPACE].store
    with work.of_block() as done:
        http.product.embedder.embed(images, store, remember="later")
        http.product.embedder.flush()
    assert (done["decode"], done["look-up"], done["append"]) == (6, 1, 1)


def test_an_image_that_is_not_to_be_remembered_is_not_written(http: Http, work: Work) -> None:
    done = cost(work, http, GREEN, remember="false")
    assert (done["decode"], done["append"]) == (1, 0)


@pytest.mark.parametrize("heads", [["colour"], ["colour", "is-red"], None])
def test_a_known_image_costs_one_glance_and_neither_a_thread_nor_a_query(
    http: Http, work: Work, heads: list[str] | None
) -> None:
    done = cost(work, http, RED, **({"heads": heads} if heads else {}))
    assert +done == {"glance": 1}, work.touched


def test_a_known_image_wakes_no_thread_that_has_nothing_to_do(
    http: Http, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = http.product.embedder._lock
    monkeypatch.setattr(lock, "notify_all", work.counted("woken", lock.notify_all))
    with work.of_block() as done:
        http.predict(RED)
    assert done["woken"] == 0


def test_a_known_digest_costs_the_same(http: Http, work: Work) -> None:
    with work.of_block() as done:
        answer = http.post("/v1/predict", json={"digests": [digest(RED)], "heads": ["colour"]})
    assert answer.status_code == 200
    assert {name: n for name, n in done.items() if n and name not in ("query", "thread")} == {
        "look-up": 1
    }


@pytest.mark.parametrize(
    "asked",
    [
        {"evidence": "1"},
        {"heads": [f"more-{n}" for n in range(NOW_HEADS + 1)]},
        {"images": NOW_IMAGES + 1},
    ],
)
def test_what_takes_longer_has_a_thread_of_its_own(
    http: Http, work: Work, asked: dict[str, Any]
) -> None:
    add_heads(http.product, NOW_HEADS + 1)
    images = [picture("blue", n) for n in range(asked.pop("images", 1))]
    known(http, *images)
    assert cost(work, http, *images, **asked)["thread"] == 1


def test_the_catalog_is_asked_the_same_whatever_the_number_of_heads(http: Http, work: Work) -> None:
    one = cost(work, http, RED, heads=["colour"])
    names = add_heads(http.product, 20)
    known(http, RED)
    many = cost(work, http, RED, heads=names)
    assert many["query"] == one["query"] <= 2
    assert (many["decode"], many["forward"], many["look-up"], many["touched"]) == (0, 0, 1, 0)


def test_the_catalog_is_asked_the_same_whatever_the_number_of_images(
    http: Http, work: Work
) -> None:
    images = [picture("blue", n) for n in range(10)]
    known(http, *images)
    assert cost(work, http, *images)["query"] == cost(work, http, RED)["query"]
    assert cost(work, http, *images)["look-up"] == 1


def test_images_of_a_filter_are_read_once_while_nothing_is_written(http: Http, work: Work) -> None:
    found = []
    for _ in range(3):
        with work.of_block() as done:
            http.post("/v1/search", json={"digest": digest(RED), "label": "green"})
        found.append(done["query"])
    assert found[0] > found[1] == found[2]


def test_a_new_head_is_loaded_once_and_no_other_is_loaded_again(http: Http, work: Work) -> None:
    add_heads(http.product, 1)
    assert cost(work, http, RED)["load"] == 1
    assert cost(work, http, RED)["load"] == 0


def test_a_request_leaves_nothing_behind(http: Http) -> None:
    """Blocks of memory that Python holds: as many after hundreds of answers as before."""

    def answer(times: int) -> int:
        for _ in range(times):
            predict_digests(http.product, DEFAULT_WORKSPACE, [digest(RED)], ["colour"])
        gc.collect()
        return sys.getallocatedblocks()

    known(http, RED)
    held = [answer(200) for _ in range(6)]
    # Libraries fill what they keep for good a little at a time; a leak grows each time.
    assert min(after - before for before, after in pairwise(held)) < 50


def test_what_a_server_starts_with_has_no_library_that_only_learning_needs() -> None:
    code = "import sys, service.http, service.wiring; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"service.wiring", "numpy"} <= loaded
    of_scipy = {"scipy.stats", "scipy.optimize", "scipy.linalg"}
    assert ({"torch", "timm", "lightgbm", "sklearn"} | of_scipy) & loaded == set()


def test_files_of_a_form_never_reach_the_disk(http: Http, work: Work) -> None:
    with work.of_block() as done:
        answer = http.post("/v1/predict", files=files(*[RED] * 20), data={"heads": "colour"})
    assert answer.status_code == 200
    assert done["touched"] == 0, work.touched
