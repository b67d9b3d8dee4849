"""What is built from settings, and what is said where it cannot be built."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from in_process import opened, settings_of
from live_server import picture

from features.errors import BackboneUnavailable, StoreUnavailable
from service.backbones import weights_of
from service.errors import CatalogUnavailable
from service.wiring import build
from service.workflows.ingest import LabelledUpload, ingest

HEAVY = ("torch", "torchvision", "timm", "openvino", "faiss", "lightgbm", "sklearn")


def test_a_new_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    build(settings_of(home)).close()
    assert (home / "catalog.sqlite").is_file()
    for folder in (home, home / "run"):
        assert folder.stat().st_mode & 0o077 == 0


def test_the_same_home_opened_again_is_the_same_product(home: Path) -> None:
    for _ in range(2):
        product = build(settings_of(home))
        assert [e.name for e in product.catalog.heads.entries("default")] == ["colour", "is-red"]
        assert len(product.workspaces["default"].store) == 24
        product.close()


def test_the_whole_product_on_either_database(tmp_path: Path, catalog_url: str) -> None:
    with opened(settings_of(tmp_path / "home", catalog_url=catalog_url)) as http:
        uploads = [
            LabelledUpload(f"{c}-{n}.png", picture(c, n), c)
            for c in ("red", "green")
            for n in range(12)
        ]
        ingest(http.product, "default", "d", uploads)
        assert http.post("/v1/heads", json={"name": "h", "dataset": "d"}).status_code == 202
        assert [job.state for job in http.work()] == ["succeeded"]
        (result,) = http.predict(picture("red", 99), evidence=2).json()["results"]
        assert [p["label"] for p in result["predictions"]] == ["red"]
        assert http.delete(f"/v1/images/{result['evidence'][0]['digest']}").status_code == 200
        assert http.get("/v1/datasets/d").json()["images"] == 23
        assert http.delete("/v1/heads/h").status_code == 200
        assert http.delete("/v1/datasets/d").json()["images_removed"] == 23
        assert http.product.catalog.open_erasures() == []


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"home": "file/home"}, StoreUnavailable),
        ({"store_uri": "file/records"}, StoreUnavailable),
        ({"catalog_url": "rubbish"}, CatalogUnavailable),
        ({"catalog_url": "sqlite:///file/catalog.sqlite"}, CatalogUnavailable),
        ({"backbone": "nope"}, BackboneUnavailable),
    ],
)
def test_what_cannot_be_had_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    settings = settings_of(tmp_path / "home").model_copy(
        update={k: Path(v) if k == "home" else v for k, v in given.items()}
    )
    with pytest.raises(error) as refused:
        _ = build(settings).workspaces["default"]
    assert refused.value.hint  # type: ignore[attr-defined]


def test_every_precision_of_a_network_has_its_weights(tmp_path: Path) -> None:
    laid, given = tmp_path / "weights" / "timm-resnet18.pth", tmp_path / "given.pth"
    laid.parent.mkdir()
    laid.touch()
    settings = settings_of(tmp_path).model_copy(
        update={"backbone": "efficientnet_lite0@bf16", "weights": given}
    )
    for suffix in ("", "@bf16", "@int8"):
        assert weights_of(settings, f"timm/resnet18{suffix}") == laid
        assert weights_of(settings, f"efficientnet_lite0{suffix}") == given
    assert weights_of(settings, "efficientnet_lite1@bf16") is None


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("service.http", (*HEAVY, "numba")),
        ("service.client", (*HEAVY, "sqlalchemy", "fastapi", "bentoml", "numba")),
        ("classifiers", ("torch", "openvino", "faiss", "numba", "features", "service")),
        ("features", ("torch", "openvino", "faiss", "deltalake", "classifiers", "service")),
    ],
)
def test_what_is_heavy_is_imported_when_it_is_needed(module: str, never: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print([m for m in {never} if m in sys.modules])"
    here = Path(__file__).parents[2]
    said = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=here
    )
    assert said.stdout.strip() == "[]"
