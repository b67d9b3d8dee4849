"""A curve as an SVG picture: two axes, one line for each program. Knows no road."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.speed.measuring import Curve, plain, short
from service.report.markup import Markup, element, joined

Points = Sequence[tuple[float, float]]

STYLES = (("#0072b2", ""), ("#d55e00", "6 3"), ("#009e73", "2 3"), ("#8a8a8a", "8 3 2 3"))
"""Okabe and Ito's colours, which colour-blind readers tell apart; dashes say the same in grey."""

INK, PAPER, PALE = "#222222", "#ffffff", "#dddddd"

WIDTH, HEIGHT = 460.0, 260.0
LEFT, ABOVE, BELOW, RIGHT = 64.0, 34.0, 48.0, 16.0
LINE = 17.0


@dataclass(frozen=True)
class Axis:
    """An axis, logarithmic or from 0.

    Args:
        low, high: its ends.
        start, length: where it lies, in pixels; upwards if the length is negative.
        linear: whether it begins at 0.
    """

    low: float
    high: float
    start: float
    length: float
    linear: bool

    @classmethod
    def over(cls, values: Sequence[float], start: float, length: float, *, linear: bool) -> "Axis":
        """An axis on which all values have room."""
        low, high = (0.0, max(values)) if linear else (min(values) * 0.85, max(values) * 1.18)
        return cls(low, high, start, length, linear)

    def at(self, value: float) -> float:
        """Pixels of a value."""
        if self.linear:
            share = value / self.high
        else:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        return round(self.start + share * self.length, 1)

    def ticks(self) -> list[float]:
        """Round numbers between its ends."""
        if self.linear:
            step = 10.0 ** math.floor(math.log10(self.high))
            step /= 1 if self.high / step > 4 else 4
            return [step * n for n in range(int(self.high / step) + 1)]
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1,) if len(powers) > 3 else (1, 2, 5)
        every = [step * 10.0**power for power in powers for step in steps]
        return [tick for tick in every if self.low <= tick <= self.high]


def drawn(curve: Curve, lines: Mapping[str, Points]) -> Markup:
    """The picture of a curve; lines are (x, y) by program."""
    across = Axis.over(
        [x for line in lines.values() for x, _ in line], LEFT, WIDTH, linear=curve.linear
    )
    up = Axis.over(
        [y for line in lines.values() for _, y in line],
        ABOVE + HEIGHT,
        -HEIGHT,
        linear=curve.linear,
    )
    legend = ABOVE + HEIGHT + BELOW
    whole = (LEFT + WIDTH + RIGHT, legend + LINE * len(lines) + 4)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{short(y)} at {plain(x)}" for x, y in line)
        for name, line in lines.items()
    )
    return element(
        "svg",
        element("title", curve.title),
        element("desc", f"{curve.y} by {curve.x}. {said}."),
        element("rect", width=whole[0], height=whole[1], fill=PAPER),
        _grid(across, up),
        *(
            _line(number, name, line, across, up, legend)
            for number, (name, line) in enumerate(lines.items())
        ),
        _text(curve.title, LEFT + WIDTH / 2, 20, weight="bold"),
        _text(curve.x, LEFT + WIDTH / 2, ABOVE + HEIGHT + 34),
        _text(curve.y, 16, ABOVE + HEIGHT / 2, turned=True),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {whole[0]} {whole[1]}",
        width=whole[0],
        height=whole[1],
        role="img",
        font_family="sans-serif",
    )


def _grid(across: Axis, up: Axis) -> Markup:
    parts = []
    for tick in across.ticks():
        x = across.at(tick)
        parts += [_rule(x, ABOVE, x, ABOVE + HEIGHT), _text(plain(tick), x, ABOVE + HEIGHT + 16)]
    for tick in up.ticks():
        y = up.at(tick)
        parts += [
            _rule(LEFT, y, LEFT + WIDTH, y),
            _text(plain(tick), LEFT - 6, y + 4, anchor="end"),
        ]
    return joined(parts)


def _line(number: int, name: str, line: Points, across: Axis, up: Axis, legend: float) -> Markup:
    colour, dash = STYLES[number % len(STYLES)]
    style = {
        "stroke": colour,
        "stroke_width": 2,
        "fill": "none",
        "stroke_dasharray": dash or "none",
    }
    places = [(across.at(x), up.at(y)) for x, y in sorted(line)]
    y = legend + LINE * number
    return joined(
        [
            element("polyline", points=" ".join(f"{x},{y}" for x, y in places), **style),
            *(element("circle", cx=x, cy=y, r=3, fill=colour) for x, y in places),
            element("line", x1=LEFT, y1=y, x2=LEFT + 28, y2=y, **style),
            _text(name, LEFT + 36, y + 4, anchor="start"),
        ]
    )


def _rule(x1: float, y1: float, x2: float, y2: float) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=PALE)


def _text(
    text: str, x: float, y: float, *, anchor: str = "middle", weight: str = "", turned: bool = False
) -> Markup:
    style = {"font_weight": weight} if weight else {}
    if turned:
        style["transform"] = f"rotate(-90 {x} {y})"
    return element("text", text, x=x, y=y, text_anchor=anchor, fill=INK, font_size=11, **style)
