"""Charts as SVG, drawn by a few functions of our own: lines over time, percentile curves, bars.

A chart needs no script: what a point says is its title, shown where the mouse rests. Colours are classes of the
page's style sheet, so that a chart fits a light and a dark page.
"""

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import Literal, NamedTuple

WIDTH, HEIGHT = 760, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 26, 26, 34
#: Room for the words at the end of a bar.
_WORDS = 320
#: More points than this cannot be told apart on the width.
MOST_POINTS = 380
_NINES = 0.99999


class Line(NamedTuple):
    """One line of a chart.

    Args:
        name: for the legend.
        points: (x, y); None: a gap.
        colour: which of the style sheet's, from 1 to 8.
        kind: ``area`` is filled down to the axis, ``thin`` is a hair.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    colour: int
    kind: Literal["line", "area", "thin"] = "line"


class Mark(NamedTuple):
    """Something that happened at an x, or until another one."""

    name: str
    begin: float
    end: float | None = None


class Axis(NamedTuple):
    """One direction of a chart.

    Args:
        title: what it shows, with its unit.
        low, high: its ends.
        place: from a value to 0 .. 1.
        ticks: values with their words.
    """

    title: str
    low: float
    high: float
    place: Callable[[float], float]
    ticks: list[tuple[float, str]]


def linear(title: str, low: float, high: float, *, ticks: int = 5) -> Axis:
    """Return an axis with round steps; its high end is moved to the next one."""
    span = max(high - low, 1e-9)
    step = _round_step(span / ticks)
    top = low + math.ceil(span / step - 1e-9) * step
    marks = [low + step * number for number in range(round((top - low) / step) + 1)]

    def place(value: float) -> float:
        return (value - low) / (top - low)

    return Axis(title, low, top, place, [(at, number_words(at)) for at in marks])


def time_axis(high: float) -> Axis:
    """Return an axis of seconds since the begin of the run, which ends where the run does."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200)
    step = next((each for each in steps if high / each <= 10), steps[-1] * math.ceil(high / steps[-1] / 10))
    marks = [float(step * number) for number in range(int(high / step) + 1)]

    def place(value: float) -> float:
        return value / high

    return Axis("", 0.0, high, place, [(at, _clock(at)) for at in marks])


def logarithmic(title: str, low: float, high: float) -> Axis:
    """Return an axis of powers of ten, with 2 and 5 between where there is room; both ends are above 0."""
    high = max(high, low * 1.01)  # an axis of one point has no length
    lowest, highest = math.log10(low), math.log10(high)
    factors = (1,) if highest - lowest > 4 else (1, 2, 5) if highest - lowest > 0.5 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8)
    values = [factor * 10.0**power for power in range(math.floor(lowest), math.ceil(highest) + 1) for factor in factors]
    below = max((each for each in values if each <= low * 1.0001), default=low)
    above = min((each for each in values if each >= high * 0.9999), default=high)
    span = math.log10(above / below) or 1.0

    def place(value: float) -> float:
        return math.log10(max(value, below) / below) / span

    shown = [(each, number_words(each)) for each in values if below * 0.9999 <= each <= above * 1.0001]
    return Axis(title, below, above, place, shown)


def nines(high: float) -> Axis:
    """Return an axis of percentiles on which each further nine takes the same room.

    Args:
        high: the highest percentile shown, below 100.
    """
    top = -math.log10(1 - min(high / 100, _NINES))
    marks = [(0.0, "0"), (50.0, "50"), (90.0, "90"), (99.0, "99"), (99.9, "99.9"), (99.99, "99.99"), (99.999, "99.999")]

    def place(value: float) -> float:
        return -math.log10(1 - min(value / 100, _NINES)) / top

    return Axis("percentile", 0.0, high, place, [(at, word) for at, word in marks if at <= high + 1e-9])


def chart(x: Axis, y: Axis, lines: Sequence[Line], marks: Sequence[Mark] = (), *, title: str) -> str:
    """Draw lines.

    Args:
        x, y: its axes.
        lines: in the order in which they are drawn.
        marks: bands and verticals behind them.
        title: for those who cannot see it.
    """
    body = [*_grid(x, y), *(_mark(x, each) for each in marks)]
    body += [_line(x, y, each) for each in lines]
    body += _titles(x, lines, y.title)
    view = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}"'
    return f"<figure>{_legend(lines)}<svg {view}>{''.join(body)}</svg></figure>"


def bars(rows: Sequence[tuple[str, float, str]], *, title: str) -> str:
    """Draw lying bars: name, length, words at its end."""
    longest = max((length for _, length, _ in rows), default=1.0) or 1.0
    height = 26 * len(rows) + 8
    body: list[str] = []
    for number, (name, length, words) in enumerate(rows):
        y = 4 + 26 * number
        wide = max(length / longest * (WIDTH - 180 - _WORDS), 1.5)
        body.append(f'<text class="name" x="170" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect class="fill{number % 8 + 1}" x="180" y="{y}" width="{wide:.1f}" height="18" rx="3"/>')
        body.append(f'<text x="{188 + wide:.1f}" y="{y + 14}">{escape(words)}</text>')
    view = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}"'
    return f"<figure><svg {view}>{''.join(body)}</svg></figure>"


def thinned(
    points: Sequence[tuple[float, float | None]], choose: Callable[[list[float]], float], most: int = MOST_POINTS
) -> list[tuple[float, float | None]]:
    """Join neighbours until at most so many points are left.

    Args:
        points: evenly spaced.
        choose: makes one value of several; `max` where a peak must not vanish.
        most: how many.
    """
    size = max(math.ceil(len(points) / most), 1)
    joined: list[tuple[float, float | None]] = []
    for begin in range(0, len(points), size):
        values = [y for _, y in points[begin : begin + size] if y is not None]
        joined.append((points[begin][0], choose(values) if values else None))
    return joined


def number_words(value: float) -> str:
    """Write a number in as few characters as tell it."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):.4g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _clock(at_s: float) -> str:
    minutes, seconds = divmod(round(at_s), 60)
    if minutes >= 60:
        return f"{minutes // 60}h{minutes % 60:02}"
    return f"{minutes}:{seconds:02}" if minutes else f"{seconds}s"


def _round_step(rough: float) -> float:
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


def _at_x(axis: Axis, value: float) -> float:
    return _LEFT + min(max(axis.place(value), 0.0), 1.0) * (WIDTH - _LEFT - _RIGHT)


def _at_y(axis: Axis, value: float) -> float:
    return HEIGHT - _BOTTOM - min(max(axis.place(value), 0.0), 1.0) * (HEIGHT - _TOP - _BOTTOM)


def _grid(x: Axis, y: Axis) -> list[str]:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    found: list[str] = []
    for value, words in y.ticks:
        at = _at_y(y, value)
        found.append(f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>')
        found.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{words}</text>')
    for value, words in x.ticks:
        at = _at_x(x, value)
        found.append(f'<path class="tick" d="M{at:.1f} {bottom}v5"/>')
        found.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{words}</text>')
    found.append(f'<text class="title" x="4" y="12">{escape(y.title)}</text>')
    if x.title:
        found.append(f'<text class="title" x="{right}" y="{HEIGHT - 2}" text-anchor="end">{escape(x.title)}</text>')
    return found


def _mark(x: Axis, mark: Mark) -> str:
    begin = _at_x(x, mark.begin)
    told = f"<title>{escape(mark.name)}</title>"
    if mark.end is None:
        return f'<path class="mark" d="M{begin:.1f} {_TOP}V{HEIGHT - _BOTTOM}">{told}</path>'
    wide = max(_at_x(x, mark.end) - begin, 1.0)
    kind = "warm" if mark.name == "warm-up" else "band"
    size = f'x="{begin:.1f}" y="{_TOP}" width="{wide:.1f}" height="{HEIGHT - _TOP - _BOTTOM}"'
    return f'<rect class="{kind}" {size}>{told}</rect>'


def _line(x: Axis, y: Axis, line: Line) -> str:
    """Draw a line, in as many pieces as its gaps make."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for at, value in line.points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((_at_x(x, at), _at_y(y, value)))
    paths = ["M" + "L".join(f"{at:.1f} {up:.1f}" for at, up in piece) for piece in pieces if piece]
    if line.kind != "area":
        return f'<path class="{line.kind} line{line.colour}" d="{"".join(paths)}"/>'
    floor = HEIGHT - _BOTTOM
    closed = [
        f"M{piece[0][0]:.1f} {floor}L" + "L".join(f"{at:.1f} {up:.1f}" for at, up in piece) + f"V{floor}Z"
        for piece in pieces
        if piece
    ]
    return f'<path class="area fill{line.colour}" d="{"".join(closed)}"/>'


def _titles(x: Axis, lines: Sequence[Line], unit: str) -> list[str]:
    """Lay an invisible column over each x that tells all lines there."""
    told: dict[float, list[str]] = {}
    for line in lines:
        for at, value in line.points:
            if value is not None:
                told.setdefault(at, []).append(f"{line.name} {number_words(value)} {unit}".rstrip())
    places = sorted(told)
    found: list[str] = []
    for number, at in enumerate(places):
        begin = _at_x(x, at)
        end = _at_x(x, places[number + 1]) if number + 1 < len(places) else WIDTH - _RIGHT
        words = escape("\n".join([f"{_clock(at) if not x.title else f'{x.title} {at:.5g}'}", *told[at]]))
        size = f'x="{begin:.1f}" y="{_TOP}" width="{max(end - begin, 0.5):.1f}" height="{HEIGHT - _TOP - _BOTTOM}"'
        found.append(f'<rect class="hit" {size}><title>{words}</title></rect>')
    return found


def _legend(lines: Sequence[Line]) -> str:
    entries = "".join(f'<span><i class="dot{line.colour}"></i>{escape(line.name)}</span>' for line in lines)
    return f'<figcaption class="legend">{entries}</figcaption>'
