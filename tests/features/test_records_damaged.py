"""Records that are damaged, or cannot be reached or written: refused, and left as they were."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, TableFeatures, write_deltalake
from deltalake.exceptions import CommitFailedError
from made_up import SPACE, names
from recorded import again, contents, made, same

from features import table as table_module
from features.columns import Malformed, read, schema
from features.errors import StoreDamaged, StoreUnavailable
from features.records import Records
from features.storage import newest_version

ENDPOINT_OF_NOBODY = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ALLOW_HTTP": "true",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
    "AWS_REGION": "nowhere",
    "max_retries": "0",
}


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(str(tmp_path / "table"), SPACE)


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


@pytest.mark.parametrize("path", ["../s.parquet", "{}/s.parquet", "file://{}/s.parquet"])
def test_a_log_that_names_a_file_elsewhere_is_damage_and_the_file_stays(
    records: Records, path: str
) -> None:
    records.append(names(5), made(5))
    folder = Path(records.table.uri)
    stranger = folder.parent / "s.parquet"
    shutil.copy(next(folder.glob("*.parquet")), stranger)
    add = {
        "path": path.format(folder.parent),
        "size": stranger.stat().st_size,
        "partitionValues": {},
        "modificationTime": 1,
        "dataChange": True,
    }
    log = folder / "_delta_log" / f"{records.table.version + 1:020d}.json"
    log.write_text(json.dumps({"add": add}))
    records.table.refresh()
    with pytest.raises(StoreDamaged, match="not in its folder"):
        records.erase(names(5)[:1])
    with pytest.raises(StoreDamaged, match="not in its folder"):
        newest_version(folder)  # what a backup copies
    assert stranger.exists()


def test_vectors_that_are_no_lists_are_damage(records: Records) -> None:
    columns = schema(SPACE)
    for name in ("embedding", "stages"):
        columns = columns.set(columns.get_field_index(name), pa.field(name, pa.float32()))
    row = {"digest": names(1), "embedding": [1.0], "stages": [1.0], "created": [0]}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(row, schema=columns), sink)
    with pytest.raises(Malformed, match="not lists"):
        list(read(pa.BufferReader(sink.getvalue()), SPACE))
