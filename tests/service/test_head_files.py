"""A head as a file: always the same bytes, the same answers after it, and no trust in others'."""

import io
import json
import tarfile
import time
import zipfile

import numpy as np
import pytest
from head_zips import forged, forged_card, toy_head, unzipped, zipped
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up import SPACE, made

from service.errors import HeadRejected, RequestTooLarge
from service.head_files import MOST_BYTES, pack, unpack


def test_a_head_comes_out_of_its_file_as_it_went_in() -> None:
    data = pack(toy_head(), SPACE)
    head, space = unpack(io.BytesIO(data))
    assert space == SPACE
    assert head.to_files() == toy_head().to_files()
    X = made(9, seed=1).matrix()
    assert (head.answers(X) == toy_head().answers(X)).all()
    assert pack(head, space) == data


def test_the_file_is_a_plain_zip_in_which_nothing_is_pickled() -> None:
    files = unzipped(pack(toy_head(), SPACE))
    assert files.keys() == {*toy_head().to_files(), "space.json"}
    for name, data in files.items():
        if name.endswith(".npy"):
            np.load(io.BytesIO(data), allow_pickle=False)


@pytest.mark.parametrize("gone", ["card.json", "space.json", "model.txt", "linear.npy"])
def test_a_file_that_lacks_something_is_refused(gone: str) -> None:
    files = unzipped(pack(toy_head(), SPACE))
    del files[gone]
    with pytest.raises(HeadRejected, match=gone):
        unpack(zipped(files))


def test_what_does_not_belong_there_is_refused() -> None:
    files = unzipped(pack(toy_head(), SPACE))
    with pytest.raises(HeadRejected, match=r"extra\.npy"):
        unpack(zipped({**files, "extra.npy": b""}))
    with pytest.raises(HeadRejected, match="not allowed"):
        unpack(zipped({**files, "../card.json": b""}))
    with pytest.raises(HeadRejected, match="More than 32"):
        unpack(zipped({**files, **{f"f{n}": b"" for n in range(32)}}))


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zipped({"card.json": bytes(MOST_BYTES + 1)}, how=zipfile.ZIP_DEFLATED)
    with pytest.raises(HeadRejected, match="unpacks to more"):
        unpack(bomb)


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04", bytes(10_240)])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    with pytest.raises(HeadRejected):
        unpack(io.BytesIO(data))


def test_a_space_that_is_not_the_cards_is_refused() -> None:
    files = unzipped(pack(toy_head(), SPACE))
    other = {**json.loads(files["space.json"]), "backbone": "other"}
    with pytest.raises(HeadRejected, match="not the space"):
        unpack(zipped({**files, "space.json": json.dumps(other).encode()}))
    for wrong in (b"", b"[]", b"{}", b"[" * 100_000, b'{"format": 2}'):
        with pytest.raises(HeadRejected):
            unpack(zipped({**files, "space.json": wrong}))


@pytest.mark.parametrize(
    "changes",
    [
        {"author": "Ana\x1b[2J"},
        {"author": "A" * 2_001},
        {"limits": ["two\nlines"]},
        {"warnings": ["\u202egnp"]},
        {"format": 99},
        {"width": SPACE.width + 1},
        {"tree_factors": [float("nan")]},
        {"metrics": {"auc": {"value": float("inf"), "low": 0, "high": 1}}},
        {"n_images": 25},
    ],
)
def test_a_forged_card_is_refused(changes: dict[str, object]) -> None:
    assert unpack(forged_card())[0].card == toy_head().card
    with pytest.raises(HeadRejected):
        unpack(forged_card(**changes))


def test_columns_that_the_space_does_not_have_are_refused() -> None:
    card = json.loads(toy_head().card.to_json())
    blocks = [{**block, "name": "strange"} for block in card["blocks"]]
    with pytest.raises(HeadRejected, match="does not have"):
        unpack(forged_card(blocks=blocks))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_damaged_is_refused_or_still_the_same_head(data: st.DataObject) -> None:
    """A zip has bytes that nobody reads: times, sizes said twice."""
    whole = bytearray(pack(toy_head(), SPACE))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    try:
        head, space = unpack(io.BytesIO(bytes(whole)))
    except HeadRejected:
        return
    assert (head.to_files(), space) == (toy_head().to_files(), SPACE)


def test_a_head_that_nobody_would_take_in_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.head_files.MOST_BYTES", 1_000)
    with pytest.raises(RequestTooLarge, match="1000"):
        pack(toy_head(), SPACE)


def changed(**arrays: float) -> io.BytesIO:
    """A file in which one number of some arrays is another."""
    files = toy_head().to_files()
    found = {}
    for name, number in arrays.items():
        array = np.load(io.BytesIO(files[f"{name}.npy"]))
        array.reshape(-1)[0] = number
        out = io.BytesIO()
        np.lib.format.write_array(out, array, (1, 0), allow_pickle=False)
        found[f"{name}.npy"] = out.getvalue()
    return forged({"card.json": files["card.json"], **found})


@pytest.mark.parametrize("name", ["linear", "intercept", "column_means", "novelty_steps"])
def test_numbers_that_are_too_large_to_reckon_with_are_refused(name: str) -> None:
    assert unpack(changed(**{name: 0.5}))
    with pytest.raises(HeadRejected, match="too large"):
        unpack(changed(**{name: 3e37}))


def test_a_leaf_that_is_too_large_is_refused() -> None:
    files = toy_head().to_files()
    lines = files["model.txt"].decode().split("\n")
    at = next(n for n, line in enumerate(lines) if line.startswith("leaf_value="))
    first, *others = lines[at].removeprefix("leaf_value=").split(" ")
    # As long as before: the sizes of trees stand in the text.
    large = "9" * (len(first) - 4) + "e+90"
    lines[at] = "leaf_value=" + " ".join([large, *others])
    text = "\n".join(lines).encode()
    with pytest.raises(HeadRejected, match="too large"):
        unpack(forged({"card.json": files["card.json"], "model.txt": text}))


@pytest.mark.parametrize(
    "changes",
    [
        {"permutations": 10**30},
        {"n_groups": 10**400},
        {"p_value": -1e300},
        {"classes": ["", "dog"], "class_counts": {"": 12, "dog": 12}},
        {"classes": [" cat", "dog"], "class_counts": {" cat": 12, "dog": 12}},
        {"classes": ["c" * 201, "dog"], "class_counts": {"c" * 201: 12, "dog": 12}},
        {"classes": ["e\u0301", "dog"], "class_counts": {"e\u0301": 12, "dog": 12}},
        {"limits": ["x" * 1_000] * 3_000},
        {"confusion": [[0] * 500_000]},
    ],
)
def test_a_card_that_nobody_could_show_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(HeadRejected):
        unpack(forged_card(**changes))


def test_a_large_card_is_refused_before_it_is_read() -> None:
    files = unzipped(pack(toy_head(), SPACE))
    files["card.json"] = b"[" + b"0," * 10**7 + b"0]"
    begun = time.perf_counter()
    with pytest.raises(HeadRejected, match="more than 2097152 bytes"):
        unpack(zipped(files, how=zipfile.ZIP_DEFLATED))
    assert time.perf_counter() - begun < 2


def test_another_kind_of_archive_is_refused() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in unzipped(pack(toy_head(), SPACE)).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    with pytest.raises(HeadRejected, match="no zip"):
        unpack(out)
