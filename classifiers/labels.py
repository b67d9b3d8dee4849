"""What is wrong with a label set, all at once and before any fit. Knows nothing of vectors.

Codes of `Problem`:

    error    empty_dataset, missing_label, task_misfit, one_label, too_few_images,
             conflicting_labels, conflicting_groups, unknown_digests, bad_split,
             image_on_both_sides, group_on_both_sides, class_missing_in_split
    warning  duplicate_image, similar_labels, missing_group, single_group_class, class_not_tested,
             taken_for_numbers
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

from classifiers.asked import AUTO, FEWEST_OF_A_CLASS, find_question
from classifiers.class_checks import CLASS_CHECKS
from classifiers.errors import LabelProblems
from classifiers.label_set import (
    SHOWN,
    LabelSet,
    Problem,
    counted,
    first,
    groups_of,
    learnt,
    listed,
    sides_of,
    values_of,
)
from classifiers.tasks import Question, TaskMisfit

__all__ = ["SHOWN", "LabelSet", "Problem", "ask", "check", "find_problems", "fingerprint"]


def find_problems(
    label_set: LabelSet,
    known: Collection[str] | None = None,
    *,
    task: str = AUTO,
    order: Sequence[str] = (),
) -> list[Problem]:
    """Find everything wrong with a label set, errors first.

    Args:
        label_set: what somebody wants a head to learn.
        known: digests that have a record; None when that was checked elsewhere.
        task: what the labels are for; found from them by default.
        order: of the grades, lowest first, where they are no numbers.
    """
    if not len(label_set):
        return [Problem("empty_dataset", "The dataset has no labelled images.")]
    problems = [problem for check in _CHECKS for problem in check(label_set)]
    try:
        question = ask(label_set, task, order)
    except TaskMisfit as misfit:
        problems.append(Problem("task_misfit", _misfit(misfit), first(misfit.items)))
    else:
        problems += [p for check in CLASS_CHECKS for p in check(label_set, question)]
        if task == AUTO:
            problems += _taken_for_numbers(label_set, question)
    if known is not None:
        problems += _unknown_digests(label_set, frozenset(known))
    return sorted(problems, key=lambda problem: problem.severity != "error")


def check(
    label_set: LabelSet,
    known: Collection[str] | None = None,
    *,
    task: str = AUTO,
    order: Sequence[str] = (),
) -> list[Problem]:
    """Return the warnings of a label set that can be learnt from; arguments as `find_problems`.

    Raises:
        LabelProblems: if there is any error; it carries the warnings too.
    """
    problems = find_problems(label_set, known, task=task, order=order)
    if any(problem.severity == "error" for problem in problems):
        raise LabelProblems(problems)
    return problems


def ask(label_set: LabelSet, task: str = AUTO, order: Sequence[str] = ()) -> Question:
    """Return what the labels ask; raises `TaskMisfit` if they are not those of the task."""
    return find_question((label for label in label_set.labels if label.strip()), task, order)


def fingerprint(label_set: LabelSet) -> str:
    """Return the SHA-256 of digests, labels, groups and splits, whatever the order of rows."""
    sides, groups = sides_of(label_set), groups_of(label_set)
    rows = zip(label_set.digests, label_set.labels, groups, sides, strict=True)
    lines = sorted({json.dumps(row) for row in rows})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _misfit(misfit: TaskMisfit) -> str:
    rest = len(misfit.items) - SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    items = f": {listed(misfit.items)}{more}" if misfit.items else ""
    return f"{misfit}{items}. Correct the labels, or state another task."


def _missing_label(label_set: LabelSet) -> Iterator[Problem]:
    pairs = zip(label_set.digests, label_set.labels, strict=True)
    bare = {digest for digest, label in pairs if not label.strip()}
    if bare:
        yield Problem("missing_label", f"{counted(bare, 'image')} without a label.", first(bare))


def _one_label(label_set: LabelSet) -> Iterator[Problem]:
    labels = {label for _, label in learnt(label_set)}
    if len(labels) == 1:
        detail = f"Every image to learn from is labelled {next(iter(labels))!r}; two labels needed."
        yield Problem("one_label", detail, tuple(labels))
    elif not labels and any(label.strip() for label in label_set.labels):
        yield Problem("empty_dataset", "The split leaves no image to learn from.")


def _same_image_twice(label_set: LabelSet) -> Iterator[Problem]:
    repeated = {digest for digest, count in Counter(label_set.digests).items() if count > 1}

    def torn(column: Sequence[str | None]) -> list[str]:
        values = values_of(label_set.digests, column)
        return [digest for digest in repeated if len(values[digest]) > 1]

    if found := torn(label_set.labels):
        detail = f"{counted(found, 'image')} listed with different labels."
        yield Problem("conflicting_labels", detail, first(found))
    if found := torn(groups_of(label_set)):
        detail = f"{counted(found, 'image')} listed in different groups."
        yield Problem("conflicting_groups", detail, first(found))
    if found := torn(sides_of(label_set)):
        detail = f"{counted(found, 'image')} on both sides of the split."
        yield Problem("image_on_both_sides", detail, first(found))
    if repeated:
        detail = f"{counted(repeated, 'image')} listed more than once; each is learnt from once."
        yield Problem("duplicate_image", detail, first(repeated), "warning")


def _bad_split(label_set: LabelSet) -> Iterator[Problem]:
    found = set(label_set.splits or ())
    strange = {str(split) for split in found if split not in ("train", "test", None)}
    if strange:
        detail = f"A split is 'train', 'test' or absent, not {listed(strange)}."
        yield Problem("bad_split", detail, first(strange))


def _split_sides(label_set: LabelSet) -> Iterator[Problem]:
    sides = sides_of(label_set)
    if "test" not in sides:
        return
    groups = values_of(groups_of(label_set), sides)
    if torn := [group for group, found in groups.items() if len(found) > 1]:
        detail = f"{counted(torn, 'group')} with images on both sides of the split."
        yield Problem("group_on_both_sides", detail, first(torn))


def _group_doubts(label_set: LabelSet) -> Iterator[Problem]:
    rows = [row for row in range(len(label_set)) if not label_set.is_test(row)]
    bare = [label_set.digests[row] for row in rows if label_set.group(row) is None]
    if 0 < len(bare) < len(rows):
        detail = f"{counted(bare, 'image')} without a group; each counts as a group of its own."
        yield Problem("missing_group", detail, first(bare), "warning")


def _unknown_digests(label_set: LabelSet, known: frozenset[str]) -> Iterator[Problem]:
    unknown = set(label_set.digests) - known
    if unknown:
        detail = f"{counted(unknown, 'image')} without a record; embed them first."
        yield Problem("unknown_digests", detail, first(unknown))


def _taken_for_numbers(label_set: LabelSet, question: Question) -> Iterator[Problem]:
    """One slip among numbered classes makes numbers of them all, which nobody may have meant."""
    if not question.is_number:
        return
    counts = Counter(label for _, label in learnt(label_set))
    few = [label for label, count in counts.items() if count < FEWEST_OF_A_CLASS]
    if len(few) < len(counts) - len(few) and all(float(label).is_integer() for label in counts):
        detail = (
            f"The labels are taken for numbers, not for classes, since fewer than "
            f"{FEWEST_OF_A_CLASS} images have {listed(few)}. If they name classes, correct these "
            "or state the task multiclass."
        )
        yield Problem("taken_for_numbers", detail, first(few), "warning")


_CHECKS: tuple[Callable[[LabelSet], Iterator[Problem]], ...] = (
    _missing_label,
    _one_label,
    _same_image_twice,
    _bad_split,
    _split_sides,
    _group_doubts,
)
