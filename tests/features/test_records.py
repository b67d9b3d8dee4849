"""The records: durable, readable by others, erased for real."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from made_up import SPACE, everything_under, name, names
from recorded import again, contents, made, same

from features import columns as columns_module
from features import records as records_module
from features import storage as storage_module
from features import table as table_module
from features.columns import FORMAT_KEY, SPACE_KEY, schema
from features.errors import SpaceMismatch, StoreDamaged
from features.keys import EmbeddingSpace
from features.records import Records
from features.table import Conflict

FORMATS = Path(__file__).parent / "formats"


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(str(tmp_path / "table"), SPACE)


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


@pytest.mark.parametrize("folder", ["with space", "höher", "a#b?c"])
def test_a_folder_may_have_an_unusual_name(tmp_path: Path, folder: str) -> None:
    records = Records(str(tmp_path / folder), SPACE)
    records.append(names(2), made(2))
    assert set(contents(again(records))) == set(names(2))


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
print([name for name in ("pandas", "pyarrow.compute") if name in sys.modules])
"""


def test_no_road_loads_what_arrow_would_like_to_have_for_its_conversions(tmp_path: Path) -> None:
    """0.4 and 0.2 s, and 20 MiB, in the middle of an append that happens to merge."""
    command = [sys.executable, "-c", WITHOUT_PANDAS, str(tmp_path / "table")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert ended.stdout == "[]\n", ended.stderr
