"""Files that survive a power cut; what the system refuses as StoreUnavailable. Knows no records."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import StoreUnavailable

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


@contextmanager
def reaching(place: object) -> Iterator[None]:
    """Run the body; whatever the system refuses it becomes `StoreUnavailable` at `place`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            hint = "Free some space and try again; nothing that was acknowledged is lost."
        elif error.errno in _FORBIDDEN:
            hint = "Let the user who runs this process read and write there."
        else:
            hint = "Check that the path is right and that its disk or share is there."
        reason = (os.strerror(error.errno) if error.errno else str(error)) or "no reason given"
        raise StoreUnavailable(str(place), reason, hint=hint) from error


def flush(path: Path) -> None:
    """Return once the file, or the names in the folder, have reached the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, durably: bool = True) -> None:
    """Create a private folder and its parents; one that exists is left as it is.

    Args:
        folder: what is made.
        durably: whether the names are on the disk on return; else the caller flushes the parents.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, durably=durably)
    folder.mkdir(mode=0o700, exist_ok=True)
    if durably:
        flush(folder.parent)


def write_new(path: Path, data: bytes | memoryview) -> None:
    """Write a private file that must not exist yet; its bytes, not its name, are then durable."""
    descriptor = create(path, data)
    try:
        os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def create(path: Path, data: bytes | memoryview) -> int:
    """Write a private file that must not exist yet, and return it open, for the caller to flush."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        append(descriptor, memoryview(data))
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor


def append(descriptor: int, data: memoryview) -> None:
    """Write all of the bytes."""
    while data:
        data = data[os.write(descriptor, data) :]
