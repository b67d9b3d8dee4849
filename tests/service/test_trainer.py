"""The trainer, in this process: what it does with a job is in the job table, whatever happens."""

import errno
import itertools
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from in_process import teach, work
from live_server import picture

from features.errors import StoreUnavailable
from service import trainer
from service.catalog import Job
from service.errors import CatalogUnavailable
from service.product import Product, Upload
from service.schemas import LearnOptions
from service.trainer import Trainer
from service.workflows.erase import erase
from service.workflows.ingest import LabelledUpload, ingest
from service.workflows.learn import request_learning
from service.workflows.predict import predict_images

W = "default"


def ask(product: Product, head: str = "new", dataset: str = "colour", **options: Any) -> Job:
    return request_learning(
        product, W, name=head, dataset=dataset, task="auto", options=LearnOptions(**options)
    )


def at_stage(
    product: Product, monkeypatch: pytest.MonkeyPatch, stage: str, act: Callable[[], object]
) -> None:
    """Does something at the moment when the trainer reports a stage for the first time."""
    report, pending = product.catalog.jobs.report, [act]

    def watched(job_id: str, owner: str, *, stage: str, progress: float) -> bool:
        if stage == wanted and pending:
            pending.pop()()
        return report(job_id, owner, stage=stage, progress=progress)

    wanted = stage
    monkeypatch.setattr(product.catalog.jobs, "report", watched)


def test_progress_grows_through_stages_that_people_understand(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []
    report = product.catalog.jobs.report

    def watched(job_id: str, owner: str, *, stage: str, progress: float) -> bool:
        told.append((stage, progress))
        return report(job_id, owner, stage=stage, progress=progress)

    monkeypatch.setattr(product.catalog.jobs, "report", watched)
    assert teach(product, "new", "colour").state == "succeeded"
    stages = list(dict.fromkeys(stage for stage, _ in told))
    assert stages[0] == "checking labels"
    assert stages[-1] == "registering"
    assert len(stages) >= 4
    progress = [p for _, p in told]
    assert progress == sorted(progress)
    assert 0 <= progress[0] <= progress[-1] <= 1


def test_what_learning_needs_is_loaded_once_images_come_and_not_before(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[float] = []
    monkeypatch.setattr(trainer, "warm_up", lambda: loaded.append(time.monotonic()))
    monkeypatch.setattr(trainer, "LOOK_EVERY_S", 0.05)
    stopping = Event()
    running = threading.Thread(target=Trainer(product, stopping).run)
    running.start()
    try:
        time.sleep(0.5)
        assert loaded == []
        for seed in (1, 2):
            ingest(product, W, "more", [LabelledUpload("a.png", picture("red", 900 + seed), "red")])
            end = time.monotonic() + 10
            while not loaded and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.3)
            assert len(loaded) == 1
    finally:
        stopping.set()
        running.join()


def test_a_finished_job_names_the_version_that_answers(product: Product) -> None:
    job = teach(product, "colour", "colour")
    assert (job.state, job.progress, job.stage) == ("succeeded", 1.0, "")
    assert job.result == {"head": "colour", "version": 2}
    version = product.catalog.heads.entry(W, "colour").versions[1]
    card = product.workspaces[W].zoo.load(version.artefact).card
    assert (card.name, card.space_id) == ("colour", product.space.id)
    assert len(product.catalog.heads.training_labels(W, "colour", 2)) == 24


def test_the_same_question_twice_is_the_same_head_twice(product: Product) -> None:
    """Same data, same seed: what the two versions say is the same to the last bit."""
    teach(product, "colour", "colour")
    teach(product, "colour", "colour", seed=7)
    image = Upload("a", picture("red", 900))
    (answer,) = predict_images(product, W, [image], ["colour@1", "colour@2", "colour@3"])["results"]
    first, second, other = (p["probabilities"] for p in answer["predictions"])
    assert first == second
    assert other is not first


def test_a_failure_says_why_and_leaves_no_head(product: Product) -> None:
    labels = "aabbabbaababbabaabbabaab"
    lies = [LabelledUpload("x", picture("red", 50 + n), a) for n, a in enumerate(labels)]
    ingest(product, W, "noise", lies)
    job = teach(product, "new", "noise")
    assert job.state == "failed"
    assert job.error is not None
    assert (job.error["code"], job.error["status"]) == ("no_signal", 422)
    assert job.error["detail"]
    assert job.error["hint"]
    assert "new" not in {e.name for e in product.catalog.heads.entries(W)}
    allowed = teach(product, "new", "noise", allow_no_signal=True)
    assert allowed.state == "succeeded"


def test_a_failure_that_is_kept_names_no_image_and_no_group(product: Product) -> None:
    """They may be erased, and the job stays."""
    ask(product)
    images = product.catalog.datasets.images(W, "colour")
    torn = [replace(image, group="PATIENT-4711") for image in images]
    sides = zip(torn, itertools.cycle(("train", "test")), strict=False)
    product.catalog.datasets.add(W, "colour", [replace(i, split=side) for i, side in sides])
    (job,) = work(product)
    assert job.error is not None
    assert job.error["code"] == "labels_not_ready"
    assert not any(one["items"] for one in job.error["problems"])
    assert "PATIENT" not in str(job.error)


def test_an_error_that_nobody_expected_ends_the_job_and_not_the_trainer(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    first, second = ask(product), ask(product, head="next")
    with monkeypatch.context() as patch:
        patch.setattr(product.workspaces[W].store, "rows", fail)
        trainer = Trainer(product, Event())
        claimed = product.catalog.jobs.claim(trainer._owner)
        assert claimed is not None
        trainer.work(claimed)
    failed = product.catalog.jobs.get(W, first.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error["code"] == "internal_error"
    assert "secret" not in str(failed.error)
    assert [j.id for j in work(product)] == [second.id]
    assert product.catalog.jobs.get(W, second.id).state == "succeeded"


@pytest.mark.parametrize("stage", ["checking labels", "reading vectors", "registering"])
def test_a_running_job_that_is_cancelled_stops_at_its_next_step(
    product: Product, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    job = ask(product)
    at_stage(product, monkeypatch, stage, lambda: product.catalog.jobs.cancel(W, job.id))
    start = time.monotonic()
    (ended,) = work(product)
    assert time.monotonic() - start < 5
    assert (ended.state, ended.result, ended.error) == ("cancelled", None, None)
    assert "new" not in {e.name for e in product.catalog.heads.entries(W)}


def test_cancelling_in_the_last_moment_leaves_no_version(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the last report, while the artefact is written: the transaction decides."""
    job = ask(product)
    zoo = product.workspaces[W].zoo
    add = zoo.add

    def slow(head: Any) -> str:
        product.catalog.jobs.cancel(W, job.id)
        return add(head)

    monkeypatch.setattr(zoo, "add", slow)
    (ended,) = work(product)
    assert ended.state == "cancelled"
    assert "new" not in {e.name for e in product.catalog.heads.entries(W)}


def test_a_trainer_that_should_stop_gives_its_job_back(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopping = Event()
    job = ask(product)
    at_stage(product, monkeypatch, "reading vectors", stopping.set)
    trainer = Trainer(product, stopping)
    thread = threading.Thread(target=trainer.run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    back = product.catalog.jobs.get(W, job.id)
    assert (back.state, back.attempts, back.progress) == ("queued", 0, 0.0)
    monkeypatch.undo()
    assert [j.state for j in work(product)] == ["succeeded"]


def test_images_erased_since_the_question_are_not_learnt_from(product: Product) -> None:
    ask(product)
    digests = sorted(product.catalog.datasets.digests(W, "colour", "red"))
    product.catalog.begin_erasure(W, digests[0])
    product.catalog.finish_erasures(W, [digests[0]])
    (job,) = work(product)
    assert job.state == "succeeded"
    assert len(product.catalog.heads.training_labels(W, "new", 1)) == 23


def test_images_erased_while_they_are_learnt_from_are_in_no_head(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever erased them was told of every head that had learnt from them, and this is none."""
    job, told = ask(product), list[object]()
    digest = min(product.catalog.datasets.digests(W, "colour", "red"))
    kept = set(product.workspaces[W].zoo.artefacts())
    at_stage(
        product,
        monkeypatch,
        "registering",
        lambda: told.extend(one["head"] for one in erase(product, W, digest)["heads"]),
    )
    (ended,) = work(product)
    assert told == ["colour", "is-red"]
    assert (ended.id, ended.state) == (job.id, "failed")
    assert ended.error is not None
    assert ended.error["detail"] == "1 images were erased meanwhile."
    assert "new" not in {e.name for e in product.catalog.heads.entries(W)}
    assert set(product.workspaces[W].zoo.artefacts()) == kept


def test_progress_that_cannot_be_written_stops_no_job(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = CatalogUnavailable("it is away", hint="Wait.")

    def refuse() -> None:
        raise away

    ask(product)
    at_stage(product, monkeypatch, "evaluating", refuse)
    (job,) = work(product)
    assert (job.state, job.attempts) == ("succeeded", 1)


def test_a_job_that_the_catalog_was_away_for_goes_back_into_the_queue(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(product)
    with monkeypatch.context() as patched:

        def refuse(*_: object, **__: object) -> None:
            raise CatalogUnavailable("it is away", hint="Wait.")

        patched.setattr(product.catalog.heads, "register", refuse)
        claimed = product.catalog.jobs.claim("somebody")
        assert claimed is not None
        trainer = Trainer(product, Event())
        trainer._owner = "somebody"
        trainer.work(claimed)
    assert product.catalog.jobs.get(W, claimed.id).state == "queued"
    assert [job.state for job in work(product)] == ["succeeded"]


def test_a_full_disk_under_a_head_is_said_to_be_one(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ask(product)
    monkeypatch.setattr(product.workspaces[W].zoo, "add", full)
    (job,) = work(product)
    assert job.error is not None
    assert job.error["code"] == "store_unavailable"


def test_records_that_are_gone_are_made_again_from_the_bytes(product: Product) -> None:
    place = product.workspaces[W]
    gone = sorted(place.store.digests())[:5]
    place.store.delete(gone)
    ask(product)
    (job,) = work(product)
    assert job.state == "succeeded", job.error
    assert set(gone) <= place.store.digests()


def test_artefacts_that_no_version_uses_are_swept_when_a_trainer_starts(product: Product) -> None:
    zoo = product.workspaces[W].zoo
    kept = set(zoo.artefacts())
    version = product.catalog.heads.entry(W, "colour").versions[0]
    product.catalog.heads.remove(W, "colour", actor="test")
    stopping = Event()
    thread = threading.Thread(target=Trainer(product, stopping).run)
    thread.start()
    end = time.monotonic() + 10
    while version.artefact in set(zoo.artefacts()) and time.monotonic() < end:
        time.sleep(0.02)
    stopping.set()
    thread.join()
    assert set(zoo.artefacts()) == kept - {version.artefact}


def test_an_idle_trainer_writes_the_codes_that_a_large_store_needs(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.coded.LARGE", 10)
    monkeypatch.setattr("service.trainer.TEND_EVERY_S", 0.0)
    folder = product.settings.home / "index" / W / product.space.id
    stopping = Event()
    thread = threading.Thread(target=Trainer(product, stopping).run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not list(folder.glob("*.codes")) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stopping.set()
        thread.join()
    assert list(folder.glob("*.codes"))


def test_a_store_that_cannot_be_tended_stops_no_trainer(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> bool:
        raise StoreUnavailable("somewhere", "the disk is full", hint="Free some space.")

    monkeypatch.setattr(product.workspaces[W].store, "tend", refuse)
    Trainer(product, Event()).tend()
