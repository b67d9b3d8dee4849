"""What is written is its owner's alone, whatever the shell's umask and the folder's rights are."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_server import Server, free_port, picture

from service.doctor import Finding, examine
from service.settings import Settings

OTHERS = 0o077


@pytest.fixture
def open_home(tmp_path: Path) -> Iterator[Path]:
    """A home as `useradd --create-home` makes it, and an umask as most have."""
    before = os.umask(0o022)
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    yield home
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    found = [path for path in folder.rglob("*") if path.lstat().st_mode & OTHERS]
    return sorted(str(path.relative_to(folder)) for path in found)


def privacy_of(home: Path) -> Finding:
    settings = Settings(home=home, backbone="toy", log_level="error")
    (found,) = [finding for finding in examine(settings) if finding.about == "privacy"]
    return found


def test_what_the_program_writes_is_its_owners_alone(open_home: Path) -> None:
    for label in ("red", "green"):
        (open_home.parent / "set" / label).mkdir(parents=True)
        for seed in range(12):
            path = open_home.parent / "set" / label / f"{seed}.png"
            path.write_bytes(picture(label, seed))
    environment = {
        **os.environ,
        "PENULTIMATE_HOME": str(open_home),
        "PENULTIMATE_BACKBONE": "toy",
    }
    report = open_home.parent / "page.html"
    for words in (
        ["keys", "create", "--role", "admin"],
        ["learn", "colour", str(open_home.parent / "set"), "--fast"],
        ["report", "colour", "--out", str(report)],
    ):
        command = [sys.executable, "-m", "service.cli", *words]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    assert report.stat().st_mode & OTHERS == 0
    assert readable_by_others(open_home) == []
    assert privacy_of(open_home).sound


@pytest.mark.server
def test_what_a_server_writes_is_its_owners_alone(open_home: Path) -> None:
    server = Server(open_home, free_port())
    try:
        server.start()
        with server.client() as client:
            files = {"images": ("a.png", picture("red", 1))}
            answer = client.post("/v1/datasets/d/images", files=files, data={"labels": "x"})
            assert answer.status_code == 200
            assert readable_by_others(open_home) == []
    finally:
        server.kill()


def test_the_doctor_says_what_others_can_read(open_home: Path) -> None:
    assert privacy_of(open_home).sound
    (open_home / "catalog.sqlite").chmod(0o644)
    found = privacy_of(open_home)
    assert not found.sound
    assert "catalog.sqlite" in found.detail
    assert str(open_home) in found.hint
    open_home.chmod(0o700)  # nobody gets as far as the file
    assert privacy_of(open_home).sound
