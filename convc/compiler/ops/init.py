"""How a person says that fresh weights are filled: a word, a number, or a word with its number.

init: zeros            init: 0.25            init: {normal: 0.02}
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, sqrt

from ..errors import ShapeError
from ..ir.types import Init

HE = Init("kaiming", sqrt(2))
LECUN = Init("kaiming", 1.0)
ZEROS = Init("constant", 0.0)
ONES = Init("constant", 1.0)

_WORDS: Mapping[str, Init] = {
    "zeros": ZEROS,
    "ones": ONES,
    "kaiming": HE,
    "xavier": Init("xavier", 1.0),
    "bilinear": Init("bilinear", 1.0),
    "normal": Init("normal", 0.01),
    "uniform": Init("uniform", 0.01),
}
_SCALED = ("constant", "normal", "uniform", "kaiming")


def parse_init(value: object) -> Init:
    """The filling that a spec's value means: a word, a number, or one of `{constant: v}`, `{normal: deviation}`,
    `{uniform: half width}`, `{kaiming: gain}`. Raises ShapeError.
    """
    if isinstance(value, Init):
        return value
    if isinstance(value, str):
        return _word(value)
    if _number(value) is not None:
        return Init("constant", float(_number(value) or 0.0))
    if isinstance(value, Mapping) and len(value) == 1:
        return _scaled(*next(iter(value.items())))
    raise ShapeError(f"init must be a word, a number or one of each ({_examples()}), but got {value!r}")


def _word(word: str) -> Init:
    if word in _WORDS:
        return _WORDS[word]
    raise ShapeError(f"no filling is called {word!r}; there is {', '.join(_WORDS)}, or a number ({_examples()})")


def _scaled(word: object, value: object) -> Init:
    number = _number(value)
    if word not in _SCALED:
        raise ShapeError(f"init {word!r} takes no number; {', '.join(_SCALED)} do ({_examples()})")
    if number is None:
        raise ShapeError(f"init {{{word}: ...}} needs a finite number, but got {value!r}")
    return Init(str(word), number)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isfinite(value) else None


def _examples() -> str:
    return "`zeros`, `0.1`, `{normal: 0.02}`"
