"""A head on images that it never saw: the figures are right, and the verdict keeps its word."""

import hashlib
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest
from made_heads import WIDTH, Float32, alternating, digests, small_head, taught, vectors
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from classifiers.head import Head
from classifiers.label_set import LabelSet
from classifiers.tasks import Question
from classifiers.validation import Validation, can_be_asked, validate

NONE = np.empty((0, WIDTH), np.float32)
PAIR = ("no", "yes")


def names(count: int, what: str = "new") -> tuple[str, ...]:
    return tuple(hashlib.sha256(f"{what}{n}".encode()).hexdigest() for n in range(count))


def drawn(labels: tuple[str, ...], distance: float, seed: int) -> Float32:
    """Images of two classes that lie `distance` apart, always along the same direction."""
    noise = np.random.default_rng([1, seed]).standard_normal((len(labels), WIDTH))
    along = np.random.default_rng(0).standard_normal(WIDTH)
    sides = np.array([1 if label == "yes" else -1 for label in labels])
    moved = noise + distance * sides[:, None] * along / np.linalg.norm(along)
    return moved.astype(np.float32)


def tried(
    head: Head,
    X: Float32,
    labels: tuple[str, ...],
    groups: tuple[str, ...] | None = None,
    learnt: Float32 = NONE,
) -> Validation:
    found = validate(head, X, LabelSet(names(len(labels)), labels, groups), learnt)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def head() -> Head:
    labels = alternating(PAIR, 60)
    return taught(drawn(labels, 0.8, 0), labels)


def test_the_figures_are_those_of_the_library_that_everybody_uses(head: Head) -> None:
    labels = alternating(PAIR, 50)
    X = drawn(labels, 0.8, 1)
    found = tried(head, X, labels)
    truth, answers = np.array(labels) == "yes", head.answers(X)
    assert found.metrics["auc"]["value"] == pytest.approx(
        roc_auc_score(truth, answers[:, 1]), abs=1e-6
    )
    said = answers.argmax(axis=1)
    assert found.metrics["balanced_accuracy"]["value"] == pytest.approx(
        balanced_accuracy_score(truth, said), abs=1e-6
    )
    assert found.confusion == tuple(map(tuple, confusion_matrix(truth, said)))
    inside = head.card.sets.members(answers)[np.arange(100), truth.astype(int)]
    assert found.held["value"] == pytest.approx(inside.mean(), abs=1e-6)
    assert found.unlike == (head.usualness(X) <= 0.05).mean()
    assert (found.n_images, found.class_counts) == (100, {"no": 50, "yes": 50})
    assert found.stated == head.card.metrics
    assert found.change is not None
    difference = found.metrics["auc"]["value"] - head.card.metrics["auc"]["value"]
    assert found.change["value"] == pytest.approx(difference, abs=1e-6)


def test_images_of_the_learnt_kind_are_hardly_ever_called_worse() -> None:
    labels, worse, held = alternating(PAIR, 40), 0, []
    for seed in range(8):
        head = taught(drawn(labels, 1.2, 100 + seed), labels)
        for other in range(10):
            found = tried(head, drawn(labels, 1.2, 1000 * (1 + seed) + other), labels)
            worse += found.words.startswith("It is worse")
            held.append(found.held["value"])
    assert worse <= 0.05 * 80
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)


def test_where_the_images_are_harder_it_says_worse(head: Head) -> None:
    labels = alternating(PAIR, 150)
    found = tried(head, drawn(labels, 0.2, 2), labels)
    assert found.words.startswith("It is worse here than where it learnt: AUC 0.")
    assert found.change is not None
    assert found.change["high"] < 0
    assert found.metrics["auc"]["low"] > 0.5


def test_where_it_knows_nothing_it_says_so(head: Head) -> None:
    labels = alternating(PAIR, 50)
    found = tried(head, drawn(labels, 0.0, 3), labels)
    assert found.words.startswith("Nothing here shows that it knows anything")


def test_where_its_probabilities_do_not_fit_the_limits_say_so(head: Head) -> None:
    labels = alternating(PAIR, 50)
    common = np.float32(2)
    alike = taught(drawn(alternating(PAIR, 60), 0.8, 0) + common, alternating(PAIR, 60))
    found = tried(alike, drawn(labels, 0.8, 4) - common, labels)
    assert found.unlike > 0.9
    assert "are unlike those it learnt from" in " ".join(found.limits)
    wrong = tried(head, drawn(labels, 0.8, 4)[::-1].copy(), labels)
    assert "its probabilities do not fit them" in " ".join(wrong.limits)


def test_copies_of_what_it_learnt_from_are_left_out(head: Head) -> None:
    labels = alternating(PAIR, 60)
    learnt, new = drawn(labels, 0.8, 0), drawn(labels, 0.8, 5)
    mixed = new.copy()
    mixed[:10] = learnt[:10] + np.float32(1e-4)
    assert tried(head, mixed, labels, learnt=learnt).n_images == 110
    assert tried(head, new, labels, learnt=learnt).n_images == 120
    all_known = LabelSet(names(120), labels)
    assert validate(head, learnt, all_known, learnt) is None


def test_copies_among_the_images_count_as_one(head: Head) -> None:
    labels = alternating(PAIR, 30)
    X = drawn(labels, 0.8, 6)
    once = tried(head, X, labels).metrics["auc"]
    again = tried(head, np.repeat(X, 4, axis=0), tuple(np.repeat(labels, 4).tolist()))
    many = again.metrics["auc"]
    assert again.n_images == 240
    assert many["high"] - many["low"] > 0.85 * (once["high"] - once["low"])


def test_images_of_a_group_are_not_independent(head: Head) -> None:
    labels = alternating(PAIR, 60)
    X = drawn(labels, 0.8, 7)
    X += np.repeat(np.random.default_rng(8).standard_normal((12, WIDTH)), 10, axis=0).astype("f4")
    groups = tuple(f"p{row // 10}" for row in range(120))
    alone, tied = tried(head, X, labels), tried(head, X, labels, groups)
    assert (alone.n_groups, tied.n_groups) == (None, 12)
    widths = [
        f.metrics["balanced_accuracy"]["high"] - f.metrics["balanced_accuracy"]["low"]
        for f in (alone, tied)
    ]
    assert widths[1] > widths[0]
    assert "No groups" in alone.limits[0]
    assert tied.limits[0] == "They are of 12 groups only."


def test_a_class_without_images_leaves_figures_out_and_is_named(head: Head) -> None:
    labels = ("yes",) * 30
    found = tried(head, drawn(labels, 0.8, 9), labels)
    assert "auc" not in found.metrics
    assert found.change is None
    assert found.words == "These images cannot tell how good the head is here."
    said = " ".join(found.limits)
    assert "None of them is 'no'" in said
    assert "These images cannot tell the AUC" in said


def of_task(task: str, n: int, seed: int) -> tuple[Float32, tuple[str, ...]]:
    rng = np.random.default_rng([2, seed])
    X = rng.standard_normal((n, WIDTH)).astype(np.float32)
    X[:, :3] *= 3
    value, other = X[:, 0] / 3, X[:, 1] / 3
    labels: npt.NDArray[np.str_] | list[str] = {
        "regression": [f"{v:.4f}" for v in value],
        "ordinal": [f"grade {1 + int(v > -0.5) + int(v > 0.5)}" for v in value],
        "multilabel": [
            "|".join([n for n, yes in (("a", v > 0), ("b", o > 0)) if yes]) or "-"
            for v, o in zip(value, other, strict=True)
        ],
    }[task]
    return X, tuple(labels)


@pytest.mark.parametrize("task", ["regression", "ordinal", "multilabel"])
def test_every_task_can_be_tried(task: str) -> None:
    X, labels = of_task(task, 120, 0)
    head = taught(X, labels, task=task)
    new, truth = of_task(task, 100, 1)
    found = tried(head, new, truth)
    assert found.metrics.keys() == head.card.metrics.keys()
    assert found.held["value"] == pytest.approx(0.9, abs=0.12)
    assert (found.confusion == ()) == (task != "ordinal")
    assert (found.calibration_error is None) == (task == "regression")
    assert found.words.startswith("No worse here")
    assert all(np.isfinite(list(m.values())).all() for m in found.metrics.values())
    assert asdict(found)


def test_only_labels_that_it_knows_can_be_asked() -> None:
    two, numbers = Question("binary", ("a", "b")), Question("regression", ())
    several = Question("multilabel", ("a", "b"))
    assert [can_be_asked(two, label) for label in ("a", "c", "a|b", "")] == [True, *[False] * 3]
    assert [can_be_asked(several, x) for x in ("a", "a|b", "-", "a|c", "|")] == [
        *[True] * 3,
        False,
        False,
    ]
    assert [can_be_asked(numbers, x) for x in ("1.5", "one", "nan")] == [True, False, False]


def test_what_a_split_says_does_not_matter_here() -> None:
    labels = alternating(("cat", "dog"), 12)
    X, known = vectors(labels, 2.0, 5), digests(24)
    plain = validate(small_head(), X, LabelSet(known, labels), NONE)
    split = LabelSet(known, labels, None, ("test", "train") * 12)
    assert validate(small_head(), X, split, NONE) == plain


def of_patients(n: int, seed: tuple[int, ...]) -> tuple[Float32, tuple[str, ...], tuple[str, ...]]:
    """Images of n patients, one to six of each, who differ by more than single images do."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 7, n)
    patient = np.repeat(np.arange(n), sizes)
    labels = tuple("yes" if one else "no" for one in rng.random(len(patient)) < 0.5)
    own = np.float32(0.6) * rng.standard_normal((n, WIDTH)).astype(np.float32)
    return (
        drawn(labels, 0.8, int(rng.integers(2**31))) + own[patient],
        labels,
        tuple(f"p{number}" for number in patient),
    )


def test_the_intervals_hold_the_truth_also_where_patients_have_several_images() -> None:
    held, known, asked = 0, 0, 0
    for seed in range(5):
        X, labels, groups = of_patients(40, (seed, 0))
        head = taught(X, labels, groups, allow_no_signal=True)
        many, truth, _ = of_patients(1_500, (seed, 1))
        answers, is_yes = head.answers(many), np.array(truth) == "yes"
        inside = head.card.sets.members(answers)[np.arange(len(truth)), is_yes.astype(int)].mean()
        area = roc_auc_score(is_yes, answers[:, 1])
        for other in range(20):
            found = tried(head, *of_patients(25, (seed, 2, other)))
            auc = found.metrics["auc"]
            asked += 1
            held += found.held["low"] <= inside <= found.held["high"]
            known += auc["low"] <= area <= auc["high"]
    assert held >= 0.9 * asked
    assert known >= 0.9 * asked
