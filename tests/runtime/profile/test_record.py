"""The record: what is written comes back equal, and what is not a record is refused with the place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from convc.compiler.errors import ModelError
from convc.runtime.profile.record import (
    Absent,
    GpuState,
    Latency,
    LayerRow,
    LayerTable,
    MachineState,
    ModelIdentity,
    NodeTime,
    Peak,
    Point,
    Profile,
    ProviderUse,
    Throughput,
    TraceEvent,
    Transfers,
    Warmup,
)


def profile() -> Profile:
    node = NodeTime("stem.conv.relu_nchwc", "Conv", "cpu", 1.5)
    row = LayerRow(
        layer="stem.conv", op="conv", time_ms=1.5, owners=("stem.conv", "stem.relu"), sources=("net.yaml:7", "net.yaml:8"),
        source="net.yaml:7", stage="stem", time_low_ms=1.4, time_high_ms=1.7, macs=1000, bytes=4000, gmacs_per_s=0.5,
        roofline_share=0.25, bound="compute", output=(1, 8, 4, 4), nodes=(node,),
    )  # fmt: skip
    event = TraceEvent(node.node, "Conv", "stem.conv", "net.yaml:7", "cpu", 3.0, 1500.0)
    table = LayerTable(
        "ort-profile", (row,), 1.5, 0.1, 1.6, 1.5 / 1.6, 1.02, 10, 5,
        (NodeTime("?", "Cast", "cpu", 0.1),), (Absent("drop", "dropout", "identity"),), (event,), "of ONNX Runtime",
    )  # fmt: skip
    point = Point(
        ProviderUse("cpu", "CPUExecutionProvider", {"a": "1"}, {"CPUExecutionProvider": 3}, ("note",)),
        1, (224, 224), 2, {"x": (1, 3, 224, 224)}, 12.0, 9.0, Warmup(5, 20.0, True), (1.0, 2.0, 1.5),
        Latency(3, 1.0, 1.5, 0.5, 2.0, 1.5, 2.0, 2.0, 2.0, 1.0, 2.0), "narrow", True, Throughput(10, 0.1, 100.0),
        Transfers(0.1, None, 1.4, None), table, ("wide",),
    )  # fmt: skip
    machine = MachineState(
        "Linux", "a CPU", 2, 2, ("avx2",), 0.5, 2000.0, "performance", 8, 4, (GpuState("g"),), {"n": "1"}
    )
    identity = ModelIdentity("net", "model.onnx", "0" * 64, 10, "net", "1" * 64, "random", 20)
    return Profile(identity, machine, machine, (point,), (Peak("cpu", 2, 50.0, 10.0, "conv"),), ("w",), ("n",), "0.1")


def test_a_record_survives_json() -> None:
    before = profile()
    after = Profile.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False)))
    assert after == before
    assert list(before.to_json())[:2] == ["schema_version", "kind"]


def test_missing_fields_take_their_defaults_and_unknown_ones_are_passed_over() -> None:
    data = profile().to_json()
    del data["points"][0]["layers"], data["points"][0]["throughput"], data["start"]["cpu_flags"]
    data["points"][0]["later"] = 1
    after = Profile.from_json(data)
    assert (after.points[0].layers, after.points[0].throughput, after.start.cpu_flags) == (None, None, ())


def _cut(data: dict[str, Any]) -> None:
    del data["points"][0]["latency"]["p50_ms"]


def _text(data: dict[str, Any]) -> None:
    data["points"][0]["samples_ms"][1] = "fast"


def _truth(data: dict[str, Any]) -> None:
    data["points"][0]["batch"] = True


def _list(data: dict[str, Any]) -> None:
    data["start"] = []


BAD = {
    _cut: r"points\[0\]\.latency\.p50_ms is missing",
    _text: r"points\[0\]\.samples_ms\[1\] must be a float",
    _truth: r"points\[0\]\.batch must be a int",
    _list: "start must be an object",
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda f: f.__name__)
def test_a_damaged_record_names_the_field(spoil: Any) -> None:
    data = profile().to_json()
    spoil(data)
    with pytest.raises(ModelError, match=BAD[spoil]):
        Profile.from_json(data, "old.json")


@pytest.mark.parametrize("data", [None, [], {}, {"kind": "other"}, {"kind": "convc.profile", "schema_version": 99}])
def test_what_is_no_record_is_refused(data: Any) -> None:
    with pytest.raises(ModelError, match=r"old\.json"):
        Profile.from_json(data, "old.json")
