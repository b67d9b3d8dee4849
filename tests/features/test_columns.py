"""Records as columns of Parquet: as we write them, and as another program may have written them."""

from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import SPACE, made, names

from features.columns import Malformed, Rows, read, read_keys, write_parquet
from features.keys import Float32

MATRIX = made(5).matrix()
CREATED = np.arange(5, dtype=np.int64)


def of_ours() -> pa.BufferReader:
    file = BytesIO()
    parts = (Rows(names(5)[i:j], MATRIX[i:j], CREATED[i:j]) for i, j in ((0, 2), (2, 5)))
    assert write_parquet(file, parts, SPACE, 100) == 5
    return pa.BufferReader(file.getvalue())


def of_another(embedding: pa.DataType, stages: pa.DataType, when: str = "us") -> pa.BufferReader:
    """What a program writes that keeps lists and times in its own way."""
    table = pa.table(
        {
            "digest": pa.array(names(5)),
            "embedding": pa.array(MATRIX[:, : SPACE.dim].tolist(), embedding),
            "stages": pa.array(MATRIX[:, SPACE.dim :].tolist(), stages),
            "created": pa.array(CREATED, pa.timestamp("us", "UTC")).cast(pa.timestamp(when, "UTC")),
        }
    )
    file = BytesIO()
    pq.write_table(table, file, row_group_size=2)
    return pa.BufferReader(file.getvalue())


def read_back(source: pa.BufferReader) -> tuple[list[str], Float32, list[int]]:
    parts = list(read(source, SPACE))
    digests = [digest for rows in parts for digest in rows.digests]
    created = [int(when) for rows in parts for when in rows.created]
    return digests, np.concatenate([rows.matrix for rows in parts]), created


NUMBER = pa.float32()
LISTS = {
    "lists": (pa.list_(NUMBER), pa.list_(NUMBER)),
    "large lists": (pa.large_list(NUMBER), pa.large_list(NUMBER)),
    "lists of one size": (pa.list_(NUMBER, SPACE.dim), pa.list_(NUMBER, SPACE.stages_dim)),
}


@pytest.mark.parametrize("kind", ["ours", *LISTS])
def test_every_kind_of_list_is_read_as_the_same_numbers(kind: str) -> None:
    digests, matrix, created = read_back(of_ours() if kind == "ours" else of_another(*LISTS[kind]))
    assert digests == names(5)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, MATRIX)
    assert created == CREATED.tolist()


def test_keys_are_read_without_their_vectors_in_whatever_unit_their_time_is() -> None:
    assert read_keys(of_ours())[1].tolist() == CREATED.tolist()
    digests, created = read_keys(of_another(*LISTS["lists"], when="ns"))
    assert (digests, created.tolist()) == (names(5), CREATED.tolist())


@pytest.mark.parametrize("missing", ["embedding", "stages", "created"])
@pytest.mark.parametrize("kind", LISTS)
def test_what_is_missing_is_malformed(kind: str, missing: str) -> None:
    table = pq.read_table(of_another(*LISTS[kind]))
    place = table.schema.get_field_index(missing)
    holes = pa.array([None, *table.column(missing).to_pylist()[1:]], table.schema.types[place])
    file = BytesIO()
    pq.write_table(table.set_column(place, missing, holes), file)
    with pytest.raises(Malformed):
        list(read(pa.BufferReader(file.getvalue()), SPACE))
