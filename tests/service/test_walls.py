"""Every route with every wrong key, as the OpenAPI document lists them: none can be forgotten."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from in_process import opened, refused, settings_of
from keyring import FIRST, Keyring
from live_server import picture
from routes import GUARDED, OPERATIONS, PROBES, role_of

from features.keys import digest
from service.access import ROLES, Role
from service.workflows import predict

IMAGE = picture("red", 0)
"""Known in the first workspace: the heads have learnt from it."""

Things = dict[str, str]
"""Name of a path parameter → a thing that it can name."""

NOTHING: Things = {
    "dataset": "never-was",
    "head": "never-was",
    "version": "1",
    "alias": "champion",
    "digest": "f" * 64,
    "job": "f" * 32,
    "key": "f" * 12,
}
"""Things that no workspace ever had."""

Body = Callable[[Things], dict[str, Any]]


def as_json(make: Body) -> Body:
    return lambda things: {"json": make(things)}


def as_form(**fields: str) -> Body:
    named = {"images": [("images", ("a.png", IMAGE))], "image": [("image", ("a.png", IMAGE))]}
    files = named["images" if "images" in fields else "image"]
    return lambda _: {"files": files, "data": {k: v for k, v in fields.items() if v}}


BODIES: dict[str, Body] = {
    "POST /v1/predict": as_json(lambda t: {"digests": [t["digest"]], "heads": [t["head"]]}),
    "POST /v1/embed": as_form(images=""),
    "POST /v1/search": as_json(lambda t: {"digest": t["digest"], "dataset": t["dataset"]}),
    "POST /v1/datasets/{dataset}/images": as_form(images="", labels="red"),
    "PUT /v1/datasets/{dataset}/labels": as_json(
        lambda t: {"labels": [{"digest": t["digest"], "label": "x"}]}
    ),
    "POST /v1/datasets/{dataset}/compare": as_json(lambda _: {}),
    "POST /v1/heads": as_json(lambda t: {"name": t["head"], "dataset": t["dataset"]}),
    "POST /v1/heads/{head}/versions": lambda _: {"files": [("file", ("h.zip", b"no head"))]},
    "GET /v1/heads/{head}/versions/{version}/validation": lambda t: {
        "params": {"dataset": t["dataset"]}
    },
    "PUT /v1/heads/{head}/aliases/{alias}": as_json(lambda _: {"version": 1, "reason": ""}),
    "PUT /v1/heads/{head}/protection": as_json(lambda _: {"protected": False}),
    "POST /v1/keys": as_json(lambda _: {"role": "predict"}),
}
"""What is sent to each route that takes a body or a query, so that it is one to be answered."""


def takes_body(name: str) -> bool:
    return name in BODIES or "requestBody" in OPERATIONS[name]


def request_of(name: str, things: Things) -> tuple[str, str, dict[str, Any]]:
    """(method, URL, options) of a request about some things."""
    method, path = name.split(" ")
    url = re.sub(r"{(\w+)}", lambda found: things[found[1]], path)
    return method, url, BODIES[name](things) if takes_body(name) else {}


@pytest.fixture(scope="module")
def keyring(taught_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyring]:
    home = shutil.copytree(taught_home, tmp_path_factory.mktemp("walls") / "home")
    with opened(settings_of(home)) as http:
        keyring = Keyring(http)
        keyring.key("admin")
        yield keyring


@pytest.fixture(scope="module")
def theirs(keyring: Keyring) -> Things:
    """Things that the first workspace has."""
    admin = keyring.key("admin")
    jobs = keyring.ask(admin, "GET", "/v1/jobs").json()["jobs"]
    keys = keyring.ask(admin, "GET", "/v1/keys").json()["keys"]
    return {
        "dataset": "colour",
        "head": "colour",
        "version": "1",
        "alias": "champion",
        "digest": digest(IMAGE),
        "job": jobs[0]["id"],
        "key": keys[0]["id"],
    }


def test_every_route_but_the_probes_says_which_role_it_needs() -> None:
    assert {name: role_of(name) for name in GUARDED}.keys() == OPERATIONS.keys() - PROBES
    assert all("security" not in OPERATIONS[name] for name in PROBES)


def test_what_cannot_be_undone_needs_an_admin() -> None:
    admins = {name for name in GUARDED if role_of(name) == "admin"}
    assert admins == {
        "DELETE /v1/images/{digest}",
        "PUT /v1/heads/{head}/protection",
        "POST /v1/keys",
        "GET /v1/keys",
        "DELETE /v1/keys/{key}",
        "GET /v1/audit",
    }
    readers = {name for name in GUARDED if role_of(name) == "predict"}
    assert {n for n in readers if not n.startswith("GET ")} == {
        "POST /v1/predict",
        "POST /v1/embed",
        "POST /v1/search",
    }


@pytest.mark.parametrize("name", GUARDED)
def test_a_wrong_key_is_refused_and_never_learns_why(
    keyring: Keyring, theirs: Things, name: str
) -> None:
    method, url, options = request_of(name, theirs)
    wrong = {
        "none": None,
        "garbage": "garbage",
        "right but for the last letter": keyring.key("admin")[:-1],
        "revoked": keyring.revoked(),
        "expired": keyring.expired(),
    }
    said = {}
    for what, key in wrong.items():
        answer = keyring.ask(key, method, url, **options)
        assert answer.headers["www-authenticate"] == "Bearer", what
        said[what] = refused(answer, 401, "unauthenticated")
    without = said.pop("none")
    assert without["detail"] == "This needs a key."
    assert len({str(body) for body in said.values()}) == 1


@pytest.mark.parametrize(
    ("name", "role"),
    [(n, r) for n in GUARDED for r in ROLES if ROLES.index(r) < ROLES.index(role_of(n))],
)
def test_a_role_that_is_too_low_is_refused_whether_or_not_the_thing_exists(
    keyring: Keyring, theirs: Things, name: str, role: Role
) -> None:
    bodies = []
    for things in (theirs, NOTHING):
        method, url, options = request_of(name, things)
        answer = keyring.ask(keyring.key(role), method, url, **options)
        bodies.append(refused(answer, 403, "forbidden"))
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("name", GUARDED)
def test_the_role_that_a_route_names_is_enough(keyring: Keyring, name: str) -> None:
    method, url, options = request_of(name, NOTHING)
    answer = keyring.ask(keyring.key(role_of(name)), method, url, **options)
    assert answer.status_code not in (401, 403), answer.text


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/openapi.json", "/nowhere", "/v1/heads/"]
)
def test_what_is_no_route_of_the_contract_needs_a_key_too(keyring: Keyring, path: str) -> None:
    refused(keyring.ask(None, "GET", path), 401, "unauthenticated")
    assert keyring.ask(keyring.key("predict"), "GET", path).status_code != 401


@pytest.mark.parametrize("name", sorted(PROBES))
def test_probes_need_none(keyring: Keyring, name: str) -> None:
    assert keyring.ask(None, *name.split(" ")).status_code == 200


# --- between workspaces --------------------------------------------------------------------------


MAKING = {"POST /v1/datasets/{dataset}/images", "POST /v1/heads/{head}/versions"}
"""Routes for which the thing that is named need not be there."""


def names_something(name: str) -> bool:
    others = {what: thing.swapcase() + "1" for what, thing in NOTHING.items()}
    return request_of(name, NOTHING) != request_of(name, others)


@pytest.mark.parametrize("name", [name for name in GUARDED if names_something(name)])
def test_a_thing_of_another_workspace_is_as_if_it_had_never_been(
    keyring: Keyring, theirs: Things, name: str
) -> None:
    before = everything(keyring, keyring.key("admin"))
    others = keyring.key("admin", workspace=f"ward{GUARDED.index(name)}")
    answers = []
    for things in (theirs, NOTHING):
        method, url, options = request_of(name, things)
        answer = keyring.ask(others, method, url, **options)
        text = answer.text
        for what, real in theirs.items():
            if len(real) > 1:
                text = text.replace(real, NOTHING[what])
        answers.append((answer.status_code, unstamped(text)))
    assert answers[0] == answers[1]
    if "{" in name and name not in MAKING:
        assert answers[0][0] == 404
    assert everything(keyring, keyring.key("admin")) == before


def test_lists_of_another_workspace_are_empty(keyring: Keyring, theirs: Things) -> None:
    new = keyring.key("admin", workspace="empty")
    named = [theirs[what] for what in ("digest", "job", "key")]
    for name in [n for n in GUARDED if n.startswith("GET ") and "{" not in n]:
        answer = keyring.ask(new, *name.split(" "))
        assert answer.status_code == 200
        assert [
            n for n in [*named, '"colour"', "is-red", f"{FIRST}-admin"] if n in answer.text
        ] == [], name
    for what in ("datasets", "heads", "jobs"):
        assert keyring.ask(new, "GET", f"/v1/{what}").json() == {what: []}


def test_an_image_that_another_workspace_knows_is_new_here(keyring: Keyring) -> None:
    new = keyring.key("admin", workspace="stranger")
    form: dict[str, Any] = {"files": [("images", ("a.png", IMAGE))]}
    first = keyring.ask(keyring.key("admin"), "POST", "/v1/embed", **form).json()["embeddings"][0]
    assert first["cached"]
    passes = keyring.http.count("penultimate_forward_images_total")
    here = keyring.ask(new, "POST", "/v1/embed", **form).json()["embeddings"][0]
    assert not here["cached"]
    assert keyring.http.count("penultimate_forward_images_total") == passes + 1
    found = keyring.ask(new, "POST", "/v1/search", json={"vector": here["vector"]}).json()
    assert found["hits"] == [] or {h["digest"] for h in found["hits"]} == {here["digest"]}


def test_nor_does_who_is_answered_without_a_thread_hear_of_another_workspaces_image(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = list[bool]()
    soon = predict.predict_soon

    def noted(*args: Any, **kwargs: Any) -> Any:
        coming = soon(*args, **kwargs)
        without.append(coming is not None)
        return coming

    monkeypatch.setattr(predict, "predict_soon", noted)
    keys = [keyring.key("admin"), keyring.key("admin", workspace="at-hand")]

    def cached(key: str, image: bytes) -> bool:
        form: dict[str, Any] = {"files": [("images", ("a.png", image))]}
        answer = keyring.ask(key, "POST", "/v1/predict", **form).json()
        return bool(answer["results"][0]["image"]["cached"])

    for key in keys:  # who has asked before finds what is asked at hand
        assert not cached(key, picture("blue", 5151))
    new = picture("blue", 5152)
    without.clear()
    assert [cached(key, new) for key in (*keys, *keys)] == [False, False, True, True]
    assert without == [True] * 4


def test_an_image_sent_to_two_workspaces_at_once_is_new_in_both(keyring: Keyring) -> None:
    """Also what is under way is nobody else's business."""
    image = picture("blue", 4242)
    keys = [keyring.key("admin", workspace=f"together{n}") for n in range(4)]
    answers = keyring.http.together(
        (
            "POST",
            "/v1/embed",
            {
                "files": [("images", ("a.png", image))],
                "headers": {"Authorization": f"Bearer {key}"},
            },
        )
        for key in keys
    )
    assert [a.json()["embeddings"][0]["cached"] for a in answers] == [False] * 4


def test_the_same_idempotency_key_is_another_one_elsewhere(
    keyring: Keyring, theirs: Things
) -> None:
    here, there = keyring.key("train"), keyring.key("train", workspace="elsewhere")
    asked = {"json": {"name": "again", "dataset": theirs["dataset"]}}
    asked["headers"] = {"Idempotency-Key": "the-same"}
    job = keyring.ask(here, "POST", "/v1/heads", **asked)
    assert job.status_code == 202
    assert keyring.ask(here, "POST", "/v1/heads", **asked).json()["id"] == job.json()["id"]
    refused(keyring.ask(there, "POST", "/v1/heads", **asked), 404, "dataset_not_found")
    keyring.ask(here, "DELETE", job.headers["Location"])


def everything(keyring: Keyring, key: str) -> dict[str, str]:
    """What a workspace shows of itself: every list and what each leads to."""
    seen = {}
    for url in ("/v1/datasets", "/v1/heads", "/v1/jobs", "/v1/datasets/colour", "/v1/heads/colour"):
        seen[url] = keyring.ask(key, "GET", url).text
    return seen


def unstamped(text: str) -> str:
    """An answer without times, ids and secrets that are made up anew each time."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"penultimate_[\w-]{43}", "SECRET", text)
    return re.sub(r"\b(?!f{12})[0-9a-f]{12}\b", "ID", text)
