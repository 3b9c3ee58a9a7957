"""STUB by the lead to integrate against; front1 replaces this file whole."""
from __future__ import annotations
import ast, re, math
from dataclasses import dataclass
from typing import Any

class ExpressionError(Exception):
    def __init__(self, message, offset=0, hint=""):
        super().__init__(message); self.message, self.offset, self.hint = message, offset, hint

def divisible(v, d=8, limit=0.9):
    n = max(d, int(v + d / 2) // d * d)
    return n + d if n < limit * v else n
def nearest_odd(v):
    t = int(v); return t if t % 2 else t + 1
F = dict(min=min, max=max, abs=abs, round=round, floor=math.floor, ceil=math.ceil, sqrt=math.sqrt, log2=math.log2, len=len, sum=sum,
  range=lambda *a: tuple(range(*a)), zip=lambda *a: tuple(zip(*a)), enumerate=lambda a: tuple(enumerate(a)), int=int, divisible=divisible, nearest_odd=nearest_odd)

@dataclass(frozen=True)
class Expression:
    text: str
    names: frozenset
    def evaluate(self, env: Any) -> Any:
        t = re.sub(r"(?<=[A-Za-z_\]])\.(\d+)", r"[\1]", self.text)
        class X:
            def __init__(s, v): s.v = v
        class D(dict):
            def __missing__(s, k):
                if k == "_read" or (k in F): return {**F, "_read": lambda o, a: o.read(a)}[k]
                if k in ("true","false","null"): return {"true":True,"false":False,"null":None}[k]
                if k in F or k == "_read": raise KeyError(k)
                try: return env[k]
                except KeyError: raise ExpressionError(f"unknown name {k!r}")
        class V(ast.NodeTransformer):
            def visit_Attribute(s, n):
                s.generic_visit(n)
                return ast.Call(ast.Name("_read", ast.Load()), [n.value, ast.Constant(n.attr)], [])
        try:
            tree = ast.fix_missing_locations(V().visit(ast.parse(t.strip(), mode="eval")))
            return eval(compile(tree, "x", "eval"), {"__builtins__": {}, **F, "_read": lambda o, a: o.read(a)}, D())
        except ExpressionError: raise
        except (SyntaxError, TypeError, ValueError, KeyError, IndexError, ZeroDivisionError) as e:
            raise ExpressionError(f"{e}")

def compile_expression(text: str) -> Expression:
    return Expression(text, frozenset())

def interpolate(text: str, env: Any) -> Any:
    if text.startswith("$"): return env[text[1:]]
    return text
