"""Which question labels ask: the one that is stated, if they fit it, or the one found from them.

Knows nothing of vectors, and of what follows from a question.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from classifiers.tasks import (
    BAR,
    LARGEST_NUMBER,
    Question,
    Task,
    TaskMisfit,
    is_number,
    split_label,
)

AUTO = "auto"
"""The task is found from the labels."""

FEWEST_GRADES = 3

FEWEST_VALUES = 11
"""Different numbers from which labels may be taken for numbers, and not for names of classes."""

FEWEST_OF_A_CLASS = 5
"""Images that every class has: a number that fewer images have is the name of none."""

_GRADE = re.compile(r"(grade|stage|score|level|degree)[ _-]?([0-9]{1,2})", re.IGNORECASE)


def find_question(labels: Iterable[str], task: str = AUTO, order: Sequence[str] = ()) -> Question:
    """Return what is asked by labels.

    With "auto": several labels if any has a bar; grades if all are named so ("grade 1") or an order
    is given; numbers if all are, more than 10, and some have a fraction or too few images for a
    class; else classes. Whole numbers are names of classes more often than grades.

    Args:
        labels: of the images, one each, none of them blank.
        task: one of `Task`, or "auto".
        order: of the grades, lowest first; needed where they are no numbers.

    Raises:
        TaskMisfit: if the labels are not those of that task.
    """
    counts = Counter(labels)
    found = sorted(counts)
    if task == AUTO:
        task = "ordinal" if order else _guess(counts)
    if task not in _READERS:
        raise TaskMisfit(f"There is no task {task!r}; there are {', '.join(_READERS)}, and {AUTO}")
    if order and task != "ordinal":
        raise TaskMisfit(f"An order is for grades; the task is {task!r}", order)
    return _READERS[task](found, order)


def _guess(counts: Mapping[str, int]) -> Task:
    if any(BAR in label for label in counts):
        return "multilabel"
    if len(counts) >= FEWEST_GRADES and _by_name(counts):
        return "ordinal"
    if len(counts) >= FEWEST_VALUES and all(map(is_number, counts)):
        whole = all(float(label).is_integer() for label in counts)
        if not whole or min(counts.values()) < FEWEST_OF_A_CLASS:
            return "regression"
    return "binary" if len(counts) == 2 else "multiclass"  # noqa: PLR2004  binary means two


def _by_name(labels: Iterable[str]) -> tuple[str, ...]:
    """Grades in order where every label is one and the same word with a number, else nothing."""
    found = {label: _GRADE.fullmatch(label.strip()) for label in labels}
    named = {label: (m[1].lower(), int(m[2])) for label, m in found.items() if m is not None}
    words, numbers = {word for word, _ in named.values()}, {n for _, n in named.values()}
    if len(named) < len(found) or len(words) != 1 or len(numbers) < len(named):
        return ()
    return tuple(sorted(named, key=lambda label: named[label][1]))


def _binary(labels: Sequence[str], _: Sequence[str]) -> Question:
    if len(labels) > 2:  # noqa: PLR2004  binary means two
        raise TaskMisfit(f"A binary question has 2 classes, not {len(labels)}", labels)
    return Question("binary", tuple(labels))


def _multiclass(labels: Sequence[str], _: Sequence[str]) -> Question:
    if len(labels) == 2:  # noqa: PLR2004  that is binary
        raise TaskMisfit("Two classes are a binary question, not a multiclass one", labels)
    return Question("multiclass", tuple(labels))


def _multilabel(labels: Sequence[str], _: Sequence[str]) -> Question:
    counts = Counter(name for label in labels for name in split_label(label))
    if len(counts) < 2:  # noqa: PLR2004  one label is a yes or a no
        raise TaskMisfit("Several labels are two or more; one alone is a binary question", counts)
    return Question("multilabel", tuple(sorted(counts)))


def _ordinal(labels: Sequence[str], order: Sequence[str]) -> Question:
    unlike = sorted(set(order) ^ set(labels))
    if order and (unlike or len(set(order)) < len(order)):
        raise TaskMisfit("The order must name every grade that images have, each once", unlike)
    order = order or _by_name(labels)
    if not order and not all(map(is_number, labels)):
        words = [label for label in labels if not is_number(label)]
        raise TaskMisfit("Grades that are no numbers need an order (options.order)", words)
    grades = tuple(order) or tuple(sorted(labels, key=float))
    if not order and len({float(grade) for grade in grades}) < len(grades):
        raise TaskMisfit("The same grade is written in several ways", grades)
    if len(grades) < FEWEST_GRADES:
        raise TaskMisfit(f"Grades are {FEWEST_GRADES} or more, not {len(grades)}", grades)
    return Question("ordinal", grades)


def _regression(labels: Sequence[str], _: Sequence[str]) -> Question:
    words = [label for label in labels if not is_number(label)]
    if words:
        need = f"a number of at most {LARGEST_NUMBER:g}, written with a point"
        raise TaskMisfit(f"Regression needs {need}, for every image", words)
    return Question("regression", ())


_READERS: Mapping[str, Callable[[Sequence[str], Sequence[str]], Question]] = {
    "binary": _binary,
    "multiclass": _multiclass,
    "multilabel": _multilabel,
    "ordinal": _ordinal,
    "regression": _regression,
}
