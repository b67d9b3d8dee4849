"""What every test stands on: hypothesis without a stopwatch, and data sets that may be absent."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "penultimate",
    deadline=None,  # a machine under load is no bug
    derandomize=True,  # a run that fails, fails again
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("penultimate")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real image sets beside the checkout; tests that need it are skipped without."""
    if not SHARED.is_dir():
        pytest.skip(f"no image sets in {SHARED.name} beside the checkout")
    return SHARED
