"""Settings: from the environment alone, each with a sentence, a unit and limits."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings

FIELDS = Settings.model_fields


def test_every_setting_says_what_it_is() -> None:
    for name, field in FIELDS.items():
        assert field.description, name
        assert field.description[0].isupper() or field.description.startswith("`"), name
        assert field.description.endswith("."), name


def test_every_setting_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(f"PENULTIMATE_{name.upper()}", raising=False)
    settings = Settings()
    assert settings.home == Path.home() / ".penultimate"
    assert settings.backbone == "efficientnet_lite0"
    assert settings.device == "auto"


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("bytes", "bytes"),
        ("megapixels", "millions of pixels"),
        ("side", "pixels"),
        ("_s", "seconds"),
        ("_ms", "milliseconds"),
    ],
)
def test_a_setting_that_has_a_unit_says_it_in_its_name_and_its_sentence(
    name: str, unit: str
) -> None:
    found = [f for n, f in FIELDS.items() if n.endswith(name)]
    assert found
    assert all(unit in (f.description or "") for f in found)


def test_the_environment_is_read_with_a_prefix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PENULTIMATE_HOME", str(tmp_path))
    monkeypatch.setenv("PENULTIMATE_MAX_IMAGE_BYTES", "1000")
    monkeypatch.setenv("MAX_IMAGE_SIDE", "7")
    settings = Settings()
    assert (settings.home, settings.max_image_bytes) == (tmp_path, 1_000)
    assert settings.max_image_side == FIELDS["max_image_side"].default


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_IMAGE_BYTES", "0"),
        ("MAX_IMAGE_BYTES", "many"),
        ("MAX_IMAGE_MEGAPIXELS", "-1"),
        ("DEVICE", "tpu"),
        ("THREADS", "-1"),
        ("JOB_POLL_MS", "0"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_setting_outside_its_limits_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PENULTIMATE_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    assert name.lower() in str(refused.value).lower()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings(home=Path("x")).home = Path("y")


def test_places_follow_the_home_unless_they_are_given(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.catalog_place == tmp_path / "catalog.sqlite"
    assert settings.effective_store_uri == str(tmp_path / "records")
    given = Settings(home=tmp_path, catalog_url="postgresql://h/d", store_uri="s3://bucket/x")
    assert given.catalog_place == "postgresql://h/d"
    assert given.effective_store_uri == "s3://bucket/x"


def test_what_a_trainer_is_started_with_is_what_the_service_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The supervisor hands settings on as text in the environment."""
    settings = Settings(
        home=tmp_path, backbone="toy", weights=tmp_path / "w.pth", max_image_megapixels=2.5
    )
    for name, value in settings.model_dump(exclude_none=True).items():
        monkeypatch.setenv(f"PENULTIMATE_{name.upper()}", str(value))
    assert Settings() == settings


def test_a_tilde_in_the_home_is_the_users_own_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("PENULTIMATE_HOME", "~/wards")
    assert Settings().home == Path("/somewhere/wards")
