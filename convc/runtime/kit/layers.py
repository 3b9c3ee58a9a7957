"""Layers out of a kit's result: the board kept what its profiler saw, here it is told which layer of the spec that was.

    kit.json    graph    the model without its weights, base64 of the ONNX file
    result      profile  wall times of the profiled runs, the profiler's events, and that graph

The board cannot save the graph that it optimised for us to read, so executed nodes are known by name alone: what only moves data
between layouts belongs to no layer, and is listed as unclaimed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any

from ...compiler.errors import ModelError
from ..profile.attribute import Executed, attribute
from ..profile.events import runs
from ..profile.graph import model_graph
from ..profile.layers import Method, Subject, layer_table
from ..profile.record import LayerTable, Profile
from ..profile.traced import matched

NOTE = "ONNX Runtime's profile, read by the kit's runner; executed nodes are known by their names"
# Larger initializers say nothing of shapes.
_SMALL = 1024


def skeleton(proto: Any) -> str:
    """The model with the values of its weights taken out, as text."""
    import onnx

    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    for one in bare.graph.initializer:
        if prod(one.dims) > _SMALL or one.data_location == onnx.TensorProto.EXTERNAL:
            empty = onnx.TensorProto(name=one.name, data_type=one.data_type, dims=list(one.dims))
            empty.data_location = onnx.TensorProto.EXTERNAL
            one.CopyFrom(empty)
    return base64.b64encode(bare.SerializeToString(deterministic=True)).decode()


def with_layers(found: Profile, data: Mapping[str, Any], what: str) -> Profile:
    """The record with the layer table that the kit's result holds the parts of; itself where it holds none.

    Raises ModelError where they are damaged.
    """
    kept = data.get("profile")
    if not isinstance(kept, Mapping) or not found.points:
        return found
    try:
        table = _table(found, kept)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise ModelError(f"{what}: its profile is damaged: {error!r}", hint="measure again with the kit") from error
    point = replace(found.points[0], layers=table)
    return replace(found, points=(point, *found.points[1:]))


def _plain(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event under the name as written: ONNX Runtime calls a Gemm with its activation `fused NAME`."""
    return {**event, "name": str(event["name"]).removeprefix("fused ")}


def _table(found: Profile, kept: Mapping[str, Any]) -> LayerTable | None:
    import onnx

    proto = onnx.ModelProto()
    try:
        proto.MergeFromString(base64.b64decode(kept["graph"], validate=True))
    except Exception as error:
        # protobuf's own exception has no home that every version shares.
        raise ValueError(f"the graph cannot be read: {error}") from error
    graph = model_graph(proto, dict(found.points[0].inputs))
    walls = [None if wall is None else float(wall) for wall in kept["walls_ms"]]
    seen = runs([_plain(event) for event in kept["events"]])
    if len(seen) != len(walls):
        raise ValueError(f"{len(walls)} runs were timed, and the profiler saw {len(seen)}")
    first = seen[0].nodes if seen else ()
    executed = tuple(dict.fromkeys(Executed(event.name, event.op, (), ()) for event in first))
    made = matched(walls, seen, executed)
    if not made:
        return None
    method = Method("ort-profile", NOTE, float(kept["profiled_over_unprofiled"]))
    return layer_table(Subject(graph, attribute(graph, executed)), made, method)
