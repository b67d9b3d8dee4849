"""The lock keeps writers apart: threads, stores of one process, and processes."""

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from features.errors import StoreUnavailable
from features.locks import FileLock

HOLDER = """
import sys, time
from pathlib import Path
from features.locks import FileLock
with FileLock([Path(sys.argv[1])]):
    print("held", flush=True)
    time.sleep(60)
"""


def is_free(path: Path) -> bool:
    """Say whether somebody else could take the lock now."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_all_its_files_are_held_inside_and_free_outside(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "lock", tmp_path / "b" / "lock"]
    with FileLock(paths):
        assert not any(map(is_free, paths))
    assert all(map(is_free, paths))


def test_it_is_free_after_an_error(tmp_path: Path) -> None:
    lock = FileLock([tmp_path / "lock"])
    with pytest.raises(KeyError), lock:
        raise KeyError
    with lock:
        assert not is_free(tmp_path / "lock")


@pytest.mark.parametrize("shared", [True, False], ids=["one lock", "two locks of one file"])
def test_threads_take_turns(tmp_path: Path, *, shared: bool) -> None:
    lock, inside, most = FileLock([tmp_path / "lock"]), [0], [0]

    def work() -> None:
        mine = lock if shared else FileLock([tmp_path / "lock"])
        for _ in range(50):
            with mine:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.sched_yield()
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert not is_free(path)
    holder.kill()
    holder.wait()
    assert is_free(path)


def test_who_waited_for_a_file_that_was_removed_takes_the_new_one(tmp_path: Path) -> None:
    path, entered = tmp_path / "folder" / "lock", threading.Event()

    def wait_for_it() -> None:
        with FileLock([path]):
            assert not is_free(path), "the lock of a file that nobody else can find"
            entered.set()

    waiting = threading.Thread(target=wait_for_it)
    with FileLock([path]):
        waiting.start()
        assert not entered.wait(0.1)
        shutil.rmtree(path.parent)
    waiting.join()
    assert entered.is_set()


def test_a_place_where_no_file_can_be_is_unavailable_and_the_lock_stays_usable(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "folder"
    blocked.write_bytes(b"")
    lock = FileLock([tmp_path / "first", blocked / "lock"])
    for _ in range(2):
        with pytest.raises(StoreUnavailable), lock:
            pass
        assert is_free(tmp_path / "first")
    blocked.unlink()
    with lock:
        assert not is_free(blocked / "lock")
