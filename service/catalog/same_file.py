"""Whether a file still has the name that it was opened by. Knows no SQL."""

import os
from contextlib import suppress
from pathlib import Path

from service.errors import CatalogUnavailable


class SameFile:
    """A catalog's file as it was opened; None where the catalog lies in no file.

    SQLite goes on writing to a file that was removed or replaced, and all that is lost when the
    process ends.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._opened = None if file is None else file.stat()

    def require(self) -> None:
        """Lets go on who would read or write it.

        Raises:
            CatalogUnavailable: it was removed, or another one is in its place.
        """
        if self._file is None or self._opened is None:
            return
        with suppress(OSError):
            if os.path.samestat(os.stat(self._file), self._opened):  # noqa: PTH116  half the time of Path.stat
                return
        raise CatalogUnavailable(
            f"the catalog {self._file} was removed or replaced while it was open",
            hint="Put it back, or stop every process on this home and start again.",
        )
