"""The compiled loops: all there is of numba, and little else.

Whoever calls one imports it where it is called: numba takes a third of a second to load, and most
commands ask no head.
"""

from importlib import import_module

LOOPS = ("answers", "cutting", "outcomes", "scaling", "usualness", "walk")


def load() -> None:
    """Load all of them, for whoever does not want the first question to wait."""
    for name in LOOPS:
        import_module(f"{__name__}.{name}")
