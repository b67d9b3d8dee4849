"""Writes what a command was asked for into a file: all of it, or the file stays as it was."""

import shutil
from pathlib import Path
from secrets import token_hex


def write_whole(place: Path, data: bytes) -> None:
    """Writes a file, or writes into what is no file, such as a pipe."""
    from features.disk import write_new  # late: it loads numpy, and `--help` needs none

    if place.exists() and not place.is_file():
        place.write_bytes(data)
        return
    target = place.resolve()
    draft = target.with_name(f".{token_hex(8)}.unfinished")
    try:
        write_new(draft, data)
        if target.exists():
            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
