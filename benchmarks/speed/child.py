"""A program in a process of its own, which does one thing each time it is told to.

So programs that are compared share neither memory nor thread pools, and what a process takes can be
read off it. Told and answering in lines of JSON.
"""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]

ANSWERS_WITHIN_S = 3_600


class Child:
    """A child process.

    Args:
        target: `module:Class`; an object of it is made, and called each time with what is told.
        options: what the object is made with.
    """

    def __init__(self, target: str, **options: Any) -> None:  # noqa: ANN401  any JSON
        self._target = target
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed.child", target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._say(options)
        self._hear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, **told: Any) -> Any:  # noqa: ANN401  any JSON
        """Has it do its thing once; returns what it answers."""
        self._say(told)
        return self._hear()

    def seconds(self, **told: Any) -> float:  # noqa: ANN401  any JSON
        """The same, of a program that answers with how long it took."""
        return float(self(**told))

    @property
    def anonymous_mib(self) -> float:
        """Memory that it holds now, beside mapped files."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith("RssAnon:")]
        return int(line.split()[1]) / 2**10

    def _say(self, told: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:  # noqa: ANN401  any JSON
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._target} has died; what it said is above.")
        return json.loads(line)


def main() -> None:
    """What runs in the child."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    module, name = sys.argv[1].split(":")
    program = getattr(importlib.import_module(module), name)(**json.loads(sys.stdin.readline()))
    print("null", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(program(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
