"""Small charts as inline SVG: a line, a histogram, rates with their intervals. No script, no outside resource."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from ami_robot.types import Array

LEFT, RIGHT, TOP, BOTTOM = 48, 12, 26, 34  # pixels around the plot
BLUE, GREY, GREEN, RED = "#2662be", "#8a8a90", "#1c8c54", "#c43c30"


@dataclass(frozen=True)
class Axes:
    """Where data lands on the picture."""

    title: str
    x_label: str
    x: tuple[float, float]
    y: tuple[float, float]
    width: int = 334
    height: int = 170

    def across(self, value: float) -> float:
        """Pixel of an x value."""
        return LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * (self.width - LEFT - RIGHT)

    def down(self, value: float) -> float:
        """Pixel of a y value."""
        return self.height - BOTTOM - (value - self.y[0]) / (self.y[1] - self.y[0]) * (self.height - TOP - BOTTOM)

    def draw(self, content: str) -> str:
        """The chart around its content."""
        parts = [
            f'<svg viewBox="0 0 {self.width} {self.height}" width="{self.width}" role="img" '
            f'aria-label="{escape(self.title)}">',
            f'<text x="{LEFT}" y="14" class="title">{escape(self.title)}</text>',
        ]
        for tick in ticks(*self.y):
            y = self.down(tick)
            parts.append(f'<line x1="{LEFT}" x2="{self.width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" class="tick" text-anchor="end">{tick:g}</text>')
        for tick in ticks(*self.x):
            place = f'x="{self.across(tick):.1f}" y="{self.height - BOTTOM + 15}"'
            parts.append(f'<text {place} class="tick" text-anchor="middle">{tick:g}</text>')
        middle = (LEFT + self.width - RIGHT) / 2
        place = f'x="{middle:.0f}" y="{self.height - 4}"'
        parts.append(f'<text {place} class="tick" text-anchor="middle">{escape(self.x_label)}</text>')
        return "".join([*parts, content, "</svg>"])


def line_chart(
    title: str, x_label: str, x: Array, y: Array, threshold: float | None = None, floor: float | None = 0.0
) -> str:
    """One line; gaps where y is NaN. threshold draws a dashed level, floor pins the bottom of the scale."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    known = y[np.isfinite(y)]
    if not known.size:
        return f'<p class="note">{escape(title)}: nothing was measured.</p>'
    levels = [*known, *([threshold] if threshold is not None else []), *([floor] if floor is not None else [])]
    axes = Axes(title, x_label, _span(x), _span(np.array(levels), margin=0.06, floor=floor))
    drawn = ""
    if threshold is not None:
        level = axes.down(threshold)
        drawn += f'<line x1="{LEFT}" x2="{axes.width - RIGHT}" y1="{level:.1f}" y2="{level:.1f}" class="threshold"/>'
    for run in _runs(y):
        points = " ".join(f"{axes.across(x[i]):.1f},{axes.down(y[i]):.1f}" for i in run)
        drawn += f'<polyline points="{points}" class="line"/>'
    return axes.draw(drawn)


def histogram(title: str, x_label: str, values: Array, bins: int = 24) -> str:
    """How often which value was seen, with the median and the 95th percentile marked."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not values.size:
        return f'<p class="note">{escape(title)}: nothing was measured.</p>'
    low, top = float(values.min()), max(float(values.max()), 1e-9)
    if low < 0.5 * top:  # else there would be little but an empty stretch on the left
        low = 0.0
    counts, edges = np.histogram(values, bins=bins, range=(low, top))
    axes = Axes(title, x_label, (float(edges[0]), float(edges[-1])), (0.0, float(counts.max()) * 1.18))
    drawn = "".join(
        f'<rect x="{axes.across(left) + 0.5:.1f}" y="{axes.down(count):.1f}" '
        f'width="{axes.across(right) - axes.across(left) - 1:.1f}" '
        f'height="{axes.down(0) - axes.down(count):.1f}" class="bar"/>'
        for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True)
    )
    for name, q, row in (("p50", 50, 0), ("p95", 95, 1)):  # one below the other: they may be next to each other
        value = float(np.percentile(values, q))
        x, y = axes.across(value), TOP + 8 + 15 * row
        anchor, shift = ("end", -4) if q == 50 or x > axes.width * 0.82 else ("start", 4)
        drawn += f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{axes.down(0):.1f}" class="threshold"/>'
        drawn += f'<text x="{x + shift:.1f}" y="{y}" class="tick" text-anchor="{anchor}">{name} {value:.0f}</text>'
    return axes.draw(drawn)


def interval_chart(rows: Sequence[tuple[str, int, int, float, float]]) -> str:
    """Success rates with their 95 % intervals: name, successes, episodes, low, high."""
    width, line, name_width = 640, 30, 150
    left, right = name_width, width - 90
    height = line * len(rows) + 34

    def across(rate: float) -> float:
        return left + rate * (right - left)

    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="success rates">']
    for rate in (0, 0.25, 0.5, 0.75, 1.0):
        x = across(rate)
        parts.append(f'<line x1="{x}" x2="{x}" y1="4" y2="{height - 26}" class="grid"/>')
        parts.append(f'<text x="{x}" y="{height - 10}" class="tick" text-anchor="middle">{rate:.0%}</text>')
    for number, (name, reached, episodes, low, high) in enumerate(rows):
        y, colour = 4 + line * (number + 0.5), BLUE if number == 0 else GREY
        weight = ' font-weight="600"' if number == 0 else ""
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end" class="name"{weight}>{escape(name)}</text>')
        parts.append(
            f'<line x1="{across(low):.1f}" x2="{across(high):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            'stroke-width="4" stroke-linecap="round" opacity="0.45"/>'
        )
        parts.append(f'<circle cx="{across(reached / episodes):.1f}" cy="{y}" r="6" fill="{colour}"/>')
        parts.append(f'<text x="{right + 22}" y="{y + 4}" class="name"{weight}>{reached}/{episodes}</text>')
    return "".join([*parts, "</svg>"])


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
    """Round numbers from low to high."""
    raw = (high - low) / wanted
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 2.5, 5, 10) if magnitude * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(step * number, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _span(values: Array, margin: float = 0.0, floor: float | None = None) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    spread = (high - low) or max(abs(high), 1e-9)
    bottom = floor if floor is not None and low >= floor else low - margin * spread
    return bottom, high + margin * spread if margin else max(high, low + 1e-9)


def _runs(y: Array) -> list[list[int]]:
    """Stretches of finite values."""
    runs: list[list[int]] = [[]]
    for number, value in enumerate(y):
        if math.isfinite(value):
            runs[-1].append(number)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
