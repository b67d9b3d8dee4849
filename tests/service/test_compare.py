"""Will this backbone do? A quick look, and backbones side by side, over HTTP and in a shell."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from in_process import Http, opened, refused, settings_of, work
from live_server import picture
from typer.testing import CliRunner

from classifiers.errors import ClassifierError
from classifiers.training import assess
from features.embedder import Embedder
from features.errors import BackboneUnavailable
from features.images import decode
from features.keys import UInt8, Vectors, digest
from features.limits import Limits
from features.testing import ToyBackbone
from service.catalog import Job
from service.cli import app
from service.schemas import Comparison, LookAnswer
from service.wiring import build
from service.workflows.compare import _words
from service.workflows.erase import erase
from service.workflows.ingest import LabelledUpload, ingest

W = "default"
PRESENT = ToyBackbone.space
COLOURS = ("red", "green")


class Parity(ToyBackbone):
    """A backbone that sees whether the sum of all pixels is even, and nothing else."""

    space = replace(PRESENT, layer="parity")
    closed = 0

    def run(self, pixels: UInt8) -> Vectors:
        found = super().run(pixels)
        noise = np.random.default_rng(pixels.sum(dtype=np.int64)).standard_normal((2, 16))
        embeddings = (0.3 * noise[: len(pixels)]).astype(np.float32)
        if len(pixels) > 2:
            embeddings = np.resize(embeddings, (len(pixels), 16)).copy()
        embeddings[:, 0] = 1 + is_odd(pixels)
        return Vectors(embeddings, np.zeros_like(found.stages))

    def close(self) -> None:
        type(self).closed += 1


class Blind(ToyBackbone):
    """A backbone that sees nothing at all."""

    space = replace(PRESENT, layer="nothing")

    def run(self, pixels: UInt8) -> Vectors:
        found = super().run(pixels)
        seeds = [int(image.sum(dtype=np.int64)) for image in pixels]
        rows = [np.random.default_rng([7, seed]).standard_normal(16) for seed in seeds]
        return Vectors(np.array(rows, np.float32), np.ones_like(found.stages))


def is_odd(pixels: UInt8) -> Any:
    return pixels.reshape(len(pixels), -1).sum(axis=1, dtype=np.int64) % 2


def parity(data: bytes) -> str:
    seen = decode(data, PRESENT.preprocessing, Limits())[np.newaxis]
    return "odd" if is_odd(seen)[0] else "even"


ENGINES: dict[str, type[ToyBackbone]] = {"parity": Parity, "blind": Blind}


@contextmanager
def open_backbone(name: str) -> Iterator[Embedder]:
    if name not in ENGINES:
        raise BackboneUnavailable(name, "it is away", hint="Look for it.")
    engine = ENGINES[name]()
    embedder = Embedder(engine)
    try:
        yield embedder
    finally:
        embedder.close()
        engine.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two questions about 300 pictures: which colour, and is the sum of pixels odd."""
    home = tmp_path_factory.mktemp("compare") / "home"
    product = build(settings_of(home))
    for dataset, label in (("colour", None), ("parity", parity)):
        uploads = [
            LabelledUpload(f"{c}-{n}.png", data, label(data) if label else c)
            for n, c in enumerate(COLOURS * 150)
            for data in [picture(c, n)]
        ]
        ingest(product, W, dataset, uploads)
    product.close()
    return home


@pytest.fixture(scope="module")
def home(filled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(filled, tmp_path_factory.mktemp("shared") / "home"))


@pytest.fixture(scope="module")
def http(home: Path) -> Iterator[Http]:
    with opened(settings_of(home)) as http:
        http.product.open_backbone = open_backbone
        yield http


def compare(http: Http, dataset: str, *backbones: str, **options: Any) -> Job:
    asked = {"backbones": list(backbones), "options": options}
    answer = http.post(f"/v1/datasets/{dataset}/compare", json=asked)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['id']}"
    assert answer.json()["kind"] == "compare"
    return http.work()[-1]


def rows_of(job: Job) -> list[dict[str, Any]]:
    assert job.state == "succeeded", job.error
    Comparison.model_validate(job.result)
    assert job.result is not None
    rows: list[dict[str, Any]] = job.result["backbones"]
    return rows


# --- the quick look -------------------------------------------------------------------------------


def test_a_look_finds_the_signal_that_is_there(http: Http) -> None:
    answer = http.get("/v1/datasets/colour/look").json()
    LookAnswer.model_validate(answer)
    assert (answer["verdict"], answer["images"], answer["missing"]) == ("signal", 300, 0)
    assert (answer["space"], answer["classes"]) == (PRESENT.id, ["green", "red"])
    assert answer["methods"][answer["best"]]["auc"]["low"] > 0.8


def test_no_signal_in_this_space_is_an_answer(http: Http) -> None:
    answer = http.get("/v1/datasets/parity/look").json()
    assert answer["verdict"] == "no_signal", answer
    assert "No signal in this space" in answer["words"]


def test_a_look_at_a_dataset_that_cannot_be_learnt_from_is_refused(http: Http) -> None:
    refused(http.get("/v1/datasets/nope/look"), 404, "dataset_not_found")
    ingest(http.product, W, "lonely", [LabelledUpload("a", picture("red", 1), "red")])
    refused(http.get("/v1/datasets/lonely/look"), 422, "labels_not_ready")
    refused(http.post("/v1/datasets/lonely/compare", json={}), 422, "labels_not_ready")
    http.delete("/v1/datasets/lonely")


# --- the comparison -------------------------------------------------------------------------------


def test_no_pace_is_measured_of_a_backbone_that_is_not_ready(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    run = ToyBackbone.run

    def watched(self: ToyBackbone, pixels: Any) -> Any:
        seen.append("run")
        return run(self, pixels)

    monkeypatch.setattr(ToyBackbone, "run", watched)
    monkeypatch.setattr(ToyBackbone, "warm", lambda _: seen.append("warm"))
    compare(http, "parity", "blind")
    # Its vectors are known already: what is run of it is run for its pace alone.
    assert seen[0] == "warm"


def test_a_backbone_that_sees_more_is_clearly_better(http: Http) -> None:
    closed = Parity.closed
    job = compare(http, "parity", "parity", "blind")
    toy, better, blind = rows_of(job)
    assert [row["backbone"] for row in (toy, better, blind)] == ["toy", "parity", "blind"]
    assert [row["present"] for row in (toy, better, blind)] == [True, False, False]
    assert [row["signal"] for row in (toy, better, blind)] == [False, True, False]
    assert (better["space"], better["dim"], better["width"]) == (Parity.space.id, 16, 30)
    assert better["metrics"]["auc"]["value"] > 0.95
    gain = better["metrics"]["auc"]["value"] - toy["metrics"]["auc"]["value"]
    assert better["difference"]["value"] == pytest.approx(gain, abs=1e-5)
    assert better["difference"]["low"] > 0
    assert blind["difference"]["low"] < 0 < blind["difference"]["high"]
    assert toy["difference"] is None
    assert better["look"]["verdict"] == "signal" != blind["look"]["verdict"]
    assert all(row["images_per_second"] > 0 for row in (toy, better, blind))
    assert job.result is not None
    assert job.result["words"].startswith("parity is better than toy")
    assert Parity.closed == closed + 1, "an engine is closed when its vectors are there"


def test_copies_are_the_same_images_for_every_backbone(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each space would find its own, and figures on different folds could not be compared."""
    seen: list[Any] = []

    def noted(X: Any, labels: Any, **given: Any) -> Any:
        seen.append(given["copied"])
        return assess(X, labels, **given)

    monkeypatch.setattr("service.workflows.compare.assess", noted)
    monkeypatch.setattr(
        "service.workflows.compare.find_copied", lambda X, labels, _: ((labels.digests[:2]),)
    )
    compare(http, "colour", "blind")
    assert len(seen) == 2
    assert seen[0] is seen[1]


def test_nobody_is_told_to_change_where_nothing_is_gained(http: Http) -> None:
    job = compare(http, "colour", "blind", "toy", "blind")
    toy, blind = rows_of(job)
    assert blind["difference"]["high"] < 0
    assert (toy["signal"], blind["signal"]) == (True, False)
    assert job.result is not None
    assert job.result["words"] == "No backbone is clearly better than toy: stay with it."


def test_no_signal_anywhere_is_said(http: Http) -> None:
    job = compare(http, "parity", "blind")
    assert not any(row["signal"] for row in rows_of(job))
    assert job.result is not None
    assert job.result["words"].startswith("No signal in any of these spaces")


def test_a_row_without_signal_is_never_called_better() -> None:
    """Chance can put a space that sees nothing clearly above one that has bad luck."""
    measure = {"value": 0.18, "low": 0.003, "high": 0.34}
    rows: list[dict[str, Any]] = [
        {"backbone": "one", "signal": False, "difference": None},
        {"backbone": "two", "signal": False, "difference": measure},
    ]
    assert _words(rows).startswith("No signal in any of these spaces")
    rows[1]["signal"] = True
    assert _words(rows).startswith("two is better than one")
    rows[1]["difference"] = measure | {"low": -0.01}
    assert "may be chance" in _words(rows)


def test_a_backbone_that_cannot_be_had_is_an_error_in_its_own_row(http: Http) -> None:
    toy, away, blind = rows_of(compare(http, "colour", "away", "blind"))
    assert (toy["error"], blind["error"]) == (None, None)
    assert (away["error"]["code"], away["error"]["hint"]) == (
        "backbone_unavailable",
        "Look for it.",
    )
    assert (away["metrics"], away["signal"], away["difference"]) == ({}, False, None)


def test_the_figures_are_those_of_the_card_of_the_head(http: Http) -> None:
    (toy,) = rows_of(compare(http, "colour", "toy", seed=3))
    body = {"name": "h", "dataset": "colour", "options": {"seed": 3}}
    assert http.post("/v1/heads", json=body).status_code == 202
    assert http.work()[-1].state == "succeeded"
    card = http.get("/v1/heads/h/versions/1").json()
    assert toy["metrics"] == card["metrics"]
    assert toy["p_value"] == card["p_value"]


def test_nothing_is_registered_and_vectors_are_kept_for_the_change(http: Http) -> None:
    heads = http.get("/v1/heads").json()
    rows_of(compare(http, "colour", "parity"))
    assert http.get("/v1/heads").json() == heads
    with http.product.workspaces[W].store_in(Parity.space) as store:
        assert len(store) == 300


@pytest.mark.parametrize(
    "asked",
    [
        {"backbones": []},
        {"backbones": ["toy"] * 9},
        {"backbones": ["../../etc/passwd"]},
        {"backbones": ["a b"]},
        {"options": {"seed": -1}},
        {"speed": "fast"},
    ],
)
def test_what_cannot_be_asked_is_refused(http: Http, asked: dict[str, Any]) -> None:
    refused(http.post("/v1/datasets/colour/compare", json=asked), 422, "invalid_request")


def test_weights_that_would_have_to_be_fetched_are_not(http: Http) -> None:
    names = ["timm/resnet18.a1_in1k", "toy", "torchvision/resnet18@int8"]
    answer = http.post("/v1/datasets/colour/compare", json={"backbones": names})
    body = refused(answer, 422, "invalid_request")
    assert [p["detail"].split("'")[1] for p in body["problems"]] == [names[0], names[2]]
    assert "weights" in body["hint"]
    weights = http.product.settings.home / "weights" / "timm-resnet18.a1_in1k.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"whatever its row will say")
    asked = {"backbones": names[:2]}
    answer = http.post("/v1/datasets/colour/compare", json=asked)
    assert answer.status_code == 202
    http.delete(answer.headers["location"])


def test_nor_are_they_for_a_job_that_no_request_brought(http: Http) -> None:
    """As one in a catalog that came from elsewhere."""
    asked = {"dataset": "colour", "backbones": ["timm/resnet10t.c3_in1k"], "options": {}}
    http.product.catalog.jobs.submit(W, "compare", asked, None)
    present, away = rows_of(http.work()[-1])
    assert present["error"] is None
    assert away["error"]["code"] == "invalid_request"
    assert "not on the server" in away["error"]["detail"]


def test_the_same_key_is_the_same_job(http: Http) -> None:
    asked: dict[str, Any] = {
        "json": {"backbones": ["blind"]},
        "headers": {"Idempotency-Key": "once"},
    }
    first, second = (http.post("/v1/datasets/colour/compare", **asked).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert len(http.work()) == 1


# --- from here on a copy of the home changes ------------------------------------------------------


@pytest.fixture
def own(filled: Path, tmp_path: Path) -> Iterator[Http]:
    with opened(settings_of(Path(shutil.copytree(filled, tmp_path / "home")))) as http:
        http.product.open_backbone = open_backbone
        yield http


def at_stage(http: Http, patch: pytest.MonkeyPatch, wanted: str, act: Callable[[], Any]) -> None:
    jobs = http.product.catalog.jobs
    report, pending = jobs.report, [act]

    def watched(job_id: str, owner: str, *, stage: str, progress: float) -> bool:
        if stage == wanted and pending:
            pending.pop()()
        return report(job_id, owner, stage=stage, progress=progress)

    patch.setattr(jobs, "report", watched)


@pytest.mark.parametrize("stage", ["blind: embedding", "blind: opening", "toy: looking"])
def test_a_cancelled_comparison_stops_at_its_next_step(
    own: Http, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    asked = own.post("/v1/datasets/colour/compare", json={"backbones": ["blind"]}).json()
    at_stage(own, monkeypatch, stage, lambda: own.delete(f"/v1/jobs/{asked['id']}"))
    (ended,) = work(own.product)
    assert (ended.state, ended.result) == ("cancelled", None)


def test_an_erasure_reaches_the_vectors_of_a_comparison(own: Http) -> None:
    rows_of(compare(own, "colour", "blind"))
    gone = digest(picture("red", 0))
    erase(own.product, W, gone)
    with own.product.workspaces[W].store_in(Blind.space) as store:
        assert (gone in store, len(store)) == (False, 299)


def test_an_image_erased_while_it_is_embedded_leaves_no_vector_behind(
    own: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The erasure is over before the vectors of its batch are stored."""
    gone = digest(picture("red", 0))
    run, pending = Blind.run, [lambda: erase(own.product, W, gone)]

    def slow(engine: Blind, pixels: UInt8) -> Vectors:
        if pending:
            pending.pop()()
        return run(engine, pixels)

    monkeypatch.setattr(Blind, "run", slow)
    job = compare(own, "colour", "blind")
    assert job.error is not None
    assert job.error["code"] == "labels_not_ready"
    with own.product.workspaces[W].store_in(Blind.space) as store:
        assert gone not in store


def test_images_without_a_vector_are_counted_and_not_embedded(own: Http) -> None:
    store = own.product.workspaces[W].store
    store.delete(sorted(store.digests())[:20])
    answer = own.get("/v1/datasets/colour/look").json()
    assert (answer["images"], answer["missing"], answer["verdict"]) == (280, 20, "signal")
    assert len(store) == 280
    store.delete(store.digests())
    answer = own.get("/v1/datasets/colour/look").json()
    LookAnswer.model_validate(answer)
    assert (answer["images"], answer["missing"], answer["verdict"]) == (0, 300, "too_few")


def test_a_failure_that_nobody_expected_is_not_hidden_in_a_row(
    own: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("service.workflows.compare.assess", broken)
    assert compare(own, "colour", "blind").state == "failed"
    assert not issubclass(RuntimeError, ClassifierError)


def test_a_backbone_with_weights_in_the_home_is_compared_for_real(tmp_path: Path) -> None:
    """No stand-in: a network of timm, opened by its name, its weights from the home's folder."""
    from safetensors.torch import save_file

    from features.networks import timm

    home = tmp_path / "home"
    (home / "weights").mkdir(parents=True)
    net = timm.create_model("test_resnet")
    save_file(net.state_dict(), home / "weights" / "timm-test_resnet.safetensors")
    with opened(settings_of(home, device="reference")) as http:
        uploads = [LabelledUpload("x", picture(c, n), c) for c in COLOURS for n in range(10)]
        ingest(http.product, W, "colour", uploads)
        toy, resnet = rows_of(compare(http, "colour", "timm/test_resnet"))
    assert resnet["error"] is None
    assert (resnet["dim"], resnet["space"] != toy["space"]) == (96, True)


@pytest.fixture
def log_as_before() -> Iterator[None]:
    """A command sends the log to its own standard error, which is closed when it has ended."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_the_commands_print_what_was_found(http: Http, home: Path, log_as_before: None) -> None:
    environment = {"PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"}
    looked = CliRunner().invoke(app, ["look", "colour"], env=environment)
    assert looked.exit_code == 0, looked.output
    assert "logistic regression" in looked.stdout
    assert "Signal: " in looked.stdout
    words = ["compare", "colour", "--backbones", "toy,efficientnet_lite9"]
    compared = CliRunner().invoke(app, words, env=environment)
    assert compared.exit_code == 0, compared.output
    lines = compared.stdout.splitlines()
    assert lines[0].split()[:2] == ["backbone", "dim"]
    assert "served now" in lines[1]
    assert "not to be had" in lines[2]
    assert "there is no backbone of that name" in compared.stdout
    as_json = CliRunner().invoke(app, ["look", "colour", "--json"], env=environment)
    assert json.loads(as_json.stdout) == http.get("/v1/datasets/colour/look").json()
