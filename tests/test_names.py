"""A deployed model is read with its spec beside it: names are spec paths, and every node leads to the line that wrote it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import pytest

import convc
from convc import zoo
from convc.api.builder import Build
from convc.compiler.lower.reach import reachable
from tests.sample_specs import write_twin

SHIPPED = {
    "googlenet": 64,
    "googlenet_paper": None,
    "lenet5": None,
    "mobilenetv1_025": 64,
    "mobilenetv2_035": "dynamic",
    "nin_cifar10": "dynamic",
    "repvgg_a0": 64,
    "resnet18": "dynamic",
    "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": 64,
}
THROUGH_TORCH = {"mobilenetv2_035": 64, "repvgg_a0": 64, "shufflenet_v2_x0_5": 64}
# Where a combinator wrote the node, its line bears the combinator's name; `act` and `use` stand for what they run.
WRITTEN_BY = {
    "add": ("residual", "branches"),
    "concat": ("branches", "split", "share"),
    "slice": ("split",),
}
ACTIVATIONS = ("relu", "relu6", "silu", "sigmoid", "leaky_relu", "hardsigmoid", "hardswish")


@pytest.mark.parametrize(("variant", "size"), SHIPPED.items())
def test_names_and_sources_are_the_specs(variant: str, size: Any, tmp_path: Path) -> None:
    _holds(convc.build(variant, tmp_path / "out", size=size, verify=False), {"convc": zoo.specs_root()})


@pytest.mark.parametrize(("variant", "size"), THROUGH_TORCH.items())
def test_names_and_sources_are_the_specs_through_torch(variant: str, size: int, tmp_path: Path) -> None:
    build = convc.build(variant, tmp_path / "out", size=size, verify=False, via="torch")
    _holds(build, {"convc": zoo.specs_root()})


@pytest.mark.parametrize("via", ["direct", "torch"])
@pytest.mark.parametrize("variant", ["twin", "wide"])
def test_names_and_sources_of_a_spec_of_ones_own(variant: str, via: str, tmp_path: Path) -> None:
    spec = write_twin(tmp_path / "specs")
    build = convc.build(f"{spec}@{variant}", tmp_path / "out", verify=False, via=via)
    _holds(build, {"convc": zoo.specs_root(), "": spec.parent})
    sources = {node.name: _properties(node)["convc.source"] for node in _graph(build).node}
    assert re.fullmatch(r"twin\.yaml:\d+", sources["mix"])
    assert re.fullmatch(r"parts/gate\.yaml:\d+", sources["gate.up"])
    assert re.fullmatch(r"convc:blocks/conv\.yaml:\d+", sources["eyes.stem.conv"])


def test_a_resolved_network_leads_to_the_same_lines(tmp_path: Path) -> None:
    first = convc.build("resnet18", tmp_path / "first", size=64, verify=False)
    again = convc.build(first.folder / "spec.resolved.yaml", tmp_path / "again", verify=False)
    assert _all_properties(again) == _all_properties(first)


@pytest.mark.parametrize("via", ["direct", "torch"])
def test_a_folded_convolution_names_both_steps_and_bears_the_convolutions_name(via: str, tmp_path: Path) -> None:
    build = convc.build("resnet18", tmp_path / "out", size=64, verify=False, via=via)
    properties = _all_properties(build)
    assert properties["stage.1.0.shortcut.conv"]["convc.origins"] == "stage.1.0.shortcut.conv, stage.1.0.shortcut.bn"
    weights = {initializer.name for initializer in _graph(build).initializer}
    assert {"stage.1.0.shortcut.conv.weight", "stage.1.0.shortcut.conv.bias"} <= weights


def _holds(build: Build, roots: Mapping[str, Path]) -> None:
    graph = _graph(build)
    source = build.compiled.source.graph
    names = [node.name for node in graph.node]
    assert names
    assert len(set(names)) == len(names)
    paths = {name: _path(name, source.nodes) for name in names}
    assert [name for name, path in paths.items() if not path] == []
    assert [
        i.name for i in graph.initializer if not _is_parameter(i.name, build) and not _path(i.name, source.nodes)
    ] == []
    public = {value.name for value in (*graph.input, *graph.output)}
    values = {value for node in graph.node for value in node.output} - public
    assert [value for value in values if not _path(value, source.nodes)] == []
    for node in graph.node:
        properties = _properties(node)
        line = _line(properties["convc.source"], roots)
        assert _wrote(line, source.nodes[paths[node.name]].op.name), f"{node.name}: {line!r}"
    _every_step_is_somewhere(build, set(paths.values()))


def _every_step_is_somewhere(build: Build, paths: set[str]) -> None:
    """A step of the inference path is a node, is named by the node that it was merged into, or was dropped, as the log says."""
    source = build.compiled.source.graph
    live = set(reachable(source, source.outputs.values()))
    merged = {path for found in _all_properties(build).values() for path in found.get("convc.origins", "").split(", ")}
    dropped = {
        site for record in build.manifest["passes"] if record["name"] == "drop_identity" for site in record["sites"]
    }
    # What computes nothing at these sizes, a pool to the size there is, is an alias of what it reads.
    aliases = {name for name in live if source.nodes[name].op.name in ("adaptive_avg_pool", "flatten")}
    assert live - paths - merged - dropped <= aliases
    assert not merged - {""} - live


def _path(name: str, nodes: Mapping[str, Any]) -> str:
    """The spec path in a name, PATH or PATH/helper; the empty string where it has none."""
    path = name.split("/", 1)[0]
    return path if path in nodes else ""


def _is_parameter(name: str, build: Build) -> bool:
    """A parameter of the deployed model, called after the step that holds it."""
    return name in build.compiled.model.params and name.rpartition(".")[0] in build.compiled.source.graph.nodes


def _wrote(line: str, operator: str) -> bool:
    heads = {operator, *WRITTEN_BY.get(operator, ()), *(("act",) if operator in ACTIVATIONS else ())}
    return bool(heads & set(re.findall(r"[a-z_0-9]+", line.partition(" #")[0])))


def _line(place: str, roots: Mapping[str, Path]) -> str:
    """The line that `convc.source` names: `file:12` beside the spec, or `convc:file:12` in what ships."""
    *root, file, number = place.split(":")
    assert not Path(file).is_absolute()
    return _lines(roots[root[0] if root else ""] / file)[int(number) - 1]


@cache
def _lines(path: Path) -> tuple[str, ...]:
    return tuple(path.read_text(encoding="utf-8").splitlines())


def _graph(build: Build) -> onnx.GraphProto:
    return onnx.load(str(build.path)).graph


def _all_properties(build: Build) -> dict[str, dict[str, str]]:
    return {node.name: _properties(node) for node in _graph(build).node}


def _properties(node: onnx.NodeProto) -> dict[str, str]:
    return {prop.key: prop.value for prop in node.metadata_props}
