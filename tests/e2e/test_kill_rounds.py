"""Two rounds of what `make torture` does by the hundred: killed under load, nothing lost."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.server, pytest.mark.slow]

SCRIPT = Path(__file__).parents[1] / "torture" / "kill_rounds.py"


def test_a_server_killed_under_load_has_everything_that_it_acknowledged() -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), "--rounds", "2", "--seed", "1", "--workers", "1"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "round 2: killed server" in ran.stdout
