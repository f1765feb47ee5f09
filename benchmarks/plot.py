"""A plot with two logarithmic axes as an SVG of a few kilobytes."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 490, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 180, 34, 40
COLOURS = ("#1f6feb", "#d1242f", "#8250df", "#1a7f37", "#9a6700", "#57606a")
Points = Sequence[tuple[float, float]]
STYLE = "text{font:12px sans-serif;fill:#24292f}.g{stroke:#d0d7de}.bg{fill:#fff}"


def plot(title: str, across: str, series: Mapping[str, Points]) -> str:
    """``series`` by name, each point (x, y) above 0; the axes reach from one power of ten to another."""
    points = [point for line in series.values() for point in line]
    scale = _Scale(_decades([x for x, _ in points]), _decades([y for _, y in points]))
    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(title)}</text>', *scale.grid(across)]
    for number, (name, line) in enumerate(series.items()):
        colour, at = COLOURS[number % len(COLOURS)], [scale.place(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
        y = TOP + 10 + 20 * number
        parts.append(f'<rect x="{WIDTH - RIGHT + 12}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 28}" y="{y}">{escape(name)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
    return "\n".join(
        [head, f"<style>{STYLE}</style>", '<rect class="bg" width="100%" height="100%"/>', *parts, "</svg>\n"]
    )


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


class _Scale:
    def __init__(self, across: tuple[int, int], up: tuple[int, int]) -> None:
        self._across, self._up = across, up

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the point stands on the paper."""
        (low, high), (bottom, top) = self._across, self._up
        right, down = WIDTH - RIGHT, HEIGHT - BOTTOM
        return (
            LEFT + (log10(x) - low) / (high - low) * (right - LEFT),
            down - (log10(y) - bottom) / (top - bottom) * (down - TOP),
        )

    def grid(self, across: str) -> list[str]:
        """A line and a number for each power of ten."""
        parts = []
        for power in range(self._across[0], self._across[1] + 1):
            x, _ = self.place(10.0**power, 10.0 ** self._up[0])
            parts.append(f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
            parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{_number(power)}</text>')
        for power in range(self._up[0], self._up[1] + 1):
            _, y = self.place(10.0 ** self._across[0], 10.0**power)
            parts.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(power)}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        return [*parts, f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>']


def _number(power: int) -> str:
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"
