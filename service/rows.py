"""How rows of tables are meant, be they in a folder or an archive. Knows nothing of either."""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

LONGEST_PATH = 1_000
"""Letters of a path beyond which it must be written just as the file is called."""

VALIDATION = frozenset({"val", "valid", "validation"})
"""What the images that were held out are called in sets that hold out only once."""


def stand_in_for_test(splits: Iterable[str | None]) -> str | None:
    """The validation split of a set that has no other but `train`: it is the test split.

    Args:
        splits: what is said of all images; None where nothing is.
    """
    held_out = {split for split in splits if split is not None} - {"train"}
    return held_out.pop() if len(held_out) == 1 and held_out <= VALIDATION else None


def composed(path: str) -> str:
    """A path as it is compared: a Mac takes accents apart in names, and a spreadsheet does not."""
    # Composing takes as long as the square of the length.
    return unicodedata.normalize("NFC", path) if len(path) <= LONGEST_PATH else path


def clean_path(path: str) -> str:
    """A path as a table has it, made fit to be compared with composed names of files."""
    return composed(str(PurePosixPath(path.replace("\\", "/")))) if path else ""
