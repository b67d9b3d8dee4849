"""Programs taking turns, and what was measured of them. Knows no road and no program."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

REST_S = 0.05
"""Between two turns: threads that spin for work when they have none go to sleep."""

Turns = dict[str, list[float]]


@dataclass(frozen=True)
class Series:
    """What one program took, turn by turn.

    Args:
        road: which road.
        program: what ran; the product's own are called "penultimate …".
        unit: of the values.
        values: one for each turn.
        curve: the curve that it is a point of, if it is one.
        x: where on the curve.
    """

    road: str
    program: str
    unit: str
    values: list[float]
    curve: str = ""
    x: float | None = None


@dataclass(frozen=True)
class Finding:
    """One row of the table: what must be reached, and what was.

    Args:
        road: which road.
        says: what the value is, in words.
        values: one for each turn; their median is judged. Empty where nothing could be measured.
        unit: of the values; "x" for a ratio.
        target: the bound, and `at_least` which side of it is good. None: told, not judged.
        note: what a reader must know, such as why nothing was measured.
    """

    road: str
    says: str
    values: list[float]
    unit: str = "x"
    target: float | None = None
    at_least: bool = True
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median reaches the target; None where there is nothing to judge."""
        if not self.values or self.target is None:
            return None
        middle = median(self.values)
        return middle >= self.target if self.at_least else middle <= self.target


@dataclass(frozen=True)
class Curve:
    """A picture that series are points of.

    Args:
        road: which road.
        name: what the series call it.
        title: what is drawn.
        x, y: names of the axes, with units.
        explains: why it has this slope, and where it would break on a bigger machine.
        linear: axes that begin at 0; else they are logarithmic.
    """

    road: str
    name: str
    title: str
    x: str
    y: str
    explains: str
    linear: bool = False


@dataclass
class Journal:
    """Everything that a run found, one JSON object a line, written as soon as it is known.

    Args:
        path: the file; what an earlier run found of a road stays until it is measured again.
    """

    path: Path
    entries: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.entries = [json.loads(line) for line in self.path.read_text().splitlines()]

    def begin(self, road: str) -> None:
        """Forgets what was found of a road and its parts before."""
        parts = f"{road}, "
        self.entries = [
            e for e in self.entries if e["road"] != road and not e["road"].startswith(parts)
        ]
        self._save()

    def add(self, entry: Series | Finding | Curve, **more: Any) -> None:  # noqa: ANN401  any JSON
        """Writes down one thing, and says it."""
        if isinstance(entry, Finding):
            print(f"    {told(entry)}", flush=True)
        self.put({"kind": type(entry).__name__.lower(), **asdict(entry), **more})

    def put(self, entry: dict[str, Any]) -> None:
        """Writes down an entry as it is."""
        self.entries.append(entry)
        self._save()

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(f"{json.dumps(e)}\n" for e in self.entries))


def taking_turns(
    programs: Mapping[str, Callable[[], float]], turns: int, *, warm_up: int = 1
) -> Turns:
    """Lets programs run one after the other, again and again, each second time in reverse.

    Args:
        programs: what each returns is its value of this turn.
        turns: how often each runs and is counted.
        warm_up: how often each runs before that.

    Returns:
        The values of each program, by turn: the n-th of all belong together.
    """
    names = list(programs)
    values: Turns = {name: [] for name in names}
    for turn in range(-warm_up, turns):
        for name in names if turn % 2 == 0 else reversed(names):
            time.sleep(REST_S)
            value = programs[name]()
            if turn >= 0:
                values[name].append(value)
    return values


def ratio(above: Iterable[float], below: Iterable[float]) -> list[float]:
    """Turn by turn: how many times as much."""
    return [a / b for a, b in zip(above, below, strict=True)]


def median(values: Iterable[float]) -> float:
    """The middle one."""
    return float(np.median(list(values)))


def spread(values: Iterable[float]) -> tuple[float, float]:
    """The quartiles: half of the turns lie between them."""
    low, high = np.quantile(list(values), [0.25, 0.75])
    return float(low), float(high)


def short(value: float) -> str:
    """A number with three digits that count."""
    size = abs(value)
    if size and size < 0.001:
        return f"{value:.1e}"
    decimals = next(
        d for d, bound in ((3, 1), (2, 10), (1, 100), (0, float("inf"))) if size < bound
    )
    return f"{value:,.{decimals}f}"


def plain(value: float) -> str:
    """A place on an axis: whole numbers as they are."""
    return f"{int(value):,}" if value == int(value) else short(value)


def told(finding: Finding) -> str:
    """A finding in one line."""
    if not finding.values:
        return f"{finding.says}: {finding.note}"
    low, high = spread(finding.values)
    verdict = {True: "met", False: "NOT MET", None: ""}[finding.met]
    return (
        f"{finding.says}: {short(median(finding.values))} {finding.unit} "
        f"({short(low)} to {short(high)}) {bound(finding)} {verdict}".rstrip()
    )


def bound(finding: Finding) -> str:
    """The target in words."""
    if finding.target is None:
        return ""
    return f"{'at least' if finding.at_least else 'at most'} {finding.target:g}"
