"""to_torch: a plain module with our names; evaluate: the same without a module."""

from __future__ import annotations

import copy
import io
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from convc.compiler.ir import Model, Op, Stored, SymDim, TensorType
from convc.compiler.lower import evaluate, to_torch
from convc.compiler.ops import OPS

from .conftest import Net, Pass

torch = pytest.importorskip("torch")
N = SymDim.symbol("N")


def op(name: str, **arguments: Any) -> Op:
    return OPS[name](**arguments)


@pytest.fixture
def model() -> Model:
    net = Net(input=TensorType((N, 3, 8, 8)))
    net.add("stem.conv", op("conv", out=4), "input")
    net.add("stem.bn", op("batch_norm"), "stem.conv")
    # Ids that are attributes of nn.Module, and one that a parent of another node.
    net.add("half", op("conv", out=4), "stem.bn")
    net.add("half.training", op("conv", out=4), "half")
    net.add("forward.0", op("conv", out=4), "half.training", like="half.training")
    net.add("aux.conv", op("conv", out=2), "stem.bn", train_only=True)
    return net.model("forward.0", {"aux": "aux.conv"})


MAIN = [
    "stem.conv.weight", "stem.conv.bias", "stem.bn.weight", "stem.bn.bias", "stem.bn.running_mean",
    "stem.bn.running_var", "half.weight", "half.bias", "half.training.weight", "half.training.bias",
]  # fmt: skip


def test_the_state_dict_has_our_names_and_a_shared_parameter_once(model: Model) -> None:
    assert set(to_torch(model).state_dict()) == set(MAIN)
    assert (
        set(to_torch(model, train=True).state_dict())
        == set(model.params)
        == {*MAIN, "aux.conv.weight", "aux.conv.bias"}
    )


def test_statistics_are_buffers_and_the_rest_learns(model: Model) -> None:
    module = to_torch(model, train=True)
    assert {name for name, _ in module.named_buffers()} == {"stem.bn.running_mean", "stem.bn.running_var"}
    assert {name for name, p in module.named_parameters() if p.requires_grad} == model.trained


def test_values_are_ours_and_writing_to_them_leaves_ours_alone(model: Model) -> None:
    module = to_torch(model)
    before = {name: param.evaluate().copy() for name, param in model.params.items()}
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
        value.fill_(7.0)
    for name, param in model.params.items():
        np.testing.assert_array_equal(param.evaluate(), before[name])


def test_what_is_computed_is_rounded_once(model: Model) -> None:
    weight = model.params["half.weight"]
    folded = Model(model.graph, {**model.params, "half.weight": weight * (1 / 3) * 3.0}, model.trained)
    exact = np.asarray(weight.evaluate(), np.float64) * (1 / 3) * 3.0
    np.testing.assert_array_equal(to_torch(folded).state_dict()["half.weight"], exact.astype(np.float32))
    np.testing.assert_array_equal(to_torch(folded, dtype="float64").state_dict()["half.weight"], exact)


def test_read_only_and_broadcast_arrays_make_tensors_of_their_own(model: Model) -> None:
    from convc.compiler.ir import constant

    frozen = np.ones(4, np.float32)
    frozen.flags.writeable = False
    params = {**model.params, "half.bias": Stored(frozen), "stem.conv.bias": constant(0.5, (4,))}
    state = to_torch(Model(model.graph, params, model.trained)).state_dict()
    assert state["half.bias"].tolist() == [1.0] * 4
    assert state["stem.conv.bias"].tolist() == [0.5] * 4


def test_the_eval_form_returns_the_output_and_several_by_name(model: Model) -> None:
    x = torch.randn(2, 3, 8, 8)
    module = to_torch(model)
    assert not module.training
    assert module(x).shape == (2, 4, 8, 8)
    torch.testing.assert_close(module(input=x), module(x))
    graph = model.graph
    two = type(graph)(graph.name, graph.inputs, graph.nodes, {"a": "half", "b": "forward.0"}, graph.train_outputs)
    assert list(to_torch(Model(two, model.params, model.trained))(x)) == ["a", "b"]


def test_the_train_form_adds_the_train_outputs_while_it_trains(model: Model) -> None:
    x = torch.randn(2, 3, 8, 8)
    module = to_torch(model, train=True)
    outputs = module(x)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "output": (2, 4, 8, 8), "aux": (2, 2, 8, 8),
    }  # fmt: skip
    sum(value.square().mean() for value in outputs.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters())
    assert not np.array_equal(
        module.state_dict()["stem.bn.running_mean"], model.params["stem.bn.running_mean"].evaluate()
    )
    assert module.eval()(x).shape == (2, 4, 8, 8)


@pytest.mark.parametrize(
    "call", [lambda m, x: m(), lambda m, x: m(x, x), lambda m, x: m(y=x), lambda m, x: m(x, input=x)]
)
def test_wrong_inputs_are_refused(model: Model, call: Any) -> None:
    with pytest.raises(TypeError, match="the network takes input"):
        call(to_torch(model), torch.zeros(1, 3, 8, 8))


def test_a_checkpoint_comes_back_by_name(model: Model) -> None:
    x = torch.randn(2, 3, 8, 8)
    first, second = to_torch(model), to_torch(model)
    with torch.no_grad():
        for value in first.state_dict().values():
            value.mul_(0.5)
    assert not torch.equal(first(x), second(x))
    second.load_state_dict(first.state_dict(), strict=True)
    torch.testing.assert_close(first(x), second(x), rtol=0, atol=0)


def test_copies_and_saved_modules_are_independent(model: Model) -> None:
    x = torch.randn(2, 3, 8, 8)
    module = to_torch(model)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for twin in (copy.deepcopy(module), torch.load(file, weights_only=False)):
        torch.testing.assert_close(twin(x), module(x), rtol=0, atol=0)
        with torch.no_grad():
            twin.state_dict()["half.training.bias"].add_(1.0)
        assert not torch.equal(twin(x), module(x))


def test_moving_and_casting_reach_shared_parameters(model: Model) -> None:
    module = to_torch(model).double()
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(module(x), to_torch(model)(x.float()).double(), rtol=1e-4, atol=1e-5)


def test_hooks_and_submodules_go_by_path(model: Model) -> None:
    module = to_torch(model)
    seen: list[tuple[int, ...]] = []
    module.get_submodule("stem.bn").register_forward_hook(lambda m, i, o: seen.append(tuple(o.shape)))
    module(torch.zeros(1, 3, 8, 8))
    assert seen == [(1, 4, 8, 8)]
    assert "conv, out=4" in repr(module)


@dataclass(frozen=True, kw_only=True)
class Watch(Op):
    """Notes which earlier values are still alive."""

    name = "watch"
    group = "test"
    values: Any
    alive: Any

    def infer(self, *x: TensorType) -> TensorType:
        return x[0]

    def torch(self, t: Any, *x: Any, p: Any, training: bool = False) -> Any:
        self.alive.append(sum(ref() is not None for ref in self.values))
        y = x[0] + 1
        self.values.append(weakref.ref(y))
        return y

    def onnx(self, g: Any, *x: str, p: Any) -> str:
        raise NotImplementedError


def watched() -> tuple[Model, list[int]]:
    values: list[Any] = []
    alive: list[int] = []
    net = Net(input=TensorType((N, 4)))
    last = "input"
    for k in range(5):
        last = net.add(f"n.{k}", Watch(values=values, alive=alive), last)
    return net.model({"first": "n.0", "last": last}), alive


def test_a_value_is_let_go_after_its_last_reader() -> None:
    model, alive = watched()
    to_torch(model)(torch.zeros(2, 4))
    # n.0 is an output and stays; of the others only the one that is read now.
    assert alive == [0, 1, 2, 2, 2]


def test_evaluate_lets_go_too() -> None:
    model, alive = watched()
    evaluate(list(model.graph), {"input": torch.zeros(2, 4)}, {}, "float64", ["n.4"])
    assert alive == [0, 1, 1, 1, 1]


def test_evaluate_runs_nodes_alone_in_float64(model: Model) -> None:
    nodes = [model.graph.nodes[name] for name in ("stem.bn", "half")]
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    found = evaluate(nodes, {"stem.conv": x}, model.params, "float64", ["half", "stem.conv"])
    module = to_torch(model, dtype="float64")
    expected = module.get_submodule("stem.bn")(x)
    torch.testing.assert_close(found["half"], dict(module.named_modules())["half"](expected), rtol=1e-12, atol=1e-12)
    assert found["stem.conv"] is x
    assert found["half"].dtype == torch.float64
    assert not found["half"].requires_grad


def test_an_output_may_be_an_input_itself() -> None:
    net = Net(input=TensorType((N, 4)))
    net.add("a", Pass(), "input")
    x = torch.randn(2, 4)
    assert torch.equal(to_torch(net.model("a"))(x), x)
    assert torch.equal(to_torch(net.model("input"))(x), x)
