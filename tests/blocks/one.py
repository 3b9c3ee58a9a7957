"""One step as a whole network with random numbers, norms' statistics too: run in float64 by PyTorch and in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import convc
from convc.compiler.ir import Model
from convc.compiler.ir.param import Param, Stored
from convc.compiler.lower.to_onnx import to_onnx
from convc.compiler.lower.to_torch import evaluate
from convc.compiler.lower.writer import serialize
from convc.runtime.session import Session

Shape = Sequence[int]
Numbers = Mapping[str, Tensor]


@dataclass(frozen=True)
class One:
    """A network of one step (or several), its parameters by name in float64, and an input."""

    model: Model
    x: Tensor

    @property
    def p(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(param.as_float64().copy()) for name, param in self.model.params.items()}

    def with_numbers(self, numbers: Numbers) -> One:
        """The same with other parameters; every one must be given, in its shape."""
        assert numbers.keys() == self.model.params.keys()
        assert all(numbers[name].shape == param.shape for name, param in self.model.params.items())
        params: dict[str, Param] = {name: Stored(value.numpy()) for name, value in numbers.items()}
        return replace(self, model=replace(self.model, params=params))

    def run(self, x: Tensor | None = None) -> Tensor:
        """In float64, without any pass; the file in ONNX Runtime gives the same to what float32 can say."""
        x = self.x if x is None else x
        output = self.model.graph.outputs["output"]
        values = evaluate(list(self.model.graph), {"image": x}, self.model.params, "float64", [output])
        y = torch.from_numpy(np.asarray(values[output]))
        rounded = {name: Stored(param.rounded("float32")) for name, param in self.model.params.items()}
        session = Session(serialize(to_onnx(replace(self.model, params=rounded))))
        found = torch.from_numpy(session.run({"image": x.float().numpy()})["output"])
        close(found.double(), y, 1e-5)
        return y


def one(tmp_path: Path, steps: str, *shape: int, seed: int = 0) -> One:
    """`steps` is the network's list as YAML, in one line or several."""
    spec = tmp_path / "one.yaml"
    body = f"[{steps}]" if not steps.lstrip().startswith("-") else "\n" + steps
    spec.write_text(f"convc: 1\nname: one\ninput: {{image: [N, {', '.join(map(str, shape[1:]))}]}}\nnetwork: {body}\n")
    model = convc.load(spec).model(seed=seed)
    rng = np.random.default_rng(seed)
    params: dict[str, Param] = {name: Stored(_filled(name, p.shape, rng)) for name, p in model.params.items()}
    return One(replace(model, params=params), torch.from_numpy(rng.standard_normal(shape)))


def _filled(name: str, shape: Shape, rng: np.random.Generator) -> np.typing.NDArray[np.float64]:
    values = rng.standard_normal(tuple(shape))
    if name.endswith("running_var"):
        return np.asarray(np.abs(values) + 0.5)
    return np.asarray(values / np.sqrt(prod(shape[1:]))) if len(shape) > 1 else np.asarray(values)


def close(actual: Tensor, expected: Tensor, bound: float = 1e-11) -> None:
    """Equal shapes, and values within `bound` of the largest expected one."""
    assert actual.shape == expected.shape
    worst = float((actual - expected).abs().max() / expected.abs().max().clamp(min=1e-6))
    assert worst <= bound, worst


def conv(x: Tensor, p: Numbers, name: str, stride: int = 1, padding: int | None = None, groups: int = 1) -> Tensor:
    """torch's own, padded to keep the size where nothing else is said."""
    weight = p[f"{name}.weight"]
    amount = [k // 2 for k in weight.shape[2:]] if padding is None else padding
    return F.conv2d(x, weight, p.get(f"{name}.bias"), stride, amount, 1, groups)


def bn(x: Tensor, p: Numbers, name: str, eps: float = 1e-5) -> Tensor:
    mean, var = p[f"{name}.running_mean"], p[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, p[f"{name}.weight"], p[f"{name}.bias"], eps=eps)


def conv_bn(x: Tensor, p: Numbers, name: str, stride: int = 1, groups: int = 1) -> Tensor:
    return bn(conv(x, p, f"{name}.conv", stride, groups=groups), p, f"{name}.bn")


def depthwise_bn(x: Tensor, p: Numbers, name: str, stride: int = 1) -> Tensor:
    return conv_bn(x, p, name, stride, x.shape[1])


def below(p: Numbers, name: str) -> Numbers:
    """The parameters of a step, by their names inside it."""
    return MappingProxyType({k.removeprefix(f"{name}."): v for k, v in p.items() if k.startswith(f"{name}.")})
