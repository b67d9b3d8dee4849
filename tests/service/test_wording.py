"""The JSON of many heads' answers is the very text of their plain values."""

import json
from dataclasses import replace

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.conformal import SetRule
from classifiers.forest import Answers
from classifiers.kernels.outcomes import find_outcomes
from classifiers.packed import COLUMNS
from classifiers.probabilities import answer_sizes
from classifiers.tasks import Question
from service.errors import NotFound
from service.panel import Able, Asked
from service.workflows import wording

ODD = ("50 %", '%b "quoted"', "ç\0d\n", "%%", "\\u0000", "z")
"""Names that would break a text made of templates, if any could."""

QUESTIONS = (
    Question("binary", ODD[:2]),
    Question("multiclass", ODD),
    Question("multilabel", ODD[1:4]),
    Question("ordinal", ODD[2:]),
    Question("regression", ()),
    Question("multiclass", tuple(f"%{number}" for number in range(40))),
)


def head(number: int, question: Question) -> Asked:
    some = {"multilabel": len(question.classes), "regression": 0}.get(question.task, 1)
    margin = 0.5 if question.is_number else None
    sets = SetRule(0.9, (0.3,) * some, 0.8, 1.0, 30, margin)
    return Asked(f"head %d {number}", number, "d", "a", Able(number, question, sets, {}))


HEADS = [head(number, question) for number, question in enumerate(QUESTIONS * 2)]
GONE = Asked("100 %", error=NotFound("head", "100 %b", hint="%s"))


def answers_of(asked: list[Asked], n_images: int, seed: int) -> Answers:
    """Return answers of all sizes: round, long, certain, and what is no number."""
    able = [one.able for one in asked if one.able is not None]
    links = np.array([one.question.link for one in able], np.int64)
    sizes = answer_sizes(np.array([one.question.n_outputs for one in able], np.int64), links)
    generator = np.random.default_rng(seed)
    flat = generator.random((n_images, int(sizes.sum())))
    odd = generator.choice([0.0, 1.0, 0.5, 1e-300, 5e-324, np.nan], flat.shape)
    flat = np.where(generator.random(flat.shape) < 0.2, odd, flat)
    usualness = generator.choice([0.05, 0.0500001, 1.0, 1 / 3], (n_images, len(able)))
    heads = np.zeros((len(able), COLUMNS), np.int64)
    heads[:, 8], heads[:, 18] = links, np.cumsum(sizes) - sizes
    outcomes = np.empty(usualness.shape, np.int64)
    find_outcomes(flat, sizes, heads, np.full(int(sizes.sum()), 0.3), outcomes)
    return Answers(flat, sizes, usualness, outcomes)


@settings(deadline=None)
@given(st.lists(st.sampled_from([*HEADS, GONE]), max_size=12), st.integers(0, 4), st.integers(0))
def test_it_is_the_text_of_the_plain_values(asked: list[Asked], images: int, seed: int) -> None:
    answers = answers_of(asked, images, seed)
    plain = orjson.dumps(wording.predictions(asked, answers))
    assert orjson.dumps(wording.written(asked, answers)) == plain
    assert orjson.dumps(wording.written(asked, answers)) == plain  # now from what was kept
    json.loads(plain)


def test_what_is_kept_of_a_head_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wording, "MOST_TEMPLATES", 3)
    one = replace(HEADS[1])
    assert one.able is not None
    for seed in range(20):
        answers = answers_of([one], 5, seed)
        assert orjson.dumps(wording.written([one], answers)) == orjson.dumps(
            wording.predictions([one], answers)
        )
        assert len(one.able.templates) <= 3
