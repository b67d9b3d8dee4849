"""Records of made-up vectors, and what is in them."""

import numpy as np
from made_up import SPACE
from made_up import made as vectors_made_up

from features.keys import Float32
from features.records import Records


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


def again(records: Records) -> Records:
    return Records(records.table.uri, SPACE)
