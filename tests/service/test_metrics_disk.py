"""The numbers of several workers lie in files of the home: a full disk must not kill who counts."""

import os
import subprocess
import sys
from pathlib import Path

COUNT = """
import os, resource, sys
from pathlib import Path
from service.metrics import PrometheusMetrics

folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
metrics = PrometheusMetrics()
for number in range(int(sys.argv[1])):
    metrics.request("GET", f"/route/{number}", 200, 0.1)
holes = [f.name for f in folder.iterdir() if f.stat().st_blocks * 512 < f.stat().st_size]

# From here on no file can become longer, as on a full disk.
longest = max(f.stat().st_size for f in folder.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))
for number in range(1000):
    metrics.request("GET", f"/full/{number}", 200, 0.1)
metrics.request("GET", "/route/0", 200, 0.1)
text = metrics.exposition()[0].decode()
line = next(t for t in text.splitlines() if 'seconds_count' in t and 'route="/route/0"' in t)
print(len(holes), float(line.split()[-1]))
"""


def counted(folder: Path, routes: int) -> list[str]:
    environment = dict(os.environ) | {
        "PROMETHEUS_MULTIPROC_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", COUNT, str(routes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_files_of_numbers_have_no_holes_into_which_a_full_disk_lets_nobody_write(
    tmp_path: Path,
) -> None:
    assert counted(tmp_path, 1) == ["0", "2.0"]


def test_nor_when_they_have_grown(tmp_path: Path) -> None:
    assert counted(tmp_path, 300) == ["0", "2.0"]
