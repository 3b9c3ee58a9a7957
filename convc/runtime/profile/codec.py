"""Frozen dataclasses to plain JSON values and back, by their annotations.

    decode(T, encode(x)) == x

A field that is missing takes its default; one without a default, or of another type, is an error that names its place
(`points[0].latency.p50_ms`). Unknown fields are passed over: a newer writer may know more.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from ...compiler.errors import ModelError

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Plain values: dataclasses and mappings become dicts, tuples lists. Non-finite numbers become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: encode(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def decode(cls: type[T], data: Any, what: str, *, kind: str, version: int) -> T:
    """The dataclass out of plain values. Raises ModelError naming `what` and the field."""
    if not isinstance(data, Mapping) or data.get("kind") != kind:
        raise ModelError(
            f"{what}: is not a {kind} record", hint="a profile is saved by `convc profile ... --json FILE`"
        )
    if data.get("schema_version") != version:
        found = data.get("schema_version")
        raise ModelError(f"{what}: has schema_version {found!r}, this convc reads {version}", hint="measure again")
    try:
        return _object(cls, data, "")
    except _Bad as bad:
        raise ModelError(f"{what}: {bad}") from bad


class _Bad(Exception):
    """A place and what is wrong there."""


@functools.cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _object(cls: type[T], data: Any, place: str) -> T:
    if not isinstance(data, Mapping):
        raise _Bad(f"{place or 'the record'} must be an object, got {type(data).__name__}")
    hints: dict[str, Any] = _hints(cls)  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for one in dataclasses.fields(cls):  # type: ignore[arg-type]
        here = f"{place}.{one.name}" if place else one.name
        if one.name in data:
            given[one.name] = _value(hints[one.name], data[one.name], here)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise _Bad(f"{here} is missing")
    return cls(**given)


def _value(kind: Any, data: Any, place: str) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if data is None and type(None) in parts:
            return None
        return _value(next(part for part in parts if part is not type(None)), data, place)
    if dataclasses.is_dataclass(kind):
        return _object(kind, data, place)  # type: ignore[arg-type]
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise _Bad(f"{place} must be a list, got {type(data).__name__}")
        return tuple(_value(parts[0], item, f"{place}[{i}]") for i, item in enumerate(data))
    if origin is not None:
        if not isinstance(data, Mapping):
            raise _Bad(f"{place} must be an object, got {type(data).__name__}")
        return {str(key): _value(parts[1], item, f"{place}.{key}") for key, item in data.items()}
    return _plain(kind, data, place)


def _plain(kind: Any, data: Any, place: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise _Bad(f"{place} must be a {kind.__name__}, got {data!r:.40}")
    return data
