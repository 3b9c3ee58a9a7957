"""A network built from a library's checkpoint is the library's network: every tensor used, the same counts, the same outputs."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import convc
from convc.api.weights import family_rows
from convc.cli import main
from convc.compiler.compile import compile_model
from convc.compiler.cost import costs
from tests.golden_files import COUNTER, Golden, golden, names

# The three formats; every other network is read from .safetensors.
FORMATS = {"torchvision_mobilenet_v2": ".pth", "torchvision_shufflenet_v2_x1_0": ".npz"}
# Half a gigabyte of weights: the quick run compares the outputs below and leaves the proof to the zoo's.
LARGE = ("torchvision_vgg11", "torchvision_vgg16", "torchvision_vgg16_bn")
THROUGH_TORCH = ("torchvision_mobilenet_v2", "torchvision_resnet18", "torchvision_shufflenet_v2_x1_0")
# Their norms stand before convolutions: pre-activation, attention.
NORM_FIRST = ("densenet121", "mobilenetv4_hybrid_medium")
# Trained with parallel branches, deployed with one convolution for each block: (blocks, parameters, 10^6 MACs) as published.
MULTI_BRANCH = {
    "repvgg_a0": (22, 8_309_384, "1361"),
    "repvgg_a1": (22, 12_789_864, "2364"),
    "repvgg_a2": (22, 25_499_944, "5117"),
    "repvgg_b0": (28, 14_339_048, "3058"),
    "repvgg_b1": (28, 51_829_480, "11815"),
    "repvgg_b1g2": (28, 41_360_104, "8810"),
    "repvgg_b1g4": (28, 36_125_416, "7307"),
    "repvgg_b2": (28, 80_315_112, "18377"),
    "repvgg_b2g4": (28, 55_777_512, "11332"),
    "repvgg_b3": (28, 110_960_872, "26209"),
    "repvgg_b3g4": (28, 75_626_728, "16064"),
    "mobileone_s0": (43, 2_078_504, "275"),
}
STAYS = re.compile(r"batch norm stays: (\S+): (.+)")


@pytest.mark.parametrize("name", names())
def test_the_direct_road_gives_the_librarys_outputs(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _holds(golden(name), tmp_path, capsys, *(["--no-verify"] if name in LARGE else []))


@pytest.mark.parametrize("name", THROUGH_TORCH)
def test_the_road_through_torch_gives_the_librarys_outputs(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _holds(golden(name), tmp_path, capsys, "--via", "torch", "--no-verify")


@pytest.mark.parametrize("variant", MULTI_BRANCH)
def test_a_multi_branch_network_deploys_as_published(variant: str) -> None:
    """One convolution and one ReLU for each block, in a row, then the head."""
    blocks, params, macs = MULTI_BRANCH[variant]
    net = convc.load(variant)
    deployed = compile_model(net.model()).model
    found = costs(deployed, {"N": 1})
    assert (found.params, f"{found.macs / 1e6:.0f}") == (params, macs)
    nodes = list(deployed.graph)
    assert [node.op.name for node in nodes] == ["conv", "relu"] * blocks + ["global_avg_pool", "linear"]
    assert all(node.inputs == (above.name,) for above, node in pairwise(nodes))
    assert all(set(node.params) == {"weight", "bias"} for node in nodes if node.op.name == "conv")


@pytest.mark.zoo
@pytest.mark.parametrize("via", ["direct", "torch"])
@pytest.mark.parametrize("name", names())
def test_both_roads_give_the_librarys_outputs_with_the_proof(
    name: str, via: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _holds(golden(name), tmp_path, capsys, "--via", via)


@pytest.mark.parametrize("name", names())
def test_every_tensor_of_the_librarys_checkpoint_has_one_place(name: str) -> None:
    wanted = golden(name)
    rows = family_rows(convc.load(wanted.variant), wanted.family)
    theirs = {key: shape for _, key, shape in rows}
    assert len(rows) == len(theirs)
    assert _unit_axes_away(theirs) == _unit_axes_away(
        {key: shape for key, shape in wanted.shapes.items() if not key.endswith(COUNTER)}
    )


def _holds(wanted: Golden, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> None:
    checkpoint = wanted.save(tmp_path / f"checkpoint{FORMATS.get(wanted.name, '.safetensors')}")
    out = tmp_path / "out"
    arguments = ["build", wanted.variant, "--weights", str(checkpoint), "--size", wanted.size, "-o", str(out)]
    code = main([*arguments, *options])
    said = capsys.readouterr()
    assert code == 0, said.err
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"]["params"] == wanted.data["params"]
    assert manifest["source"]["macs"] == wanted.data["macs"]
    assert manifest["weights"]["family"] == wanted.family
    assert not {"absent", "unused"} & manifest["weights"].keys()
    _proof_is_as_asked(manifest, "--no-verify" in options)
    _batch_norms_that_stay_have_a_reason(out / "model.onnx", said.out, wanted.variant)
    error = wanted.distance(_run(out / "model.onnx", wanted))
    assert error <= wanted.bound


def _proof_is_as_asked(manifest: dict[str, Any], skipped: bool) -> None:
    if skipped:
        assert manifest["verification"] == {"skipped": "--no-verify"}
        return
    found = [output for case in manifest["verification"]["cases"] for output in case["outputs"].values()]
    assert found
    assert all(output["error"] <= output["bound"] for output in found)


def _batch_norms_that_stay_have_a_reason(path: Path, said: str, network: str) -> None:
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    left = {node.name for node in nodes if node.op_type == "BatchNormalization"}
    reasons = dict(STAYS.findall(said))
    assert reasons.keys() == left
    assert all("before it" in reason and "did not run" not in reason for reason in reasons.values())
    assert network in NORM_FIRST if left else network not in NORM_FIRST


def _run(path: Path, wanted: Golden) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: wanted.image()})
    return np.asarray(output)


def _unit_axes_away(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """A 1x1 convolution and a linear layer are one matrix."""
    return {key: tuple(size for size in shape if size != 1) for key, shape in shapes.items()}
