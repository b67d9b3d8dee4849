"""A backup taken while a server is written to: whole, true for one moment, and nothing is lost."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from in_process import opened, settings_of
from live_server import Server, ingest, learn, picture
from made_up import everything_under

from service.backup import restore
from service.doctor import examine

pytestmark = pytest.mark.server


def write_until(stop: Event, url: str, erased: list[str], added: list[str]) -> None:
    """Adds and erases images, one after the other."""
    with httpx.Client(base_url=url, timeout=60) as client:
        for number in range(10_000):
            if stop.is_set():
                return
            image = picture("blue", 5_000 + number)
            digest = ingest(client, "busy", [("x.png", image, "blue")])["images"][0]["digest"]
            added.append(digest)
            if number % 3 == 2:
                victim = added[-2]
                assert client.delete(f"/v1/images/{victim}").status_code == 200
                erased.append(victim)


def test_a_backup_of_a_busy_server_is_whole_and_keeps_what_was_acknowledged(
    server_of: Callable[..., Server], tmp_path: Path
) -> None:
    server = server_of()
    server.start()
    stop, erased, added = Event(), list[str](), list[str]()
    with server.client() as client:
        pictures = [(c, picture(c, seed)) for c in ("red", "green") for seed in range(12)]
        ingest(client, "colour", [(f"{n}.png", d, c) for n, (c, d) in enumerate(pictures)])
        assert learn(client, "colour", "colour")["state"] == "succeeded"
        gone = picture("red", 77)
        digest = ingest(client, "colour", [("gone.png", gone, "red")])["images"][0]["digest"]
        client.delete(f"/v1/images/{digest}")
        before = client.get("/v1/heads/colour/versions/1").json()
        writer = Thread(target=write_until, args=(stop, server.url, erased, added))
        writer.start()
        while len(erased) < 2:
            assert writer.is_alive()
        acknowledged, not_any_more = set(added), set(erased)
        made = back_up_by_command(server.home, tmp_path / "backup")
        stop.set()
        writer.join()
    assert made.returncode == 0, made.stderr
    assert len(added) > len(acknowledged), "nothing was written meanwhile"

    settings = settings_of(tmp_path / "empty")
    restore(settings, tmp_path / "backup")

    findings = list(examine(settings))
    assert all(f.sound for f in findings), findings
    with opened(settings) as http:
        kept = http.product.catalog.datasets.digests("default", "busy")
        # An erasure that was under way may have reached the moment of the backup, or not.
        assert acknowledged - set(erased) <= kept
        assert not kept & not_any_more
        assert http.get("/v1/heads/colour/versions/1").json() == before
        assert http.product.workspaces["default"].store.digests() >= kept
    assert gone not in everything_under(tmp_path / "backup")


def back_up_by_command(home: Path, target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "backup", str(target)],
        env={**os.environ, "PENULTIMATE_HOME": str(home), "PENULTIMATE_BACKBONE": "toy"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
