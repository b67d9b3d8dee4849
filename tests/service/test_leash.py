"""A worker lives no longer than its server, whenever the server was killed."""

import os
import signal
import subprocess
import sys
import time

import pytest
from processes import alive

PARENT = """
import subprocess, sys
from service.leash import name_as_parent
name_as_parent()
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=sys.stdin)
print(child.pid, flush=True)
child.wait()
"""

CHILD = """
import sys, time
from service.leash import die_with_parent, name_as_parent
name_as_parent()
{wait}
die_with_parent()
time.sleep(60)
"""

STARTED = "time.sleep(0)"
STARTING = "sys.stdin.readline()"


@pytest.mark.parametrize("moment", [STARTED, STARTING], ids=["afterwards", "while it started"])
def test_a_worker_is_gone_soon_after_its_server_was_killed(moment: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.endswith("OF_PENULTIMATE")}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD.format(wait=moment)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    child = int(parent.stdout.readline())
    try:
        if moment is STARTED:
            time.sleep(1.0)
            assert alive(child)
        parent.kill()
        parent.wait()
        if moment is STARTING:
            parent.stdin.write(b"go on\n")
            parent.stdin.flush()
        end = time.monotonic() + 20
        while alive(child) and time.monotonic() < end:
            time.sleep(0.05)
        assert not alive(child)
    finally:
        if alive(child):
            os.kill(child, signal.SIGKILL)
