"""WaveNet against the paper's equations, written out in PyTorch's own functions with the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

import convc
from convc.api.net import Net
from convc.compiler.ir import Model
from convc.compiler.lower.to_onnx import to_onnx
from convc.compiler.lower.writer import serialize
from convc.runtime.session import Session

DILATIONS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
SIZES = [(1, 40), (3, 40), (3, 7)]
CONDITIONED = """\
convc: 1
name: speaker
input: {sound: [N, 6, L], speaker: [N, 5]}
network:
  - wavenet_stack: {dilations: [1, 2, 4], skip: 7, levels: 9, mid: 4, kernel: 3, bias: true, condition: true}
    id: stack
    from: [[sound, speaker]]
"""


def causal(x: Tensor, weight: Tensor, bias: Tensor | None = None, dilation: int = 1) -> Tensor:
    """A sample sees itself and those before it."""
    return F.conv1d(F.pad(x, ((weight.shape[2] - 1) * dilation, 0)), weight, bias, dilation=dilation)


def stack(x: Tensor, p: Mapping[str, Tensor], dilations: list[int], h: Tensor | None = None) -> Tensor:
    """Equation 2 (with h: the one of section 2.5) and figure 4."""
    aside = torch.zeros(())
    for k, d in enumerate(dilations):
        at = f"stack.layer.{k}.block"
        sides = []
        for side in ("filter", "gate"):
            y = causal(x, p[f"{at}.gated.{side}.conv.weight"], p.get(f"{at}.gated.{side}.conv.bias"), d)
            sides.append(y if h is None else y + (h @ p[f"{at}.gated.{side}.shared.weight"].T)[:, :, None])
        z = torch.tanh(sides[0]) * torch.sigmoid(sides[1])
        aside = aside + F.conv1d(z, p[f"{at}.skip_conv.weight"], p.get(f"{at}.skip_conv.bias"))
        x = x + F.conv1d(z, p[f"{at}.residual.weight"], p.get(f"{at}.residual.bias"))
    y = F.conv1d(F.relu(aside), p["stack.head1.weight"], p.get("stack.head1.bias"))
    return F.conv1d(F.relu(y), p["stack.head2.weight"], p.get("stack.head2.bias"))


def ran(model: Model, feed: Mapping[str, NDArray[np.generic]]) -> Tensor:
    found = Session(serialize(to_onnx(model))).run(dict(feed))
    return torch.from_numpy(found["output"])


def numbers(net: Net) -> tuple[Model, dict[str, Tensor]]:
    model = net.model(seed=5)
    return model, {name: torch.from_numpy(np.array(param.evaluate())) for name, param in model.params.items()}


def sound(batch: int, length: int, levels: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    tokens = np.random.default_rng(3).integers(0, levels, (batch, length))
    return tokens, np.eye(levels, dtype=np.float32)[tokens].transpose(0, 2, 1).copy()


@pytest.mark.parametrize(("batch", "length"), SIZES)
def test_wavenet_is_the_papers_network(batch: int, length: int) -> None:
    model, p = numbers(convc.load("wavenet", stacks=2, skip=48))
    _, columns = sound(batch, length, 256)
    expected = stack(causal(torch.from_numpy(columns), p["causal.weight"]), p, DILATIONS * 2).softmax(1)
    assert expected.shape == (batch, 256, length)
    assert float((ran(model, {"sound": columns}) - expected).abs().max()) < 1e-5


def test_whole_numbers_are_one_hot_columns() -> None:
    columns_net, tokens_net = (convc.load(name, stacks=1, skip=48) for name in ("wavenet", "wavenet_tokens"))
    assert columns_net.costs().params == tokens_net.costs().params
    _, p = numbers(columns_net)
    tokens, columns = sound(3, 30, 256)
    expected = stack(causal(torch.from_numpy(columns), p["causal.weight"]), p, DILATIONS).softmax(1)
    module = tokens_net.to_torch(seed=5).eval()
    lookup = p["causal.weight"].permute(1, 2, 0).reshape(256, -1)
    # The last residual convolution leads nowhere, so the module has none.
    state = {name: p[name] for name in module.state_dict()}
    module.load_state_dict(state | {"causal.weight": lookup})
    with torch.no_grad():
        assert float((module(torch.from_numpy(tokens)) - expected).abs().max()) < 1e-5


def test_a_condition_reaches_every_filter_and_gate(tmp_path: Path) -> None:
    (tmp_path / "speaker.yaml").write_text(CONDITIONED)
    model, p = numbers(convc.load(tmp_path / "speaker.yaml"))
    rng = np.random.default_rng(4)
    feed = {
        name: rng.standard_normal(shape, np.float32) for name, shape in (("sound", (2, 6, 11)), ("speaker", (2, 5)))
    }
    expected = stack(torch.from_numpy(feed["sound"]), p, [1, 2, 4], torch.from_numpy(feed["speaker"]))
    assert float((ran(model, feed) - expected).abs().max()) < 1e-5
    assert float((expected - stack(torch.from_numpy(feed["sound"]), p, [1, 2, 4])).abs().max()) > 1e-2


@pytest.mark.parametrize(("name", "samples"), [("wavenet", 5117), ("wavenet_medium", 3071)])
def test_a_sample_hears_as_far_back_as_the_table_says(name: str, samples: int) -> None:
    assert convc.load(name).costs(L=8000).rows[-1].receptive_field == (samples,)


def test_no_sample_hears_the_future() -> None:
    model, _ = numbers(convc.load("wavenet", stacks=1, skip=48))
    _, columns = sound(1, 24, 256)
    changed = columns.copy()
    changed[:, :, 15:] = np.roll(changed[:, :, 15:], 1, axis=1)
    first, second = (ran(model, {"sound": value}) for value in (columns, changed))
    assert torch.equal(first[:, :, :15], second[:, :, :15])
    assert float((first[:, :, 15:] - second[:, :, 15:]).abs().amax(1).min()) > 0
