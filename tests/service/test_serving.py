"""The heads that answer are those that the catalog has, at every request and on every thread."""

import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from in_process import settings_of, teach
from live_server import picture

from classifiers.forest import Forest
from classifiers.head import Head
from classifiers.zoo import Zoo
from service.panel import Panel
from service.product import Product, Upload
from service.wiring import build
from service.workflows import heads
from service.workflows.predict import predict_images

W = "default"


def matrix(product: Product) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    store = product.workspaces[W].store
    return store.rows(sorted(store.digests())).matrix()


def test_heads_are_asked_for_by_reference_and_each_error_stays_with_its_head(
    product: Product,
) -> None:
    asked = product.served(W).ask(["colour", "nope", "colour@1", "colour@7", "@"]).asked
    assert [(a.name, a.version) for a in asked] == [
        ("colour", 1),
        ("nope", None),
        ("colour", 1),
        ("colour@7", None),
        ("@", None),
    ]
    assert [a.error is None for a in asked] == [True, False, True, False, False]
    assert asked[0].able == asked[2].able


def test_a_packed_answer_is_that_of_each_head_alone(product: Product) -> None:
    served, X = product.served(W), matrix(product)
    panel = served.ask(None)
    found = panel.answers(X)
    for number, (packed, one) in enumerate(zip(found.by_head, panel.asked, strict=True)):
        head = served.whole(one)
        np.testing.assert_array_equal(packed, head.answers(X))
        np.testing.assert_array_equal(found.usualness[:, number], head.usualness(X))
        assert packed.shape == (len(X), 2)


def test_a_head_deleted_between_finding_and_asking_still_answers(product: Product) -> None:
    served, X = product.served(W), matrix(product)
    panel = served.ask(None)
    before = panel.answers(X)
    heads.delete_head(product, W, "colour")
    assert [a.name for a in served.ask(None).asked] == ["is-red"]
    np.testing.assert_array_equal(before.flat, panel.answers(X).flat)


def test_heads_that_have_answered_are_there_without_waiting(product: Product) -> None:
    served, X = product.served(W), matrix(product)
    panel = served.ask(None)
    assert served.ask_now(None, at_most=2) is None, "what answers may have to be compiled"
    first = panel.answers(X)
    with served._lock, served._loading:  # somebody loads others
        now = served.ask_now(None, at_most=2)
        assert served.ask_now(["colour"], at_most=1) is not None
        assert served.ask_now(None, at_most=1) is None, "too many"
        assert served.ask_now(["colour", "nope"], at_most=2) is None
        assert served.ask_now(["colour@1"], at_most=2) is None, "never asked for"
    assert now is not None
    np.testing.assert_array_equal(first.flat, now.answers(X).flat)


def test_after_a_change_of_the_catalog_somebody_has_to_ask_first(product: Product) -> None:
    served, X = product.served(W), matrix(product)
    served.ask(None).answers(X)
    heads.delete_head(product, W, "colour")
    assert served.ask_now(None, at_most=2) is None
    served.ask(None)
    now = served.ask_now(None, at_most=2)
    assert now is not None
    assert [a.name for a in now.asked] == ["is-red"]


def test_a_head_whose_artefact_is_gone_or_damaged_has_that_error(product: Product) -> None:
    entry = product.catalog.heads.entry(W, "colour")
    zoo = product.workspaces[W].zoo
    zoo.remove(entry.versions[0].artefact)
    broken, whole = product.served(W).ask(["colour", "is-red"]).asked
    assert broken.error is not None
    assert whole.error is None
    (answer,) = predict_images(product, W, [Upload("a", picture("red", 1))], None)["results"]
    assert [p["error"] is None for p in answer["predictions"]] == [False, True]


def test_a_head_registered_by_another_process_answers_at_the_next_request(
    product: Product, home: Path
) -> None:
    image = Upload("a.png", picture("red", 300))
    assert names(product, image) == ["colour", "is-red"]
    other = build(settings_of(home))
    assert teach(other, "third", "colour").state == "succeeded"
    assert names(product, image) == ["colour", "is-red", "third"]
    heads.delete_head(other, W, "third")
    assert names(product, image) == ["colour", "is-red"]
    other.close()


def test_an_alias_moved_by_another_process_counts_at_the_next_request(
    product: Product, home: Path
) -> None:
    other = build(settings_of(home))
    assert teach(other, "colour", "is-red").state == "succeeded"
    heads.point(other, W, "colour", "champion", 2, "try it")
    (answer,) = predict_images(product, W, [Upload("a", picture("red", 1))], ["colour"])["results"]
    assert [(p["version"], p["label"]) for p in answer["predictions"]] == [(2, "yes")]
    other.close()


def test_who_asks_for_loaded_heads_waits_for_nobody_who_loads_others(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = product.served(W)
    served.ask(["colour"])
    begun, go_on, load = threading.Event(), threading.Event(), Zoo.load

    def slow(zoo: Zoo, artefact: str) -> Head:
        begun.set()
        assert go_on.wait(20)
        return load(zoo, artefact)

    monkeypatch.setattr(Zoo, "load", slow)
    loading = threading.Thread(target=served.load_champions)
    loading.start()
    try:
        assert begun.wait(20)
        assert soon(lambda: served.ask(["colour"])).asked[0].error is None
        # A change of the catalog is seen meanwhile, and what is being loaded then is asked again.
        heads.point(product, W, "colour", "tried", 1, "")
        assert soon(lambda: served.ask(["colour@tried"])).asked[0].error is None
    finally:
        go_on.set()
        loading.join()
    assert [a.error for a in served.ask(None).asked] == [None, None]


def test_answers_stay_right_while_heads_come_and_go(product: Product) -> None:
    """Ten threads ask; meanwhile aliases move and a head is deleted and read again."""
    images = [Upload(c, picture(c, 400)) for c in ("red", "green")]
    wrong: list[object] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                for result in predict_images(product, W, images, ["colour"])["results"]:
                    (said,) = result["predictions"]
                    if said["label"] != result["image"]["filename"]:
                        wrong.append(said)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is wrong
                wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for n in range(10):
        heads.point(product, W, "colour", f"alias-{n}", 1, "")
    heads.delete_head(product, W, "is-red")
    for n in range(10):
        heads.point(product, W, "colour", f"alias-{n}", 1, "")
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def soon(ask: Callable[[], Panel]) -> Panel:
    """What is answered within five seconds."""
    found: list[Panel] = []
    threading.Thread(target=lambda: found.append(ask()), daemon=True).start()
    until = monotonic() + 5
    while not found and monotonic() < until:
        sleep(0.01)
    (panel,) = found
    return panel


def names(product: Product, image: Upload) -> list[str]:
    (result,) = predict_images(product, W, [image], None)["results"]
    return [p["head"] for p in result["predictions"]]


def test_a_head_that_cannot_be_packed_leaves_the_others_whole(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = product.served(W)
    add = served._forest.add

    def add_some(head: Head) -> int:
        if head.card.name == "is-red":
            raise MemoryError
        return add(head)

    def fail(_: object) -> list[int]:
        raise MemoryError

    monkeypatch.setattr(served._forest, "extend", fail)
    monkeypatch.setattr(
        served._forest, "add", lambda head: Forest.extend(served._forest, [head])[0]
    )
    assert all(a.error is None for a in served.ask(["colour"]).asked)
    monkeypatch.setattr(served._forest, "add", add_some)
    errors = {a.name: a.error for a in served.ask(["colour", "is-red"]).asked}
    assert errors["colour"] is None
    assert isinstance(errors["is-red"], MemoryError)
