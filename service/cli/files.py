"""Writes what a command was asked for into a file: all of it, or the file stays as it was."""

import shutil
from pathlib import Path
from secrets import token_hex

from service.client_errors import PenultimateError


def check_folder(place: Path) -> None:
    """Looks whether a file could be there, before work is done that would be lost.

    Raises:
        PenultimateError: there is no folder that it could be in.
    """
    folder = place.parent
    if not folder.is_dir():
        what = "is a file, and no folder" if folder.exists() else "does not exist"
        raise PenultimateError(
            f"'{place}' cannot be written: the folder '{folder}' {what}.",
            code="os_error",
            hint="Make the folder first, or name another place.",
        )


def write_whole(place: Path, data: bytes) -> None:
    """Writes a file, or writes into what is no file, such as a pipe."""
    check_folder(place)
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
    except OSError as error:
        error.filename = str(place)  # nobody has heard of the draft
        raise
    finally:
        draft.unlink(missing_ok=True)
