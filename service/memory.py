"""Gives memory back that is free but still held. Knows nothing of who used it."""

import ctypes
import gc


def give_back() -> None:
    """Returns what the allocator keeps for later to the system, where the allocator can (glibc).

    To be called after work that leaves much behind and does not come again soon: loading all heads,
    a job of the trainer.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
