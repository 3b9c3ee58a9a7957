"""Where a value is expected: `stem`, `branch.left`, `parts[k]`, `parts.*`, a number, or one of these under a condition."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .arguments import shown
from .document import Map, Scalar, Seq, Tree
from .expressions import ExpressionError, compile_expression
from .steps import fail, near
from .values import POISON, Bundle, Env, Poison, Poisoned, Tensor, Value, bundle

_PATH = re.compile(r"[A-Za-z_]\w*(\.(\w+|\*))*")
Constant = Callable[[float], Tensor]


def read_values(tree: Tree, env: Env, constant: Constant) -> list[Value]:
    """The values a `from:` or an operator's list names; `parts.*` gives each part, an inner list is one value."""
    if not isinstance(tree, Seq):
        return _spread(tree, env, constant)
    values: list[Value] = []
    for item in tree.items:
        if isinstance(item, Seq):
            values.append(bundle(read_values(item, env, constant)))
        else:
            values.extend(_spread(item, env, constant))
    return values


def read_name(text: str, env: Env, scalar: Scalar) -> Value:
    """The value that an output or a reference names."""
    found = _by_path(text, env, scalar) if _PATH.fullmatch(text) else _by_expression(text, env, scalar)
    if not isinstance(found, (Tensor, Bundle, Poison)):
        fail(f"{text!r} is {shown(found)}, expected the name of a value", scalar.mark)
    return found


def _spread(tree: Tree, env: Env, constant: Constant) -> list[Value]:
    if isinstance(tree, Map):
        fail("a mapping stands where the name of a value is expected", tree.mark)
    assert isinstance(tree, Scalar)
    if isinstance(tree.value, (int, float)) and not isinstance(tree.value, bool):
        return [constant(float(tree.value))]
    if not isinstance(tree.value, str):
        fail(f"{tree.text or 'nothing'!r} names no value", tree.mark)
    text = tree.value.strip()
    if text.endswith(".*"):
        whole = read_name(text[:-2], env, tree)
        if isinstance(whole, Poison):
            return [POISON]
        return list(whole.parts.values()) if isinstance(whole, Bundle) else [whole]
    if _PATH.fullmatch(text):
        return [read_name(text, env, tree)]
    found = _by_expression(text, env, tree)
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        return [constant(float(found))]
    if isinstance(found, (Tensor, Bundle, Poison)):
        return [found]
    fail(f"{text!r} is {shown(found)}, expected the name of a value", tree.mark)


def _by_path(text: str, env: Env, scalar: Scalar) -> Any:
    """The longest name in scope, then parts of it. A number that a parameter holds is a constant."""
    words = text.split(".")
    for cut in range(len(words), 0, -1):
        name = ".".join(words[:cut])
        if name in env.params and cut == 1:
            return _by_expression(text, env, scalar)
        found = env.x if name == "x" and env.x is not None else env.scope.lookup(name) if env.scope else None
        if found is not None:
            return _parts(found, words[cut:], text, scalar)
    known = [*(env.scope.known() if env.scope else ()), "x"]
    here = [name for name in known if not name.startswith("_")]
    hint = near(text, here) or near(words[0], here)
    if not hint and here:
        hint = f"names that can be read here: {', '.join(here[:12])}" + (" ..." if len(here) > 12 else "")
    fail(f"no value is called {text!r} here", scalar.mark, hint)


def _parts(value: Value, words: list[str], text: str, scalar: Scalar) -> Value:
    for word in words:
        if isinstance(value, Poison):
            raise Poisoned
        if isinstance(value, Tensor):
            if word == "0":
                continue
            fail(f"{text!r}: {value.name!r} is one value and has no part {word!r}", scalar.mark)
        if word not in value.parts:
            if word.isdigit() and int(word) < len(value.parts):
                value = value.part(int(word))
                continue
            parts = ", ".join(value.parts) or "nothing"
            fail(f"{text!r}: there is no part {word!r}", scalar.mark, f"it has {len(value.parts)}: {parts}")
        value = value.parts[word]
    return value


def _by_expression(text: str, env: Env, scalar: Scalar) -> Any:
    try:
        return compile_expression(text).evaluate(env)
    except ExpressionError as error:
        fail(f"{text!r} names no value: {error.message}", scalar.mark, error.hint)
