"""Pictures as inline SVG: curves with bands, reliability, histograms. Pure; knows no head.

Colours are Okabe and Ito's, which colour-blind readers tell apart; what matters differs in its form
too (line, dash, dot), so that a grey print says the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from classifiers.calibration import Bin
from classifiers.curve import Growth
from service.report.curves import Float32, Float64, Roc
from service.report.markup import Markup, element, joined
from service.report.words import METRICS

BLUE, ORANGE, GREY, INK = "#0072b2", "#d55e00", "#8a8a8a", "#222222"

Points = Sequence[tuple[float, float]]

TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Frame:
    """A square or a rectangle with axes from 0 to 1, unless said otherwise.

    Args:
        width, height: of the plot, in pixels, without its margins.
        across: smallest and largest value of the axis to the right.
        up: the same of the axis upwards.
        left: margin for its numbers and name.
    """

    width: float = 160
    height: float = 160
    across: tuple[float, float] = (0.0, 1.0)
    up: tuple[float, float] = (0.0, 1.0)
    left: float = 46.0

    above, below, right = 26.0, 40.0, 12.0

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        right = (x - self.across[0]) / (self.across[1] - self.across[0])
        up = (y - self.up[0]) / (self.up[1] - self.up[0])
        return (
            round(self.left + right * self.width, 1),
            round(self.above + (1 - up) * self.height, 1),
        )

    def path(self, points: Points) -> str:
        """The `points` of a line."""
        return " ".join(f"{x},{y}" for x, y in (self.at(*point) for point in points))

    def line(self, points: Points, colour: str, *, width: float = 2, dash: str = "") -> Markup:
        """A line."""
        style = {"stroke_dasharray": dash} if dash else {}
        return element(
            "polyline",
            points=self.path(points),
            fill="none",
            stroke=colour,
            stroke_width=width,
            **style,
        )

    def draw(
        self, *inside: Markup, title: str, said: str, x: str, y: str, above: str = ""
    ) -> Markup:
        """The picture with its axes.

        Args:
            inside: what it shows.
            title: its short text alternative, and above it.
            above: what stands there in place of a title that is too long.
            said: what it shows in words, for those who do not see it.
            x: name of the axis to the right.
            y: name of the axis upwards.
        """
        whole = (self.left + self.width + self.right, self.above + self.height + self.below)
        middle = self.left + self.width / 2
        side = self.above + self.height / 2
        return element(
            "svg",
            element("title", title),
            element("desc", said),
            self._axes(),
            *inside,
            _text(above or title, middle, 15, weight="bold"),
            _text(x, middle, whole[1] - 6),
            _text(y, 12, side, transform=f"rotate(-90 12 {side})"),
            viewBox=f"0 0 {whole[0]} {whole[1]}",
            width=whole[0],
            height=whole[1],
            role="img",
        )

    def _axes(self) -> Markup:
        x, y = self.at(self.across[0], self.up[1])
        parts = [
            element(
                "rect",
                x=x,
                y=y,
                width=self.width,
                height=self.height,
                fill="none",
                stroke=GREY,
            )
        ]
        for tick in TICKS:
            x = self.across[0] + tick * (self.across[1] - self.across[0])
            y = self.up[0] + tick * (self.up[1] - self.up[0])
            right, up = self.at(x, y)
            parts += [
                _text(f"{x:.4g}", right, self.above + self.height + 15),
                _text(f"{y:.4g}", self.left - 5, up + 4, anchor="end"),
            ]
        return joined(parts)


def roc_picture(curve: Roc, title: str, above: str, side: float) -> Markup:
    """A ROC curve with its band and its area, so many pixels wide and high."""
    frame = Frame(side, side)
    right, up = frame.at(0.97, 0.05)  # under the diagonal, where a curve hardly ever is
    upper = list(zip(curve.false_low, curve.true_high, strict=True))
    lower = list(zip(curve.false_high, curve.true_low, strict=True))
    band = [(0.0, 0.0), *upper, (1.0, 1.0), *reversed(lower)]
    return frame.draw(
        element("polygon", points=frame.path(band), fill=BLUE, fill_opacity="0.18"),
        frame.line([(0, 0), (1, 1)], GREY, width=1, dash="4 3"),
        frame.line(list(zip(curve.false, curve.true, strict=True)), BLUE),
        _text(f"AUC {curve.area:.3f}", right, up, anchor="end"),
        title=title,
        above=above,
        said=f"ROC curve, area {curve.area:.3f}; the dashed diagonal is chance.",
        x="false alarms",
        y="found",
    )


def reliability_picture(bins: Sequence[Bin], title: str, colour: str, claim: str) -> Markup:
    """What was claimed and what was true, with the interval of each point."""
    frame = Frame(220, 220)
    points = [(each["claimed"], each["true"]) for each in bins]
    bars = [
        frame.line([(each["claimed"], each["low"]), (each["claimed"], each["high"])], colour)
        for each in bins
    ]
    dots = [_dot(frame, point, colour) for point in points]
    words = "; ".join(
        f"claimed {each['claimed']:.2f}, true {each['true']:.2f} of {each['images']} images"
        for each in bins
    )
    return frame.draw(
        frame.line([(0, 0), (1, 1)], GREY, width=1, dash="4 3"),
        *bars,
        frame.line(points, colour, width=1),
        *dots,
        title=title,
        said=f"{words}. The dashed diagonal is perfect.",
        x=claim,
        y="share for which it held",
    )


def numbers_picture(true: Float64, given: Float64, margin: float | None) -> Markup:
    """Numbers that were answered against the true ones, and how far off they may be."""
    low, high = (float(end([true, given])) for end in (np.min, np.max))
    high = high if high > low else low + 1.0
    frame = Frame(300, 300, (low, high), (low, high), left=70)  # numbers of any length
    lines = [frame.line([(low, low), (high, high)], GREY, width=1)]
    if margin is not None and margin < high - low:
        above = [(low, low + margin), (high - margin, high)]
        below = [(low + margin, low), (high, high - margin)]
        lines += [frame.line(ends, GREY, width=1, dash="4 3") for ends in (above, below)]
    error = float(np.mean(np.abs(true - given)))
    return frame.draw(
        *lines,
        *(_dot(frame, point, BLUE) for point in zip(true, given, strict=True)),
        title="Answers and truth",
        said=f"{len(true)} images; answers are off by {error:.4g} on average.",
        x="truth",
        y="answer",
    )


def histogram_picture(values: Float32, title: str, x: str) -> Markup:
    """How many images lie in each twentieth from 0 to 1."""
    counts, edges = np.histogram(np.clip(values, 0, 1), bins=20, range=(0, 1))
    frame = Frame(440, 150, up=(0.0, _round_up(int(counts.max()))))
    bars = []
    for n, edge in zip(counts.tolist(), edges.tolist(), strict=False):
        left, top = frame.at(edge, n)
        bottom, width = frame.at(0, 0)[1], frame.width / 20
        bars.append(
            element(
                "rect",
                x=left + 0.5,
                y=top,
                width=width - 1,
                height=round(bottom - top, 1),
                fill=ORANGE if edge < 0.5 else BLUE,  # noqa: PLR2004  less likely than not
            )
        )
    below = int(counts[:10].sum())
    return frame.draw(
        *bars,
        title=title,
        said=f"{below} of {len(values)} images lie below 0.5.",
        x=x,
        y="images",
    )


def growth_picture(growth: Growth) -> Markup:
    """The figure with fewer images, as measured, and the curve with its band to twice as many."""
    points, fitted, name = growth.measured, growth.fitted, METRICS[growth.metric]
    today, lowest = points[-1]["images"], min(each["low"] for each in (*points, *fitted))
    # Tenths make even ticks.
    bottom = min(0.5, np.floor(10 * lowest) / 10)
    frame = Frame(440, 220, (0.0, fitted[-1]["images"]), (float(bottom), 1.0))
    band = [(float(p["images"]), p["high"]) for p in fitted]
    band += [(float(p["images"]), p["low"]) for p in reversed(fitted)]
    known = [(float(p["images"]), p["value"]) for p in fitted if p["images"] <= today]
    ahead = [(float(p["images"]), p["value"]) for p in fitted if p["images"] >= today]
    bars = [
        frame.line([(p["images"], p["low"]), (p["images"], p["high"])], INK, width=1)
        for p in points
    ]
    said = "; ".join(f"{p['images']} images {p['value']:.3f}" for p in (*points, fitted[-1]))
    return frame.draw(
        element("polygon", points=frame.path(band), fill=BLUE, fill_opacity="0.18"),
        frame.line([(today, bottom), (today, 1.0)], GREY, width=1, dash="4 3"),
        frame.line(known, BLUE),
        frame.line(ahead, BLUE, dash="7 4"),
        *bars,
        *(_dot(frame, (p["images"], p["value"]), INK) for p in points),
        title=f"{name} by the number of images",
        said=f"{name}: {said}. The last is expected; the dashed line up marks today.",
        x="images",
        y=name,
    )


def _round_up(n: int) -> int:
    """The next number that four ticks divide."""
    zeros = "0" * (len(str(n)) - 2)
    unit = int({1: "4", 2: "20"}.get(len(str(n)), f"4{zeros}"))
    return max(1, -(-n // unit)) * unit


def _dot(frame: Frame, point: tuple[float, float], colour: str) -> Markup:
    x, y = frame.at(*point)
    return element("circle", cx=x, cy=y, r=3.2, fill=colour)


def _text(
    text: str, x: float, y: float, *, anchor: str = "middle", weight: str = "", transform: str = ""
) -> Markup:
    style = {"font_weight": weight, "transform": transform}
    said = {name: value for name, value in style.items() if value}
    return element("text", text, x=x, y=y, text_anchor=anchor, fill=INK, font_size=11, **said)
