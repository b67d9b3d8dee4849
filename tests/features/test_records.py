"""The records: durable, readable by others, erased for real, and refused when they are damaged."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake
from deltalake.exceptions import CommitFailedError
from made_up import SPACE, everything_under, name, names
from made_up import made as vectors_made_up

from features import columns as columns_module
from features import records as records_module
from features import storage as storage_module
from features import table as table_module
from features.columns import FORMAT_KEY, SPACE_KEY, schema
from features.errors import SpaceMismatch, StoreDamaged, StoreUnavailable
from features.keys import EmbeddingSpace, Float32
from features.records import Records
from features.table import Conflict

FORMATS = Path(__file__).parent / "formats"

ENDPOINT_OF_NOBODY = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ALLOW_HTTP": "true",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_REGION": "nowhere",
    "max_retries": "0",
}


def made(count: int, seed: int = 0) -> Float32:
    return vectors_made_up(count, seed).matrix()


def contents(records: Records) -> dict[str, Float32]:
    return {
        digest: vector
        for rows in records.chosen()
        for digest, vector in zip(rows.digests, rows.matrix, strict=True)
    }


def same(expected: dict[str, Float32], found: dict[str, Float32]) -> bool:
    return expected.keys() == found.keys() and all(
        np.array_equal(vector, found[digest]) for digest, vector in expected.items()
    )


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(str(tmp_path / "table"), SPACE)


def again(records: Records) -> Records:
    return Records(records.table.uri, SPACE)


def test_what_is_appended_is_there_after_opening_again(records: Records) -> None:
    first, second = made(3), made(2, seed=1)
    records.append(names(3), first)
    records.append(names(2, start=3), second)
    expected = dict(zip(names(5), np.concatenate((first, second)), strict=True))
    assert same(expected, contents(again(records)))


def test_a_large_append_is_split_into_files_of_bounded_size(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records_module, "FILE_BYTES", 4 * SPACE.width * 2000)
    records.append(names(5000), made(5000))
    assert sorted(file.rows for file in records.table.files().values()) == [904, 2048, 2048]
    assert len(contents(records)) == 5000


def test_other_programs_read_the_numbers(records: Records) -> None:
    matrix = made(4)
    records.append(names(4), matrix)
    found = (
        duckdb.connect()
        .execute(
            "select digest, embedding, stages, year(created)"
            f" from read_parquet('{records.table.uri}/*.parquet') order by embedding[1]"
        )
        .fetchall()
    )
    assert len(found) == 4
    by_digest = {row[0]: np.array(row[1] + row[2], np.float32) for row in found}
    assert same(dict(zip(names(4), matrix, strict=True)), by_digest)
    assert all(row[3] >= 2024 for row in found)


def test_other_programs_read_the_table(records: Records) -> None:
    records.append(names(4), made(4))
    read = DeltaTable(records.table.uri).to_pyarrow_table()
    assert sorted(names(4)) == sorted(read.column("digest").to_pylist())


def test_table_and_files_say_what_they_hold(records: Records) -> None:
    records.append(names(1), made(1))
    (file,) = records.table.files()
    metadata = pq.read_metadata(Path(records.table.uri) / file).metadata
    configuration = DeltaTable(records.table.uri).metadata().configuration
    for found in (json.loads(metadata[SPACE_KEY.encode()]), json.loads(configuration[SPACE_KEY])):
        assert EmbeddingSpace.from_dict(found) == SPACE
    assert metadata[FORMAT_KEY.encode()].decode() == configuration[FORMAT_KEY] == "1"


def test_another_space_is_refused(records: Records) -> None:
    other = replace(SPACE, backbone="other")
    with pytest.raises(SpaceMismatch) as caught:
        Records(records.table.uri, other)
    assert (caught.value.expected, caught.value.found) == (other.id, SPACE.id)


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"a": [1]}))
    with pytest.raises(StoreDamaged):
        Records(str(tmp_path), SPACE)


def test_a_format_of_the_future_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns_module, "FORMAT", 2)
    newer = Records(str(tmp_path), SPACE)
    monkeypatch.undo()
    with pytest.raises(StoreDamaged) as caught:
        again(newer)
    assert "format is 2" in caught.value.detail


@pytest.mark.parametrize("version", ["1"])
def test_every_format_there_ever_was_is_read(tmp_path: Path, version: str) -> None:
    """The table of a format is written once, when that is the newest, and never again."""
    shutil.copytree(FORMATS / version, tmp_path / "table")
    configuration = DeltaTable(tmp_path / "table").metadata().configuration
    space = EmbeddingSpace.from_dict(json.loads(configuration[SPACE_KEY]))
    found = contents(Records(str(tmp_path / "table"), space))
    numbers = np.arange(3 * space.width, dtype=np.float32).reshape(3, space.width) / 8 - 5
    assert same(dict(zip(names(3), numbers, strict=True)), found)


def test_bytes_and_names_are_flushed_before_the_log_names_them(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Path(records.table.uri) / "_delta_log"
    flushed: list[tuple[str, int]] = []

    def watch(path: Path) -> None:
        flushed.append((path.name, len(list(log.glob("*.json")))))

    monkeypatch.setattr(storage_module, "flush", watch)
    monkeypatch.setattr(table_module, "flush", watch)
    records.append(names(1), made(1))
    assert flushed == [("table", 1), (f"{1:020d}.json", 2), ("_delta_log", 2)]


def test_who_has_not_seen_the_newest_commit_is_told_and_leaves_no_file(records: Records) -> None:
    late = again(records)
    records.append(names(1), made(1))
    with pytest.raises(Conflict):
        late.append(names(1), made(1))
    assert len(list(Path(records.table.uri).glob("*.parquet"))) == 1
    late.append(names(1, start=1), made(1))
    records.table.refresh()
    assert len(contents(records)) == 2


def test_erased_records_are_in_no_byte_of_the_folder(records: Records) -> None:
    matrix = made(50)
    records.append(names(30), matrix[:30])
    records.append(names(20, start=30), matrix[30:])
    found, commit = records.erase([name(7), name(33), name(1000)])
    records.table.sweep(commit.removed)
    assert found == {name(7), name(33)}
    kept = [i for i in range(50) if i not in (7, 33)]
    assert same({name(i): matrix[i] for i in kept}, contents(again(records)))
    left = everything_under(Path(records.table.uri))
    for i in (7, 33):
        assert name(i).encode() not in left
        assert matrix[i].tobytes() not in left


def test_erasing_all_leaves_an_empty_table(records: Records) -> None:
    records.append(names(3), made(3))
    found, commit = records.erase(names(3))
    records.table.sweep(commit.removed)
    assert found == set(names(3))
    assert contents(again(records)) == {}
    assert list(Path(records.table.uri).glob("*.parquet")) == []


def test_merging_changes_files_and_no_record(records: Records) -> None:
    matrix = made(20)
    for i in range(20):
        records.append([name(i)], matrix[i : i + 1])
    files = records.small_files()
    assert len(files) == 20
    records.table.sweep(records.merge(files).removed)
    assert len(list(Path(records.table.uri).glob("*.parquet"))) == 1
    assert same(dict(zip(names(20), matrix, strict=True)), contents(again(records)))


def test_of_a_digest_that_another_program_wrote_again_the_first_counts(records: Records) -> None:
    first, second = made(1, seed=1), made(1, seed=2)
    records.append(names(1), first)
    digests, created = records.keys(next(iter(records.table.files().values())))
    columns = {
        "digest": [*digests, name(1)],
        "embedding": [second[0, : SPACE.dim].tolist()] * 2,
        "stages": [second[0, SPACE.dim :].tolist()] * 2,
        "created": pa.array([int(created[0]) + 1, int(created[0]) - 1], pa.timestamp("us", "UTC")),
    }
    write_deltalake(records.table.uri, pa.table(columns, schema(SPACE)), mode="append")
    records.table.refresh()
    expected = {name(0): first[0], name(1): second[0]}
    assert same(expected, contents(records))
    records.merge(records.small_files())
    assert same(expected, contents(again(records)))
    assert [file.rows for file in records.table.files().values()] == [2]


def test_sweeping_deletes_what_a_crash_left_and_nothing_of_others(records: Records) -> None:
    records.append(names(3), made(3))
    folder = Path(records.table.uri)
    (live,) = folder.glob("*.parquet")
    (folder / "records-left-over.parquet").write_bytes(b"whole, but not committed")
    (folder / "records-draft").write_bytes(b"half")
    (folder / "part-of-another-program.parquet").write_bytes(b"being written")
    # Whatever it is asked, it deletes no file that the table refers to.
    records.table.sweep(records.table.files())
    assert {live.name, "part-of-another-program.parquet", "_delta_log"} == {
        path.name for path in folder.iterdir()
    }


def test_the_log_is_summed_up_and_still_complete(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "CHECKPOINT_EVERY", 3)
    matrix = made(7)
    for i in range(7):
        records.append([name(i)], matrix[i : i + 1])
    log = Path(records.table.uri) / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) == 2
    for number in range(6):
        (log / f"{number:020d}.json").unlink()
    assert same(dict(zip(names(7), matrix, strict=True)), contents(again(records)))


def test_what_is_written_lists_no_log_of_long_ago(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "CHECKPOINT_EVERY", 3)
    matrix, late, long_ago = made(8), again(records), time.time() - 3600
    log = Path(records.table.uri) / "_delta_log"
    for i in range(7):
        records.append([name(i)], matrix[i : i + 1])
        for path in log.iterdir():
            os.utime(path, (long_ago, long_ago))
    assert {path.name for path in log.glob("0*")} == {
        f"{6:020d}.checkpoint.parquet",
        *(f"{number:020d}.json" for number in (6, 7)),
    }
    assert same(dict(zip(names(7), matrix[:7], strict=True)), contents(again(records)))
    late.table.refresh()  # it has seen none of the entries that are gone
    late.append([name(7)], matrix[7:])
    assert same(dict(zip(names(8), matrix, strict=True)), contents(late))


def test_no_flipped_bit_becomes_another_number(records: Records) -> None:
    matrix = made(5)
    records.append(names(5), matrix)
    expected = dict(zip(names(5), matrix, strict=True))
    (path,) = Path(records.table.uri).glob("*.parquet")
    good = path.read_bytes()
    refused = 0
    for position in range(0, len(good), 3):
        bad = bytearray(good)
        bad[position] ^= 1 << (position % 8)
        path.write_bytes(bad)
        try:
            found = contents(records)
        except StoreDamaged:
            refused += 1
        else:
            assert same(expected, found), position
    assert refused > len(good) / 3 / 2


def truncate(folder: Path) -> None:
    (path,) = folder.glob("*.parquet")
    path.write_bytes(path.read_bytes()[:-10])


def remove(folder: Path) -> None:
    (path,) = folder.glob("*.parquet")
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, remove])
def test_a_file_that_is_cut_or_missing_is_damage(
    records: Records, damage: Callable[[Path], None]
) -> None:
    records.append(names(3), made(3))
    damage(Path(records.table.uri))
    (missing,) = records.table.missing()
    with pytest.raises(StoreDamaged) as caught:
        contents(records)
    assert missing in caught.value.detail


def test_a_file_that_was_mixed_up_with_another_is_damage(records: Records) -> None:
    records.append(names(3), made(3))
    records.append(names(3, start=3), made(3, seed=1))
    one, other = Path(records.table.uri).glob("*.parquet")
    one.write_bytes(other.read_bytes())
    with pytest.raises(StoreDamaged):
        contents(records)


def test_a_log_that_is_gone_or_torn_is_damage_and_not_an_empty_table(records: Records) -> None:
    records.append(names(3), made(3))
    log = Path(records.table.uri) / "_delta_log"
    last = log / f"{1:020d}.json"
    last.write_bytes(last.read_bytes()[:-20])
    with pytest.raises(StoreDamaged):
        again(records)
    shutil.rmtree(log)
    with pytest.raises(StoreDamaged):
        again(records)


def test_features_that_change_what_a_file_means_are_refused(records: Records) -> None:
    records.append(names(3), made(3))
    DeltaTable(records.table.uri).alter.add_feature(
        TableFeatures.DeletionVectors, allow_protocol_versions_increase=True
    )
    with pytest.raises(StoreDamaged) as caught:
        contents(again(records))
    assert "features" in caught.value.detail


@pytest.mark.parametrize("folder", ["with space", "höher", "a#b?c"])
def test_a_folder_may_have_an_unusual_name(tmp_path: Path, folder: str) -> None:
    records = Records(str(tmp_path / folder), SPACE)
    records.append(names(2), made(2))
    assert set(contents(again(records))) == set(names(2))


def columns(
    digests: list[str], embeddings: list[list[float]], stages: list[list[float]]
) -> pa.Table:
    created = pa.array([1] * len(digests), pa.timestamp("us", "UTC"))
    return pa.Table.from_arrays(
        [
            pa.array(digests),
            pa.array(embeddings, schema(SPACE).field("embedding").type),
            pa.array(stages, schema(SPACE).field("stages").type),
            created,
        ],
        schema=schema(SPACE),
    )


FULL, SIDE = [1.0] * SPACE.dim, [1.0] * SPACE.stages_dim


@pytest.mark.parametrize(
    "rows",
    [
        columns(["ABC"], [FULL], [SIDE]),
        columns(names(1), [FULL[1:]], [SIDE]),
        columns(names(2), [FULL[1:], [*FULL, 1.0]], [SIDE, SIDE]),
        columns(names(1), [FULL], [[float("nan"), *SIDE[1:]]]),
    ],
    ids=["no digest", "cut vector", "one number in the wrong vector", "NaN"],
)
def test_rows_that_are_no_records_are_damage(records: Records, rows: pa.Table) -> None:
    write_deltalake(records.table.uri, rows, mode="append")
    records.table.refresh()
    with pytest.raises(StoreDamaged):
        contents(records)


def test_an_object_store_out_of_reach_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        Records("s3://bucket/table", SPACE, ENDPOINT_OF_NOBODY)


def test_a_place_where_no_folder_can_be_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable):
        Records(str(tmp_path / "file" / "table"), SPACE)


def test_the_road_to_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own storage is used for every byte; here it happens to end on this disk."""
    monkeypatch.setattr(table_module, "local_folder", lambda uri: None)
    tmp_path.joinpath("table").mkdir()
    uri = (tmp_path / "table").as_uri()
    records, matrix = Records(uri, SPACE), made(6)
    for i in range(6):
        records.append([name(i)], matrix[i : i + 1])
    found, commit = records.erase([name(2)])
    records.table.sweep(commit.removed)
    records.merge(records.small_files())
    records.table.sweep()
    expected = {name(i): matrix[i] for i in range(6) if i != 2}
    assert found == {name(2)}
    assert same(expected, contents(Records(uri, SPACE)))
    assert len(list(tmp_path.joinpath("table").glob("*.parquet"))) == 1
    assert name(2).encode() not in everything_under(tmp_path)


FULL_DISK = """
import resource, sys
from features.errors import StoreUnavailable
from features.records import Records
from made_up import SPACE, made, names

records = Records(sys.argv[1], SPACE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    records.append(names(1, start=3), made(1).matrix())
except StoreUnavailable as error:
    print("refused", error.hint)
"""


def test_a_full_disk_is_unavailable_and_leaves_all_as_it_was(records: Records) -> None:
    records.append(names(3), made(3))
    command = [sys.executable, "-c", FULL_DISK, records.table.uri]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env=env
    )
    assert ended.stdout.startswith("refused Free some space"), ended.stderr
    assert set(names(3)) == set(contents(again(records)))
    assert len(list(Path(records.table.uri).glob("records-*"))) == 1


WITHOUT_PANDAS = """
import sys
from features.records import Records
from made_up import SPACE, made, names

records = Records(sys.argv[1], SPACE)
for start in range(3):
    records.append(names(1, start=start), made(1).matrix())
records.erase(names(1))
records.merge(records.small_files())
assert len(list(records.chosen())) == 1
print("pandas" in sys.modules)
"""


def test_no_road_loads_what_arrow_would_like_to_have_for_its_conversions(tmp_path: Path) -> None:
    """Pandas is 0.4 s and 20 MiB, in the middle of an append that happens to merge."""
    command = [sys.executable, "-c", WITHOUT_PANDAS, str(tmp_path / "table")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ended.stdout == "False\n", ended.stderr


@pytest.mark.parametrize("reason", [CommitFailedError("no"), OSError("No space left on device")])
def test_a_log_that_cannot_be_written_leaves_all_as_it_was(
    records: Records, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise reason

    records.append(names(3), made(3))
    monkeypatch.setattr(DeltaTable, "create_write_transaction", refuse)
    with pytest.raises(StoreUnavailable):
        records.append(names(1, start=3), made(1))
    assert set(names(3)) == set(contents(again(records)))
    assert len(list(Path(records.table.uri).glob("*.parquet"))) == 1


def test_a_file_is_left_in_an_object_store_if_its_commit_may_yet_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time_out(*args: object, **options: object) -> None:
        raise OSError("Generic S3 error: operation timed out")

    monkeypatch.setattr(table_module, "local_folder", lambda uri: None)
    tmp_path.joinpath("table").mkdir()
    records = Records((tmp_path / "table").as_uri(), SPACE)
    monkeypatch.setattr(DeltaTable, "create_write_transaction", time_out)
    with pytest.raises(StoreUnavailable):
        records.append(names(1), made(1))
    assert len(list(tmp_path.joinpath("table").glob("*.parquet"))) == 1


def test_a_commit_that_went_through_unheard_keeps_its_file(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the answer of an object store is lost on its way."""
    commit = DeltaTable.create_write_transaction

    def commit_and_fail(*args: Any, **options: Any) -> None:
        commit(*args, **options)
        raise OSError("connection reset")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", commit_and_fail)
    with pytest.raises(StoreUnavailable):
        records.append(names(1), made(1))
    assert set(names(1)) == set(contents(again(records)))
