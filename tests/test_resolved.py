"""`spec.resolved.yaml` is the network: it builds to the same model bytes, with the same checkpoints, and resolves to itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import convc
from convc.api.builder import MODEL, SPEC, Build
from tests.golden_files import golden
from tests.sample_specs import write_twin

# Training branches, splits, branches, loops, LRN, grouped and depthwise convolutions, fixed and dynamic sizes.
SHIPPED = {
    "googlenet": 96,
    "googlenet_paper": None,
    "lenet5": None,
    "mobilenetv1_025": "dynamic",
    "mobilenetv2_035": 64,
    "nin_cifar10": "dynamic",
    "repvgg_a0": 64,
    "resnet18": "64x96",
    "resnext50_32x4d": 64,
    "shufflenet_v2_x0_5": "dynamic",
}
WITH_CHECKPOINT = ("timm_repvgg_a0", "torchvision_googlenet", "torchvision_shufflenet_v2_x1_0")


@pytest.mark.parametrize(("variant", "size"), SHIPPED.items())
def test_a_resolved_network_builds_to_the_same_bytes(variant: str, size: Any, tmp_path: Path) -> None:
    _same(tmp_path, lambda folder: convc.build(variant, folder, size=size, verify=False))


@pytest.mark.parametrize("name", WITH_CHECKPOINT)
def test_a_resolved_network_reads_the_librarys_checkpoint(name: str, tmp_path: Path) -> None:
    wanted = golden(name)
    checkpoint = wanted.save(tmp_path / "checkpoint.safetensors")

    def build(folder: Path) -> Build:
        return convc.build(wanted.variant, folder, size=wanted.size, weights=checkpoint, verify=False)

    again = _same(tmp_path, build, weights=checkpoint)
    assert again.manifest["weights"]["family"] == wanted.family
    assert again.manifest["source"]["params"] == wanted.data["params"]


@pytest.mark.parametrize("variant", ["twin", "wide"])
def test_a_spec_of_ones_own_keeps_its_shared_weights(variant: str, tmp_path: Path) -> None:
    spec = write_twin(tmp_path / "specs")
    again = _same(tmp_path, lambda folder: convc.build(f"{spec}@{variant}", folder, verify=False))
    # Two runs of the stem and of `mix`, one set of weights of each.
    holders = [node.name for node in again.compiled.source.graph if "mix.weight" in node.params.values()]
    assert holders == ["mix", "again"]
    assert "eyes.shared_1.stem.conv.weight" not in again.compiled.source.params


def test_a_families_old_names_ignored_tensors_and_preprocessing_are_kept(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    spec.write_text(
        "convc: 1\nname: net\ninput: {image: [N, 3, 8, 8]}\nnetwork:\n  - conv: 4\n    id: first\n"
        "preprocess: {mean: [0.5, 0.5, 0.5]}\n"
        "checkpoints:\n  lab:\n    preprocess: {mean: [0.1, 0.2, 0.3]}\n    old: {stem.norm.1: stem.norm1}\n"
        "    ignore: [extra]\n    names: {first: stem.norm1}\n",
        encoding="utf-8",
    )
    checkpoint = tmp_path / "old.npz"
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    tensors = {"stem.norm.1.weight": weight, "stem.norm.1.bias": weight[:, 0, 0, 0], "extra.weight": weight}
    np.savez(checkpoint, allow_pickle=False, **tensors)
    again = _same(
        tmp_path, lambda folder: convc.build(spec, folder, weights=checkpoint, verify=False), weights=checkpoint
    )
    assert again.numbers.preprocess["mean"] == [0.1, 0.2, 0.3]
    assert again.manifest["weights"]["unused"] == ["extra.weight"]
    assert np.array_equal(again.numbers.model.params["first.weight"].evaluate(), weight)


def _same(place: Path, build: Callable[[Path], Build], **options: Any) -> Build:
    """Build, build what that resolved to, and what that resolved to: three times the same model and the same spec."""
    first = build(place / "first")
    moved = place / "moved.yaml"
    moved.write_bytes((first.folder / SPEC).read_bytes())
    second = convc.build(moved, place / "second", verify=False, **options)
    assert (second.folder / SPEC).read_bytes() == (first.folder / SPEC).read_bytes()
    assert (second.folder / MODEL).read_bytes() == (first.folder / MODEL).read_bytes()
    third = convc.build(second.folder / SPEC, place / "third", verify=False, **options)
    assert (third.folder / SPEC).read_bytes() == (first.folder / SPEC).read_bytes()
    return second
