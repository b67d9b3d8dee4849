"""A head survives its files; files that are not what they say never become one."""

import io
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_heads import alternating, resealed, small_head, vectors

from classifiers.errors import HeadDamaged
from classifiers.head import Head

HEAD = small_head()
FILES = HEAD.to_files()
X = vectors(alternating(("cat", "dog"), 20), 1.0, seed=8)


def mutated(data: bytes, seed: int) -> bytes:
    generator = random.Random(seed)
    changed = bytearray(data)
    for _ in range(generator.randint(1, 3)):
        place = generator.randrange(len(changed) + 1)
        changed[place : place + generator.randint(0, 3)] = generator.randbytes(
            generator.randint(0, 3)
        )
    return bytes(changed)


@pytest.mark.parametrize("classes", [("cat", "dog"), ("a", "b", "c")])
def test_a_head_survives_its_files_to_the_byte(classes: tuple[str, ...]) -> None:
    head = small_head(classes)
    again = Head.from_files(head.to_files())
    assert again.to_files() == head.to_files()
    assert again.card == head.card
    assert again.raw(X).tobytes() == head.raw(X).tobytes()


def test_it_keeps_what_unseen_images_got() -> None:
    p, y = HEAD.arrays["out_of_fold"], HEAD.card.question.numbers(HEAD.arrays["truth"])
    assert p.shape == (24, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    assert np.mean(p.argmax(axis=1) == y) > 0.8
    assert np.bincount(y).tolist() == [12, 12]


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file_is_named(name: str) -> None:
    with pytest.raises(HeadDamaged, match=name) as caught:
        Head.from_files({k: v for k, v in FILES.items() if k != name}, "abc")
    assert caught.value.artefact == "abc"


def test_a_file_too_many_is_named() -> None:
    for more in ({**FILES, "run.sh": b""}, resealed({**FILES, "extra.npy": b""})):
        with pytest.raises(HeadDamaged, match=r"run\.sh|extra\.npy"):
            Head.from_files(more)


@given(st.sampled_from(sorted(FILES)), st.integers(0, 2**32))
def test_a_changed_file_is_refused(name: str, seed: int) -> None:
    files = {**FILES, name: mutated(FILES[name], seed)}
    if files == FILES:
        return
    try:
        head = Head.from_files(files)
    except HeadDamaged:
        return
    # A card may be changed where it says something harmless; no other file may.
    assert name == "card.json"
    assert head.raw(X).tobytes() == HEAD.raw(X).tobytes() or head.card.scaling != HEAD.card.scaling


@settings(max_examples=400)
@given(st.sampled_from(sorted(set(FILES) - {"card.json"})), st.integers(0, 2**32))
def test_a_forged_file_is_refused_or_harmless(name: str, seed: int) -> None:
    """LightGBM's own reader must survive whatever gets through: it runs in this process."""
    files = resealed({**FILES, name: mutated(FILES[name], seed)})
    try:
        head = Head.from_files(files)
    except HeadDamaged:
        return
    assert np.isfinite(head.raw(X)).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((24, 2)),
        np.zeros((24, 3), np.float32),
        np.zeros((2, 24), np.float32),
        np.zeros((24, 2), ">f4"),
        np.asfortranarray(np.zeros((24, 2), np.float32)),
        np.zeros((24, 2), np.int32),
        np.array([[None] * 2] * 24),
    ],
)
def test_an_array_of_another_type_or_shape_is_refused(array: np.ndarray) -> None:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    with pytest.raises(HeadDamaged, match="out_of_fold"):
        Head.from_files(resealed({**FILES, "out_of_fold.npy": out.getvalue()}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("out_of_fold", np.nan),
        ("out_of_fold", 1.5),
        ("truth", 2),
        ("truth", np.nan),
        ("linear", np.nan),
        ("column_means", np.inf),
    ],
)
def test_an_array_of_impossible_values_is_refused(name: str, value: float) -> None:
    array = HEAD.arrays[name].copy()
    array.flat[3] = value
    out = io.BytesIO()
    np.save(out, array)
    with pytest.raises(HeadDamaged, match=name):
        Head.from_files(resealed({**FILES, f"{name}.npy": out.getvalue()}))


@pytest.mark.parametrize("data", [FILES["out_of_fold.npy"][:-4], FILES["out_of_fold.npy"] + b"0"])
def test_an_array_longer_or_shorter_than_it_says_is_refused(data: bytes) -> None:
    with pytest.raises(HeadDamaged, match=r"out_of_fold\.npy is no float32 \(24, 2\)"):
        Head.from_files(resealed({**FILES, "out_of_fold.npy": data}))


def test_an_array_that_claims_to_be_huge_takes_no_memory() -> None:
    forged = FILES["out_of_fold.npy"].replace(b"(24, 2)", b"(24, 9999999999)")
    with pytest.raises(HeadDamaged, match="out_of_fold"):
        Head.from_files(resealed({**FILES, "out_of_fold.npy": forged}))


def test_lightgbm_reads_nothing_until_it_is_asked() -> None:
    """A process that only serves never imports it."""
    code = (
        "import sys, numpy as np\n"
        "from classifiers import Forest, Head\n"
        "names = sys.stdin.buffer.read().split(b'\\n\\n\\x00')\n"
        "files = {n.decode(): d for n, d in zip(names[::2], names[1::2])}\n"
        "forest = Forest([Head.from_files(files)])\n"
        "forest.ask(np.zeros((1, 40), np.float32))\n"
        "print([m for m in ('lightgbm', 'sklearn') if m in sys.modules])\n"
    )
    sent = b"\n\n\x00".join(part for name, data in FILES.items() for part in (name.encode(), data))
    done = subprocess.run(
        [sys.executable, "-c", code], input=sent, capture_output=True, check=False
    )
    assert done.stdout == b"[]\n", done.stderr.decode()
