"""export_through_torch: the same numbers, names and metadata as the direct road, and nothing of the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest

from convc.compiler.errors import UsageError
from convc.compiler.ir import Model, Op, SymDim, TensorType
from convc.compiler.lower import check, export_through_torch, serialize, to_onnx
from convc.compiler.ops import OPS

from .conftest import Net

torch = pytest.importorskip("torch")
ort = pytest.importorskip("onnxruntime")

N, H = SymDim.symbol("N"), SymDim.symbol("H")


def op(name: str, **arguments: Any) -> Op:
    return OPS[name](**arguments)


@pytest.fixture(scope="module")
def model() -> Model:
    net = Net(input=TensorType((N, 3, H, 16)))
    net.add("stem.conv", op("conv", out=8, stride=2, bias=False), "input", line=3)
    net.add("stem.bn", op("batch_norm"), "stem.conv", line=4)
    net.add("training", op("silu"), "stem.bn", line=5)
    net.add("half.conv", op("conv", out=8), "training", line=6)
    net.add("half.again", op("conv", out=8), "half.conv", like="half.conv", line=7)
    net.add("pool", op("max_pool", kernel=2), "half.again", line=8)
    net.add("aux", op("conv", out=1), "pool", line=9, train_only=True)
    net.add("gap", op("global_avg_pool"), "pool", line=10)
    net.add("fc", op("linear", out=5), "gap", line=11)
    return net.model({"logits": "fc", "features": "pool"}, {"aux": "aux"})


@pytest.fixture(scope="module")
def exported(model: Model) -> onnx.ModelProto:
    lowered = export_through_torch(model, metadata={"b": "2", "a": "1"}, producer_version="1.2", doc="a net")
    check(lowered)
    whole = onnx.load_model_from_string(serialize(lowered))
    onnx.checker.check_model(whole, full_check=True)
    return whole


@pytest.mark.parametrize("sizes", [(1, 3, 16, 16), (3, 3, 43, 16)])
def test_both_roads_agree(model: Model, exported: onnx.ModelProto, sizes: tuple[int, ...]) -> None:
    x = {"input": np.random.default_rng(0).standard_normal(sizes, np.float32)}
    direct = ort.InferenceSession(serialize(to_onnx(model)), providers=["CPUExecutionProvider"])
    torchs = ort.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    for ours, theirs in zip(direct.run(None, x), torchs.run(None, x), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-4, atol=1e-5)


def test_every_node_and_initializer_bears_a_path(model: Model, exported: onnx.ModelProto) -> None:
    paths = {node.name.split("/")[0] for node in exported.graph.node}
    assert paths <= set(model.graph.nodes)
    assert {"training", "half.conv", "half.again", "pool", "gap", "fc"} <= {node.name for node in exported.graph.node}
    assert len({node.name for node in exported.graph.node}) == len(exported.graph.node)
    for tensor in exported.graph.initializer:
        known = tensor.name in model.params or tensor.name.split("/")[0] in model.graph.nodes
        assert known or tensor.name.startswith("stem.conv.weight_")


def test_values_and_interface(model: Model, exported: onnx.ModelProto) -> None:
    graph = exported.graph
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.output}
    assert shapes == {"logits": ["N", 5], "features": ["N", 8, "(H + 1) // 4", 4]}
    assert [v.name for v in graph.input] == ["input"]
    assert {out for n in graph.node if "/" not in n.name for out in n.output} >= {
        "training",
        "half.conv",
        "gap",
        "logits",
    }
    assert (graph.name, exported.doc_string, exported.producer_name) == ("net", "a net", "convc")
    assert [(p.key, p.value) for p in exported.metadata_props] == [("a", "1"), ("b", "2")]
    assert [(o.domain, o.version) for o in exported.opset_import] == [("", 20)]


def test_every_node_leads_to_its_line_and_to_nothing_else(exported: onnx.ModelProto) -> None:
    for node in exported.graph.node:
        assert {p.key for p in node.metadata_props} == {"convc.source"}
        assert node.metadata_props[0].value.startswith("net.yaml:")
        assert not node.doc_string
    data = exported.SerializeToString()
    for secret in (os.getcwd(), os.path.dirname(torch.__file__), "pkg.torch", "stack_trace", ".py"):
        assert secret.encode() not in data


def test_the_same_bytes_twice(model: Model) -> None:
    first, second = (export_through_torch(model) for _ in range(2))
    assert serialize(first) == serialize(second)


def test_train_only_parameters_stay_at_home(exported: onnx.ModelProto) -> None:
    assert not [t.name for t in exported.graph.initializer if t.name.startswith("aux")]


def test_a_promised_multiple_is_used() -> None:
    size = SymDim.symbol("H", multiple=8, minimum=16)
    net = Net(input=TensorType((N, 2, size, 8)))
    net.add("down", op("avg_pool", kernel=8), "input")
    net.add("up", op("conv_transpose", out=2, kernel=8, stride=8), "down")
    net.add("sum", op("add"), "up", "input")
    model = net.model("sum")
    x = {"input": np.random.default_rng(0).standard_normal((1, 2, 24, 8), np.float32)}
    direct, theirs = (
        ort.InferenceSession(serialize(road(model)), providers=["CPUExecutionProvider"]).run(None, x)[0]
        for road in (to_onnx, export_through_torch)
    )
    np.testing.assert_allclose(theirs, direct, rtol=1e-4, atol=1e-5)


def test_outputs_that_share_a_value_or_are_an_input(capfd: pytest.CaptureFixture[str]) -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("a", op("relu"), "input", line=1)
    model = net.model({"x": "a", "y": "a", "z": "input"})
    graph = onnx.load_model_from_string(serialize(export_through_torch(model))).graph
    assert [(n.name, list(n.input), list(n.output)) for n in graph.node] == [
        ("a", ["input"], ["x"]), ("a/identity", ["x"], ["y"]), ("input/identity", ["input"], ["z"]),
    ]  # fmt: skip
    assert graph.node[1].metadata_props[0].value == "net.yaml:1"
    assert capfd.readouterr() == ("", "")


@dataclass(frozen=True, kw_only=True)
class Untold(Op):
    """An operator that PyTorch has, and its exporter does not know."""

    name = "untold"
    group = "test"

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, t: Any, *x: Any, p: Mapping[str, Any], training: bool = False) -> Any:
        return t.special.modified_bessel_k0(x[0])

    def onnx(self, g: Any, *x: str, p: Mapping[str, str]) -> str:
        return str(g.Relu(*x))


def test_what_torch_cannot_export_is_an_error_with_the_node() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("a", op("relu"), "input")
    net.add("b.odd", Untold(), "a")
    with pytest.raises(UsageError, match=r"cannot export 'net' at 'b\.odd': .*bessel") as caught:
        export_through_torch(net.model("b.odd"))
    assert "\x1b" not in caught.value.message
    assert "\n" not in caught.value.message
    assert "--via direct" in caught.value.hint


def test_opsets_that_torch_does_not_write_are_refused(model: Model) -> None:
    with pytest.raises(UsageError, match="opset 18 and later, not 17"):
        export_through_torch(model, opset=17)
