"""Raw scores of heads side by side become answers, each head's for itself."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from classifiers.links import CLASSES, EACH, GRADES, NUMBER
from classifiers.probabilities import answer_sizes, doubted, log_odds, to_answers

Float64 = npt.NDArray[np.float64]

heads = st.lists(
    st.sampled_from(
        [
            *((1, CLASSES), (3, CLASSES), (4, CLASSES), (1, NUMBER)),
            *((2, EACH), (5, EACH), (2, GRADES), (4, GRADES)),
        ]
    ),
    min_size=1,
    max_size=6,
)


def answer(raw: Float64, link: int) -> Float64:
    """What the scores of one head mean, by other people's functions."""
    if link == NUMBER:
        return raw
    if link == EACH:
        return np.asarray(expit(raw))
    if link == CLASSES:
        both = np.hstack([np.zeros_like(raw), raw]) if raw.shape[1] == 1 else raw
        return np.asarray(softmax(both, axis=1))
    above = expit(raw)
    falling = np.minimum.accumulate(above, axis=1)
    rising = np.maximum.accumulate(above[:, ::-1], axis=1)[:, ::-1]
    ends = np.ones((len(raw), 1))
    edges = np.hstack([ends, (falling + rising) / 2, 0 * ends])
    return -np.diff(edges, axis=1)


@given(heads, st.integers(0, 4), st.integers(0, 1000), st.sampled_from([1.0, 30.0, 1e4]))
def test_each_head_is_answered_by_its_own_link(
    asked: list[tuple[int, int]], n_images: int, seed: int, size: float
) -> None:
    outputs, links = np.array(asked).T
    raw = size * np.random.default_rng(seed).standard_normal((n_images, int(outputs.sum())))
    found = to_answers(raw, outputs, links)
    stops = np.cumsum(answer_sizes(outputs, links))
    starts = np.cumsum(outputs)
    for n_outputs, link, start, stop, n in zip(
        outputs, links, starts, stops, answer_sizes(outputs, links), strict=True
    ):
        own = found[:, stop - n : stop]
        expected = answer(raw[:, start - n_outputs : start], link)
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)
        if link in (CLASSES, GRADES):
            np.testing.assert_allclose(own.sum(axis=1), 1, rtol=1e-12)
            assert (own >= 0).all()
    assert stops[-1] == found.shape[1]


@given(heads, st.integers(0, 1000), st.floats(0, 0.5))
def test_a_doubt_is_a_share_of_an_even_guess_and_reorders_nothing(
    asked: list[tuple[int, int]], seed: int, doubt: float
) -> None:
    outputs, links = np.array(asked).T
    raw = 3 * np.random.default_rng(seed).standard_normal((3, int(outputs.sum())))
    sure = to_answers(raw, outputs, links)
    found = to_answers(raw, outputs, links, np.full(len(links), doubt))
    sizes = answer_sizes(outputs, links)
    for link, stop, n in zip(links, np.cumsum(sizes), sizes, strict=True):
        before, after = sure[:, stop - n : stop], found[:, stop - n : stop]
        if link == NUMBER:
            assert (after == before).all()
            continue
        among = 2 if link == EACH else int(n)
        np.testing.assert_allclose(after, (1 - doubt) * before + doubt / among, atol=1e-15)
        np.testing.assert_allclose(after, doubted(before, doubt, among), atol=1e-15)


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=5))
def test_grades_whose_scores_fall_are_plain_differences(scores: list[float]) -> None:
    raw = np.sort(np.array([scores]))[:, ::-1]
    found = to_answers(raw, np.array([raw.shape[1]]), np.array([GRADES]))
    above = found[:, :0:-1].cumsum(axis=1)[:, ::-1]
    np.testing.assert_allclose(above, expit(raw), atol=1e-12)


def test_log_odds_undo_the_logistic_function_and_stay_finite() -> None:
    np.testing.assert_allclose(log_odds(expit(np.linspace(-9, 9, 7))), np.linspace(-9, 9, 7))
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()
