"""Held-out AUC of heads against single classical methods, on real images.

    python benchmarks/heads/run.py --vectors DIR --ours recipe.py:fit --out docs/heads-benchmark.md

DIR (`vectors.py` makes it) holds one `<set>.npz` per image set: embeddings float32 (n, 1280),
stages float32 (n, 1408), labels (n,), groups (n,), empty where unknown. `--ours` may be given
several times: a function
fit(X, y, groups, seed=seed) that returns a model with raw(X) -> (n, 1 or n_classes). For every
case of cases.py at 10, 25 and 50 images per class, half of the groups is held out, the training
images are drawn from the other half, and every method sees the same ones. A set's figure is the
mean over its cases and draws; the last column is the mean over the sets. Scores are kept in
`--cache`, so that a new method costs its own time only. Other sets: add their npz and cases.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from baselines import BASELINES, auc, log_probabilities
from cases import CASES, IMAGES_PER_CLASS, Draw, all_draws, cases_in
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Method = Callable[[Draw], NDArray[np.float64]]
    Results = dict[str, dict[str, float]]  # method -> "set|case|n|seed" -> AUC


def plugged(spec: str) -> Method:
    """`file.py:function` as a method of this benchmark."""
    path, function = spec.rsplit(":", 1)
    found = importlib.util.spec_from_file_location(Path(path).stem, path)
    if found is None or found.loader is None:
        raise SystemExit(f"No Python file at {path}.")
    module = importlib.util.module_from_spec(found)
    sys.modules[Path(path).stem] = module
    found.loader.exec_module(module)
    fit: Callable[..., Any] = getattr(module, function)

    def method(d: Draw) -> NDArray[np.float64]:
        model = fit(d.X, d.y, d.groups, seed=0)
        return log_probabilities(np.asarray(model.raw(d.X_test), dtype=np.float64))

    return method


def measure(folder: Path, methods: dict[str, Method], draws: int, cache: Path) -> Results:
    results: Results = json.loads(cache.read_text()) if cache.exists() else {}
    for case, n, seed, d in all_draws(folder, draws):
        key = f"{case.image_set}|{case.name}|{n}|{seed}"
        for name, method in methods.items():
            if key in results.setdefault(name, {}):
                continue
            begun = time.perf_counter()
            results[name][key] = auc(d.y_test, method(d))
            print(f"{key} {name}: {results[name][key]:.4f} {time.perf_counter() - begun:.1f} s")
        cache.write_text(json.dumps(results))
    return results


def per_set(scores: dict[str, float], sets: list[str], n: int, draws: int) -> NDArray[np.float64]:
    """Mean AUC of each set over its cases. -> float64 (draws, n_sets)."""
    table = np.zeros((draws, len(sets)))
    for column, image_set in enumerate(sets):
        names = [case.name for case in CASES if case.image_set == image_set]
        for seed in range(draws):
            keys = [f"{image_set}|{name}|{n}|{seed}" for name in names]
            table[seed, column] = np.mean([scores[key] for key in keys])
    return table


def rows(results: Results, sets: list[str], ours: list[str], n: int, draws: int) -> list[str]:
    """One table: every method, then ours less the best baseline, draw by draw."""
    tables = {name: per_set(scores, sets, n, draws) for name, scores in results.items()}
    lines = ["| method | " + " | ".join(sets) + " | mean |", "|---|" + "--:|" * (len(sets) + 1)]
    for name, table in tables.items():
        values = [*table.mean(axis=0), table.mean()]
        lines.append(f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |")
    rivals = {name: table for name, table in tables.items() if name in BASELINES}
    best = max(rivals, key=lambda name: float(rivals[name].mean()))
    hardest = np.max([table.mean(axis=0) for table in rivals.values()], axis=0)
    for name in ours:
        gap = tables[name] - rivals[best]
        total = gap.mean(axis=1)
        spread = total.std(ddof=1) / np.sqrt(draws) if draws > 1 else float("nan")
        cells = " | ".join(f"{v:+.3f}" for v in gap.mean(axis=0))
        lines.append(f"| {name} less {best} | {cells} | **{total.mean():+.4f}** ± {spread:.4f} |")
        cells = " | ".join(f"{v:+.3f}" for v in tables[name].mean(axis=0) - hardest)
        lines.append(f"| {name} less each set's best | {cells} | |")
    return lines


def report(results: Results, sets: list[str], ours: list[str], draws: int) -> str:
    parts = [
        "# Heads against single classical methods",
        (
            f"Held-out AUC (one-versus-rest, macro), group-wise halves, {draws} draws, made by "
            "`benchmarks/heads/run.py`. Baselines see the penultimate vector of the same images. "
            "± is the standard error over draws."
        ),
    ]
    for n in IMAGES_PER_CLASS:
        parts += [f"## {n} images per class", "\n".join(rows(results, sets, ours, n, draws))]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--ours", action="append", default=[], metavar="FILE.py:FUNCTION")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--cache", type=Path, default=Path("heads-benchmark.json"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    sets = list(dict.fromkeys(case.image_set for case in cases_in(given.vectors)))
    ours = {f"ours ({spec.rsplit(':', 1)[1]})": plugged(spec) for spec in given.ours}
    with threadpool_limits(1):  # small matrices are slower on two threads, far slower when shared
        results = measure(given.vectors, BASELINES | ours, given.draws, given.cache)
    text = report(results, sets, list(ours), given.draws)
    if given.out:
        given.out.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
