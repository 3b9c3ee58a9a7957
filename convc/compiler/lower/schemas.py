"""What an ONNX operator accepts at an opset, so that a form the opset lacks is an error at the spec's line.

onnx's own schemas are the table: attributes get the type that is declared there, and none is invented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir
    from onnx.defs import OpSchema


class Schemas:
    """The operators of one opset."""

    def __init__(self, opset: int) -> None:
        self.opset = opset

    def attributes(self, op_type: str, inputs: int, values: Mapping[str, Any], where: str) -> list[ir.Attr]:
        """The attributes as onnx_ir wants them, typed by the schema; those that are None are left out.

        Raises UsageError, which names `where`, if the opset lacks the operator, an attribute, or an input of it.
        """
        schema = _schema(op_type, self.opset)
        if schema is None:
            raise self._missing(f"the operator {op_type}", _since(op_type), where)
        if inputs > schema.max_input:
            raise self._missing(f"{op_type} with {inputs} inputs", _since(op_type, inputs=inputs), where)
        given = {name: value for name, value in values.items() if value is not None}
        for name in given:
            if name not in schema.attributes:
                raise self._missing(f"{op_type}'s {name}", _since(op_type, attribute=name), where)
        return [_attribute(name, _kind(op_type, self.opset, name), value) for name, value in given.items()]

    def _missing(self, what: str, since: int | None, where: str) -> UsageError:
        if since is None or since <= self.opset:
            return UsageError(f"{where}: ONNX opset {self.opset} has no such thing as {what}")
        return UsageError(
            f"{where}: ONNX opset {self.opset} cannot express {what}", hint=f"build with --opset {since} or higher"
        )


@cache
def _schema(op_type: str, opset: int) -> OpSchema | None:
    import onnx

    try:
        return onnx.defs.get_schema(op_type, opset)
    except onnx.defs.SchemaError:
        return None


@cache
def _kind(op_type: str, opset: int, name: str) -> str:
    schema = _schema(op_type, opset)
    assert schema is not None
    return str(schema.attributes[name].type).rpartition(".")[2]


def _since(op_type: str, *, inputs: int = 0, attribute: str = "") -> int | None:
    """The first opset that has the operator with so many inputs, or with that attribute."""
    import onnx

    every = (s for s in onnx.defs.get_all_schemas_with_history() if s.name == op_type and s.domain == "")
    fit = (s.since_version for s in every if s.max_input >= inputs and (not attribute or attribute in s.attributes))
    return min(fit, default=None)


def _attribute(name: str, kind: str, value: Any) -> ir.Attr:
    import numpy as np
    import onnx_ir as ir

    if kind == "TENSOR":
        return ir.AttrTensor(name, ir.tensor(np.asarray(value)))
    if kind.endswith("S"):
        values: Sequence[Any] = [_scalar(kind[:-1], item) for item in value]
        return ir.Attr(name, ir.AttributeType[kind], values)
    return ir.Attr(name, ir.AttributeType[kind], _scalar(kind, value))


def _scalar(kind: str, value: Any) -> int | float | str:
    if kind == "INT":
        if int(value) != value:
            raise TypeError(f"{value!r} is no whole number")
        return int(value)
    return float(value) if kind == "FLOAT" else str(value)
