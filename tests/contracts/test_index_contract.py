"""The index finds what brute force finds: one suite for every way of proposing rows."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from features.index import Float64, Int64, Proposer, cosines, propose, unit
from features.keys import Float32, Vectors
from features.store import FeatureStore
from features.testing import ToyBackbone

SPACE = ToyBackbone.space

PROPOSERS = pytest.mark.parametrize("proposer", [propose])


def brute_force(vectors: Float32, query: Float32) -> Float64:
    """Return the cosine of each row with the query, one by one: float64 (n,)."""
    scores = np.zeros(len(vectors))
    for row, vector in enumerate(vectors.astype(np.float64)):
        lengths = np.linalg.norm(vector) * np.linalg.norm(query.astype(np.float64))
        scores[row] = vector @ query.astype(np.float64) / lengths if lengths else 0.0
    return scores


def best(vectors: Float32, allowed: Int64, query: Float32, k: int, proposer: Proposer) -> Float64:
    """Return the k best scores among what is proposed, best first."""
    rows = proposer(lambda _: unit(vectors), allowed, query, k)
    assert set(rows.tolist()) <= set(allowed.tolist()), "a row that was not allowed"
    assert len(set(rows.tolist())) == len(rows), "a row twice"
    return np.sort(cosines(vectors[rows], query))[::-1][:k]


@PROPOSERS
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_the_best_are_among_the_proposed(proposer: Proposer, data: st.DataObject) -> None:
    n, dim = data.draw(st.integers(1, 80)), data.draw(st.integers(1, 9))
    # Few different values: ties, zero vectors and opposite vectors are common.
    numbers = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0])
    vectors = data.draw(arrays.arrays(np.float32, (n, dim), elements=numbers))
    query = data.draw(arrays.arrays(np.float32, dim, elements=numbers))
    chosen = data.draw(st.sets(st.integers(0, n - 1), min_size=1))
    k = data.draw(st.integers(1, n + 3))
    allowed = np.array(sorted(chosen), np.int64)
    expected = np.sort(brute_force(vectors[allowed], query))[::-1][:k]
    assert np.allclose(expected, best(vectors, allowed, query, k, proposer), atol=1e-9)


@PROPOSERS
@pytest.mark.parametrize("k", [1, 10, 400])
def test_many_vectors_of_real_size(proposer: Proposer, k: int) -> None:
    generator = np.random.default_rng(5)
    vectors = np.maximum(generator.standard_normal((3000, 640), np.float32), 0)
    allowed = np.flatnonzero(generator.random(len(vectors)) < 0.7)
    for query in vectors[:5] + 0.3 * vectors[5:10]:
        expected = np.sort(brute_force(vectors[allowed], query))[::-1][:k]
        found = best(vectors, allowed, query, k, proposer)
        assert np.allclose(expected, found, atol=1e-9)


@PROPOSERS
def test_the_best_are_proposed_where_float32_cannot_tell_them_apart(proposer: Proposer) -> None:
    generator = np.random.default_rng(9)
    base = generator.standard_normal(640, np.float32)
    vectors = base + 1e-5 * generator.standard_normal((800, 640), np.float32)
    query = base + 0.5 * generator.standard_normal(640).astype(np.float32)
    expected = set(np.argsort(-brute_force(vectors, query))[:20].tolist())
    assert expected <= set(proposer(lambda _: unit(vectors), np.arange(800), query, 20).tolist())


@PROPOSERS
def test_all_of_a_tie_for_the_last_place_is_proposed(proposer: Proposer) -> None:
    generator = np.random.default_rng(6)
    vectors = generator.standard_normal((500, 64), np.float32)
    vectors[100:300] = vectors[100]
    rows = proposer(lambda _: unit(vectors), np.arange(500), vectors[100], 3)
    assert set(range(100, 300)) <= set(rows.tolist())


@PROPOSERS
def test_few_are_proposed_where_there_are_no_ties(proposer: Proposer) -> None:
    vectors = np.random.default_rng(7).standard_normal((2000, 64), np.float32)
    assert len(proposer(lambda _: unit(vectors), np.arange(2000), vectors[3], 10)) < 20


def test_equal_vectors_have_equal_scores_wherever_they_lie() -> None:
    generator = np.random.default_rng(8)
    vectors = np.repeat(generator.standard_normal((1, 1281), np.float32), 37, axis=0)
    assert len(set(cosines(vectors, generator.standard_normal(1281).astype(np.float32)))) == 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    opened = FeatureStore(str(tmp_path / "records"), tmp_path / "index", SPACE)
    yield opened
    opened.close()


def name(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def made(count: int, seed: int) -> Vectors:
    generator = np.random.default_rng(seed)
    return Vectors(
        generator.standard_normal((count, SPACE.dim), np.float32),
        generator.standard_normal((count, SPACE.stages_dim), np.float32),
    )


def test_names_stay_with_their_vectors_through_erasing_and_adding_again(
    store: FeatureStore,
) -> None:
    names, first, second = [name(i) for i in range(10)], made(10, 1), made(3, 2)
    store.put(names, first)
    store.delete(names[2:5])
    store.put([name(77)], made(1, 3))
    store.put(names[2:5], second)
    now = first.embeddings.copy()
    now[2:5] = second.embeddings
    for digest, vector in zip(names, now, strict=True):
        (hit,) = store.search(vector, 1)
        assert hit.digest == digest
        assert hit.score == pytest.approx(1.0)
    assert len(store.search(now[0], 100)) == 11
