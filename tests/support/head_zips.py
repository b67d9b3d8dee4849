"""Heads of the toy space as files, and as a forger would change them."""

import io
import json
import zipfile
from collections.abc import Mapping
from functools import cache

import numpy as np
from made_heads import alternating, digests, resealed
from made_up import SPACE, made

from classifiers.head import Head
from classifiers.labels import LabelSet
from classifiers.recipe import Recipe
from classifiers.training import learn
from service.head_files import pack


@cache
def toy_head() -> Head:
    """Return a head of few trees that tells two kinds of made-up images apart."""
    labels = alternating(("cat", "dog"), 12)
    X = made(len(labels)).matrix()
    X[np.array(labels) == "dog"] += np.float32(0.7)
    return learn(
        X,
        LabelSet(digests(len(labels)), labels),
        name="made",
        space_id=SPACE.id,
        blocks=[(b.name, b.start, b.stop) for b in SPACE.blocks],
        recipe=Recipe(rounds=8, folds=3, repeats=1),
        created="2026-01-01T00:00:00Z",
    )


def zipped(files: Mapping[str, bytes], how: int = zipfile.ZIP_STORED) -> io.BytesIO:
    """Return a zip of files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file


def unzipped(data: bytes) -> dict[str, bytes]:
    """Return the files of a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forged(changed: Mapping[str, bytes]) -> io.BytesIO:
    """Return a head's file in which some files are others, with the hashes that fit them.

    Args:
        changed: by name, `card.json` among them.

    Raises:
        ValueError: the card is no JSON object, so that no hash can be put in.
    """
    files = {**unzipped(pack(toy_head(), SPACE)), **changed}
    space = files.pop("space.json")
    if not isinstance(json.loads(files["card.json"]), dict):
        raise ValueError("no card")  # noqa: TRY004  the data are wrong, not the caller
    return zipped({**resealed(files), "space.json": space})


def forged_card(**changes: object) -> io.BytesIO:
    """Return a head's file whose card says something else."""
    card = json.loads(toy_head().card.to_json())
    return forged({"card.json": json.dumps({**card, **changes}).encode()})
