"""`--runtime ort==1.19` writes what that release loads, and no operator that it has no kernel for."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

import convc
from convc.api.releases import versions

DEFORMABLE = """\
convc: 1
name: bent
input: {image: [N, 3, 9, 10]}
network:
  - deform_conv: {out: 4, modulated: true}
  - relu
"""


@pytest.mark.parametrize(
    ("opset", "runtime", "wanted"),
    [
        (None, None, (20, 10)),
        (17, None, (17, 10)),
        (None, "ort==1.12", (17, 8)),
        (None, "ort==1.16.3", (19, 9)),
        (None, "onnxruntime==1.19", (20, 10)),
        (18, "ort==1.22", (18, 10)),
        (22, "ort==1.40", (22, 10)),
    ],
)
def test_a_release_lowers_opset_and_ir_version_to_what_it_loads(
    opset: int | None, runtime: str | None, wanted: tuple[int, int]
) -> None:
    loads = versions(opset, runtime)
    assert (loads.opset, loads.ir_version) == wanted


@pytest.mark.parametrize(
    ("opset", "runtime", "message"),
    [
        (16, None, "expected 17 to 22"),
        (23, None, "expected 17 to 22"),
        (21, "ort==1.17", "loads opset 20 at most"),
        (None, "ort==1.9", "older than what convc writes for"),
        (None, "trt==10", "--runtime is 'trt==10'"),
        (None, "ort", "--runtime is 'ort'"),
    ],
)
def test_a_release_that_cannot_be_written_for_is_refused(opset: int | None, runtime: str | None, message: str) -> None:
    with pytest.raises(convc.UsageError, match=message):
        versions(opset, runtime)


@pytest.mark.parametrize(("runtime", "native"), [(None, True), ("ort==1.25", True), ("ort==1.24", False)])
def test_deformable_convolution_is_sampled_where_the_runtime_has_no_kernel(
    runtime: str | None, native: bool, tmp_path: Path
) -> None:
    spec = tmp_path / "bent.yaml"
    spec.write_text(DEFORMABLE, encoding="utf-8")
    build = convc.build(spec, tmp_path / "out", runtime=runtime)
    assert build.verification.ok
    kinds = {node.op_type for node in onnx.load(str(build.path)).graph.node}
    assert ("DeformConv" in kinds, "GridSample" in kinds) == (native, not native)
