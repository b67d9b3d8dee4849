"""Schemathesis against a running server: what the OpenAPI document allows, and what it does not.

    python3 -m venv /tmp/st && /tmp/st/bin/pip install schemathesis
    python tests/torture/fuzz_http.py --schemathesis /tmp/st/bin/st --seconds 120

Wrong is: a 5xx other than 503, an answer that takes longer than SLOWEST_S, or a worker that grows
by more than GROWTH_MIB after the first quarter. Schemathesis is no dependency of the project; it is
run as a program.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

import httpx  # noqa: E402  the paths come first
from live_server import Server, free_port, ingest, learn, picture, predict  # noqa: E402
from processes import below  # noqa: E402
from record import write_record  # noqa: E402

SLOWEST_S = 30

NOT_DESCRIBED = re.compile(
    r"violates schema|Undocumented Content-Type|Undocumented content type", re.IGNORECASE
)
PARTS = 4

CHECKS = "not_a_server_error,response_schema_conformance,content_type_conformance"

GROWTH_MIB = 24
"""More than the series of the metrics and the allocator's holes may take."""

COUNTED = re.compile(r'penultimate_request_seconds_count\{.*status="(\d+)".*\} (\S+)')


def campaign(server: Server, program: str, seconds: int, seed: int) -> dict[str, Any]:
    """Runs schemathesis; returns the record, in which `wrong` is empty if all is well."""
    key = taught(server)
    command = [program, "run", f"{server.url}/openapi.json", "--checks", CHECKS]
    options = ["--max-time", str(seconds // PARTS), "--continue-on-failure", "--no-color"]
    options += ["--max-response-time", str(SLOWEST_S), "--workers", "2"]
    options += ["--header", f"Authorization: Bearer {key}"]
    with server.client() as client:
        before = statuses(client)
    resident, printed = [resident_mib(server)], ""
    for part in range(PARTS):
        ran = subprocess.run(
            [*command, *options, "--seed", str(seed + part)],
            capture_output=True,
            text=True,
            check=False,
            cwd=server.home.parent,
        )
        printed += ran.stdout + ran.stderr
        resident.append(resident_mib(server))
    with server.client() as client:
        after = statuses(client)
    found = {status: after[status] - before[status] for status in sorted(after)}
    # What answers each kind of question is loaded when it is first asked; all were by then.
    grown = resident[-1] - resident[1]
    wrong = [f"{n} answers {s}" for s, n in found.items() if s >= "500" and s != "503" and n]
    wrong += (
        ["an answer that the document does not describe"] if NOT_DESCRIBED.search(printed) else []
    )
    wrong += ["an answer came late"] if "response time" in printed.lower() else []
    wrong += [f"grew by {grown:.0f} MiB"] if grown > GROWTH_MIB else []
    if wrong:
        sys.stdout.write(printed[-8000:])
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "seed": seed,
        "requests": sum(found.values()),
        "answers": {status: n for status, n in found.items() if n},
        "worker, MiB, before and after each quarter": [round(mib) for mib in resident],
        "wrong": wrong or "nothing",
    }


def taught(server: Server) -> str:
    """Teaches a head, asks each kind of question once, and makes a key that may do everything."""
    with server.client() as client:
        pictures = [(c, picture(c, seed)) for c in ("red", "green") for seed in range(12)]
        ingest(client, "colour", [(f"{n}.png", d, c) for n, (c, d) in enumerate(pictures)])
        learn(client, "colour", "colour")
        predict(client, picture("red", 99), explain="true", evidence="3")
        client.get("/v1/datasets/colour/look")
        made = client.post("/v1/keys", json={"role": "admin", "name": "fuzz"})
        return str(made.json()["key"])


def statuses(client: httpx.Client) -> Counter[str]:
    """How many answers had which status, as the server counts."""
    counted: Counter[str] = Counter()
    for status, number in COUNTED.findall(client.get("/metrics").text):
        counted[status] += int(float(number))
    return counted


def resident_mib(server: Server) -> float:
    """Memory of all workers together."""
    pids = below(server.process.pid if server.process else 0)
    workers = [pid for pid, command in pids.items() if "worker.service" in command]
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in workers]
    return sum(pages) * 4096 / 2**20


def main() -> None:
    """Runs from a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemathesis", default="schemathesis", help="the program")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--record", type=Path, help="JSON file to write what came of it into")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        server = Server(Path(folder) / "home", free_port())
        server.home.mkdir()
        try:
            server.start()
            said = campaign(server, given.schemathesis, given.seconds, given.seed)
        except BaseException:
            sys.stdout.write(server.log())
            raise
        finally:
            server.kill()
    sys.stdout.write(f"{said}\n")
    if given.record and said["wrong"] == "nothing":
        write_record(given.record, "fuzzing over HTTP", said)
    sys.exit(said["wrong"] != "nothing")


if __name__ == "__main__":
    main()
