"""The grammar of expressions: text as a tree of what it says, nothing looked up and nothing computed.

    expression   binary ["if" binary "else" expression]
    binary       operand {sign operand}         loosest first:  or | and | not | in == < ... | + - | * / // % | - + | **
    operand      "-" "+" "not" binary           signs of one row apply left to right, ** right to left,
                 atom {suffix}                  comparisons chain (a < b < c)
    atom         number | 'text' | "text" | true | false | null | name | name(arguments) | (expression) | [items]
    suffix       .name | .0 | [index] | [first:last:step]

Text has no escapes. A tree is as deep as the nesting of the text, which is bounded; a long row of signs is one node.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from .kinds import ExpressionError
from .nodes import (
    ADD,
    AND,
    COMPARE,
    MULTIPLY,
    NOT,
    OR,
    POWER,
    SIGN,
    Call,
    Choice,
    Constant,
    Index,
    Items,
    Name,
    Node,
    Part,
    Path,
    Prefix,
    Row,
    Slice,
    Suffix,
)
from .tokens import CONSTANTS, Token, tokens

MAX_DEPTH = 64


_STRENGTH = {
    "or": OR, "and": AND, "in": COMPARE, "not": COMPARE, "==": COMPARE, "!=": COMPARE, "<": COMPARE, "<=": COMPARE,
    ">": COMPARE, ">=": COMPARE, "+": ADD, "-": ADD, "*": MULTIPLY, "/": MULTIPLY, "//": MULTIPLY, "%": MULTIPLY,
    "**": POWER,
}  # fmt: skip
_PREFIX = {"-": SIGN, "+": SIGN, "not": NOT}


def parse(text: str) -> Node:
    """The tree of an expression; raises ExpressionError at the first token that does not fit."""
    return _Parser(tokens(text)).whole()


class _Parser:
    def __init__(self, found: Iterable[Token]) -> None:
        self.tokens = list(found)
        self.place = 0
        self.depth = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def accept(self, text: str) -> Token | None:
        """The next token where it is this sign or word."""
        return self.take() if self.next.text == text and self.next.kind in ("sign", "word") else None

    def expect(self, text: str, what: str) -> Token:
        return self.accept(text) or self.fail(f"expected `{text}` {what}")

    def fail(self, expected: str) -> NoReturn:
        token = self.next
        found = "the expression ends" if token.kind == "end" else f"`{token.text}` stands"
        hint = "text in an expression is quoted: 'relu'" if token.kind in ("name", "number") else ""
        hint = "a comparison is written `==`" if token.text == "=" else hint
        raise ExpressionError(f"{expected}, where {found}", token.at, hint)

    def whole(self) -> Node:
        if self.next.kind == "end":
            raise ExpressionError("there is nothing in the expression", 0)
        node = self.expression()
        if self.next.kind != "end":
            self.fail("expected a sign such as `+`, or the end")
        return node

    def expression(self) -> Node:
        then = self.binary(OR)
        mark = self.accept("if")
        if mark is None:
            return then
        condition = self.binary(OR)
        self.expect("else", "of `a if condition else b`")
        self.deeper()
        other = self.expression()
        self.depth -= 1
        return Choice(condition, then, other, mark.at)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH}", self.next.at, "name a part of it by a parameter")

    def binary(self, least: int) -> Node:
        """Everything whose signs bind at least as strongly as `least`."""
        self.deeper()
        left = self.operand()
        while (strength := self.strength()) >= least:
            left = self.row(left, strength)
        self.depth -= 1
        return left

    def strength(self) -> int:
        token = self.next
        if token.kind not in ("sign", "word") or (token.text == "not" and self.tokens[self.place + 1].text != "in"):
            return 0
        return _STRENGTH.get(token.text, 0)

    def row(self, first: Node, strength: int) -> Node:
        rest: list[tuple[str, Node, int]] = []
        at = self.next.at
        while self.strength() == strength:
            token = self.take()
            sign = f"not {self.take().text}" if token.text == "not" else token.text
            # The right side of ** takes a sign (2 ** -1) and further powers, so its row has one member.
            rest.append((sign, self.binary(POWER if strength == POWER else strength + 1), token.at))
        return Row(strength, first, tuple(rest), at)

    def operand(self) -> Node:
        token = self.next
        if token.kind in ("sign", "word") and token.text in _PREFIX:
            self.take()
            return Prefix(token.text, self.binary(_PREFIX[token.text]), token.at)
        return self.suffixed(self.atom(), token.at)

    def atom(self) -> Node:
        token = self.next
        if token.kind in ("number", "text"):
            return Constant(self.take().value, token.at)
        if token.kind == "word" and token.text in CONSTANTS:
            return Constant(CONSTANTS[self.take().text], token.at)
        if token.kind == "name":
            self.take()
            return self.call(token) if self.accept("(") else Name(token.text, token.at)
        if self.accept("["):
            return Items(self.items("]"), token.at)
        if self.accept("("):
            return self.bracketed(token.at)
        return self.fail("expected a value")

    def bracketed(self, at: int) -> Node:
        if self.accept(")"):
            return Items((), at)
        first = self.expression()
        if self.accept(")"):
            return first
        self.expect(",", "or `)`")
        return Items((first, *self.items(")")), at)

    def items(self, close: str) -> tuple[Node, ...]:
        found: list[Node] = []
        while not self.accept(close):
            found.append(self.expression())
            if not self.accept(","):
                self.expect(close, "or `,`")
                break
        return tuple(found)

    def call(self, name: Token) -> Node:
        args: list[Node] = []
        named: list[tuple[str, Node]] = []
        while not self.accept(")"):
            self.argument(args, named)
            if not self.accept(","):
                self.expect(")", "or `,`")
                break
        return Call(name.text, tuple(args), tuple(named), name.at)

    def argument(self, args: list[Node], named: list[tuple[str, Node]]) -> None:
        token = self.next
        if token.kind == "name" and self.tokens[self.place + 1].text == "=":
            self.place += 2
            if any(token.text == name for name, _ in named):
                raise ExpressionError(f"the argument {token.text!r} is given twice", token.at)
            named.append((token.text, self.expression()))
        elif named:
            self.fail("expected an argument with a name, as the one before it")
        else:
            args.append(self.expression())

    def suffixed(self, base: Node, at: int) -> Node:
        suffixes: list[Suffix] = []
        while True:
            token = self.next
            if token.kind == "part":
                suffixes.append(Part(str(self.take().value), token.at))
            elif self.accept("["):
                suffixes.append(self.index(token.at))
            else:
                return Path(base, tuple(suffixes), at) if suffixes else base

    def index(self, at: int) -> Suffix:
        bounds: list[Node | None] = [None]
        while not self.accept("]"):
            if self.accept(":"):
                bounds.append(None)
                if len(bounds) > 3:
                    raise ExpressionError("a slice has at most two `:`", at, "e.g. `widths[first:last:step]`")
            elif bounds[-1] is None:
                bounds[-1] = self.expression()
            else:
                self.fail("expected `]`")
        if len(bounds) == 1:
            if bounds[0] is None:
                raise ExpressionError("no index stands between [ and ]", at, "e.g. `widths[0]`")
            return Index(bounds[0], at)
        first, last, step = (*bounds, None)[:3]
        return Slice(first, last, step, at)
