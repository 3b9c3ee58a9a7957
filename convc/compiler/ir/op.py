"""What an operator is: one frozen dataclass that states its schema, types, parameters, cost and both lowerings.

Backends are handed in as arguments, so an operator's file imports neither torch nor onnx. The dataclass fields *are* the YAML
schema: keys, kinds, defaults and one-line docs are read from them by the frontend, by the JSON Schema and by `convc show op`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

from .types import ParamType, TensorType

# Kinds of arguments, and what the frontend accepts for each:
#   size      whole number >= 1            count    whole number >= 0       int      any whole number
#   number    any finite number            bool     true / false           word     one of `choices`
#   spatial   size, or a list with one per spatial axis                    spatial0 the same, with counts
#   padding   a word (half valid same_upper same_lower causal), a count, one per axis, or two per axis (begins, then ends)
#   ints      list of whole numbers (a single one counts as a list)        dims     list of sizes that may be dynamic
#   data      numbers in nested lists      init     how a fresh weight is filled            text     free text
#   dim       a size that may be dynamic, or None                          numbers  list of numbers
Kind = Literal[
    "size", "count", "int", "number", "numbers", "bool", "word", "text", "spatial", "spatial0", "padding",
    "ints", "dim", "dims", "data", "init",
]  # fmt: skip

REQUIRED: Any = dataclasses.MISSING


class Field(NamedTuple):
    """One argument of an operator, as the language and the docs see it."""

    name: str
    kind: Kind
    default: Any
    doc: str
    choices: tuple[str, ...] = ()
    optional: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def arg(default: Any = REQUIRED, *, kind: Kind, doc: str, choices: tuple[str, ...] = (), optional: bool = False) -> Any:
    """A dataclass field of an operator. `optional` lets it be None (left out) beside what its kind says."""
    metadata = {"kind": kind, "doc": doc, "choices": choices, "optional": optional or default is None}
    return dataclasses.field(default=default, metadata=metadata)


class Window(NamedTuple):
    """How an operator looks at its input, per spatial axis: for receptive fields and borders."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]


class Arity(NamedTuple):
    """How many values an operator reads; `most` is None where there is no limit."""

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"{self.least} or more values"
        if self.least == self.most:
            return "1 value" if self.least == 1 else f"{self.least} values"
        return f"{self.least} to {self.most} values"


class Emitter(Protocol):
    """What `Op.onnx` is handed. `g.Conv(x, w, kernel_shape=[3, 3])` adds a node and returns the name of its value.

    The node that yields the returned value bears the spec path, its helpers are `PATH/sigmoid`, `PATH/transpose`.
    """

    opset: int
    inputs: tuple[TensorType, ...]
    output: TensorType

    def __getattr__(self, op_type: str) -> Callable[..., Any]: ...

    def const(self, value: Any, hint: str) -> str:
        """A constant tensor (numpy array, int64 where integral lists are given), named `PATH/hint`."""
        ...


Params = Mapping[str, Any]

REGISTRY: dict[str, type[Op]] = {}


@dataclass(frozen=True, kw_only=True)
class Op(ABC):
    """An operator with its arguments.

    `bind` fills in what depends on the input (channels, rank); every other method expects a bound operator.
    Parameters are named by role: `weight`, `bias`, `running_mean`, `running_var`.
    """

    name: ClassVar[str]
    group: ClassVar[str]
    arity: ClassVar[Arity]
    principal: ClassVar[str | None]
    identity_at_inference: ClassVar[bool] = False
    _fields_cache: ClassVar[Mapping[str, Field]]

    def __init_subclass__(
        cls,
        name: str = "",
        group: str = "",
        arity: tuple[int, int | None] = (1, 1),
        principal: str | None = None,
        **rest: Any,
    ) -> None:
        super().__init_subclass__(**rest)
        if not name:
            return
        if name in REGISTRY:
            raise ValueError(f"two operators are called {name!r}: {REGISTRY[name].__name__} and {cls.__name__}")
        cls.name, cls.group, cls.arity, cls.principal = name, group, Arity(*arity), principal
        REGISTRY[name] = cls

    @classmethod
    def fields(cls) -> Mapping[str, Field]:
        """The arguments in order, by name."""
        if "_fields_cache" not in cls.__dict__:
            fields = {f.name: _field(f) for f in dataclasses.fields(cls) if "kind" in f.metadata}
            cls._fields_cache = MappingProxyType(fields)
        return cls._fields_cache

    def bind(self, *x: TensorType) -> Self:
        """The same operator with every argument that depends on the input made concrete; raises ShapeError."""
        return self

    @abstractmethod
    def infer(self, *x: TensorType) -> TensorType:
        """The type of the output; raises ShapeError in the field's words."""

    def params(self, *x: TensorType) -> Mapping[str, ParamType]:
        """Parameters by role."""
        return {}

    def macs(self, y: TensorType, *x: TensorType) -> int:
        """Multiply-accumulates of convolutions and linear layers at these (static) types."""
        return 0

    def attention_macs(self, y: TensorType, *x: TensorType) -> int:
        """Multiply-accumulates of products of two activations, which are counted apart."""
        return 0

    def window(self) -> Window | None:
        """Kernel, stride and dilation per spatial axis, where the operator slides over space."""
        return None

    @abstractmethod
    def torch(self, t: Any, *x: Any, p: Params, training: bool = False) -> Any:
        """The output in PyTorch. `t` is the torch module, `p` maps roles to tensors."""

    @abstractmethod
    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        """Emit ONNX nodes through `g` (an Emitter); `p` maps roles to initializer names."""

    def arguments(self) -> dict[str, Any]:
        """Arguments that differ from their defaults, in order: for printing."""
        values = {f.name: getattr(self, f.name) for f in self.fields().values()}
        return {k: v for k, v in values.items() if self.fields()[k].required or v != self.fields()[k].default}


def _field(f: dataclasses.Field[Any]) -> Field:
    meta = f.metadata
    return Field(f.name, meta["kind"], f.default, meta["doc"], meta["choices"], meta["optional"])
