"""Keys and the audit over HTTP: made, used, revoked; and what every change leaves behind."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from in_process import Http, files, opened, refused, settings_of
from keyring import Keyring
from live_server import picture
from routes import CHANGING

from service.chain import breaks


@pytest.fixture
def keyring(http: Http) -> Keyring:
    return Keyring(http)


@pytest.fixture(scope="module")
def settled(taught_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyring]:
    """The same for tests that do not mind what others did before them."""
    home = shutil.copytree(taught_home, tmp_path_factory.mktemp("settled") / "home")
    with opened(settings_of(home)) as http:
        yield Keyring(http)


@pytest.fixture(scope="module")
def new_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    """A new home that stays without keys."""
    with opened(settings_of(tmp_path_factory.mktemp("new") / "home")) as http:
        yield http


def lines(keyring: Keyring, key: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = keyring.ask(key, "GET", "/v1/audit?limit=1000").json()["lines"]
    return found


# --- before the first key ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:3000"},
        {"Host": "[::2]"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "["},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://localhost:8888"},
        {"Origin": "http://127.0.0.1@evil.example"},
    ],
)
def test_without_keys_no_web_page_can_ask(new_http: Http, headers: dict[str, str]) -> None:
    refused(new_http.get("/v1/heads", headers=headers), 401, "unauthenticated")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": "localhost:3000", "Origin": "http://localhost:3000"},
        {"Host": "[::1]:3000"},
        {"Host": "127.9.9.9"},
        {"Authorization": "Bearer whatever"},
    ],
)
def test_without_keys_this_machine_is_answered(new_http: Http, headers: dict[str, str]) -> None:
    assert new_http.get("/v1/heads", headers=headers).status_code == 200


@pytest.mark.parametrize("client", ["10.0.0.7", "::2", "::ffff:10.0.0.7", "172.17.0.1", None, "x"])
def test_without_keys_no_other_machine_is_answered(
    new_http: Http, client: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_http, "client", None if client is None else (client, 4242))
    for url in ("/v1/heads", "/docs", "/nowhere"):
        refused(new_http.get(url), 401, "unauthenticated")
    assert new_http.get("/livez").status_code == 200


def test_this_machine_is_known_by_its_mapped_address_too(
    new_http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(new_http, "client", ("::ffff:127.0.0.1", 4242))
    assert new_http.get("/v1/heads").status_code == 200


def test_another_machine_is_answered_with_a_key(keyring: Keyring) -> None:
    keyring.http.client = ("10.0.0.7", 4242)
    assert keyring.ask(keyring.key("predict"), "GET", "/v1/heads").status_code == 200


def test_the_first_key_shuts_the_door_and_losing_it_does_not_open_it(http: Http) -> None:
    made = http.post("/v1/keys", json={"role": "admin", "name": "only"}).json()
    assert (made["workspace"], made["created_by"]) == ("default", "anonymous")
    refused(http.get("/v1/heads"), 401, "unauthenticated")
    auth = {"Authorization": f"Bearer {made['key']}"}
    assert http.delete(f"/v1/keys/{made['id']}", headers=auth).json()["state"] == "revoked"
    refused(http.get("/v1/heads"), 401, "unauthenticated")
    refused(http.get("/v1/heads", headers=auth), 401, "unauthenticated")


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_kept_as_a_hash(keyring: Keyring, home: Path) -> None:
    admin = keyring.key("admin")
    asked = {"role": "train", "name": "ana", "expires": "90d"}
    made = keyring.ask(admin, "POST", "/v1/keys", json=asked)
    assert made.status_code == 201
    secret = made.json()["key"]
    listed = keyring.ask(admin, "GET", "/v1/keys")
    assert [k["name"] for k in listed.json()["keys"]] == ["default-admin", "ana"]
    assert "key" not in listed.json()["keys"][1]
    kept = b"".join(f.read_bytes() for f in home.rglob("*") if f.is_file())
    assert b"ana" in kept
    assert secret.encode() not in kept
    assert admin.encode() not in kept


def test_a_key_opens_until_it_is_revoked_in_every_process_at_once(keyring: Keyring) -> None:
    admin, key = keyring.key("admin"), keyring.key("predict", name="ben")
    (entry,) = (
        k for k in keyring.ask(admin, "GET", "/v1/keys").json()["keys"] if k["name"] == "ben"
    )
    product = keyring.http.product
    with opened(settings_of(product.settings.home)) as worker:  # a second one on the same home
        elsewhere = Keyring(worker)
        assert elsewhere.ask(key, "GET", "/v1/heads").status_code == 200
        for _ in range(2):  # safe to repeat
            gone = keyring.ask(admin, "DELETE", f"/v1/keys/{entry['id']}").json()
            assert gone["state"] == "revoked"
        refused(elsewhere.ask(key, "GET", "/v1/heads"), 401, "unauthenticated")
        refused(keyring.ask(key, "GET", "/v1/heads"), 401, "unauthenticated")


def test_a_key_ends_when_its_time_is_over(keyring: Keyring) -> None:
    admin = keyring.key("admin")
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    made = keyring.ask(admin, "POST", "/v1/keys", json={"role": "predict", "expires": soon}).json()
    assert keyring.ask(made["key"], "GET", "/v1/heads").status_code == 200
    time.sleep(3.1)
    refused(keyring.ask(made["key"], "GET", "/v1/heads"), 401, "unauthenticated")
    states = {k["name"]: k["state"] for k in keyring.ask(admin, "GET", "/v1/keys").json()["keys"]}
    assert states[made["name"]] == "expired"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"role": "root"}, "invalid_request"),
        ({}, "invalid_request"),
        ({"role": "train", "expires": "soon"}, "invalid_request"),
        ({"role": "train", "expires": "0d"}, "invalid_request"),
        ({"role": "train", "expires": "2001-01-01T00:00:00Z"}, "invalid_request"),
        ({"role": "train", "expires": "9999-99-99"}, "invalid_request"),
        ({"role": "train", "rolle": "admin"}, "invalid_request"),
        ({"role": "train", "name": "a b"}, "invalid_request"),
        ({"role": "train", "name": "system"}, "invalid_request"),
        ({"role": "train", "name": "Anonymous"}, "invalid_request"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused(
    settled: Keyring, body: dict[str, str], code: str
) -> None:
    refused(settled.ask(settled.key("admin"), "POST", "/v1/keys", json=body), 422, code)


def test_names_of_keys_are_never_given_twice(settled: Keyring) -> None:
    admin = settled.key("admin")
    asked: dict[str, Any] = {"json": {"role": "predict", "name": "once"}}
    made = settled.ask(admin, "POST", "/v1/keys", **asked).json()
    settled.ask(admin, "DELETE", f"/v1/keys/{made['id']}")
    refused(settled.ask(admin, "POST", "/v1/keys", **asked), 409, "conflict")


def test_an_admin_makes_keys_to_their_own_workspace_alone(settled: Keyring) -> None:
    body = {"role": "predict", "workspace": "ward7"}
    refused(settled.ask(settled.key("admin"), "POST", "/v1/keys", json=body), 403, "forbidden")
    made = settled.ask(settled.key("admin", workspace="ward7"), "POST", "/v1/keys", json=body)
    assert made.json()["workspace"] == "ward7"


@pytest.mark.parametrize(
    "said", ["", "Bearer", "Bearer ", "Basic {}", "{}", "Bearer {} {}", "Bearer x{}", "\xff {}"]
)
def test_a_key_that_is_sent_otherwise_opens_nothing(settled: Keyring, said: str) -> None:
    key = settled.key("admin")
    header = said.format(key, key).encode("latin-1")
    answer = settled.http.get("/v1/heads", headers={"Authorization": header})
    refused(answer, 401, "unauthenticated")


def test_two_keys_at_once_open_nothing(settled: Keyring) -> None:
    key = f"Bearer {settled.key('admin')}"
    answer = settled.http.get("/v1/heads", headers=[("Authorization", key), ("Authorization", key)])
    refused(answer, 401, "unauthenticated")


def test_the_scheme_may_be_in_any_case(settled: Keyring) -> None:
    header = {"Authorization": f"bearer  {settled.key('predict')}"}
    assert settled.http.get("/v1/heads", headers=header).status_code == 200


def test_a_body_of_nobody_is_never_read(settled: Keyring) -> None:
    settled.key("admin")
    refused(settled.http.post("/v1/keys", content=b"{no json"), 401, "unauthenticated")


# --- protected heads -----------------------------------------------------------------------------


def test_only_admins_change_what_a_protected_head_answers(keyring: Keyring) -> None:
    train, admin = keyring.key("train"), keyring.key("admin")
    moves: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", "/v1/heads/colour/aliases/champion", {"json": {"version": 1, "reason": ""}}),
        ("DELETE", "/v1/heads/colour/versions/1", {}),
        ("DELETE", "/v1/heads/colour", {}),
    ]
    assert keyring.ask(train, *moves[0][:2], **moves[0][2]).status_code == 200
    on = keyring.ask(admin, "PUT", "/v1/heads/colour/protection", json={"protected": True})
    assert on.json()["protected"]
    for method, url, options in moves:
        refused(keyring.ask(train, method, url, **options), 403, "forbidden")
    assert keyring.ask(admin, *moves[0][:2], **moves[0][2]).status_code == 200
    keyring.ask(admin, "PUT", "/v1/heads/colour/protection", json={"protected": False})
    assert keyring.ask(train, *moves[2][:2]).status_code == 200


# --- the audit -----------------------------------------------------------------------------------


LEARN = ("POST", "/v1/heads", {"json": {"name": "colour", "dataset": "colour"}})


def changes(digest: str, job: str, key_id: str) -> list[tuple[str, tuple[str, str, Any], str, str]]:
    """(who, request, action, which) of every change that is left once there is all of these."""
    move = {"json": {"version": 2, "reason": "newer"}}
    head = "/v1/heads/colour"
    return [
        ("tess", ("DELETE", f"/v1/jobs/{job}", {}), "job.cancel", job),
        ("tess", ("PUT", f"{head}/aliases/champion", move), "head.point", "colour"),
        (
            "ada",
            ("PUT", f"{head}/protection", {"json": {"protected": True}}),
            "head.protect",
            "colour",
        ),
        ("ada", ("DELETE", f"{head}/versions/1", {}), "version.delete", "colour"),
        ("ada", ("DELETE", head, {}), "head.delete", "colour"),
        ("ada", ("DELETE", f"/v1/images/{digest}", {}), "image.erase", digest),
        ("tess", ("DELETE", "/v1/datasets/is-red", {}), "dataset.delete", "is-red"),
        ("ada", ("DELETE", f"/v1/keys/{key_id}", {}), "key.revoke", key_id),
    ]


def test_every_change_is_written_down_with_its_actor(keyring: Keyring) -> None:
    people = {
        "tess": keyring.key("train", name="tess"),
        "ada": keyring.key("admin", name="ada"),
    }

    def done(who: str, method: str, url: str, options: dict[str, Any]) -> Any:
        answer = keyring.ask(people[who], method, url, **options)
        assert answer.is_success, answer.text
        return answer.json()

    made = done("ada", "POST", "/v1/keys", {"json": {"role": "predict", "name": "p"}})
    form = {"files": files(picture("blue", 7)), "data": {"labels": ["red"]}}
    digest = done("tess", "POST", "/v1/datasets/colour/images", form)["images"][0]["digest"]
    labels = {"json": {"labels": [{"digest": digest, "label": "green"}]}}
    done("tess", "PUT", "/v1/datasets/colour/labels", labels)
    compared = done("tess", "POST", "/v1/datasets/colour/compare", {"json": {}})["id"]
    done("tess", "DELETE", f"/v1/jobs/{compared}", {})
    first = done("tess", *LEARN)["id"]
    keyring.http.work()
    packed = keyring.ask(people["tess"], "GET", "/v1/heads/colour/versions/1/file").content
    done("tess", "POST", "/v1/heads/taken/versions", {"files": files(packed, field="file")})
    second = done("tess", *LEARN)["id"]
    rest = changes(digest, second, made["id"])
    for who, request, _, _ in rest:
        done(who, *request)
    found = [a for a in lines(keyring, people["ada"])[::-1] if a["actor"] in people]
    assert [(a["actor"], a["action"], a["which"]) for a in found] == [
        ("ada", "key.create", made["id"]),
        ("tess", "dataset.add", "colour"),
        ("tess", "dataset.relabel", "colour"),
        ("tess", "job.submit", compared),
        ("tess", "job.cancel", compared),
        ("tess", "job.submit", first),
        ("tess", "head.register", "colour"),
        ("tess", "head.export", "colour"),
        ("tess", "head.import", "taken"),
        ("tess", "job.submit", second),
        *((who, action, which) for who, _, action, which in rest),
    ]
    assert {a["result"] for a in found} == {"done"}
    assert breaks(lines(keyring, people["ada"])[::-1]) == []


ASKING = {"POST /v1/predict", "POST /v1/embed", "POST /v1/search"}
"""Routes that change nothing, whatever their method is."""


def test_every_route_that_changes_something_is_tried_above() -> None:
    tried = {
        "POST /v1/keys",
        "POST /v1/datasets/{dataset}/images",
        "PUT /v1/datasets/{dataset}/labels",
        "POST /v1/heads",
        "POST /v1/heads/{head}/versions",
        "POST /v1/datasets/{dataset}/compare",
        "DELETE /v1/jobs/{job}",
        "PUT /v1/heads/{head}/aliases/{alias}",
        "PUT /v1/heads/{head}/protection",
        "DELETE /v1/heads/{head}/versions/{version}",
        "DELETE /v1/heads/{head}",
        "DELETE /v1/images/{digest}",
        "DELETE /v1/datasets/{dataset}",
        "DELETE /v1/keys/{key}",
    }
    assert tried | ASKING == set(CHANGING), "a new route that changes something belongs above"


def test_a_refused_change_is_written_down_too(keyring: Keyring) -> None:
    admin, predict = keyring.key("admin"), keyring.key("predict")
    keyring.ask(predict, "DELETE", "/v1/heads/colour")
    keyring.ask(admin, "DELETE", "/v1/datasets/never-was")
    keyring.ask(predict, "GET", "/v1/audit")
    keyring.ask(predict, "GET", "/v1/heads/never-was")  # no change, and their role allows it
    keyring.ask("garbage", "DELETE", "/v1/heads/colour")  # nobody's
    refusals = [
        (a["actor"], a["action"], a["which"], a["result"])
        for a in lines(keyring, admin)[::-1]
        if a["result"] != "done"
    ]
    assert refusals == [
        ("default-predict", "DELETE /v1/heads/{head}", "colour", "forbidden"),
        ("default-admin", "DELETE /v1/datasets/{dataset}", "never-was", "dataset_not_found"),
        ("default-predict", "GET /v1/audit", "", "forbidden"),
    ]


def test_asking_leaves_no_line(settled: Keyring) -> None:
    admin = settled.key("admin")
    before = lines(settled, admin)
    form: dict[str, Any] = {"files": files(picture("blue", 1))}
    assert settled.ask(admin, "POST", "/v1/predict", **form).status_code == 200
    assert lines(settled, admin) == before


def test_questions_leave_a_line_where_a_setting_asks_for_it(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home", audit_questions=True)
    with opened(settings) as http:
        keyring = Keyring(http)
        admin, predict = keyring.key("admin"), keyring.key("predict", name="ben")
        form: dict[str, Any] = {"files": files(picture("blue", 1))}
        assert keyring.ask(predict, "POST", "/v1/embed", **form).status_code == 200
        keyring.ask(predict, "GET", "/v1/heads")
        refused(keyring.ask(predict, "POST", "/v1/predict", json={}), 422, "invalid_request")
        found = [a for a in lines(keyring, admin)[::-1] if a["actor"] == "ben"]
    assert [(a["action"], a["which"], a["result"]) for a in found] == [
        ("POST /v1/embed", "", "done"),
        ("POST /v1/predict", "", "invalid_request"),
    ]


def test_the_audit_comes_in_pages(settled: Keyring) -> None:
    admin = settled.key("admin")
    for n in range(5):
        settled.key("predict", name=f"p{n}")
    whole = lines(settled, admin)
    paged, before = [], ""
    while True:
        page = settled.ask(admin, "GET", f"/v1/audit?limit=2{before}").json()
        paged += page["lines"]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert paged == whole
    assert [a["number"] for a in whole] == list(range(len(whole), 0, -1))


def test_neither_keys_nor_images_get_into_the_audit(settled: Keyring) -> None:
    admin = settled.key("admin")
    settled.ask(admin, "POST", "/v1/keys", json={"role": "predict", "name": "eve"})
    text = settled.ask(admin, "GET", "/v1/audit").text
    assert "penultimate_" not in text
    assert admin not in text


def test_what_a_client_calls_a_thing_is_kept_short_and_printable(settled: Keyring) -> None:
    admin = settled.key("admin")
    settled.ask(admin, "DELETE", "/v1/heads/" + "a%00%0Ab" * 100)
    newest = lines(settled, admin)[0]
    assert newest["which"] == ("ab" * 100)[:200]
    assert breaks(lines(settled, admin)[::-1]) == []
