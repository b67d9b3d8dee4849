"""Every reader of what comes from outside, given damaged input by the thousand, in this process.

    python tests/torture/fuzz_readers.py --inputs 100000 --record docs/reliability.json

Wrong is: an exception that is not the reader's own refusal, an input that takes longer than
SLOWEST_S, memory that grows, or an end of the process (LightGBM's reader is C++).
"""

import argparse
import io
import logging
import random
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

import numpy as np  # noqa: E402  the paths come first
import structlog  # noqa: E402
from any_boosters import any_head  # noqa: E402
from head_zips import forged, toy_head  # noqa: E402
from in_process import opened, settings_of  # noqa: E402
from made_heads import resealed  # noqa: E402
from made_up import SPACE  # noqa: E402
from mutations import archives, mutated, pictures  # noqa: E402
from record import write_record  # noqa: E402

from classifiers.boosting import objective_line  # noqa: E402
from classifiers.card import Card  # noqa: E402
from classifiers.errors import HeadDamaged  # noqa: E402
from classifiers.head import Head  # noqa: E402
from classifiers.tree_shape import BadText  # noqa: E402
from classifiers.trees import parse  # noqa: E402
from features.errors import ImageRejected  # noqa: E402
from features.images import decode, thumbnail  # noqa: E402
from features.limits import Limits  # noqa: E402
from service.archives import ArchiveLimits, read_archive  # noqa: E402
from service.errors import ArchiveRejected, HeadRejected  # noqa: E402
from service.head_files import pack, unpack  # noqa: E402

SLOWEST_S = 5.0
"""Longer than any input of a few kilobytes may take, on a machine that does other things too."""

GROWTH_MIB = 96
"""More than the process may grow by in one reader, after its first thousand inputs."""

IMAGE_LIMITS = Limits(max_bytes=2**20, max_megapixels=4.0, max_side=4_000)
ARCHIVE_LIMITS = ArchiveLimits(members=50, total_bytes=2**20, member_bytes=2**18)


@dataclass
class Reader:
    """One reader.

    Args:
        name: what it reads.
        corpus: sound inputs, to be damaged.
        read: reads one; raises `refusals` where it refuses.
        refusals: what it may raise.
        share: of all inputs.
    """

    name: str
    corpus: list[bytes]
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    share: float


def readers() -> list[Reader]:
    """All but the one that needs a running application."""
    heads = [any_head(kind, n, 3) for kind in ("plain", "with_nan", "stumps") for n in (1, 3)]
    files = heads[0].to_files()
    arrays = [name for name in files if name.endswith(".npy")]

    def as_array(data: bytes) -> None:
        name = arrays[len(data) % len(arrays)]
        Head.from_files(resealed({**files, name: data}))

    def as_file(data: bytes) -> None:
        unpack(io.BytesIO(data))

    def as_model(data: bytes) -> None:
        text = data.decode("ascii")
        card = heads[0].card
        parse(text, card.scaling.n_columns, card.n_outputs, objective_line(card.question))
        head = Head.from_files(resealed({**files, "model.txt": data}))
        head.raw(np.zeros((2, head.card.width), np.float32))

    return [
        Reader("image", pictures(), _decode, (ImageRejected,), 0.35),
        Reader("archive", archives(), _read_all, (ArchiveRejected,), 0.25),
        Reader("card", [h.card.to_json() for h in heads], Card.from_json, (ValueError,), 0.10),
        Reader(
            "model text",
            [h.text.encode() for h in heads],
            as_model,
            (BadText, UnicodeDecodeError, HeadDamaged),
            0.15,
        ),
        Reader("array", [files[name] for name in arrays], as_array, (HeadDamaged,), 0.05),
        Reader("head file", [pack(toy_head(), SPACE)], as_file, (HeadRejected,), 0.02),
        Reader(
            "forged head",
            [toy_head().card.to_json()],
            lambda data: unpack(forged({"card.json": data})),
            (HeadRejected, ValueError, RecursionError),
            0.03,
        ),
    ]


def _decode(data: bytes) -> None:
    decode(data, SPACE.preprocessing, IMAGE_LIMITS)
    thumbnail(data, 16, IMAGE_LIMITS)


def _read_all(data: bytes) -> None:
    held = sum(len(m.data) for m in read_archive(io.BytesIO(data), ARCHIVE_LIMITS))
    if held > ARCHIVE_LIMITS.total_bytes:
        raise AssertionError(f"{held} bytes came out of an archive")


def run(reader: Reader, inputs: int, seed: int) -> dict[str, Any]:
    """Gives a reader many inputs; raises at the first that it does not take as it should."""
    choices = random.Random(seed)
    refused, slowest, before = 0, 0.0, 0.0
    for number in range(inputs):
        data = mutated(choices, reader.corpus)
        begun = time.perf_counter()
        try:
            reader.read(data)
        except reader.refusals:
            refused += 1
        except BaseException:
            Path(tempfile.gettempdir(), "fuzz-input").write_bytes(data)
            sys.stdout.write(f"{reader.name}: input {number} of seed {seed}: {data[:200]!r}\n")
            raise
        slowest = max(slowest, time.perf_counter() - begun)
        if slowest > SLOWEST_S:
            raise AssertionError(f"{reader.name}: input {number} took {slowest:.1f} s")
        if number == min(1_000, inputs - 1):
            before = _peak_mib()
    growth = _peak_mib() - before
    if growth > GROWTH_MIB:
        raise AssertionError(f"{reader.name}: {growth:.0f} MiB more than after 1,000 inputs")
    return {
        "inputs": inputs,
        "refused": refused,
        "slowest_ms": round(1e3 * slowest),
        "growth_mib": round(growth),
    }


def form_reader(http: Any) -> Reader:
    """Multipart bodies, against the whole application."""
    kind = {"content-type": "multipart/form-data; boundary=XX"}
    part = b'--XX\r\nContent-Disposition: form-data; name="images"; filename="a.png"\r\n\r\n'
    field = b'--XX\r\nContent-Disposition: form-data; name="heads"\r\n\r\ncolour@1\r\n'
    corpus = [part + pictures()[0] + b"\r\n" + field + b"--XX--\r\n", field * 3 + b"--XX--\r\n"]
    corpus.append(part.replace(b"images", b"file") + b"\r\n" + field + b"--XX--\r\n")
    paths = ("/v1/predict", "/v1/search", "/v1/datasets/fuzzed/images", "/v1/embed")
    paths += ("/v1/heads/fuzzed/versions",)

    def post(data: bytes) -> None:
        answer = http.post(paths[len(data) % len(paths)], content=data, headers=kind)
        if answer.status_code >= 500:
            raise AssertionError(f"{answer.status_code}: {answer.text}")
        if answer.status_code >= 400:
            raise ValueError

    return Reader("multipart form", corpus, post, (ValueError,), 0.05)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Runs from a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 100_000)
    parser.add_argument("--record", type=Path, help="JSON file to write what came of it into")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow has much to say of damaged pictures
    logging.disable()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    said: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat(), "seed": given.seed}
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
        opened(settings_of(Path(folder) / "home")) as http,
    ):
        for reader in [*readers(), form_reader(http)]:
            found = run(reader, int(given.inputs * reader.share), given.seed)
            sys.stdout.write(f"{reader.name}: {found}\n")
            sys.stdout.flush()
            said[reader.name] = found
    said["inputs in all"] = sum(v["inputs"] for v in said.values() if isinstance(v, dict))
    if given.record:
        write_record(given.record, "fuzzing the readers", said)


if __name__ == "__main__":
    main()
