"""The suite that measures: its turns, its clients, what it makes up, and the page it writes."""

import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from made_heads import WIDTH, small_head, vectors
from PIL import Image

from benchmarks.speed import measuring, page
from benchmarks.speed.client import Clients
from benchmarks.speed.homes import varied
from benchmarks.speed.images import commented, form_request, picture, request
from benchmarks.speed.measuring import Curve, Finding, Journal, Series, taking_turns
from benchmarks.speed.roads import forest, known
from classifiers.forest import Forest
from features.keys import digest

ROADS = ["embedding", "known image"]


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "REST_S", 0.0)


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Answers 200 with the body's length, or 500 to an empty body; keeps what it has seen."""

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        seen: list[bytes] = []  # noqa: RUF012 - of this class, made anew for each test

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.seen.append(body)
            answer = str(len(body)).encode()
            self.send_response(200 if body else 500)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def clients(folder: Path, requests: list[bytes]) -> Clients:
    path = folder / "requests"
    path.write_bytes(b"".join(requests))
    return Clients(str(path), [len(r) for r in requests])


def seen(server: ThreadingHTTPServer) -> list[bytes]:
    found: list[bytes] = server.RequestHandlerClass.seen  # type: ignore[attr-defined]
    return found


def test_programs_take_turns_in_both_orders_and_the_warm_up_is_not_counted() -> None:
    order: list[str] = []

    def program(name: str) -> float:
        order.append(name)
        return float(len(order))

    turns = taking_turns({n: lambda n=n: program(n) for n in "ab"}, 2)  # type: ignore[misc]
    assert order in (list("baabba"), list("abbaab"), list("baabba"))
    assert {name: len(values) for name, values in turns.items()} == {"a": 2, "b": 2}
    assert min(turns["a"] + turns["b"]) == 3


def test_clients_send_every_request_whole_and_in_turn(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    bodies = [bytes([n]) * 12_000_000 for n in range(1, 6)]
    ask = clients(tmp_path, [request("/", body, "image/jpeg") for body in bodies])
    answer = ask(server.server_address[1], clients=3, first=0, count=5)
    assert answer["statuses"] == {"200": 5}
    assert sorted(seen(server)) == bodies
    assert len(answer["seconds"]) == 5  # type: ignore[arg-type]
    ask(server.server_address[1], clients=1, first=4, count=3)
    assert seen(server)[5:] == [bodies[4], bodies[0], bodies[1]]


def test_clients_tell_of_answers_that_are_no_200(
    server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    ask = clients(tmp_path, [request("/", b"x", ""), request("/", b"", "")])
    answer = ask(server.server_address[1], clients=2, first=0, count=4)
    assert answer["statuses"] == {"200": 2, "500": 2}


def test_a_commented_jpeg_is_another_file_of_the_same_picture() -> None:
    made = picture(80, 60, seed=1)
    other = commented(made, "7")
    assert digest(other) != digest(made)
    first, second = (np.asarray(Image.open(BytesIO(data))) for data in (made, other))
    assert first.shape == (60, 80, 3)
    assert np.array_equal(first, second)
    assert first.std() > 10, "a picture, not a plain"
    assert other in form_request("/v1/predict", other)


def test_a_varied_head_is_read_by_lightgbm_and_says_something_else() -> None:
    head = small_head()
    other = varied(head, "other", 3)
    X = vectors(("cat", "dog") * 5, 1.0, seed=4)
    assert X.shape[1] == WIDTH
    assert np.array_equal(Forest([other]).raw(X)[0], other.raw(X))
    assert not np.array_equal(other.raw(X), head.raw(X))
    assert other.trees.leaves.size == head.trees.leaves.size


@pytest.mark.parametrize(
    ("values", "at_least", "met"),
    [
        ([1.0, 5.0, 9.0], True, True),
        ([1.0, 4.9, 9.0], True, False),
        ([1.0, 5.0, 9.0], False, True),
        ([1.0, 5.1, 9.0], False, False),
        ([], True, None),
    ],
)
def test_the_median_is_judged(values: list[float], at_least: bool, met: bool | None) -> None:  # noqa: FBT001
    assert Finding("r", "s", values, target=5, at_least=at_least).met is met


def test_a_road_measured_again_replaces_itself_and_its_parts_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "found.jsonl")
    for road in ("known image", "known image, alone", "known images"):
        journal.add(Series(road, "p", "ms", [1.0]))
    journal.begin("known image")
    again = Journal(tmp_path / "found.jsonl")
    assert [entry["road"] for entry in again.entries] == ["known images"]


def test_the_page_tells_medians_verdicts_slopes_and_who_else_was_there(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "found.jsonl")
    curve = Curve("known image", "clients", "By clients", "clients", "answers", "one interpreter.")
    journal.put(run("known image", busy=40.0))
    journal.put(run("embedding", busy=1.0))
    journal.add(curve)
    for x in (1, 10, 100):
        journal.add(Series("known image", "ours & <theirs>", "ms", [2.0 * x], "clients", x))
    journal.add(Series("known image", "empty", "ms", [1.0, 2.0, 4.0]))
    journal.add(Finding("known image", "too slow", [3.0, 4.0, 5.0], target=2, at_least=False))
    journal.add(Finding("embedding", "eager", [], note="not built"))
    page.write(journal, tmp_path / "performance.md", ROADS)
    text = (tmp_path / "performance.md").read_text()
    assert "Others used the machine when some of this was measured: known image (40 %)" in text
    assert "| known image | too slow | 4.00 x (3.50 to 4.50) | at most 2 | **not met** |" in text
    assert "| known image | empty | 2.00 ms | 1.50 to 3.00 |" in text
    assert text.index("not built") < text.index("too slow"), "in the order of the roads"
    assert "2.00 at 1 to 200 at 100 (exponent 1.00)" in text
    assert "one interpreter" in text
    drawing = ET.parse(tmp_path / "pictures" / "speed-clients.svg").getroot()
    lines = [e for e in drawing.iter() if e.tag.endswith("polyline")]
    assert [len(line.get("points", "").split()) for line in lines] == [3]
    assert all(0 <= float(e.get("cx", -1)) <= 540 for e in drawing.iter() if e.tag == "circle")


def test_roads_say_their_names_once() -> None:
    assert (forest.CURVE.road, known.CURVE.road) == (forest.ROAD, known.ROAD)
    assert forest.ROAD != known.ROAD


def run(road: str, *, busy: float) -> dict[str, object]:
    return {
        "kind": "run",
        "road": road,
        "quick": False,
        "date": "2026-01-01 00:00 UTC",
        "processor": "P",
        "cores": 2,
        "memory_gib": 8,
        "system": "S",
        "versions": {"torch": "2"},
        "load": 0.1,
        "busy_percent": busy,
        "idle": busy < 10,
    }
