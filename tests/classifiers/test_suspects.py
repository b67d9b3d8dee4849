"""Labels that a head's answers contradict are found, and found first."""

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from classifiers.labels import LabelSet
from classifiers.suspects import find_suspects, rows_of
from classifiers.tasks import Question
from classifiers.training import learn

N, DIM, FLIPPED = 200, 24, 20

ROOT = Path(__file__).resolve().parents[2]
REAL = ROOT.parent / "shared" / "data" / "kermany_cxr"


def benchmark() -> ModuleType:
    """benchmarks/suspects.py, which prints the figures of the documentation."""
    path = ROOT / "benchmarks" / "suspects.py"
    spec = importlib.util.spec_from_file_location("benchmark_suspects", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def digest_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


@pytest.mark.parametrize("n_classes", [2, 4])
def test_of_ten_per_cent_wrong_labels_most_are_in_the_first_tenth(n_classes: int) -> None:
    rng = np.random.default_rng(n_classes)
    true = np.arange(N) % n_classes
    X = rng.standard_normal((N, DIM)).astype(np.float32)
    X[:, :n_classes] += 3 * np.eye(n_classes, dtype=np.float32)[true]
    wrong = rng.choice(N, FLIPPED, replace=False)
    labels = true.copy()
    labels[wrong] = (true[wrong] + rng.integers(1, n_classes, FLIPPED)) % n_classes
    digests = tuple(digest_of(i) for i in range(N))
    label_set = LabelSet(digests, tuple(f"class {c}" for c in labels))
    blocks = [("penultimate", 0, DIM)]
    head = learn(X, label_set, name="h", space_id="s", blocks=blocks)

    found = find_suspects(head.arrays["out_of_fold"], head.arrays["truth"], head.card.question)
    row_of = rows_of(label_set)
    looked_at = {s.row for s in found[:FLIPPED]}
    hits = [i for i in wrong if row_of[digests[i]] in looked_at]
    assert len(hits) >= 0.8 * FLIPPED
    number_of = {row_of[d]: i for i, d in enumerate(digests)}
    right = [s.likely == f"class {true[number_of[s.row]]}" for s in found[:10]]
    assert sum(right) >= 9, "what it looks like is mostly what it is"


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="the shared image sets are not here")
def test_of_real_x_rays_sixty_per_cent_of_wrong_labels_are_in_the_first_tenth(
    tmp_path: Path,
) -> None:
    from features.embedder import Embedder
    from features.engine import open_engine

    told = benchmark()
    engine = open_engine("efficientnet_lite0", cache=tmp_path)
    embedder = Embedder(engine)
    images = told.load(REAL, told.SETS["kermany_cxr"], embedder, 75)
    found = [told.one_draw(images, engine.space, seed)["as listed"] for seed in range(2)]
    embedder.close()
    engine.close()
    assert np.mean(found) >= 0.6, found


def test_the_row_of_an_image_is_that_of_its_answer_and_a_test_image_has_none() -> None:
    rng = np.random.default_rng(0)
    digests = tuple(digest_of(i) for i in range(60))
    labels = tuple("ab"[i % 2] for i in range(60))
    splits = tuple("test" if i < 12 else "train" for i in range(60))
    label_set = LabelSet(digests, labels, splits=splits)  # type: ignore[arg-type]
    X = rng.standard_normal((60, DIM)).astype(np.float32)
    X[:, 0] += np.array([3 * (label == "a") for label in labels], np.float32)
    head = learn(X, label_set, name="h", space_id="s", blocks=[("penultimate", 0, DIM)])

    rows = rows_of(label_set)
    assert set(rows) == set(digests[12:])
    assert sorted(rows.values()) == list(range(len(head.arrays["out_of_fold"])))
    label_of = dict(zip(digests, labels, strict=True))
    known = head.card.question.numbers(head.arrays["truth"])
    assert all(head.classes[known[row]] == label_of[d] for d, row in rows.items())


def test_only_contradicted_labels_are_named_the_least_likely_label_first() -> None:
    p = [[0.9, 0.1, 0.0], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.5, 0.5, 0.0], [0.0, 0.6, 0.4]]
    question = Question("multiclass", ("a", "b", "c"))
    found = find_suspects(np.array(p, np.float32), question.targets("acabc"), question)
    assert [(s.row, s.likely, round(s.score, 3)) for s in found] == [
        (2, "c", 0.1),
        (1, "b", 0.3),
        (4, "b", 0.4),
    ]


def test_no_answers_no_suspects() -> None:
    question = Question("binary", ("a", "b"))
    assert find_suspects(np.zeros((0, 2)), np.zeros((0, 1)), question) == []


def test_of_several_labels_one_that_is_missing_or_too_many_is_named() -> None:
    question = Question("multilabel", ("a", "b"))
    p = np.array([[0.9, 0.8], [0.9, 0.1], [0.3, 0.2], [0.6, 0.95]])
    found = find_suspects(p, question.targets(["a", "a", "a|b", "-"]), question)
    assert [(s.row, s.likely, round(s.score, 3)) for s in found] == [
        (3, "a|b", 0.05),
        (0, "a|b", 0.2),
        (2, "-", 0.2),
    ]


def test_of_numbers_the_tenth_that_is_furthest_off_is_named() -> None:
    values = np.arange(20.0)
    answers = values + np.array([0.1] * 18 + [-7.0, 4.0])
    found = find_suspects(answers[:, None], values[:, None], Question("regression", ()))
    assert [(s.row, s.likely, round(s.score, 3)) for s in found] == [
        (18, "11", 0.05),
        (19, "23", 0.1),
    ]
