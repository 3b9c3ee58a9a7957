"""to_onnx: names, outputs, metadata, and numbers as the module has them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from convc.compiler.errors import Mark, Origin, PassError, Source, UsageError
from convc.compiler.ir import Model, Op, SymDim, TensorType
from convc.compiler.lower import check, serialize, to_onnx, to_torch
from convc.compiler.ops import OPS
from tests.calls import calls

from .conftest import Net, Pass, Raw

ort = pytest.importorskip("onnxruntime")

N, H = SymDim.symbol("N"), SymDim.symbol("H")


def op(name: str, **arguments: Any) -> Op:
    return OPS[name](**arguments)


def proto(model: Model, **options: Any) -> onnx.ModelProto:
    lowered = to_onnx(model, **options)
    check(lowered)
    whole = onnx.load_model_from_string(serialize(lowered))
    onnx.checker.check_model(whole, full_check=True)
    return whole


def run(model: Model, *sizes: int, **options: Any) -> dict[str, Any]:
    """ONNX Runtime's outputs, after comparing them with the module's."""
    import torch

    session = ort.InferenceSession(proto(model, **options).SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {n: rng.standard_normal(t.at(dict(zip("NH", sizes, strict=False))), np.float32) for n, t in inputs(model)}
    found = dict(zip(model.graph.outputs, session.run(list(model.graph.outputs), feeds), strict=True))
    with torch.no_grad():
        expected = to_torch(model)(**{name: torch.from_numpy(value) for name, value in feeds.items()})
    named = expected if isinstance(expected, dict) else {next(iter(found)): expected}
    for name, value in found.items():
        np.testing.assert_allclose(value, named[name].detach().numpy(), rtol=1e-4, atol=1e-5)
    return found


def inputs(model: Model) -> list[tuple[str, TensorType]]:
    return list(model.graph.inputs.items())


def nodes(whole: onnx.ModelProto) -> dict[str, tuple[str, list[str], list[str]]]:
    return {n.name: (n.op_type, list(n.input), list(n.output)) for n in whole.graph.node}


def props(whole: onnx.ModelProto, name: str) -> dict[str, str]:
    node = next(n for n in whole.graph.node if n.name == name)
    return {p.key: p.value for p in node.metadata_props}


def raw(emit: Callable[..., str]) -> Model:
    net = Net(input=TensorType((N, 4)))
    return net.model(net.add("a.b", Raw(emit=emit), "input", line=7))


@pytest.fixture
def small() -> Model:
    net = Net(input=TensorType((N, 3, H, 16)))
    net.add("stem.conv", op("conv", out=8, stride=2), "input", line=3)
    net.add("stem.relu", op("relu"), "stem.conv", line=4)
    net.add("half.conv", op("conv", out=8), "stem.relu", line=5)
    net.add("half.again", op("conv", out=8), "half.conv", like="half.conv", line=6)
    net.add("sum", op("add"), "half.again", "stem.relu", line=7)
    return net.model("sum")


def test_nodes_values_and_initializers_bear_our_names(small: Model) -> None:
    whole = proto(small)
    assert nodes(whole) == {
        "stem.conv": ("Conv", ["input", "stem.conv.weight", "stem.conv.bias"], ["stem.conv"]),
        "stem.relu": ("Relu", ["stem.conv"], ["stem.relu"]),
        "half.conv": ("Conv", ["stem.relu", "half.conv.weight", "half.conv.bias"], ["half.conv"]),
        "half.again": ("Conv", ["half.conv", "half.conv.weight", "half.conv.bias"], ["half.again"]),
        "sum": ("Add", ["half.again", "stem.relu"], ["output"]),
    }
    assert [t.name for t in whole.graph.initializer] == [
        "stem.conv.weight", "stem.conv.bias", "half.conv.weight", "half.conv.bias",
    ]  # fmt: skip


def test_every_value_has_its_shape_and_dynamic_ones_their_names(small: Model) -> None:
    whole = proto(small)
    values = (*whole.graph.input, *whole.graph.value_info, *whole.graph.output)
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
    half = ["N", 8, "(H + 1) // 2", 8]
    assert shapes == {"input": ["N", 3, "H", 16], "output": half} | dict.fromkeys(
        ["stem.conv", "stem.relu", "half.conv", "half.again"], half
    )


@pytest.mark.parametrize("sizes", [(1, 16), (5, 33)])
def test_numbers_at_several_sizes(small: Model, sizes: tuple[int, int]) -> None:
    assert run(small, *sizes)["output"].shape == (sizes[0], 8, (sizes[1] + 1) // 2, 8)


def test_opset_ir_version_and_metadata(small: Model) -> None:
    whole = proto(small, opset=18, ir_version=9, metadata={"b": "2", "a": "1"}, producer_version="1.2", doc="a net")
    assert [(o.domain, o.version) for o in whole.opset_import] == [("", 18)]
    assert (whole.ir_version, whole.producer_name, whole.producer_version) == (9, "convc", "1.2")
    assert [(p.key, p.value) for p in whole.metadata_props] == [("a", "1"), ("b", "2")]
    assert (whole.graph.name, whole.doc_string) == ("net", "a net")


def test_source_leads_to_the_line_and_origins_to_every_path(small: Model) -> None:
    node = small.graph.nodes["stem.relu"]
    more = Origin("stem.bn", Mark(Source("net.yaml"), 9, 1))
    merged = replace(node, origins=(*node.origins, more))
    model = replace(small, graph=replace(small.graph, nodes={**small.graph.nodes, node.name: merged}))
    whole = proto(model)
    assert props(whole, "stem.relu") == {"convc.source": "net.yaml:4", "convc.origins": "stem.relu, stem.bn"}
    assert props(whole, "stem.conv") == {"convc.source": "net.yaml:3"}


def test_helpers_are_named_under_the_path_and_carry_its_line() -> None:
    def emit(g: Any, x: str) -> str:
        once = g.Mul(x, g.Sigmoid(x))
        return str(g.Mul(once, g.Sigmoid(g.Sigmoid(g.Clip(once, None, g.const(6.0, "most"))))))

    whole = proto(raw(emit))
    assert nodes(whole) == {
        "a.b/sigmoid": ("Sigmoid", ["input"], ["a.b/sigmoid"]),
        "a.b/mul": ("Mul", ["input", "a.b/sigmoid"], ["a.b/mul"]),
        "a.b/clip": ("Clip", ["a.b/mul", "", "a.b/most"], ["a.b/clip"]),
        "a.b/sigmoid_2": ("Sigmoid", ["a.b/clip"], ["a.b/sigmoid_2"]),
        "a.b/sigmoid_3": ("Sigmoid", ["a.b/sigmoid_2"], ["a.b/sigmoid_3"]),
        "a.b": ("Mul", ["a.b/mul", "a.b/sigmoid_3"], ["output"]),
    }
    assert {props(whole, name)["convc.source"] for name in nodes(whole)} == {"net.yaml:7"}


def test_a_value_that_is_not_the_last_can_be_the_one_returned() -> None:
    def emit(g: Any, x: str) -> str:
        y = g.Relu(x)
        g.Neg(y)
        return str(y)

    assert nodes(proto(raw(emit))) == {
        "a.b": ("Relu", ["input"], ["output"]),
        "a.b/neg": ("Neg", ["output"], ["a.b/neg"]),
    }


def test_nodes_of_several_values() -> None:
    def emit(g: Any, x: str) -> str:
        left, right = g.Split(x, outputs=2, axis=1, num_outputs=2)
        values, _ = g.TopK(g.Concat(right, left, axis=1), g.const([4], "k"), outputs=2)
        return str(values)

    whole = proto(raw(emit))
    assert nodes(whole)["a.b/split"] == ("Split", ["input"], ["a.b/split/0", "a.b/split/1"])
    assert nodes(whole)["a.b"] == ("TopK", ["a.b/concat", "a.b/k"], ["output", "a.b/topk/1"])


def test_trailing_optional_inputs_are_left_out() -> None:
    whole = proto(raw(lambda g, x: g.Clip(x, g.const(0.0, "least"), None)))
    assert nodes(whole)["a.b"][1] == ["input", "a.b/least"]


def test_constants_take_the_type_that_is_meant() -> None:
    def emit(g: Any, x: str) -> str:
        flags = g.Where(g.const([True], "flag"), x, g.const([0.5], "half"))
        return str(g.Reshape(g.Mul(flags, g.const(np.float32(2), "two")), g.const([0, -1], "shape")))

    whole = proto(raw(emit))
    kinds = {t.name: onnx.TensorProto.DataType.Name(t.data_type) for t in whole.graph.initializer}
    assert kinds == {"a.b/flag": "BOOL", "a.b/half": "FLOAT", "a.b/two": "FLOAT", "a.b/shape": "INT64"}


def test_attributes_take_the_schema_s_type() -> None:
    whole = proto(raw(lambda g, x: g.LeakyRelu(g.Concat(x, axis=np.int64(1)), alpha=1)))
    node = whole.graph.node[1]
    assert (node.attribute[0].type, node.attribute[0].f) == (onnx.AttributeProto.FLOAT, 1.0)


def test_an_operator_that_returns_its_input_becomes_an_identity() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("a", Pass(), "input")
    net.add("b", op("relu"), "a")
    assert nodes(proto(net.model("b"))) == {"a": ("Identity", ["input"], ["a"]), "b": ("Relu", ["a"], ["output"])}


def test_a_parameter_or_constant_node_is_an_initializer_of_its_name() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("pos", op("parameter", shape=(4,)))
    net.add("ones", Raw(emit=lambda g, x: g.const(np.ones((1, 4), np.float32), "one")), "input")
    net.add("x", op("add"), "input", "pos")
    net.add("y", op("mul"), "x", "ones")
    whole = proto(net.model("y"))
    assert nodes(whole) == {"x": ("Add", ["input", "pos"], ["x"]), "y": ("Mul", ["x", "ones"], ["output"])}
    assert sorted(t.name for t in whole.graph.initializer) == ["ones", "pos"]


def test_a_parameter_that_is_an_output_is_copied_to_it() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("pos", op("parameter", shape=(4,)))
    model = net.model({"y": "pos"})
    assert nodes(proto(model)) == {"pos": ("Identity", ["pos"], ["y"])}
    run(model, 2)


def test_outputs_keep_their_public_names_whatever_yields_them() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("a", op("relu"), "input")
    net.add("output", op("sigmoid"), "a")
    net.add("b", op("tanh"), "output")
    model = net.model({"first": "a", "output": "b", "again": "a", "same": "input", "b": "output"})
    whole = proto(model)
    assert [v.name for v in whole.graph.output] == ["first", "output", "again", "same", "b"]
    assert nodes(whole) == {
        "a": ("Relu", ["input"], ["first"]),
        "output": ("Sigmoid", ["first"], ["b"]),
        "b": ("Tanh", ["b"], ["output"]),
        "a/again": ("Identity", ["first"], ["again"]),
        "input/same": ("Identity", ["input"], ["same"]),
    }
    run(model, 3)


def test_a_node_gives_way_to_an_output_of_its_name() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("output", op("relu"), "input")
    net.add("b", op("tanh"), "output")
    whole = proto(net.model("b"))
    assert nodes(whole) == {
        "output": ("Relu", ["input"], ["output/value"]),
        "b": ("Tanh", ["output/value"], ["output"]),
    }


def test_an_output_cannot_be_called_as_an_input_is() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("a", op("relu"), "input")
    with pytest.raises(UsageError, match="'input' has the name of an input"):
        to_onnx(net.model({"input": "a"}))


def test_only_what_the_outputs_need_is_lowered() -> None:
    net = Net(input=TensorType((N, 3, 8, 8)))
    net.add("a", op("conv", out=4), "input")
    net.add("aux", op("conv", out=4), "a", train_only=True)
    net.add("dead", op("conv", out=4), "a")
    model = net.model("a", {"aux": "aux"})
    whole = proto(model)
    assert list(nodes(whole)) == ["a"]
    assert [t.name for t in whole.graph.initializer] == ["a.weight", "a.bias"]


def split_net(*spans: tuple[int, int | None], step: int = 1) -> Model:
    net = Net(input=TensorType((N, 6, 4, 4)))
    net.add("a", op("relu"), "input")
    parts = [
        net.add(f"part.{k}", op("slice", axis=1, start=start, end=end, step=step), "a", line=k + 1)
        for k, (start, end) in enumerate(spans)
    ]
    return net.model({f"y{k}": part for k, part in enumerate(parts)})


def test_slices_that_cover_an_axis_are_one_split() -> None:
    model = split_net((0, 1), (-2, None), (1, 4))
    whole = proto(model)
    assert nodes(whole)["part.0/split"] == ("Split", ["a", "part.0/sizes"], ["y0", "y2", "y1"])
    assert len(whole.graph.node) == 2
    assert props(whole, "part.0/split") == {"convc.source": "net.yaml:1", "convc.origins": "part.0, part.2, part.1"}
    assert [value.shape[1] for value in run(model, 2).values()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("spans", "step"),
    [(((0, 3),), 1), (((0, 3), (4, 6)), 1), (((0, 4), (3, 6)), 1), (((0, 3), (3, 6)), 2), (((1, 3), (3, 6)), 1)],
)
def test_other_slices_stay_slices(spans: tuple[tuple[int, int], ...], step: int) -> None:
    model = split_net(*spans, step=step)
    assert [n.op_type for n in proto(model).graph.node] == ["Relu", *["Slice"] * len(spans)]
    run(model, 2)


@pytest.mark.parametrize(
    ("emit", "opset", "message", "hint"),
    [
        (lambda g, x: g.Gelu(x), 17, "cannot express the operator Gelu", "--opset 20"),
        (lambda g, x: g.AveragePool(x, kernel_shape=[1], dilations=[1]), 18, "AveragePool's dilations", "--opset 19"),
        (lambda g, x: g.ReduceMean(x, g.const([1], "axes")), 17, "ReduceMean with 2 inputs", "--opset 18"),
        (lambda g, x: g.Nonsense(x), 20, "no such thing as the operator Nonsense", ""),
    ],
)
def test_what_an_opset_lacks_is_an_error_at_its_line(
    emit: Callable[..., str], opset: int, message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        to_onnx(raw(emit), opset=opset)
    assert caught.value.message.startswith(f"net.yaml:7: ONNX opset {opset} ")
    assert hint in caught.value.hint


def test_the_checker_refuses_a_wrong_shape() -> None:
    with pytest.raises(PassError, match=r"onnx\.checker"):
        check(to_onnx(raw(lambda g, x: g.Transpose(x, perm=[0, 2, 1]))))


HASH_SEEDS = """
import hashlib
from tests.compiler.lower.conftest import Net
from convc.compiler.ir import SymDim, TensorType
from convc.compiler.lower import serialize, to_onnx
from convc.compiler.ops import OPS

net = Net(input=TensorType((SymDim.symbol("N"), 3, 8, 8)))
for k in range(4):
    net.add(f"c.{k}", OPS["conv"](out=3), f"c.{k - 1}" if k else "input", line=k + 1)
model = net.model("c.3")
print(hashlib.sha256(serialize(to_onnx(model, metadata={"b": "1", "a": "2"}))).hexdigest())
"""


def test_the_same_bytes_whatever_the_hash_seed() -> None:
    def build(seed: str) -> str:
        command = [sys.executable, "-c", HASH_SEEDS]
        environment = {"PYTHONHASHSEED": seed, "PATH": ""}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert build("1") == build("2") != ""


def test_eight_times_the_nodes_take_about_eight_times_the_work() -> None:
    def work(count: int) -> int:
        net = Net(input=TensorType((N, 4)))
        last = "input"
        for k in range(count):
            last = net.add(f"n.{k}", op("relu"), last)
        return calls(to_onnx, net.model(last))

    work(100)
    # A square would be 64.
    assert work(4000) < 10 * work(500)
