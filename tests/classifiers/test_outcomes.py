"""An outcome says what the question and the rule of sets say of the same answer, in words."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from classifiers.conformal import SetRule
from classifiers.kernels.outcomes import MOST_CLASSES, NO_OUTCOME, find_outcomes
from classifiers.packed import COLUMNS
from classifiers.tasks import Question, Task

SHARES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
TASKS: list[Task] = ["binary", "multiclass", "multilabel", "ordinal"]


def outcome_of(question: Question, rule: SetRule, answer: list[float]) -> int:
    """Ask for one head that is not the first of its kind."""
    heads = np.zeros((2, COLUMNS), np.int64)
    heads[:, 8], heads[1, 18] = question.link, 3
    limits = np.concatenate([np.full(3, 0.7), np.resize(rule.thresholds, len(answer))])
    answers = np.array([[0.2, 0.2, 0.6, *answer]])
    outcomes = np.empty((1, 2), np.int64)
    find_outcomes(answers, np.array([3, len(answer)]), heads, limits, outcomes)
    return int(outcomes[0, 1])


def names(classes: tuple[str, ...], bits: int) -> list[str]:
    return [name for k, name in enumerate(classes) if bits >> k & 1]


@given(st.data(), st.sampled_from(TASKS))
def test_it_names_the_same_labels_and_has_the_same_set(data: st.DataObject, task: Task) -> None:
    k = 2 if task == "binary" else data.draw(st.integers(3, MOST_CLASSES))
    classes = tuple(f"class {number}" for number in range(k))
    question = Question(task, classes)
    answer = data.draw(st.lists(SHARES, min_size=k, max_size=k))
    some = k if task == "multilabel" else 1
    limits = tuple(data.draw(st.lists(SHARES, min_size=some, max_size=some)))
    rule = SetRule(0.9, limits, 0.8, 1.0, 30)

    outcome = outcome_of(question, rule, answer)

    named = names(classes, outcome & (1 << MOST_CLASSES) - 1)
    likely = question.likely(answer) if task == "multilabel" else [question.label_of(answer)]
    assert named == likely
    expected = rule.left(classes, answer, ordered=task == "ordinal")
    assert names(classes, outcome >> MOST_CLASSES) == expected


def test_numbers_and_too_many_classes_have_none() -> None:
    rule = SetRule(0.9, (0.5,), 0.8, 1.0, 30)
    many = tuple(map(str, range(MOST_CLASSES + 1)))
    assert outcome_of(Question("regression", ()), rule, [3.0]) == NO_OUTCOME
    assert outcome_of(Question("multiclass", many), rule, [0.1] * len(many)) == NO_OUTCOME
