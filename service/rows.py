"""How rows of tables are meant, be they in a folder or an archive. Knows nothing of either."""

from collections.abc import Iterable

VALIDATION = frozenset({"val", "valid", "validation"})
"""What the images that were held out are called in sets that hold out only once."""


def stand_in_for_test(splits: Iterable[str | None]) -> str | None:
    """The validation split of a set that has no other but `train`: it is the test split.

    Args:
        splits: what is said of all images; None where nothing is.
    """
    held_out = {split for split in splits if split is not None} - {"train"}
    return held_out.pop() if len(held_out) == 1 and held_out <= VALIDATION else None
