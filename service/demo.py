"""A first success: digits that come with scikit-learn become three heads. Prints nothing.

All three learn from the same images: the backbone looks at each of them once.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service import calls
from service.calls.jobs import JobProgress
from service.client import Answer, Client, NamedImage
from service.exchange import Flow

ABOUT = """\
Handwritten digits (from scikit-learn) become three heads on the same images:
  which-digit   0 to 9
  even-or-odd   even or odd
  has-a-loop    0, 6, 8 and 9 have one, the others have none (a 4 counts as open)"""

QUESTIONS: dict[str, Callable[[int], str]] = {
    "which-digit": str,
    "even-or-odd": lambda digit: "odd" if digit % 2 else "even",
    "has-a-loop": lambda digit: "loop" if digit in (0, 6, 8, 9) else "no loop",
}

PER_DIGIT = 36
"""Images of each digit that the heads learn from."""

SIDE = 96
"""Pixels of the pictures' sides; the originals have 8."""

BATCH = 64

HITS = 5

Progress = Callable[[float, float, str], None]
"""Told (done, total, what)."""

Wait = Callable[[Client, Answer, JobProgress], Answer]
"""Returns a job when it is done, and tells how far it is until then."""


@dataclass(frozen=True, slots=True)
class Digit:
    """A picture of a digit."""

    name: str
    data: bytes
    digit: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What the demo has to show.

    Args:
        sample: a picture that no head has learnt from, written to disk.
        digit: what it shows.
        cards: of the heads, by name.
        learnt: heads that were taught now, not found.
        prediction: the answer of all heads about the sample.
        search: the images most similar to it.
    """

    sample: Path
    digit: int
    cards: dict[str, Answer]
    learnt: tuple[str, ...]
    prediction: Answer
    search: Answer


def wait_for(client: Client, job: Answer, on_progress: JobProgress) -> Answer:
    """Waits for a job, and leaves it alone where the wait is interrupted."""
    return client.wait(job["id"], on_progress=on_progress)


def run(
    client: Client, folder: Path, *, again: bool, on_progress: Progress, wait: Wait = wait_for
) -> Shown:
    """Teaches the heads that are missing, then asks all of them about a new picture.

    Args:
        client: where.
        folder: where the sample picture is written.
        again: teach all heads anew.
        on_progress: told how far it is.
        wait: waits for a job.
    """
    training, sample = pictures()
    known = _heads_of_this_space(client)
    missing = [name for name in QUESTIONS if again or name not in known]
    for name in missing:
        _teach(client, name, training, on_progress, wait)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "sample.png"
    path.write_bytes(sample.data)
    champions = {name: int(client.head(name)["champion"]) for name in QUESTIONS}
    return Shown(
        sample=path,
        digit=sample.digit,
        cards={name: client.card(name, number) for name, number in champions.items()},
        learnt=tuple(missing),
        prediction=client.predict(path, list(QUESTIONS)),
        search=client.search(path, k=HITS, dataset="which-digit"),
    )


def pictures() -> tuple[list[Digit], Digit]:
    """(what to learn from, one more picture)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    counts: dict[int, int] = {}
    training: list[Digit] = []
    for i, (pixels, target) in enumerate(zip(digits.images, digits.target, strict=True)):
        digit = int(target)
        if counts.get(digit, 0) == PER_DIGIT:
            return training, Digit("sample.png", _png(pixels), digit)
        counts[digit] = counts.get(digit, 0) + 1
        training.append(Digit(f"{digit}-{i:04}.png", _png(pixels), digit))
    raise AssertionError("scikit-learn has 170 pictures of each digit")


def _png(pixels: Any) -> bytes:  # noqa: ANN401 - scikit-learn publishes no types
    """A PNG file of float64 (8, 8), 0 to 16."""
    import numpy as np
    from PIL import Image

    grey = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
    file = io.BytesIO()
    grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def _heads_of_this_space(client: Client) -> set[str]:
    """Heads whose champion answers in the space that is served."""
    space = client.spaces()["spaces"][0]["id"]
    return {
        head["name"]
        for head in client.heads()["heads"]
        for version in head["versions"]
        if version["version"] == head["champion"] and version["space"] == space
    }


def _teach(
    client: Client, name: str, training: Sequence[Digit], on_progress: Progress, wait: Wait
) -> None:
    done = 0
    for answer in client.stream(_ingests(name, training)):
        done += answer["added"] + answer["known"] + len(answer["rejected"])
        on_progress(done, len(training), f"{name}: looking at images")
    job = wait(
        client,
        client.learn(name, name, options={"author": "penultimate demo"}),
        lambda j: on_progress(j["progress"], 1.0, f"{name}: {j['stage'] or 'done'}"),
    )
    version = job["result"]["version"]
    if client.head(name)["champion"] != version:
        client.promote(name, version, reason="penultimate demo")


def _ingests(name: str, training: Sequence[Digit]) -> Iterator[Flow]:
    label = QUESTIONS[name]
    for start in range(0, len(training), BATCH):
        part = training[start : start + BATCH]
        images = [NamedImage(d.name, d.data) for d in part]
        yield calls.ingest(name, images, [label(d.digit) for d in part])
