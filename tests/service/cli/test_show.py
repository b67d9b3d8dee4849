"""How the command line words what it says."""

import json

import pytest

from service.cli import show
from service.cli.session import print_json
from service.cli.terminal import printable


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
    assert printable("a\x1b[2Jb\nc") == "a�[2Jb�c"


@pytest.mark.parametrize("name", ["ä.png", "\udcff.png"])
def test_an_answer_for_a_machine_is_json_whatever_a_file_is_called(
    name: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    answer = {"rejected": [{"filename": name, "detail": "\x1b"}], "share": 1e-7, "none": None}
    print_json(answer)
    printed = capsysbinary.readouterr().out
    assert json.loads(printed) == answer
    assert printed.startswith(b'{\n  "rejected": [\n    {\n      "filename": "')
    assert printed.endswith(b"\n}\n")
