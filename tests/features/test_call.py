"""A call for vectors: what is known and what comes, in the order of the question."""

from concurrent.futures import Future

import numpy as np
import pytest
from embedding import images
from hypothesis import given
from hypothesis import strategies as st

from features.call import Call, Embedded
from features.errors import EngineFailed, ImageRejected
from features.keys import digest
from features.pipeline import Row

ROW = Row(np.zeros(2, np.float32), np.ones(3, np.float32))


def call_of(*numbers: int, underway: int) -> tuple[Call, list[Future[Row]]]:
    """A call for images, the first of which are under way."""
    sent = images(*numbers)
    digests = [digest(data) for _, data in sent]
    futures = [Future[Row]() for _ in range(underway)]
    return Call(sent, digests, underway=dict(zip(digests, futures, strict=False))), futures


@given(st.permutations(range(5)), st.integers(0, 5))
def test_the_end_comes_once_and_with_the_last_in_whatever_order(
    order: list[int], before: int
) -> None:
    call, futures = call_of(*range(5), underway=5)
    for number in order[:before]:
        futures[number].set_result(ROW)
    ends = list[int]()
    call.when_done(lambda: ends.append(sum(future.done() for future in futures)))
    for number in order[before:]:
        assert ends == []
        futures[number].set_result(ROW)
    assert ends == [5]


def test_what_fails_is_an_end_too() -> None:
    call, futures = call_of(1, 2, 3, underway=3)
    ends = list[bool]()
    call.when_done(lambda: ends.append(True))
    futures[0].set_exception(EngineFailed("first"))
    futures[1].set_exception(ImageRejected("empty_image", "it is empty", hint="Send another."))
    assert not ends
    futures[2].set_exception(EngineFailed("second"))
    assert ends
    outcome = call.wait()
    assert list(outcome.rejected) == [call.digests[1]]
    assert not outcome.computed
    assert "first" in str(outcome.failure)


def test_very_many_that_are_done_before_the_first_make_one_end() -> None:
    call, (first, *others) = call_of(*range(2_000), underway=2_000)
    ends = list[bool]()
    call.when_done(lambda: ends.append(True))
    for future in others:
        future.set_result(ROW)
    assert not ends
    first.set_result(ROW)
    assert ends


def test_where_nothing_is_under_way_the_end_is_now() -> None:
    call, _ = call_of(1, underway=0)
    ends = list[bool]()
    call.when_done(lambda: ends.append(True))
    assert ends


def test_an_answer_has_the_order_of_the_question_and_says_what_was_known() -> None:
    call, _ = call_of(1, 2, 1, 3, underway=0)
    one, two, _, three = call.digests
    call.known = {two: ROW}
    rejected = {three: ImageRejected("empty_image", "it is empty", hint="Send another.")}
    results = call.results({one: ROW}, rejected)
    found = [(r.digest, r.cached) for r in results if isinstance(r, Embedded)]
    assert found == [(one, False), (two, True), (one, False)]
    assert isinstance(results[3], ImageRejected)
    assert results[3].filename == "3.png"
    with pytest.raises(KeyError):
        call.results({}, rejected)
