"""Charts of the page as inline SVG; they follow the page's colours, light or dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 260, 64, 34
_ROW, _LABEL = 26, 220


def columns(points: Sequence[tuple[str, float]], *, unit: str) -> str:
    """Vertical bars, one a point, with a scale of four lines."""
    top = _nice(max((value for _, value in points), default=1.0))
    height, width = _HEIGHT - _BOTTOM - 10, _WIDTH - _LEFT
    parts = [_scale(top, height, unit)]
    step = width / max(len(points), 1)
    for n, (label, value) in enumerate(points):
        bar = height * value / top
        x, y = _LEFT + n * step, 10 + height - bar
        title = f"<title>{escape(label)}: {value:,.2f} {escape(unit)}</title>"
        parts.append(f'<rect class="bar" x="{x + step * 0.14:.1f}" y="{y:.1f}" width="{step * 0.72:.1f}" '
                     f'height="{bar:.1f}">{title}</rect>')  # fmt: skip
        parts.append(
            f'<text class="tick" x="{x + step / 2:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{escape(label)}</text>'
        )
    return _svg(_WIDTH, _HEIGHT, parts)


def rows(points: Sequence[tuple[str, float]]) -> str:
    """Horizontal bars with their numbers, one a point."""
    top = max((value for _, value in points), default=1.0) or 1.0
    room = _WIDTH - _LABEL - 90
    parts = []
    for n, (label, value) in enumerate(points):
        y = n * _ROW
        bar = room * value / top
        parts.append(f'<text class="label" x="{_LABEL - 8}" y="{y + 17}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<rect class="bar" x="{_LABEL}" y="{y + 5}" width="{bar:.1f}" height="{_ROW - 10}"/>')
        parts.append(f'<text class="value" x="{_LABEL + bar + 6:.1f}" y="{y + 17}">{value:,.0f}</text>')
    return _svg(_WIDTH, max(len(points), 1) * _ROW, parts)


def _scale(top: float, height: float, unit: str) -> str:
    lines = []
    for quarter in range(5):
        y = 10 + height - height * quarter / 4
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(top * quarter / 4)}</text>'
        )
    # Below the zero, where no number stands.
    unit_mark = f'<text class="tick" x="{_LEFT - 8}" y="{_HEIGHT - 12}" text-anchor="end">{escape(unit)}</text>'
    return "".join([*lines, unit_mark])


def _nice(value: float) -> float:
    """The next of 1, 2, 4, 5 or 8 times a power of ten, so that quarters are round."""
    magnitude = 1.0
    while magnitude * 10 <= value:
        magnitude *= 10
    return next(magnitude * step for step in (1, 2, 4, 5, 8, 10) if magnitude * step >= value)


def _short(value: float) -> str:
    return f"{value / 1000:,.0f} k" if value >= 1000 else f"{value:,.0f}"


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'
