"""What heads say of images: as plain values, and as the JSON of them. Knows no store, no catalog.

`prediction` is the one place that says what an answer looks like. What it says depends on few
things beside its numbers: which labels a head names, which are in its set, whether the image is
unlike any it learnt from. For each such outcome a head keeps its JSON with holes for the numbers,
so that a thousand heads are written in one go: `written` gives the very text of `predictions`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from classifiers.conformal import SetRule
from classifiers.forest import Answers
from classifiers.novelty import ALARM_RATE
from classifiers.tasks import Question
from service.panel import Able, Asked
from service.problems import problem

MOST_TEMPLATES = 32
"""Outcomes of one head whose JSON is kept; some have two, a head of many labels could have any."""

_HOLE = orjson.Fragment(b"\0")
"""No JSON has this byte: in a text it is written as six letters."""

_NO_KEY = -1

Prediction = dict[str, Any]


def predictions(asked: Sequence[Asked], answers: Answers) -> list[list[Prediction]]:
    """What every head says of each image, in the order asked."""
    found = []
    for row in range(len(answers.flat)):
        numbers = _numbers(answers, row)
        found.append(
            [failed(o) if o.able is None else prediction(o, *next(numbers)) for o in asked]
        )
    return found


def written(asked: Sequence[Asked], answers: Answers) -> list[orjson.Fragment]:
    """The JSON of each image's `predictions`."""
    unlike = answers.usualness <= ALARM_RATE
    keys = np.where(answers.outcomes < 0, _NO_KEY, 2 * answers.outcomes + unlike)
    return [_of_image(asked, answers, row, of_image) for row, of_image in enumerate(keys)]


def _of_image(
    asked: Sequence[Asked], answers: Answers, row: int, keys: npt.NDArray[np.int64]
) -> orjson.Fragment:
    able = [one.able for one in asked if one.able is not None]
    texts = [one.templates.get(key, b"") for one, key in zip(able, keys.tolist(), strict=True)]
    if b"" in texts or len(able) < len(asked):
        texts = list(_completed(asked, texts, keys.tolist(), _numbers(answers, row)))
    # Of each head its answers and then its usualness, where it has holes for them.
    numbers = np.insert(answers.flat[row], np.cumsum(answers.sizes), answers.usualness[row])
    numbers = numbers[np.repeat(keys != _NO_KEY, answers.sizes + 1)]
    said = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]
    filled = b",".join(texts) % tuple(said.split(b",") if said else ())
    return orjson.Fragment(b"[" + filled + b"]")


def _numbers(answers: Answers, row: int) -> Iterator[tuple[list[float], float]]:
    """Yield what each head answers to an image, and how usual that is to it."""
    flat, start = answers.flat[row].tolist(), 0
    for size, usual in zip(answers.sizes.tolist(), answers.usualness[row].tolist(), strict=True):
        yield flat[start : start + size], usual
        start += size


def _completed(
    asked: Sequence[Asked],
    texts: Sequence[bytes],
    keys: Sequence[int],
    numbers: Iterator[tuple[list[float], float]],
) -> Iterator[bytes]:
    """Yield templates of all heads: those kept, those that are new, and what has no holes."""
    kept = zip(texts, keys, numbers, strict=True)
    for one in asked:
        if one.able is None:
            yield _escaped(failed(one))
            continue
        text, key, (answer, usual) = next(kept)
        yield text or _template(one.able, key, prediction(one, answer, usual))


def _template(able: Able, key: int, said: Prediction) -> bytes:
    if key == _NO_KEY:
        return _escaped(said)
    probabilities = dict.fromkeys(said["probabilities"], _HOLE)
    text = _escaped({**said, "probabilities": probabilities, "usualness": _HOLE})
    if len(able.templates) >= MOST_TEMPLATES:
        able.templates.clear()
    able.templates[key] = text.replace(b"\0", b"%b")
    return able.templates[key]


def _escaped(said: Prediction) -> bytes:
    return orjson.dumps(said).replace(b"%", b"%%")


def prediction(asked: Asked, answer: list[float], usual: float) -> Prediction:
    """What a head says of one image: plain Python, for there may be thousands of heads."""
    assert asked.able is not None  # noqa: S101 - called for heads that answer alone
    question, sets = asked.able.question, asked.able.sets
    return {
        "head": asked.name,
        "version": asked.version,
        "task": question.task,
        **say(question, sets, answer),
        "coverage": sets.coverage,
        "usualness": usual,
        "unlike": usual <= ALARM_RATE,
        "error": None,
    }


def say(question: Question, sets: SetRule, answer: list[float]) -> dict[str, Any]:
    """What a head's answer to one image is in words: what depends on its task."""
    if question.is_number:
        return _number(question, sets.margin, answer)
    left = sets.left(question.classes, answer, ordered=question.task == "ordinal")
    said: dict[str, Any] = {
        "label": question.label_of(answer),
        "probabilities": dict(zip(question.classes, answer, strict=True)),
        "set": left,
    }
    if question.exclusive:
        said["abstains"] = len(left) != 1
        return said
    likely = question.likely(answer)
    # A label that can be neither asserted nor ruled out is one it does not know of.
    return {**said, "abstains": left != likely, "labels": likely}


def _number(question: Question, margin: float | None, answer: list[float]) -> dict[str, Any]:
    (value,) = answer
    return {
        "label": question.label_of(answer),
        "probabilities": {},
        "set": [],
        "abstains": margin is None,
        "value": value,
        "low": None if margin is None else value - margin,
        "high": None if margin is None else value + margin,
    }


def failed(asked: Asked) -> Prediction:
    """What stands in the place of a head that cannot answer."""
    assert asked.error is not None  # noqa: S101 - called for heads with an error alone
    return {
        "head": asked.name,
        "version": asked.version,
        "task": None,
        "label": None,
        "probabilities": {},
        "set": [],
        "coverage": None,
        "abstains": True,
        "usualness": None,
        "unlike": None,
        "error": problem(asked.error),
    }
