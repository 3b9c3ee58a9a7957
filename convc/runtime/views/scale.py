"""Axes: values to pixels, ticks at round numbers, labels that do not collide."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .markup import Markup, el, joined

# Mean advance of a figure or a small letter, in em, of the widest of the fonts that the page asks for.
_EM = 0.58


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps low..high to start..end (pixels, either direction), by value or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log(max(v, 1e-300)) if self.log else v for v in (self.low, self.high, value))
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 6) -> list[float]:
        """About `count` round values inside."""
        return _decades(self.low, self.high, count) if self.log else _steps(self.low, self.high, count)


def width(text: str, size: float = 12) -> float:
    """About how many pixels a text takes."""
    return len(text) * size * _EM


def fitted(text: str, pixels: float, size: float = 12) -> str:
    """The text, its head cut off where it would not fit: the tail of a layer's path says more."""
    room = int(pixels / (size * _EM))
    return text if len(text) <= room else ("…" + text[len(text) - room + 1 :] if room > 1 else "")


def spread(centres: Sequence[float], widths: Sequence[float], rows: int) -> list[int]:
    """A row for each label, from left to right, so that labels of a row do not touch; the last row takes what is left."""
    ends = [-math.inf] * rows
    found = [0] * len(centres)
    for place in sorted(range(len(centres)), key=lambda k: centres[k]):
        left = centres[place] - widths[place] / 2
        row = next((r for r in range(rows) if ends[r] + 8 <= left), rows - 1)
        found[place], ends[row] = row, max(ends[row], centres[place] + widths[place] / 2)
    return found


def short(value: float) -> str:
    """A tick's label: 0.05, 2.5, 300, 12k, 3M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 0.9999 and abs(value) >= 1e4:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def axis_below(scale: Scale, top: float, bottom: float, title: str, ticks: Sequence[float] | None = None) -> Markup:
    """Ticks with faint lines up to `top`, and the axis' name at the right end."""
    parts = []
    for value in scale.ticks() if ticks is None else ticks:
        x = scale(value)
        parts += [
            el("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"),
            el("text", short(value), x=x, y=bottom + 16, text_anchor="middle", class_="tick"),
        ]
    parts.append(el("line", x1=scale.start, x2=scale.end, y1=bottom, y2=bottom, class_="axis"))
    parts.append(el("text", title, x=scale.end, y=bottom + 34, text_anchor="end", class_="label"))
    return joined(parts)


def axis_left(scale: Scale, left: float, right: float, title: str, count: int = 5) -> Markup:
    """Ticks with faint lines to `right`, and the axis' name above."""
    parts = []
    for value in scale.ticks(count):
        y = scale(value)
        parts += [
            el("line", x1=left, x2=right, y1=y, y2=y, class_="grid"),
            el("text", short(value), x=left - 6, y=y + 4, text_anchor="end", class_="tick"),
        ]
    parts.append(el("text", title, x=0, y=min(scale.start, scale.end) - 12, class_="label"))
    return joined(parts)


def _steps(low: float, high: float, count: int) -> list[float]:
    if not high > low:
        return [low]
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _decades(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [d * 10.0**p for p in range(first, last + 1) for d in digits]
        inside = [v for v in found if low * 0.999 <= v <= high * 1.001]
        if len(inside) <= count + 2:
            break
    return inside[:: max(1, len(inside) // max(1, count))] or [low]
