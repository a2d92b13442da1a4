"""Charts as SVG text. Knows numbers from 0 to 1 and colours, nothing of what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

SIZE, LEFT, BOTTOM, TOP = 150, 28, 24, 8
WIDTH, HEIGHT = LEFT + SIZE + 8, TOP + SIZE + BOTTOM
COLOURS = ("#1769aa", "#c2571a", "#2e7d4f", "#8a4fa3")
Point = Sequence[float]


def _x(value: float) -> float:
    return LEFT + SIZE * value


def _y(value: float) -> float:
    return TOP + SIZE * (1 - value)


def _frame(title: str, x_name: str, y_name: str, inside: str) -> str:
    grid = "".join(
        f'<path class="grid" d="M{_x(v):.1f} {_y(0):.1f}V{_y(1):.1f}M{_x(0):.1f} {_y(v):.1f}H{_x(1):.1f}"/>'
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    ticks = "".join(
        f'<text x="{_x(v):.1f}" y="{_y(0) + 11:.1f}" text-anchor="middle">{v:g}</text>'
        f'<text x="{LEFT - 4}" y="{_y(v) + 3:.1f}" text-anchor="end">{v:g}</text>'
        for v in (0, 0.5, 1)
    )
    middle = f"{_y(0.5):.1f}"
    names = (
        f'<text x="{_x(0.5):.1f}" y="{HEIGHT - 2}" text-anchor="middle">{escape(x_name)}</text>'
        f'<text x="9" y="{middle}" text-anchor="middle" transform="rotate(-90 9 {middle})">{escape(y_name)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>{grid}{inside}{ticks}{names}</svg>"
    )


def lines(title: str, x_name: str, y_name: str, curves: Sequence[Sequence[Point]], mark: float | None = None) -> str:
    """Curves of (x, y) points in the unit square, in the order of `COLOURS`; ``mark`` is an x to draw a line at."""
    drawn = "".join(
        f'<polyline fill="none" stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.6" '
        f'points="{" ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in curve)}"/>'
        for i, curve in enumerate(curves)
        if curve
    )
    if mark is not None:
        drawn += f'<path class="mark" d="M{_x(mark):.1f} {_y(0):.1f}V{_y(1):.1f}"/>'
    return _frame(title, x_name, y_name, drawn)


def columns(rows: Sequence[Point]) -> list[list[Point]]:
    """The curves of a table whose first column is x: ``[[0, 1, 2]]`` -> ``[[(0, 1)], [(0, 2)]]``."""
    return [[(row[0], row[i]) for row in rows] for i in range(1, len(rows[0]))]


def reliability(title: str, bins: Sequence[Sequence[float]]) -> str:
    """Share that is right over mean probability; on the diagonal a model means what it says. Area: how many."""
    diagonal = f'<path class="mark" d="M{_x(0):.1f} {_y(0):.1f}L{_x(1):.1f} {_y(1):.1f}"/>'
    most = max((count for _, _, count in bins), default=1)
    dots = "".join(
        f'<circle cx="{_x(mean):.1f}" cy="{_y(share):.1f}" r="{2 + 5 * (count / most) ** 0.5:.1f}" fill="{COLOURS[0]}" '
        f'fill-opacity=".75"><title>{mean:.2f} said, {share:.2f} right, {int(count)} decisions</title></circle>'
        for mean, share, count in bins
    )
    return _frame(title, "mean probability", "share right", diagonal + dots)


def interval(value: float, low: float, high: float, *, span: float = 1.0, zero: bool = False) -> str:
    """A dot on its interval, from 0 to ``span``, or with ``zero`` from -span to span about a line at 0."""
    width, height = 160, 14

    def at(x: float) -> float:
        share = (x + span) / (2 * span) if zero else x / span
        return 4 + (width - 8) * min(max(share, 0), 1)

    line = f"M{at(0):.1f} 1V13" if zero else f"M{at(0):.1f} 7H{at(span):.1f}"
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<path class="grid" d="{line}"/>'
        f'<path stroke="{COLOURS[0]}" stroke-width="2" d="M{at(low):.1f} 7H{at(high):.1f}"/>'
        f'<circle cx="{at(value):.1f}" cy="7" r="3.5" fill="{COLOURS[0]}"/></svg>'
    )
