"""The chain of the audit shows whatever was changed, removed, put in or moved."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.chain import SEALED, START, breaks, seal

Line = dict[str, Any]


def chain(length: int) -> list[Line]:
    lines: list[Line] = []
    previous = START
    for number in range(1, length + 1):
        line: Line = {
            "workspace": "ward7",
            "number": number,
            "at": "2026-01-01T00:00:00.000Z",
            "actor": "ana",
            "action": "head.delete",
            "which": f"head-{number}",
            "result": "done",
            "details": {"versions": [1, 2]},
            "previous": previous,
        }
        previous = line["hash"] = seal(line)
        lines.append(line)
    return lines


def test_a_whole_chain_has_no_breaks() -> None:
    assert breaks([]) == []
    assert breaks(chain(7)) == []


@given(at=st.integers(0, 6), field=st.sampled_from(SEALED), value=st.text() | st.integers())
def test_a_line_that_was_changed_shows(at: int, field: str, value: str | int) -> None:
    lines = chain(7)
    before = seal(lines[at])
    lines[at][field] = value
    assert (breaks(lines) == []) == (seal(lines[at]) == before)


@pytest.mark.parametrize("gone", [0, 3, 5])
def test_a_line_that_was_removed_shows(gone: int) -> None:
    lines = chain(7)
    del lines[gone]
    assert breaks(lines) != []


def test_a_removed_line_shows_even_where_the_rest_was_numbered_anew() -> None:
    lines = chain(7)
    del lines[3]
    for number, line in enumerate(lines, 1):
        line["number"] = number
        line["hash"] = seal(line)
    assert breaks(lines) != []


@given(st.permutations(range(5)))
def test_lines_that_were_moved_show(order: list[int]) -> None:
    lines = chain(5)
    assert (breaks([lines[i] for i in order]) == []) == (order == sorted(order))


def test_a_line_that_was_changed_and_sealed_again_shows_in_the_next() -> None:
    lines = chain(7)
    lines[2]["actor"] = "nobody"
    lines[2]["hash"] = seal(lines[2])
    assert breaks(lines) == ["line 4 does not follow from the one before it"]


def test_lines_that_are_gone_from_the_end_show_in_the_seal_alone() -> None:
    """What a chain cannot show: hence the seals in the log."""
    lines = chain(7)
    assert breaks(lines[:5]) == []
    assert lines[4]["hash"] != lines[6]["hash"]
