"""Networks that are in no zoo, in YAML alone: PyTorch and ONNX Runtime agree on them, at several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import convc
from convc.api.net import Net
from convc.compiler.lower.to_onnx import check, to_onnx
from convc.compiler.lower.writer import serialize
from convc.runtime.session import Session

FOLDER = Path(__file__).parent / "networks"
# Two values for every dynamic dimension: what is dynamic must be dynamic in the file too.
SIZES: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = {
    "forms": ({"N": 1, "H": 16, "W": 24}, {"N": 3, "H": 32, "W": 20}),
    "hrnet": ({"N": 1, "H": 32, "W": 48}, {"N": 2, "H": 48, "W": 16}),
    "padded_pool": ({"N": 1, "H": 16, "W": 23}, {"N": 3, "H": 9, "W": 8}),
    "pyramid": ({"N": 1, "H": 64, "W": 128}, {"N": 2, "H": 64, "W": 64}),
    "selective": ({"N": 1, "H": 17, "W": 20}, {"N": 3, "H": 8, "W": 9}),
    "siamese": ({"N": 1, "H": 16, "W": 24}, {"N": 2, "H": 32, "W": 16}),
    "segnet": ({"N": 1, "H": 24, "W": 32}, {"N": 3, "H": 19, "W": 21}),
    "tree": ({"N": 1, "H": 32, "W": 32}, {"N": 2, "H": 16, "W": 48}),
    "unet": ({"N": 1, "H": 37, "W": 45}, {"N": 2, "H": 32, "W": 50}),
    "unet@unet_deep": ({"N": 1, "H": 37, "W": 45}, {"N": 2, "H": 33, "W": 32}),
    "video": ({"N": 1, "T": 8, "H": 32, "W": 40}, {"N": 2, "T": 9, "H": 33, "W": 32}),
    "wavenet": ({"N": 1, "L": 33}, {"N": 2, "L": 4}),
}


def opened(name: str) -> Net:
    file, _, variant = name.partition("@")
    return convc.load(f"{FOLDER / file}.yaml{'@' + variant if variant else ''}")


def test_every_network_of_the_folder_is_tried() -> None:
    assert {name.partition("@")[0] for name in SIZES} == {path.stem for path in FOLDER.glob("*.yaml")}


@pytest.mark.parametrize("name", SIZES)
def test_pytorch_and_onnx_runtime_agree(name: str) -> None:
    import torch

    net = opened(name)
    model = net.model(seed=3)
    module = net.to_torch(seed=3).eval()
    onnx_model = to_onnx(model)
    check(onnx_model)
    session = Session(serialize(onnx_model))
    assert set(module.state_dict()) <= set(model.params) - net.network.optional
    for sizes in SIZES[name]:
        rng = np.random.default_rng(7)
        shapes = {key: type_.at(sizes) for key, type_ in net.network.graph.inputs.items()}
        feed = {key: rng.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}
        with torch.no_grad():
            expected = module(**{key: torch.from_numpy(value) for key, value in feed.items()})
        if isinstance(expected, torch.Tensor):
            expected = {"output": expected}
        found = session.run(feed)
        assert found.keys() == expected.keys() == net.network.graph.outputs.keys()
        for key, wanted in expected.items():
            type_ = net.network.graph.type_of(net.network.graph.outputs[key])
            assert found[key].shape == tuple(wanted.shape) == type_.at(sizes)
            assert np.abs(found[key] - wanted.numpy()).max() <= 2e-5 * max(1.0, float(wanted.abs().max()))


def test_preprocessing_that_is_embedded_is_computed_by_the_network() -> None:
    import torch

    net = opened("siamese")
    probe = net.to_torch(seed=0).eval()
    pixels = {key: torch.rand(1, 3, 16, 16) * 255 for key in ("left", "right")}
    seen: dict[str, torch.Tensor] = {}
    for key in pixels:
        step = probe.get_submodule(f"preprocess.{key}.add")
        step.register_forward_hook(lambda _, __, value, key=key: seen.update({key: value}))
    with torch.no_grad():
        probe(**pixels)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    for key, value in pixels.items():
        assert torch.allclose(seen[key], (value / 255 - mean) / std, atol=1e-5)


def test_a_training_branch_is_an_output_of_the_train_form_alone() -> None:
    import torch

    net = opened("siamese")
    assert net.network.graph.train_outputs == {"helper": "helper"}
    assert net.network.optional == {"helper.weight", "helper.bias"}
    module = net.to_torch(train=True)
    pixels = [torch.rand(2, 3, 16, 16) for _ in range(2)]
    assert set(module(*pixels)) == {"output", "helper"}
    assert not isinstance(net.to_torch()(*pixels), dict)
