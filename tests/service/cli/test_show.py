"""How the command line words what it says."""

import pytest

from service.cli import show


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "< 0.1 %"),
        (0.0004, "< 0.1 %"),
        (0.0006, "0.1 %"),
        (0.5, "50.0 %"),
        (0.9994, "99.9 %"),
        (0.9996, "> 99.9 %"),
        (1.0, "> 99.9 %"),
    ],
)
def test_no_probability_is_said_to_be_certain(value: float, said: str) -> None:
    assert show.percent(value) == said


def test_a_file_name_cannot_move_the_cursor() -> None:
    assert show.printable("a\x1b[2Jb\nc") == "a�[2Jb�c"
