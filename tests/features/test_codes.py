"""Codes: which rows of very many are proposed, how good that is, and that damage is found."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from features import coded, codes, index
from features.codes import Codes, CodesDamaged
from features.index import Int64, cosines, unit
from features.keys import Float32, Vectors
from features.store import FeatureStore
from features.testing import ToyBackbone

SPACE = ToyBackbone.space
N, DIM = 4000, 64


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is very many elsewhere is a few thousand here."""
    monkeypatch.setattr(coded, "LARGE", 2000)
    monkeypatch.setattr(coded, "TAIL", 100)
    monkeypatch.setattr(codes, "FEW", 300)
    monkeypatch.setattr(codes, "CANDIDATES", 60)
    monkeypatch.setattr(codes, "_PER_HIT", 6)


def clustered(n: int, dim: int, seed: int = 0) -> Float32:
    """Vectors in 40 clouds, as those of images are: float32 (n, dim)."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, dim), np.float32)
    noise = 0.6 * generator.standard_normal((n, dim), np.float32)
    return centres[generator.integers(40, size=n)] + noise


def recall(proposer: index.Proposer, units: Float32, rows: Int64, queries: Float32) -> float:
    """Share of the ten best of the rows that are proposed."""
    found = []
    for query in queries:
        scores = cosines(units[rows], query)
        best = set(rows[np.argsort(-scores)[:10]].tolist())
        proposed = proposer(lambda _: units, rows, query, 10)
        assert set(proposed.tolist()) <= set(rows.tolist())
        found.append(len(best & set(proposed.tolist())) / 10)
    return float(np.mean(found))


@pytest.fixture(scope="module")
def units() -> Float32:
    return unit(clustered(N, DIM))


@pytest.fixture(scope="module")
def learnt(units: Float32) -> Codes:
    return Codes.learn(lambda _: units, np.arange(N - 200), N - 200)


QUERIES = clustered(40, DIM, seed=7)


def test_nearly_all_of_the_best_are_proposed(learnt: Codes, units: Float32) -> None:
    rows = np.arange(N)
    assert recall(learnt, units, rows, QUERIES) >= 0.98
    assert len(learnt(lambda _: units, rows, QUERIES[0], 10)) < 400, "all were proposed"


def test_filters_keep_the_recall(learnt: Codes, units: Float32) -> None:
    generator = np.random.default_rng(3)
    for share in (0.5, 0.15, 0.02):
        rows = np.flatnonzero(generator.random(N) < share)
        assert recall(learnt, units, rows, QUERIES[:15]) >= 0.98


def test_a_row_that_may_not_be_found_is_not_proposed_for_having_a_code(units: Float32) -> None:
    every = np.arange(N)
    made = Codes.learn(lambda _: units, every[every != 6], N)
    rows = every[every != 5]
    assert 5 not in made(lambda _: units, rows, units[5], 3)


def test_rows_without_a_code_are_found_exactly(learnt: Codes, units: Float32) -> None:
    rows = np.arange(N)
    for row in range(N - 200, N, 20):
        assert row in learnt(lambda _: units, rows, units[row], 1)


def test_extended_codes_cover_more_and_removed_ones_leave_nothing(
    learnt: Codes, units: Float32
) -> None:
    more = learnt.extended(lambda _: units, np.arange(N), N)
    assert (len(more), more.covered, len(learnt)) == (N, N, N - 200)
    assert more.learnt == N - 200, "the centroids are still those"
    assert more.coded().tolist() == list(range(N))
    fewer = more.without(np.array([5, N - 1]))
    assert np.setdiff1d(more.coded(), fewer.coded()).tolist() == [5, N - 1]
    assert 5 not in fewer(lambda _: units, np.arange(N), units[5], 3)


def test_codes_come_back_from_their_bytes_and_damage_is_refused(
    learnt: Codes, units: Float32
) -> None:
    data = learnt.to_bytes()
    again = Codes.from_bytes(data)
    assert (again.covered, again.learnt) == (learnt.covered, learnt.learnt) == (N - 200, N - 200)
    rows = np.arange(N)
    for query in QUERIES[:5]:
        assert np.array_equal(
            again(lambda _: units, rows, query, 10), learnt(lambda _: units, rows, query, 10)
        )
    for place in (0, 40, len(data) // 2, len(data) - 1):
        damaged = bytearray(data)
        damaged[place] ^= 1
        with pytest.raises(CodesDamaged):
            Codes.from_bytes(bytes(damaged))
    with pytest.raises(CodesDamaged):
        Codes.from_bytes(data[:7])


def digests(count: int, start: int = 0) -> list[str]:
    return [f"{number:064x}" for number in range(start + 1, start + count + 1)]


def vectors(count: int, seed: int = 0) -> Vectors:
    stages = np.zeros((count, SPACE.stages_dim), np.float32)
    return Vectors(clustered(count, SPACE.dim, seed), stages)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FeatureStore]:
    """A store of as many records as are worth codes."""
    with_codes = FeatureStore(str(tmp_path / "records"), tmp_path / "index", SPACE)
    with_codes.put(digests(2500), vectors(2500))
    assert with_codes.tend()
    yield with_codes
    with_codes.close()


def code_files(tmp_path: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((tmp_path / "index").glob("*.codes"))]


def test_a_store_learns_codes_once_and_searches_with_them(
    store: FeatureStore, tmp_path: Path
) -> None:
    assert not store.tend(), "nothing was due"
    (data,) = code_files(tmp_path)
    assert Codes.from_bytes(data).covered == 2500
    query = vectors(2500).embeddings[123]
    assert store.search(query, 1)[0].digest == digests(2500)[123]
    assert store.search(query, 3, exclude=[digests(2500)[123]])[0].digest != digests(2500)[123]


def test_what_is_new_is_found_at_once_and_coded_later(store: FeatureStore, tmp_path: Path) -> None:
    new = vectors(120, seed=5)
    store.put(digests(120, start=2500), new)
    assert store.search(new.embeddings[7], 1)[0].digest == digests(120, start=2500)[7]
    assert store.tend()
    (data,) = code_files(tmp_path)
    assert len(Codes.from_bytes(data)) == 2620
    assert store.search(new.embeddings[7], 1)[0].digest == digests(120, start=2500)[7]


def test_codes_are_learnt_anew_once_there_is_twice_as_much(
    store: FeatureStore, tmp_path: Path
) -> None:
    def tended(count: int, start: int) -> int:
        store.put(digests(count, start=start), vectors(count, seed=start))
        assert store.tend()
        (data,) = code_files(tmp_path)
        return Codes.from_bytes(data).learnt

    assert tended(2500, 2500) == 2500
    assert tended(200, 5000) == 5200
    assert not store.tend()


def test_codes_made_by_another_process_are_taken_up(store: FeatureStore, tmp_path: Path) -> None:
    reader = coded.Coded(tmp_path / "index")
    view = store._synced.current()
    before = reader.codes(view)
    store.put(digests(120, start=2500), vectors(120, seed=5))
    store.tend()
    after = reader.codes(view)
    assert before is not None
    assert after is not None
    assert (before.covered, after.covered) == (2500, 2620)


def test_an_erased_record_is_never_found_and_its_code_is_gone(
    store: FeatureStore, tmp_path: Path
) -> None:
    other = FeatureStore(str(tmp_path / "records"), tmp_path / "index", SPACE)
    gone, query = digests(2500)[40], vectors(2500).embeddings[40]
    assert other.search(query, 1)[0].digest == gone
    store.delete([gone])
    for each in (store, other):
        assert gone not in {hit.digest for hit in each.search(query, 2499)}
    (data,) = code_files(tmp_path)
    assert 40 not in Codes.from_bytes(data).coded()
    assert len(Codes.from_bytes(data)) == 2499
    other.close()


def test_a_kill_between_erasing_and_writing_leaves_no_code(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(coded.Coded, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        store.delete([digests(2500)[40]])
    assert code_files(tmp_path) == []
    assert store.search(vectors(2500).embeddings[41], 1)[0].digest == digests(2500)[41]


def test_codes_made_while_something_was_erased_do_not_hold_it(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(digests(120, start=2500), vectors(120, seed=5))
    real = coded.Coded.due

    def slow(self: coded.Coded, view: object) -> Codes | None:
        made = real(self, view)  # type: ignore[arg-type]  # any view is handed on
        store.delete([digests(2500)[40]])
        return made

    monkeypatch.setattr(coded.Coded, "due", slow)
    assert store.tend()
    (data,) = code_files(tmp_path)
    assert 40 not in Codes.from_bytes(data).coded()


def test_damaged_codes_cost_time_and_nothing_else(store: FeatureStore, tmp_path: Path) -> None:
    (path,) = (tmp_path / "index").glob("*.codes")
    path.write_bytes(path.read_bytes()[:-9] + bytes(9))
    query = vectors(2500).embeddings[9]
    assert store.search(query, 1)[0].digest == digests(2500)[9]
    assert store.tend(), "they are made again"
    (data,) = code_files(tmp_path)
    assert Codes.from_bytes(data).covered == 2500


def test_a_merged_store_drops_codes_of_rows_that_were_numbered_anew(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.delete([digests(2500)[3]])
    store.compact()
    assert code_files(tmp_path) == []
    query = vectors(2500).embeddings[2499]
    assert store.search(query, 1)[0].digest == digests(2500)[2499]
    assert store.tend()
    assert store.search(query, 1)[0].digest == digests(2500)[2499]


def test_a_small_store_has_no_codes(tmp_path: Path) -> None:
    few = FeatureStore(str(tmp_path / "records"), tmp_path / "index", SPACE)
    few.put(digests(50), vectors(50))
    assert not few.tend()
    assert code_files(tmp_path) == []
    few.close()
