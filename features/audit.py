"""Whether records and mirror say the same, told in words. Reads everything, changes nothing."""

from collections.abc import Iterator

import numpy as np

from features.columns import Rows
from features.errors import StoreDamaged
from features.records import Records
from features.view import MirrorDamaged, View


def disagreements(records: Records, view: View) -> Iterator[str]:
    """Yield a sentence for each thing that is wrong with the records, the mirror, or both."""
    in_index = view.digests(view.live.tolist())
    if len(set(in_index)) < len(in_index):
        yield f"index: {len(in_index) - len(set(in_index))} rows repeat a digest"
    try:
        view.units(view.live)
    except MirrorDamaged as error:
        yield f"index: {error}"
    for name in records.table.missing():
        yield f"records: {name} is missing, or not as long as the log says"
    on_record = set[str]()
    try:
        repeated = sum(int((~kept).sum()) for kept in records.winners().values())
        if repeated:
            yield f"records: {repeated} rows repeat a digest"
        for rows in records.chosen():
            on_record.update(rows.digests)
            yield from _compare(rows, view)
    except StoreDamaged as error:
        yield f"records: {error.detail}"
    else:
        yield from _surplus(set(in_index) - on_record)


def _compare(rows: Rows, view: View) -> Iterator[str]:
    found = view.find(rows.digests)
    absent = [digest for digest in rows.digests if digest not in found]
    if absent:
        yield f"index: {len(absent)} records are not in it, such as {absent[0]}"
    wanted = rows[np.array([digest in found for digest in rows.digests], np.bool_)]
    try:
        mirrored = view.read([found[digest] for digest in wanted.digests])
    except MirrorDamaged as error:
        yield f"index: {error}, between {rows.digests[0]} and {rows.digests[-1]}"
        return
    different = np.flatnonzero((mirrored != wanted.matrix).any(axis=1))
    if len(different):
        example = wanted.digests[different[0]]
        yield f"index: {len(different)} records differ from those on record, such as {example}"


def _surplus(digests: set[str]) -> Iterator[str]:
    if digests:
        yield f"index: {len(digests)} records are not on record, such as {min(digests)}"
