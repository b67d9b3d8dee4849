"""The main job on real images with the real backbone; skipped where there are no such images."""

import csv
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live_server import SHARED, Server, ingest, learn
from sklearn.metrics import roc_auc_score

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not SHARED.is_dir(), reason="the shared image sets are not here"),
]

PER_CLASS = 60
"""Persons of each class to learn from; as many others are asked about afterwards."""


def persons(folder: Path) -> dict[str, list[list[Path]]]:
    """Class → the files of each person of that class, in a fixed random order."""
    with (folder / "groups.csv").open() as table:
        group_of = {row["path"]: row["group"] for row in csv.DictReader(table)}
    found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path, group in group_of.items():
        label = "normal" if path.startswith("normal") else "pneumonia"
        found[label][group].append(folder / path)
    shuffled = {}
    for label, by_person in found.items():
        shuffled[label] = [files for _, files in sorted(by_person.items())]
        random.Random(0).shuffle(shuffled[label])
    return shuffled


def test_the_card_forecasts_what_unseen_patients_show(server_of: Callable[..., Server]) -> None:
    chosen = persons(SHARED / "kermany_cxr")
    server = server_of(backbone="efficientnet_lite0")
    server.start()
    with server.client() as client:
        learnt = [(files[0], label) for label, of in chosen.items() for files in of[:PER_CLASS]]
        sent = [(path.name, path.read_bytes(), label) for path, label in learnt]
        for start in range(0, len(sent), 40):
            report = ingest(client, "xrays", sent[start : start + 40])
            assert report["rejected"] == []
        job = learn(client, "pneumonia", "xrays")
        assert job["state"] == "succeeded", job
        card = client.get("/v1/heads/pneumonia/versions/1").json()

        unseen = [
            (files[0], label)
            for label, of in chosen.items()
            for files in of[PER_CLASS : 2 * PER_CLASS]
        ]
        scores = [score for batch in batched(unseen, 40) for score in ask(client, batch)]
        found = roc_auc_score([label == "pneumonia" for _, label in unseen], scores)
        auc = card["metrics"]["auc"]
        assert auc["low"] <= found <= auc["high"], (auc, found)
        assert found > 0.9


def batched(items: list[Any], size: int) -> list[list[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def ask(client: Any, batch: list[tuple[Path, str]]) -> list[float]:
    files = [("images", (path.name, path.read_bytes())) for path, _ in batch]
    answer = client.post("/v1/predict", files=files, data={"heads": "pneumonia"}).json()
    return [r["predictions"][0]["probabilities"]["pneumonia"] for r in answer["results"]]
