"""After warming up, nothing that learning needs is imported any more."""

import subprocess
import sys

SCRIPT = """
import sys
from classifiers.warming import warm_up
warm_up()
loaded = set(sys.modules)
import numpy as np
from classifiers import LabelSet, learn
X = np.random.default_rng(0).standard_normal((90, 6)).astype(np.float32)
X[1::3] += 3
labels = ("a", "b", "c") * 30
digests = tuple(f"{row:064x}" for row in range(90))
groups = tuple(f"g{row // 3}" for row in range(90))
learn(X, LabelSet(digests, labels, groups), name="h", space_id="s", blocks=[("one", 0, 4),
      ("two", 4, 6)], allow_no_signal=True)
late = {name for name in set(sys.modules) - loaded if name.split(".")[0] != "classifiers"}
print(sorted(late))
"""


def test_the_first_real_head_imports_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
