"""Every setting with its default, unit and sentence. Knows nothing of what uses them."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?")


class Settings(BaseSettings):
    """Settings from the environment, prefix `PENULTIMATE_`. The reference page lists them."""

    model_config = SettingsConfigDict(env_prefix="PENULTIMATE_", frozen=True, extra="ignore")

    home: Path = Field(
        default_factory=lambda: Path.home() / ".penultimate",
        description="Folder that holds everything: catalog, records, index, images, heads, caches.",
    )
    catalog_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL of the catalog; a SQLite file in the home folder by default.",
    )
    store_uri: str | None = Field(
        default=None,
        description="Folder or object-store URI of the records; a folder in the home by default.",
    )
    backbone: str = Field(
        default="efficientnet_lite0",
        description="Backbone: `efficientnet_lite0` (or `1`, `2`), `timm/<name>`, "
        "`torchvision/<name>`, each also with `@bf16` or `@int8`, or `toy` for tests.",
    )
    weights: Path | None = Field(
        default=None,
        description="Local weights file for the backbone (`.pth` state dict or `.safetensors`).",
    )
    device: Literal["auto", "cpu", "cuda", "reference"] = Field(
        default="auto",
        description="`cpu` runs OpenVINO, `cuda` torch on the GPU, `reference` torch eager; "
        "`auto` takes the GPU when there is one.",
    )
    threads: int = Field(
        default=0, ge=0, description="Threads of the engine; 0 means one for each core."
    )
    max_image_bytes: int = Field(
        default=32 * 2**20, ge=1, description="Largest accepted image file, in bytes."
    )
    max_image_megapixels: float = Field(
        default=100.0, gt=0, description="Largest accepted image, in millions of pixels."
    )
    max_image_side: int = Field(
        default=32_000, ge=1, description="Longest accepted side of an image, in pixels."
    )
    max_request_bytes: int = Field(
        default=256 * 2**20, ge=1, description="Largest accepted request body, in bytes."
    )
    max_images_per_ingest: int = Field(
        default=1_000, ge=1, description="Most image files in one ingest request."
    )
    max_archive_members: int = Field(
        default=20_000, ge=1, description="Most files in one uploaded archive."
    )
    max_archive_bytes: int = Field(
        default=4 * 2**30, ge=1, description="Most bytes an uploaded archive may unpack to."
    )
    queue_images: int = Field(
        default=1_024,
        ge=1,
        description="Images that may wait for the engine before requests are answered 503.",
    )
    # As many as the backbone is given at a time, and those that are being decoded.
    answer_threads: int = Field(
        default=32, ge=1, description="Predictions, embeddings and searches worked on at once."
    )
    ingest_threads: int = Field(
        default=4, ge=1, description="Requests that bring images or labels, worked on at once."
    )
    max_waiting_requests: int = Field(
        default=80,
        ge=0,
        description="Requests of either kind that may wait their turn; more are answered 503.",
    )
    max_batch: int = Field(
        default=32, ge=1, description="Most images that the backbone is given at a time."
    )
    request_timeout_s: float = Field(
        default=300.0, gt=0, description="Longest time one request may take, in seconds."
    )
    job_poll_ms: int = Field(
        default=100, ge=10, description="How often the trainer looks for work, in milliseconds."
    )
    job_stale_s: float = Field(
        default=15.0,
        gt=0,
        description="A running job whose trainer has not been heard of for this many seconds "
        "counts as abandoned.",
    )
    audit_questions: bool = Field(
        default=False,
        description="Write a line into the audit for each prediction, embedding and search too; "
        "each costs a write to the catalog after its answer.",
    )
    tls_cert: Path | None = Field(
        default=None, description="Certificate chain (PEM) to serve HTTPS with; needs a key."
    )
    tls_key: Path | None = Field(
        default=None, description="Private key (PEM, without a passphrase) of the certificate."
    )
    cors_origins: str = Field(
        default="",
        description="Web pages that may ask from a browser, as "
        "`https://a.example,https://b.example`; none by default.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log lines to write."
    )
    log_format: Literal["console", "json"] = Field(
        default="console", description="`console` for people, `json` for machines."
    )

    log_requests: bool = Field(
        default=False,
        description="Write a line for every request: id, route, status, milliseconds; no names.",
    )

    @field_validator("home", "weights", "tls_cert", "tls_key")
    @classmethod
    def _expand(cls, path: Path | None) -> Path | None:
        return None if path is None else path.expanduser()

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, text: str) -> str:
        wrong = [o for o in _listed(text) if not ORIGIN.fullmatch(o)]
        if wrong:
            raise ValueError(
                f"'{wrong[0][:80]}' is no origin; write https://name or http://name:port"
            )
        return text

    @property
    def web_origins(self) -> tuple[str, ...]:
        """The origins of web pages that may ask."""
        return tuple(_listed(self.cors_origins))

    @property
    def catalog_place(self) -> str | Path:
        """The catalog's URL, or its file in the home folder: as a URL, some paths say another."""
        return self.catalog_url or self.home / "catalog.sqlite"

    @property
    def effective_store_uri(self) -> str:
        """Where records live, given or derived from the home folder."""
        return self.store_uri or str(self.home / "records")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
