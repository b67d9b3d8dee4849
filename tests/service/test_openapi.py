"""The OpenAPI document is true: every route of a real application answers as it says."""

import shutil
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from httpx import Response
from in_process import Http, files, opened, refused, settings_of
from live_server import picture
from routes import DOCUMENT, OPERATIONS
from schema_fit import Fit

from features.keys import digest
from service.http import create_app
from service.metrics import PrometheusMetrics

RED, GREEN, NEW = picture("red", 0), picture("green", 0), picture("blue", 500)
PICTURES = [(colour, picture(colour, n)) for colour in ("red", "green", "blue") for n in range(10)]
BAD = b"no image"

LABELS: dict[str, dict[str, str]] = {
    "multilabel": {"red": "warm", "green": "cold", "blue": "cold|dark"},
    "regression": {"red": "1.5", "green": "2.5", "blue": "4.5"},
}

ARROW = "application/vnd.apache.arrow.stream"
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

FIT = Fit(DOCUMENT)

IMAGES = "POST /v1/datasets/{dataset}/images"
VERSION = "/v1/heads/{head}/versions/{version}"


class Journey:
    """Asks an application one thing after the other, and keeps what each route answered."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.headers: dict[str, str] = {}
        self.told: dict[str, list[Response]] = {}

    def ask(self, route: str, /, headers: Any = None, **given: Any) -> Any:
        """What a route answers; what is no option of httpx stands in its path."""
        method, path = route.split(" ")
        names = given.keys() & {"json", "files", "data", "params"}
        options = {name: given.pop(name) for name in names}
        sent = {**self.headers, **(headers or {})}
        answer = self.http.request(method, path.format(**given), headers=sent, **options)
        self.told.setdefault(route, []).append(answer)
        return answer.json() if "json" in answer.headers["content-type"] else answer.text


def fill(journey: Journey) -> None:
    """Datasets that are whole and others that are not, and heads whose answers differ in shape."""
    ask = journey.ask
    images = [data for _, data in PICTURES]
    for task, label in LABELS.items():
        labels = [label[colour] for colour, _ in PICTURES]
        ask(IMAGES, dataset=task, files=files(*images), data={"labels": labels})
        options = {"allow_no_signal": True, "report": "fast"}
        body = {"name": task, "dataset": task, "task": task, "options": options}
        ask("POST /v1/heads", json=body)
    mixed = {"labels": ["a", "a", "", ""], "groups": ["p", "p", "q", ""]}
    ask(IMAGES, dataset="mixed", files=files(RED, RED, GREEN, BAD), data=mixed)
    ask(IMAGES, dataset="colour", files=files(NEW), data={"labels": [""]})
    ask(IMAGES, dataset="mixed", files=files(RED), data={"labels": ["a", "b"]})
    ask("POST /v1/heads", json={"name": "mixed", "dataset": "mixed"})
    ask("POST /v1/heads", json={"name": "mixed"})
    ask("POST /v1/heads", json={"name": "failed", "dataset": "is-red"})
    ask("DELETE /v1/datasets/{dataset}", dataset="is-red")
    states = [job.state for job in journey.http.work()]
    assert states == ["succeeded", "succeeded", "failed"]


def ask_about_images(journey: Journey) -> None:
    ask = journey.ask
    form = {"files": files(RED, BAD)}
    ask("POST /v1/predict", **form, data={"heads": ["colour", "nope"], "evidence": "2"})
    ask("POST /v1/predict", **form, params={"heads": ["is-red"], "evidence": 1, "remember": "no"})
    ask("POST /v1/predict", files=files(RED, NEW), data={"explain": "true"})
    ask("POST /v1/predict", json={"digests": [digest(RED), "f" * 64], "evidence": 1})
    ask("POST /v1/predict", files=files(BAD))
    ask("POST /v1/predict", files=files(*[RED] * 65))
    ask("POST /v1/predict", json={"digests": [], "evidence": -1})
    ask("POST /v1/embed", **form)
    ask("POST /v1/embed", files=files(RED, GREEN), headers={"Accept": ARROW})
    ask("POST /v1/embed", **form, headers={"Accept": ARROW})
    ask("POST /v1/search", files=files(RED, field="image"), data={"dataset": "colour"})
    ask("POST /v1/search", files=files(RED, field="image"), params={"k": 2, "label": "red"})
    ask("POST /v1/search", json={"digest": digest(RED), "k": 1000})
    ask("POST /v1/search", json={"digest": "f" * 64})
    ask("GET /v1/spaces")


def ask_about_datasets(journey: Journey) -> None:
    ask = journey.ask
    ask("GET /v1/datasets")
    for name in ("colour", "mixed", "nope"):
        ask("GET /v1/datasets/{dataset}", dataset=name)
        ask("GET /v1/datasets/{dataset}/look", dataset=name)
        ask("POST /v1/datasets/{dataset}/compare", dataset=name, json={"backbones": ["toy"]})
        entry = {"digest": digest(RED), "label": "red", "group": "p"}
        ask("PUT /v1/datasets/{dataset}/labels", dataset=name, json={"labels": [entry]})


def ask_about_heads(journey: Journey) -> None:
    ask = journey.ask
    fresh = [(colour, picture(colour, n)) for colour in ("red", "green") for n in range(600, 606)]
    labels = {"labels": [colour for colour, _ in fresh]}
    ask(IMAGES, dataset="fresh", files=files(*(data for _, data in fresh)), data=labels)
    ask("GET /v1/heads")
    for name in ("colour", *LABELS, "nope"):
        ask("GET /v1/heads/{head}", head=name)
        ask("PUT /v1/heads/{head}/protection", head=name, json={"protected": True})
        aliases = "PUT /v1/heads/{head}/aliases/{alias}"
        ask(aliases, head=name, alias="shadow", json={"version": 1, "reason": "a try"})
        for what in ("", "/suspects", "/next", "/report", "/file"):
            ask(f"GET {VERSION}{what}", head=name, version=1)
        ask("GET /v1/heads/{head}/history", head=name)
        for dataset in ("fresh", "colour", "multilabel", "nope"):
            validation = f"GET {VERSION}/validation"
            ask(validation, head=name, version=1, params={"dataset": dataset})
    packed = journey.told[f"GET {VERSION}/file"][0].content
    for data in (packed, b"no head"):
        form = {"files": [("file", ("a.head.zip", data))]}
        ask("POST /v1/heads/{head}/versions", head="theirs", **form)
    ask(f"DELETE {VERSION}", head="regression", version=1)
    ask("DELETE /v1/heads/{head}", head="multilabel")
    ask("DELETE /v1/heads/{head}", head="multilabel")
    ask("DELETE /v1/images/{digest}", digest=digest(RED))
    ask("DELETE /v1/images/{digest}", digest=digest(RED))


def ask_about_the_rest(journey: Journey) -> None:
    ask = journey.ask
    for job in ask("GET /v1/jobs")["jobs"]:
        ask("GET /v1/jobs/{job}", job=job["id"])
        ask("DELETE /v1/jobs/{job}", job=job["id"])
    for probe in ("livez", "readyz", "metrics"):
        ask(f"GET /{probe}")
    admin = ask("POST /v1/keys", json={"role": "admin", "name": "ana"})
    ask("GET /v1/heads")
    journey.headers = {"Authorization": f"Bearer {admin['key']}"}
    reader = ask("POST /v1/keys", json={"role": "predict", "expires": "1h"})
    ask("POST /v1/keys", json={"role": "predict", "name": "ana"})
    ask("DELETE /v1/keys/{key}", key=reader["id"])
    ask("GET /v1/keys")
    ask("GET /v1/audit", params={"limit": 5})
    ask("GET /v1/audit", params={"limit": 0})


@pytest.fixture(scope="module")
def told(
    taught_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Response]]]:
    """What each route answered, to requests that it grants and to some that it refuses."""
    home = shutil.copytree(taught_home, tmp_path_factory.mktemp("openapi") / "home")
    with opened(settings_of(home)) as http:
        journey = Journey(http)
        fill(journey)
        ask_about_images(journey)
        ask_about_datasets(journey)
        ask_about_heads(journey)
        ask_about_the_rest(journey)
        yield journey.told


def misfits(route: str, answer: Response) -> list[str]:
    """Everything in which an answer is not what the document says of its route."""
    said = OPERATIONS[route]["responses"]
    fallback = {} if answer.is_success else said["default"]
    content = said.get(str(answer.status_code), fallback).get("content", {})
    kind = answer.headers["content-type"].partition(";")[0]
    if kind not in content:
        return [f"{answer.status_code} as {kind} is not documented"]
    body = answer.json() if kind.endswith("json") else answer.text
    return FIT.misfits(body, content[kind]["schema"])


@pytest.mark.parametrize("route", sorted(OPERATIONS))
def test_a_route_answers_as_the_document_says(told: dict[str, list[Response]], route: str) -> None:
    answers = told[route]
    assert any(answer.is_success for answer in answers), [a.text for a in answers]
    assert [(str(a.request.url), found) for a in answers if (found := misfits(route, a))] == []


def test_refusals_of_many_kinds_were_among_the_answers(told: dict[str, list[Response]]) -> None:
    answers = [answer for one in told.values() for answer in one if not answer.is_success]
    codes = {refused(a, a.status_code, a.json()["code"])["code"] for a in answers}
    assert codes == {
        *("invalid_request", "request_too_large", "unauthenticated", "conflict"),
        *("nothing_answered", "not_an_image", "labels_not_ready", "unknown_digest"),
        *("dataset_not_found", "head_not_found", "image_not_found", "head_rejected"),
    }


def test_where_nothing_could_be_answered_the_document_says_that_the_answer_is_there(
    told: dict[str, list[Response]],
) -> None:
    answers = [a.json() for a in told["POST /v1/predict"] if a.status_code == 422]
    nothing, other = sorted(answers, key=lambda a: a["code"], reverse=True)
    assert nothing.keys() - other.keys() == {"space", "results"}
    both, plain = OPERATIONS["POST /v1/predict"]["responses"]["422"]["content"][
        "application/problem+json"
    ]["schema"]["anyOf"]
    assert (FIT.misfits(nothing, both), FIT.misfits(other, plain)) == ([], [])
    assert FIT.misfits(other, both) == ["answer: no space", "answer: no results"]


def test_before_it_is_ready_a_server_says_so_as_the_document_does(empty_http: Http) -> None:
    product, metrics = empty_http.product, empty_http.metrics
    starting = Http(create_app(product.settings, PrometheusMetrics()), product, metrics)
    answers = [starting.get("/readyz")]
    with product.catalog.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE registry RENAME TO lost")
    answers.append(empty_http.get("/readyz"))
    assert [(answer.status_code, answer.headers["content-type"]) for answer in answers] == [
        (503, "application/json"),
        (503, "application/problem+json"),
    ]
    assert [misfits("GET /readyz", answer) for answer in answers] == [[], []]


# --- the document alone --------------------------------------------------------------------------


@pytest.mark.parametrize("route", sorted(OPERATIONS))
def test_every_route_has_a_shape_for_its_success_and_problems_for_all_else(route: str) -> None:
    said = OPERATIONS[route]["responses"]
    assert said["default"]["content"] == PROBLEM
    (success,) = [one for status, one in said.items() if status.startswith("2")]
    assert success["content"]
    assert all(one["schema"] for one in success["content"].values())


@pytest.mark.parametrize(("route", "status"), [("livez", 200), ("readyz", 200), ("readyz", 503)])
def test_a_probe_may_be_answered_by_bentoml_which_sends_a_line_of_text(
    route: str, status: int
) -> None:
    content = OPERATIONS[f"GET /{route}"]["responses"][str(status)]["content"]
    assert content["text/plain"]["schema"] == {"type": "string"}


def test_the_shapes_of_the_framework_s_own_refusals_are_gone() -> None:
    assert "Problem" in DOCUMENT["components"]["schemas"]
    assert "ValidationError" not in str(DOCUMENT)


@pytest.mark.parametrize("route", ["POST /v1/predict", "POST /v1/search"])
def test_fields_of_a_form_that_are_taken_from_the_query_are_declared_there(route: str) -> None:
    content = OPERATIONS[route]["requestBody"]["content"]
    form = content["multipart/form-data"]["schema"]["properties"]
    declared = {p["name"]: p for p in OPERATIONS[route]["parameters"] if p["in"] == "query"}
    assert declared.keys() == form.keys() - {"images", "image"}
    assert not any(p["required"] for p in declared.values())
    kinds = {name: p["schema"]["type"] for name, p in declared.items()}
    assert kinds == {name: form[name]["type"] for name in declared}


# --- what compares, breaks when it should --------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (lambda head: head.update(more=1), "answer: more is not documented"),
        (lambda head: head["versions"][0].update(more=1), "answer.versions[0]: more is not"),
        (lambda head: head.pop("created"), "answer: no created"),
        (lambda head: head.update(champion="1"), "answer.champion: '1' is no integer"),
        (lambda head: head.update(protected=0), "answer.protected: 0 is no boolean"),
        (lambda head: head["aliases"].update(shadow=True), "answer.aliases.shadow: True is no"),
        (lambda head: head.update(versions=None), "answer.versions: None is no array"),
    ],
)
def test_an_answer_that_is_not_as_documented_is_seen(
    shared_http: Http, spoil: Callable[[Any], None], wrong: str
) -> None:
    schema = {"$ref": "#/components/schemas/HeadAnswer"}
    head = shared_http.get("/v1/heads/colour").json()
    assert FIT.misfits(head, schema) == []
    spoilt = deepcopy(head)
    spoil(spoilt)
    assert FIT.misfits(spoilt, schema)[0].startswith(wrong)
