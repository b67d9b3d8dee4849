"""After a kill: what one actor knows, compared with what the home holds and the server answers."""

import time
from collections import Counter
from typing import Any

import httpx
from actor import ENDED, Actor, Doubt, require

from features.blobs import ADDING
from features.testing import ToyBackbone
from service.catalog import Catalog
from service.settings import Settings
from service.workspace import IMAGES, Workspace

JOBS_WITHIN_S = 180.0
W = "default"

FORGIVEN = ("trainer_died", "labels_not_ready", "no_signal")
"""Why a job may fail under this load: its process was killed twice, or its images were erased."""


class Home:
    """What lies in the home folder, read beside the server that uses it.

    Args:
        settings: which home.
    """

    def __init__(self, settings: Settings) -> None:
        self.catalog = Catalog(settings.catalog_place)
        self._notes = settings.home / IMAGES / W / ADDING
        self.place = Workspace(
            W,
            home=settings.home,
            store_uri=settings.effective_store_uri,
            space=ToyBackbone.space,
            note=lambda _space: None,
        )

    def labels(self, dataset: str) -> dict[str, str | None]:
        """Digest → label of a dataset that may not be there yet."""
        if dataset not in self.catalog.datasets.names(W):
            return {}
        return {image.digest: image.label for image in self.catalog.datasets.images(W, dataset)}

    def unfinished(self) -> bool:
        """Whether erasures, or images added without an end, are left for whoever starts next."""
        return bool(self.catalog.open_erasures()) or any(self._notes.glob("*"))

    def close(self) -> None:
        """Closes everything."""
        self.place.close()
        self.catalog.close()


def check(actor: Actor, client: httpx.Client, home: Home, ended: Counter[str]) -> str:
    """Compares everything; returns what became of the request in doubt.

    Raises:
        Wrong: something acknowledged is not there, or something is there by half.
    """
    outcome = _resolve(actor, client, home)
    _settle_jobs(actor, client, ended)
    _compare_images(actor, home)
    _compare_heads(actor, client)
    return outcome


def _resolve(actor: Actor, client: httpx.Client, home: Home) -> str:
    doubt, actor.known.doubt = actor.known.doubt, None
    if doubt is None:
        return "none in doubt"
    looked: dict[str, Any] = {
        "ingest": _resolve_ingest,
        "erase": _resolve_erase,
        "learn": _resolve_learn,
        "promote": _resolve_promote,
        "delete": _resolve_delete,
    }
    if doubt.kind not in looked:
        return "changed nothing"
    happened = looked[doubt.kind](actor, doubt, client, home)
    return f"{doubt.kind}: {'all of it' if happened else 'nothing'}"


def _resolve_ingest(actor: Actor, doubt: Doubt, _client: httpx.Client, home: Home) -> bool:
    labels: dict[str, str] = doubt.given["labels"]
    there = home.labels(actor.dataset).keys() & labels.keys()
    require(len(there) in (0, len(labels)), f"half an ingest: {len(there)} of {len(labels)}")
    if there:
        actor.known.images.update(labels)
    else:
        for digest in labels:
            require(not home.place.blobs.has(digest), f"bytes without a row: {digest}")
    return bool(there)


def _resolve_erase(actor: Actor, doubt: Doubt, _client: httpx.Client, home: Home) -> bool:
    digest: str = doubt.given["digest"]
    if digest in home.labels(actor.dataset):
        return False
    del actor.known.images[digest]
    actor.known.erased.add(digest)
    return True


def _resolve_learn(actor: Actor, doubt: Doubt, client: httpx.Client, home: Home) -> bool:
    before = len(home.catalog.jobs.all(W, limit=100_000))
    answer = client.post(
        "/v1/heads", json=doubt.given["asked"], headers={"Idempotency-Key": doubt.given["key"]}
    )
    require(answer.status_code == 202, f"learn again: {answer.status_code} {answer.text[:300]}")
    actor.known.jobs[answer.json()["id"]] = doubt.given["asked"]["name"]
    return len(home.catalog.jobs.all(W, limit=100_000)) == before


def _resolve_promote(actor: Actor, doubt: Doubt, client: httpx.Client, _home: Home) -> bool:
    head, version = doubt.given["head"], doubt.given["version"]
    found = client.get(f"/v1/heads/{head}").json()["champion"]
    before = actor.known.champions[head]
    require(found in (before, version), f"{head}: {found}, neither {before} nor {version}")
    actor.known.champions[head] = found
    return bool(found == version)


def _resolve_delete(actor: Actor, doubt: Doubt, client: httpx.Client, _home: Home) -> bool:
    head, doomed = doubt.given["head"], set(doubt.given["versions"])
    answer = client.get(f"/v1/heads/{head}")
    there = {v["version"] for v in answer.json().get("versions", ())} & doomed
    require(there in (set(), doomed), f"{head}: half deleted, {there} of {doomed}")
    if not there:
        actor.forget(head, sorted(doomed))
    return not there


def _settle_jobs(actor: Actor, client: httpx.Client, ended: Counter[str]) -> None:
    """Every accepted job ends, and says the truth about its version."""
    limit = time.monotonic() + JOBS_WITHIN_S
    while actor.known.jobs:
        for job_id, head in list(actor.known.jobs.items()):
            answer = client.get(f"/v1/jobs/{job_id}")
            require(answer.status_code == 200, f"job {job_id} is lost: {answer.text[:300]}")
            job = answer.json()
            if job["state"] not in ENDED:
                continue
            del actor.known.jobs[job_id]
            if job["state"] == "succeeded":
                require(job["result"]["head"] == head, f"{job} is not of {head}")
                actor.register(head, job["result"]["version"])
                ended["succeeded"] += 1
            else:
                code = (job["error"] or {}).get("code")
                require(code in FORGIVEN, f"job {job_id} {job['state']}: {job['error']}")
                ended[f"failed: {code}"] += 1
        require(time.monotonic() < limit, f"jobs do not end: {actor.known.jobs}")
        time.sleep(0.1)


def _compare_images(actor: Actor, home: Home) -> None:
    known, found = actor.known, home.labels(actor.dataset)
    lost = known.images.keys() - found.keys()
    require(not lost, f"{actor.dataset}: {len(lost)} acknowledged images are lost: {lost}")
    require(found == known.images, f"{actor.dataset}: {found.keys() ^ known.images.keys()}")
    blobs, vectors = set(home.place.blobs.digests()), home.place.store.digests()
    require(not known.images.keys() - blobs, f"no bytes: {known.images.keys() - blobs}")
    require(not known.images.keys() - vectors, f"no record: {known.images.keys() - vectors}")
    require(not known.erased & blobs, f"erased, but bytes: {known.erased & blobs}")
    require(not known.erased & vectors, f"erased, but a record: {known.erased & vectors}")
    require(not home.catalog.open_erasures(), "an erasure was not finished at the start")


def _compare_heads(actor: Actor, client: httpx.Client) -> None:
    known = actor.known
    heads = {h["name"]: h for h in client.get("/v1/heads").json()["heads"]}
    mine = {name: h for name, h in heads.items() if name.startswith(f"{actor.name}-")}
    versions = {name: {v["version"] for v in h["versions"]} for name, h in mine.items()}
    expected = {name: set(vs) for name, vs in known.versions.items()}
    require(versions == expected, f"versions are {versions}, not {expected}")
    champions = {name: h["champion"] for name, h in mine.items()}
    require(champions == known.champions, f"champions {champions}, not {known.champions}")
    for head, numbers in versions.items():
        for number in numbers:
            answer = client.get(f"/v1/heads/{head}/versions/{number}")
            require(answer.status_code == 200, f"{head}@{number}: {answer.text[:300]}")
    actor.predict(client)
