"""Processes below another, as `/proc` tells of them; and how to kill them without mercy."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def below(pid: int) -> dict[int, str]:
    """Every process that a process has started, directly or not: its id → its command line."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            number = int(folder.name)
            parents[number] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            commands[number] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    found: dict[int, str] = {}
    grew = True
    while grew:
        new = {n for n, p in parents.items() if (p == pid or p in found) and n not in found}
        found.update({n: commands.get(n, "") for n in new})
        grew = bool(new)
    return found


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL for each that still lives."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
