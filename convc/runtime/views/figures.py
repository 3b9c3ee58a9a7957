"""Numbers as people read them: units beside them, no digits beyond what was measured."""

from __future__ import annotations

import math


def ms(value: float | None) -> str:
    """Milliseconds with three figures, and never fewer than whole ones: 0.0123, 1.23, 12.3, 1234."""
    return "–" if value is None else rounded(value)


def rounded(value: float, figures: int = 3) -> str:
    """`figures` significant digits without an exponent."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value == 0:
        return "0"
    decimals = max(0, min(6, figures - 1 - math.floor(math.log10(abs(value)))))
    return f"{value:,.{decimals}f}"


def aligned(value: float | None, decimals: int) -> str:
    """For a column: the same decimals in every row."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def decimals_for(largest: float, figures: int = 3) -> int:
    """Decimals that give the largest value of a column `figures` digits."""
    if largest <= 0:
        return 0
    return max(0, min(4, figures - 1 - math.floor(math.log10(largest))))


def percent(share: float | None, decimals: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{decimals}f} %"


def scaled(value: float | None, unit: str = "") -> str:
    """1.82 G, 25.6 M, 740 k: with an optional unit behind."""
    if value is None:
        return "–"
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{rounded(value / size)} {prefix}{unit}"
    return f"{rounded(value)} {unit}".rstrip() if value != int(value) else f"{int(value)} {unit}".rstrip()


def signed_percent(ratio: float) -> str:
    """A ratio as a change: 1.05 is +5.0 %."""
    return f"{100 * (ratio - 1):+.1f} %".replace("-", "−")


def size_text(size: tuple[int, ...]) -> str:
    return "×".join(map(str, size))
