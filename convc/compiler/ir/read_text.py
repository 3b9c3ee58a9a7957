"""Reads a graph from its text; text.py describes the form."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from ..errors import ConvcError
from .dims import Dim, Symbol, SymDim
from .graph import Graph, Node
from .op import REGISTRY, Op
from .text import PLAIN, WORDS
from .types import DType, Init, TensorType

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?|-inf\b|[A-Za-z_]\w*(?:\.\w+)*|//|[^\s\w])')


@dataclass
class _Draft:
    name: str = "graph"
    symbols: dict[str, Symbol] = field(default_factory=dict)
    inputs: dict[str, TensorType] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    train_outputs: dict[str, str] = field(default_factory=dict)

    def type_of(self, name: str) -> TensorType:
        if name in self.nodes:
            return self.nodes[name].type
        if name not in self.inputs:
            raise ValueError(f"no line above yields {name!r}")
        return self.inputs[name]


def read(text: str) -> Graph:
    """The graph of a text; raises ValueError with the line."""
    draft = _Draft()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            _line(draft, _Line(line))
        except (ValueError, ConvcError) as error:
            raise ValueError(f"line {number}: {error}\n  {line.strip()}") from error
    if not draft.outputs and draft.nodes:
        draft.outputs["output"] = next(reversed(draft.nodes))
    return Graph(
        draft.name,
        MappingProxyType(draft.inputs),
        MappingProxyType(draft.nodes),
        MappingProxyType(draft.outputs),
        MappingProxyType(draft.train_outputs),
    )


class _Line:
    """A line as tokens, read from the left."""

    def __init__(self, line: str) -> None:
        self.tokens: list[str] = []
        at = 0
        line = line.strip()
        while at < len(line):
            found = _TOKEN.match(line, at)
            if found is None:
                raise ValueError(f"cannot read {line[at:]!r}")
            if found[1] == "#":
                break
            self.tokens.append(found[1])
            at = found.end()
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or (wanted and token != wanted):
            raise ValueError(f"expected {wanted or 'more'!r}, found {token or 'the end of the line'!r}")
        self.at += 1
        return token

    def skip(self, token: str) -> bool:
        """Take the token if it is next."""
        found = self.peek() == token
        self.at += found
        return found

    def name(self) -> str:
        token = self.take()
        if token.startswith('"'):
            return str(json.loads(token))
        if not PLAIN.fullmatch(token):
            raise ValueError(f"expected a name, found {token!r}")
        return token

    def number(self) -> int:
        return int(self.take())

    def until(self, *ends: str) -> str:
        """The text up to one of `ends` outside of brackets."""
        depth, taken = 0, []
        while self.peek() and not (depth == 0 and self.peek() in ends):
            token = self.take()
            depth += (token in "([") - (token in ")]")
            taken.append(token)
        return " ".join(taken)

    def items(self, close: str, one: Callable[[], Any]) -> list[Any]:
        """Things between commas, up to and with `close`."""
        found: list[Any] = []
        while not self.skip(close):
            if found:
                self.take(",")
            found.append(one())
        return found


def _line(draft: _Draft, line: _Line) -> None:
    if not line.tokens:
        return
    header = _HEADERS.get(line.peek())
    if header is not None and line.peek(1) not in (":", "="):
        line.take()
        header(draft, line)
    else:
        _node(draft, line)
    if line.peek():
        raise ValueError(f"expected the end of the line, found {line.peek()!r}")


def _graph(draft: _Draft, line: _Line) -> None:
    draft.name = line.name()


def _symbol(draft: _Draft, line: _Line) -> None:
    name, promises = line.name(), {"multiple": 1, "minimum": 1}
    while line.peek():
        key = line.name()
        if key not in promises:
            raise ValueError(f"a symbol promises `multiple` or `minimum`, not {key!r}")
        line.take("=")
        promises[key] = line.number()
    draft.symbols[name] = Symbol(name, **promises)


def _input(draft: _Draft, line: _Line) -> None:
    name = line.name()
    line.take(":")
    draft.inputs[name] = _type(draft, line)


def _output(draft: _Draft, line: _Line) -> None:
    _named(draft, line, draft.outputs)


def _train_output(draft: _Draft, line: _Line) -> None:
    _named(draft, line, draft.train_outputs)


def _named(draft: _Draft, line: _Line, table: dict[str, str]) -> None:
    public = line.name()
    table[public] = line.name() if line.skip("=") else public
    draft.type_of(table[public])


_HEADERS: Mapping[str, Callable[[_Draft, _Line], None]] = {
    "graph": _graph,
    "symbol": _symbol,
    "input": _input,
    "output": _output,
    "train_output": _train_output,
}


def _node(draft: _Draft, line: _Line) -> None:
    name = line.name()
    if name in draft.nodes or name in draft.inputs:
        raise ValueError(f"there is already a value called {name!r}")
    given = _type(draft, line) if line.skip(":") else None
    line.take("=")
    word = line.name()
    if word not in REGISTRY:
        raise ValueError(f"no operator is called {word!r} (is convc.compiler.ops imported?)")
    inputs, arguments = _call(draft, line)
    types = [draft.type_of(i) for i in inputs]
    op = _operator(REGISTRY[word], arguments).bind(*types)
    train_only = line.skip("train_only")
    roles = op.params(*types)
    params = _with(line) if line.skip("with") else {}
    # A `with` that renames some leaves the others their own names.
    held = {role: params.pop(role, f"{name}.{role}") for role in roles}
    if params:
        raise ValueError(f"{word} has no parameter {next(iter(params))!r}, but {', '.join(roles) or 'none'}")
    type_ = op.infer(*types) if given is None else given
    draft.nodes[name] = Node(name, op, inputs, type_, MappingProxyType(held), (), train_only)


def _call(draft: _Draft, line: _Line) -> tuple[tuple[str, ...], dict[str, Any]]:
    inputs: list[str] = []
    arguments: dict[str, Any] = {}

    def one() -> None:
        if line.peek(1) == "=":
            key = line.name()
            line.take("=")
            arguments[key] = _value(draft, line)
        else:
            inputs.append(line.name())

    line.take("(")
    line.items(")", one)
    return tuple(inputs), arguments


def _operator(kind: type[Op], arguments: dict[str, Any]) -> Op:
    fields = kind.fields()
    for name in arguments:
        if name not in fields:
            raise ValueError(f"{kind.name} has no argument {name!r}, but {', '.join(fields) or 'none'}")
    if missing := [f.name for f in fields.values() if f.required and f.name not in arguments]:
        raise ValueError(f"{kind.name} needs {missing[0]!r}")
    return kind(**arguments)


def _with(line: _Line) -> dict[str, str]:
    found: dict[str, str] = {}
    while True:
        role = line.name()
        line.take("=")
        found[role] = line.name()
        if not line.skip(","):
            return found


def _value(draft: _Draft, line: _Line) -> Any:
    token = line.peek()
    if line.skip("["):
        return tuple(line.items("]", lambda: _value(draft, line)))
    if line.skip("("):
        dim = _dim(draft, line.until(")"))
        line.take(")")
        return dim
    if token.startswith('"'):
        return json.loads(line.take())
    if re.match(r"-?\d|-inf", token):
        line.take()
        return int(token) if re.fullmatch(r"-?\d+", token) else float(token)
    word = line.name()
    if line.skip("("):
        value = float(_value(draft, line))
        line.take(")")
        return Init(word, value)
    return WORDS.get(word, word)


def _type(draft: _Draft, line: _Line) -> TensorType:
    dtype = DType.float32 if line.peek() == "[" else DType(line.name())
    line.take("[")
    return TensorType(tuple(line.items("]", lambda: _dim(draft, line.until(",", "]")))), dtype)


def _dim(draft: _Draft, text: str) -> Dim:
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        raise ValueError(f"cannot read the size {text!r}") from None
    return _size(draft, tree)


def _size(draft: _Draft, tree: ast.expr) -> Dim:
    match tree:
        case ast.Constant(value=int(value)):
            return value
        case ast.Name(id=name):
            symbol = draft.symbols.get(name, Symbol(name))
            return SymDim.symbol(name, symbol.multiple, symbol.minimum)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _size(draft, operand) * -1
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=int(divisor))):
            return _part(_size(draft, left), divisor)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](_size(draft, left), _size(draft, right))
    raise ValueError(f"a size is made of whole numbers, names, + - * // and /, not {ast.unparse(tree)!r}")


_OPERATORS: Mapping[type[ast.operator], Callable[[Dim, Dim], Dim]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.FloorDiv: lambda a, b: a // b,
}


def _part(dim: Dim, divisor: int) -> Dim:
    """`H / 32`: a share that a promised multiple makes whole."""
    if isinstance(dim, int):
        raise ValueError(f"{dim} / {divisor}: / divides a dynamic size by a multiple it promises")
    return SymDim({monomial: value * Fraction(1, divisor) for monomial, value in dim.terms})
