"""One store in the hands of many threads and processes, some of which are killed."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from made_up import made, name, names

from features.keys import Float32
from features.store import FeatureStore

Opener = Callable[..., FeatureStore]


def test_threads_that_store_the_same_agree_on_who_was_first(store: FeatureStore) -> None:
    everyone = [made(6, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(lambda vectors: store.put(names(6), vectors), everyone))
    assert np.array(added).sum(axis=0).tolist() == [1] * 6
    found = store.rows(names(6)).matrix()
    for i in range(6):
        (winner,) = (seed for seed in range(4) if added[seed][i])
        assert np.array_equal(found[i], everyone[winner].matrix()[i])


def test_readers_are_right_while_others_write_and_erase(
    store: FeatureStore, opener: Opener
) -> None:
    vectors = made(40)
    store.put(names(20), vectors[:20])
    reader, stop = opener(), time.monotonic() + 2

    def read(seed: int) -> int:
        rounds, chance = 0, random.Random(seed)
        while time.monotonic() < stop:
            rounds += 1
            for digest, record in reader.get(
                [name(chance.randrange(40)) for _ in range(8)]
            ).items():
                number = names(40).index(digest)
                assert np.array_equal(record.embedding, vectors.embeddings[number])
            number = chance.randrange(20)
            assert store.search(vectors.embeddings[number], 1)[0].digest == name(number)
        return rounds

    def write() -> None:
        while time.monotonic() < stop:
            store.put(names(20, start=20), vectors[20:])
            store.delete(names(20, start=20))
            store.compact()

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read, seed) for seed in range(2)]
        pool.submit(write).result()
        assert all(reader.result() > 10 for reader in readers)
    assert store.check() == []


CHILD = """
import sys
from pathlib import Path
from features.store import FeatureStore
from made_up import SPACE, made, name

folder = Path(sys.argv[1])
store = FeatureStore(str(folder / "records"), folder / "index", SPACE, compact_after_files=5)
print("ready", flush=True)
"""

WRITER = """
start = int(sys.stdin.readline())
for number in range(start, start + 100000):
    store.put([name(number)], made(1, number))
    print("put", number, flush=True)
    if number % 3 == 2:
        store.delete([name(number - 1)])
        print("erased", number - 1, flush=True)
"""

RACER = """
seed = int(sys.stdin.readline())
for batch in range(12):
    digests = [name(i) for i in range(batch * 4, batch * 4 + 6)]
    added = store.put(digests, made(6, 1000 * seed + batch))
    print("".join(str(int(new)) for new in added), flush=True)
"""

REMOTE = """
for line in sys.stdin:
    verb, number = line.split()
    if verb == "put":
        store.put([name(int(number))], made(1, int(number)))
    elif verb == "erase":
        store.delete([name(int(number))])
    else:
        store.compact()
    print("done", flush=True)
"""


def child(script: str, folder: Path) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", CHILD + script, str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_what_was_acknowledged_outlives_a_kill_at_any_moment(
    tmp_path: Path, opener: Opener
) -> None:
    chance, present, erased = random.Random(4), set[int](), set[int]()
    for round_ in range(6):
        process = child(WRITER, tmp_path)
        tell(process, str(round_ * 1000))
        for _ in range(3):
            acknowledge(hear(process), present, erased)
        time.sleep(chance.random() * 0.25)
        process.kill()
        assert process.stdout is not None
        for line in process.stdout.read().splitlines():
            acknowledge(line, present, erased)
        process.wait()
        store = opener()
        assert store.check() == []
        found = store.get([name(number) for number in present])
        assert len(found) == len(present)
        for number in present:
            assert np.array_equal(found[name(number)].embedding, made(1, number).embeddings[0])
        # An erasure that was under way may have happened; one that was acknowledged has.
        assert not any(name(number) in store for number in erased)
        store.close()


def acknowledge(line: str, present: set[int], erased: set[int]) -> None:
    if not line:
        return
    verb, number = line.split()
    if verb == "put":
        present.add(int(number))
        # The next thing it does may be to erase the one before.
        if int(number) % 3 == 2:
            present.discard(int(number) - 1)
    else:
        erased.add(int(number))


def test_two_processes_that_store_the_same_agree_on_who_was_first(
    tmp_path: Path, opener: Opener
) -> None:
    processes = [child(RACER, tmp_path) for _ in range(2)]
    for seed, process in enumerate(processes):
        tell(process, str(seed))
    answers = [[hear(process) for _ in range(12)] for process in processes]
    for process in processes:
        process.wait()
    store = opener()
    assert store.check() == []
    assert len(store) == 11 * 4 + 6
    claims: dict[str, list[Float32]] = {}
    for seed, batches in enumerate(answers):
        for batch, flags in enumerate(batches):
            vectors = made(6, 1000 * seed + batch)
            for i in range(6):
                if flags[i] == "1":
                    claims.setdefault(name(batch * 4 + i), []).append(vectors.embeddings[i])
    assert claims.keys() == store.digests()
    for digest, record in store.get(list(claims)).items():
        (claimed,) = claims[digest]
        assert np.array_equal(claimed, record.embedding)


def test_changes_of_another_process_are_seen_by_the_next_call(
    tmp_path: Path, store: FeatureStore
) -> None:
    process = child(REMOTE, tmp_path)

    def have_done(order: str) -> None:
        tell(process, order)
        assert hear(process) == "done"

    store.put([name(1)], made(1, 1))
    have_done("put 2")
    assert store.digests() == {name(1), name(2)}
    assert store.search(made(1, 2).embeddings[0], 1)[0].digest == name(2)
    have_done("erase 1")
    assert store.get([name(1)]) == {}
    assert name(1) not in {hit.digest for hit in store.search(made(1, 1).embeddings[0], 5)}
    have_done("compact now")
    have_done("put 1")
    assert store.put([name(1)], made(1, 77)) == [False]
    assert np.array_equal(store.rows([name(1)]).embeddings, made(1, 1).embeddings)
    assert store.check() == []
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
