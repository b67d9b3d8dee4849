"""What a card says of more images: points, a curve, one plain sentence. Knows no vectors."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot
from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from classifiers.power_law import Law
from classifiers.statistics import Measure
from classifiers.strict import STRICT

AHEAD = (1.0, 1.25, 1.5, 2.0)
"""How many times today's images the curve is drawn to."""

CLOSE = 0.03
"""By what a back-test may miss."""

FLAT = 0.005
"""A gain that nobody would label as many images again for."""

STEEP = 0.02
"""A gain from which more images simply help."""

Figure = Literal["auc", "spearman"]

CALLED: Mapping[Figure, str] = {"auc": "AUC", "spearman": "rank correlation"}
"""What the curve is of, in a sentence."""


@with_config(STRICT)
class Point(TypedDict):
    """The figure at so many images, with the interval it lies in at 95 % confidence."""

    images: int
    value: float
    low: float
    high: float


@with_config(STRICT)
class Backtest(TypedDict):
    """How well curves fitted on halves of the images foretold the figure of all of them.

    Attributes:
        halves: that were drawn.
        close: of them, those that missed by 0.03 at most.
        error: mean absolute miss.
    """

    halves: int
    close: int
    error: float


@with_config(STRICT)
@dataclass(frozen=True, slots=True)
class Growth:
    """What more images would bring.

    Attributes:
        state: "curve", or why there is none: "no signal", "weak signal", "too few images".
        sentence: what to expect, or why nothing can be said.
        metric: the leading metric of the task, which the curve is of: "auc" or "spearman".
        measured: that figure with fewer images, ascending; the last is today's.
        fitted: the curve at those sizes, and at 1.25, 1.5 and 2 times today's images.
        gain: what twice the images add to it; None where nothing can be said.
        backtest: None where nothing can be said, or half the images are too few.
    """

    state: Literal["curve", "no signal", "weak signal", "too few images"]
    sentence: str
    metric: Figure = "auc"
    measured: tuple[Point, ...] = ()
    fitted: tuple[Point, ...] = ()
    gain: Measure | None = None
    backtest: Backtest | None = None

    def __post_init__(self) -> None:
        sizes = [point["images"] for point in (*self.measured, *self.fitted)]
        if min(sizes, default=1) < 1 or (self.fitted and not self.measured):
            raise ValueError("a learning curve is of images, and begins with what was measured")


NO_SIGNAL = Growth(
    "no signal",
    "It learnt nothing that it could show, so nothing can be said of what more images would bring.",
)
WEAK_SIGNAL = Growth(
    "weak signal",
    "What it learnt is too near to chance to say what more images would bring.",
)
TOO_FEW = Growth(
    "too few images",
    "There are too few images to leave some out and see what that costs, so nothing can be said of "
    "what more would bring.",
)


def draw_curve(
    n_images: int,
    today: Measure,
    law: Law,
    fewer: Mapping[float, Measure],
    shift: float,
    backtest: Backtest | None,
    metric: Figure = "auc",
) -> Growth:
    """Lay the law through today's figure.

    Args:
        n_images: today.
        today: figure of the evaluation.
        law: of what other numbers of images change.
        fewer: by the share of the images, the figure of the linear members.
        shift: what the whole head is better than its linear members today.
        backtest: of the same images.
        metric: which figure it is.
    """
    shares = sorted(fewer)
    measured = [_point(n_images, share, _shifted(fewer[share], shift)) for share in shares]
    fitted = [_point(n_images, times, _expected(today, law, times)) for times in (*shares, *AHEAD)]
    value, low, high = (round(each, 6) for each in law.gain(AHEAD[-1]))
    gain = Measure(value=value, low=low, high=high)
    return Growth(
        "curve",
        _sentence(today, fitted[-1], gain, backtest, CALLED[metric]),
        metric,
        (*measured, _point(n_images, 1.0, today)),
        tuple(fitted),
        gain,
        backtest,
    )


def _sentence(
    today: Measure, twice: Point, gain: Measure, backtest: Backtest | None, called: str
) -> str:
    one = f"{'an' if called == 'AUC' else 'a'} {called}"
    value = gain["value"]
    change = "would hardly change that"
    if value >= FLAT:
        change = "would help a little" if value < STEEP else "would help"
    said = (
        f"Twice the images {change}: with {twice['images']} like these, expect {one} of "
        f"{twice['value']:.2f} ({twice['low']:.2f} to {twice['high']:.2f}). Today's is "
        f"{today['value']:.2f}; the gain is {gain['value']:.3f} "
        f"({gain['low']:.3f} to {gain['high']:.3f})."
    )
    if backtest is not None and backtest["error"] > CLOSE:
        said += (
            f" Curves from halves of these images missed today's {called} by "
            f"{backtest['error']:.2f} on average: this one may miss as much."
        )
    return said


def _expected(today: Measure, law: Law, times: float) -> Measure:
    """Today's figure and what is gained, whose errors are independent (Zou and Donner 2008).

    Statistics in Medicine 27: the square of each half of an interval of a sum is the sum of those
    of the parts.
    """
    gain, low, high = law.gain(times)
    value = today["value"] + gain
    return Measure(
        value=value,
        low=value - hypot(today["value"] - today["low"], gain - low),
        high=value + hypot(today["high"] - today["value"], high - gain),
    )


def _shifted(measure: Measure, shift: float) -> Measure:
    return Measure(
        value=measure["value"] + shift, low=measure["low"] + shift, high=measure["high"] + shift
    )


def _point(n_images: int, times: float, measure: Measure) -> Point:
    value, low, high = (
        round(min(1.0, max(-1.0, measure[end])), 6) for end in ("value", "low", "high")
    )
    return Point(images=round(n_images * times), value=value, low=low, high=high)
