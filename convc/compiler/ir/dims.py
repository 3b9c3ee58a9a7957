"""Symbolic sizes in a normal form, so that two sizes computed on two ways compare equal.

A size is a polynomial over atoms with rational coefficients. An atom is a symbol (`N`, `H`) or a floor division that does
not divide out. The form is kept normal by three identities, for integers a, b > 0 and c:

    (m + r) // a        = m / a + r // a          where every term of m is a multiple of a
    (n // a + c) // b   = (n + a c) // (a b)
    n // 1              = n

So a 3x3 stride-2 convolution with padding 1 and a 1x1 with stride 2 both give `(H + 1) // 2`.
A symbol may promise to be a multiple of some number; then `H // 32` is the term H / 32, and is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

from ..errors import ShapeError


@dataclass(frozen=True, slots=True, order=True)
class Symbol:
    """A dynamic dimension: its name, the multiple it promises to be, and its least value."""

    name: str
    multiple: int = 1
    minimum: int = 1

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class FloorDiv:
    """`numerator // divisor`, where nothing divides out."""

    numerator: SymDim
    divisor: int

    def __str__(self) -> str:
        text = str(self.numerator)
        return f"({text}) // {self.divisor}" if " " in text else f"{text} // {self.divisor}"


Atom = Symbol | FloorDiv
Monomial = tuple[Atom, ...]


class SymDim:
    """A size over symbols, in normal form; supports `+ - * //` with ints and with itself (`//` by ints only)."""

    __slots__ = ("_hash", "_text", "terms")
    terms: tuple[tuple[Monomial, Fraction], ...]

    def __init__(self, terms: Mapping[Monomial, Fraction]) -> None:
        kept = [(m, c) for m, c in terms.items() if c]
        self.terms = tuple(sorted(kept, key=lambda item: _order(item[0])))
        self._hash = hash(self.terms)
        # Kept, as the order of atoms goes by it: floor divisions nest, and each level would write the one below twice.
        self._text: str | None = None

    @staticmethod
    def symbol(name: str, multiple: int = 1, minimum: int = 1) -> SymDim:
        """The dimension called `name`, which promises to be a multiple of `multiple` and at least `minimum`."""
        return SymDim({(Symbol(name, multiple, minimum),): Fraction(1)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymDim) and self.terms == other.terms

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, int) and not other:
            return self
        terms = dict(self.terms)
        for monomial, value in _terms(other):
            terms[monomial] = terms.get(monomial, Fraction(0)) + value
        return _simple(terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + (other * -1)

    def __rsub__(self, other: Dim) -> Dim:
        return (self * -1) + other

    def __mul__(self, other: Dim) -> Dim:
        terms: dict[Monomial, Fraction] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = tuple(sorted(left + right, key=_atom_order))
                terms[monomial] = terms.get(monomial, Fraction(0)) + a * b
        return _simple(terms)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: Dim) -> Dim:
        if not isinstance(divisor, int):
            return self._divide_symbolic(divisor)
        if divisor <= 0:
            raise ShapeError(f"cannot divide the size {self} by {divisor}")
        exact: dict[Monomial, Fraction] = {}
        rest: dict[Monomial, Fraction] = {}
        for monomial, value in self.terms:
            whole, left = _split(monomial, value, divisor)
            if whole:
                exact[monomial] = whole
            if left:
                rest[monomial] = left
        return _simple(exact) + _floor(_simple(rest), divisor)

    def _divide_symbolic(self, divisor: Dim) -> Dim:
        """Exact quotients only: (N * H) // H = N."""
        assert isinstance(divisor, SymDim)
        if divisor == self:
            return 1
        if len(divisor.terms) != 1:
            raise ShapeError(f"cannot divide the size {self} by {divisor}")
        atoms, factor = divisor.terms[0]
        terms: dict[Monomial, Fraction] = {}
        for monomial, value in self.terms:
            left = list(monomial)
            for atom in atoms:
                if atom not in left:
                    raise ShapeError(f"cannot divide the size {self} by {divisor}")
                left.remove(atom)
            terms[tuple(left)] = value / factor
        if any(value.denominator != 1 for value in terms.values()):
            raise ShapeError(f"cannot divide the size {self} by {divisor}")
        return _simple(terms)

    def __rfloordiv__(self, other: int) -> Dim:
        raise ShapeError(f"cannot divide {other} by the dynamic size {self}")

    def symbols(self) -> frozenset[str]:
        """The names of the dynamic dimensions in this size."""
        found: set[str] = set()
        for monomial, _ in self.terms:
            for atom in monomial:
                found |= {atom.name} if isinstance(atom, Symbol) else atom.numerator.symbols()
        return frozenset(found)

    def at(self, values: Mapping[str, int]) -> int:
        """The size where each symbol has the given value; raises ShapeError where one is missing."""
        total = Fraction(0)
        for monomial, value in self.terms:
            for atom in monomial:
                value *= _value(atom, values)
            total += value
        if total.denominator != 1:
            raise ShapeError(f"the size {self} is no whole number at {dict(values)}: it promises a multiple")
        return int(total)

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._written()
        return self._text

    __repr__ = __str__

    def _written(self) -> str:
        parts: list[str] = []
        # Constants come last: `(H + 1) // 2` reads better than `(1 + H) // 2`.
        for monomial, value in sorted(self.terms, key=lambda t: (not t[0], _order(t[0]))):
            text = _term(monomial, abs(value))
            # `-(H // 2)`: Python, and whoever reads the text back, binds the sign before the division.
            text = f"({text})" if value == -1 and not parts and "//" in text else text
            sign = "-" if value < 0 else "+"
            parts.append(f"{sign} {text}" if parts else (text if value > 0 else f"-{text}"))
        return " ".join(parts) or "0"


Dim = int | SymDim


def at(dim: Dim, values: Mapping[str, int]) -> int:
    """The size of a dimension, dynamic or not, where each symbol has the given value."""
    return dim if isinstance(dim, int) else dim.at(values)


def product(dims: Iterable[Dim]) -> Dim:
    """The product of sizes; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def _terms(dim: Dim) -> Iterable[tuple[Monomial, Fraction]]:
    return dim.terms if isinstance(dim, SymDim) else (((), Fraction(dim)),)


def _simple(terms: Mapping[Monomial, Fraction]) -> Dim:
    kept = {m: c for m, c in terms.items() if c}
    if not kept:
        return 0
    constant = kept.get(())
    if len(kept) == 1 and constant is not None and constant.denominator == 1:
        return int(constant)
    return SymDim(kept)


def _split(monomial: Monomial, value: Fraction, divisor: int) -> tuple[Fraction, Fraction]:
    """value = divisor * whole + rest, where whole times the monomial is an integer for every allowed symbol."""
    if not monomial:
        return Fraction(value // divisor), value % divisor
    multiple = 1
    for atom in monomial:
        multiple *= atom.multiple if isinstance(atom, Symbol) else 1
    scaled = value * multiple
    if scaled.denominator != 1:
        return Fraction(0), value
    whole = scaled // divisor if multiple == 1 else (scaled // divisor if scaled % divisor == 0 else Fraction(0))
    return Fraction(whole) / multiple, value - Fraction(whole) / multiple * divisor


def _floor(rest: Dim, divisor: int) -> Dim:
    if isinstance(rest, int):
        return rest // divisor
    if divisor == 1:
        return rest
    atoms = [(m, c) for m, c in rest.terms if m]
    constant = dict(rest.terms).get((), Fraction(0))
    if len(atoms) == 1 and atoms[0][1] == 1 and len(atoms[0][0]) == 1:
        inner = atoms[0][0][0]
        if isinstance(inner, FloorDiv) and constant.denominator == 1:
            return (inner.numerator + int(constant) * inner.divisor) // (inner.divisor * divisor)
    common = divisor
    for _, value in rest.terms:
        common = gcd(common, value.numerator) if value.denominator == 1 else 1
    if common > 1:
        return _floor(_simple({m: c / common for m, c in rest.terms}), divisor // common)
    return SymDim({(FloorDiv(rest, divisor),): Fraction(1)})


def _value(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, FloorDiv):
        return atom.numerator.at(values) // atom.divisor
    if atom.name not in values:
        raise ShapeError(f"the dynamic dimension {atom.name} has no value here")
    return values[atom.name]


def _atom_order(atom: Atom) -> tuple[bool, str]:
    return (isinstance(atom, FloorDiv), str(atom))


def _order(monomial: Monomial) -> tuple[int, str]:
    return (len(monomial), " ".join(str(atom) for atom in monomial))


def _term(monomial: Monomial, value: Fraction) -> str:
    atoms = [f"({a})" if isinstance(a, FloorDiv) and (len(monomial) > 1 or value != 1) else str(a) for a in monomial]
    if not atoms:
        return str(value)
    head = [] if value.numerator == 1 else [str(value.numerator)]
    text = " * ".join(head + atoms)
    return text if value.denominator == 1 else f"{text} / {value.denominator}"
