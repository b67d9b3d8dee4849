"""The same readers as `fuzz_readers`, but inputs grow towards code that none has reached (atheris).

    pip install --target /tmp/atheris atheris
    PYTHONPATH=/tmp/atheris python tests/torture/fuzz_guided.py --seconds 120

Wrong is what is wrong there: an exception that is no refusal, a hang, memory that grows, an end of
the process. Atheris (libFuzzer for Python) is no dependency of the project. Each reader runs in a
process of its own, and leaves an input that it does not take in the folder it names.
"""

import argparse
import logging
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]

WATCHED = ["features", "classifiers", "service", "python_multipart", "zipfile", "tarfile"]
"""Packages whose branches guide the inputs."""

COMPILED = [
    f"{package}.kernels.{file.stem}"
    for package in ("features", "classifiers")
    for file in (HERE.parents[1] / package / "kernels").glob("*.py")
]
"""Modules that numba compiles: they cannot be watched."""

READERS = ("card", "model text", "archive", "image", "multipart form")

LIMITS = ["-timeout=10", "-rss_limit_mb=3000", "-print_final_stats=1", "-max_len=65536"]

SAID = {
    "inputs": re.compile(r"stat::number_of_executed_units:\s+(\d+)"),
    "new": re.compile(r"stat::new_units_added:\s+(\d+)"),
    "peak_mib": re.compile(r"stat::peak_rss_mb:\s+(\d+)"),
    "branches": re.compile(r"\bcov: (\d+)"),
}
"""What libFuzzer prints; of the last, the last line counts."""


def campaign(name: str, seconds: int, seed: int, folder: Path) -> dict[str, Any]:
    """Runs one reader in a process; ends this one where an input was wrong."""
    command = [sys.executable, __file__, "--reader", name, "--seed", str(seed)]
    ran = subprocess.run(
        [*command, "--seconds", str(seconds), "--corpus", str(folder)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=folder.parent,
    )
    if ran.returncode:
        raise SystemExit(f"{name}: {ran.stdout[-3000:]}{ran.stderr[-5000:]}")
    return {key: int(pattern.findall(ran.stderr)[-1]) for key, pattern in SAID.items()}


def guided(name: str, seconds: int, seed: int, corpus: Path) -> None:
    """Gives one reader inputs until the time is over; does not return."""
    import atheris  # type: ignore[import-not-found]  # no dependency of the project

    logging.disable()
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=WATCHED, exclude=COMPILED):
        import fuzz_readers

    with _reader(name, fuzz_readers, corpus.parent / "home") as reader:
        corpus.mkdir()
        for number, data in enumerate(reader.corpus):
            (corpus / f"sound-{number}").write_bytes(data)

        def one(data: bytes) -> None:
            with suppress(reader.refusals):
                reader.read(data)

        options = [f"-max_total_time={seconds}", f"-seed={seed}", *LIMITS]
        atheris.Setup([__file__, *options, str(corpus)], one)
        atheris.Fuzz()


@contextmanager
def _reader(name: str, fuzz_readers: Any, home: Path) -> Iterator[Any]:
    if name != "multipart form":
        yield next(r for r in fuzz_readers.readers() if r.name == name)
        return
    with fuzz_readers.opened(fuzz_readers.settings_of(home)) as http:
        yield fuzz_readers.form_reader(http)


def main() -> None:
    """Runs from a shell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="for each reader")
    parser.add_argument("--seed", type=int, default=1 + time.time_ns() % 100_000)
    parser.add_argument("--record", type=Path, help="JSON file to write what came of it into")
    parser.add_argument("--reader", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.reader:
        guided(given.reader, given.seconds, given.seed, given.corpus)
    said: dict[str, Any] = {"date": datetime.now(UTC).date().isoformat(), "seed": given.seed}
    said["seconds for each"] = given.seconds
    for name in READERS:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            said[name] = campaign(name, given.seconds, given.seed, Path(folder) / "corpus")
        sys.stdout.write(f"{name}: {said[name]}\n")
        sys.stdout.flush()
    if given.record:
        from record import write_record

        write_record(given.record, "guided fuzzing", said)


if __name__ == "__main__":
    main()
