"""Nodes that left the provider are an error with their list; sums of sizes belong on the CPU and are none."""

from __future__ import annotations

import pytest

from convc.compiler.errors import ProviderError
from convc.runtime.profile.graph import GraphNode, ModelGraph
from convc.runtime.profile.placement import Placed, require, strays
from convc.runtime.providers import NAMES, Provider, Tuning, options

CUDA = Provider("cuda", NAMES["cuda"])
GRAPH = ModelGraph(
    (
        GraphNode("shape", "Shape", ("x",), ("s",)),
        GraphNode("half", "Div", ("s", "two"), ("h",)),
        GraphNode("conv", "Conv", ("x", "w"), ("c",)),
        GraphNode("size", "Resize", ("c", "", "", "h"), ("y",)),
    ),
    ("x",), ("y",), frozenset(("w", "two")),
)  # fmt: skip


def _placed(**where: str) -> tuple[Placed, ...]:
    return tuple(Placed(node.name, node.op, NAMES[where.get(node.name, "cuda")]) for node in GRAPH.nodes)


def test_all_on_the_device_is_good() -> None:
    require(CUDA, _placed(), GRAPH)


def test_sums_of_sizes_on_the_cpu_are_no_fallback() -> None:
    assert strays(CUDA, _placed(shape="cpu", half="cpu"), GRAPH) == ()


def test_a_node_elsewhere_is_named_with_its_provider() -> None:
    with pytest.raises(
        ProviderError, match=r"1 of 4 nodes do not run on cuda:\n  size  Resize  on CPUExecutionProvider"
    ) as caught:
        require(CUDA, _placed(shape="cpu", size="cpu"), GRAPH)
    assert caught.value.exit_code == 4
    assert "--fallback" in caught.value.hint


def test_a_long_list_is_cut() -> None:
    nodes = tuple(Placed(f"n{k}", "Conv", NAMES["cpu"]) for k in range(40))
    with pytest.raises(ProviderError, match=r"40 of 40(.|\n)*n11 (.|\n)*28 more"):
        require(CUDA, nodes, None)


def test_tensorrt_does_not_hide_work_on_cuda() -> None:
    nodes = (Placed("a", "Conv", NAMES["tensorrt"]), Placed("b", "NonZero", NAMES["cuda"]))
    assert [one.name for one in strays(Provider("tensorrt", NAMES["tensorrt"]), nodes, None)] == ["b"]


def test_on_the_cpu_nothing_can_stray() -> None:
    require(Provider("cpu", NAMES["cpu"]), _placed(conv="cpu"), GRAPH)


def test_options_of_the_gpu_providers_have_names_of_ours() -> None:
    assert options("cuda")["cudnn_conv_algo_search"] == "EXHAUSTIVE"
    assert options("cuda", many_shapes=True)["cudnn_conv_algo_search"] == "HEURISTIC"
    tuned = options("cuda", tuning=Tuning("default", tf32=False, nhwc=True, cuda_graph=True, memory_limit_mib=512))
    assert tuned["cudnn_conv_algo_search"] == "DEFAULT"
    assert (tuned["use_tf32"], tuned["prefer_nhwc"], tuned["enable_cuda_graph"]) == ("0", "1", "1")
    assert tuned["gpu_mem_limit"] == str(512 * 2**20)
    assert options("cpu", tuning=Tuning(nhwc=True)) == {}
    assert options("tensorrt", tuning=Tuning(cuda_graph=True)) == {"trt_cuda_graph_enable": "1"}
