"""Whose names a checkpoint uses, what fits, and what is said when nothing does."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convc.compiler.errors import ConvcError, UsageError, WeightsError
from convc.compiler.ir import Init, ParamType
from convc.compiler.weights import (
    Checkpoint,
    Evaluate,
    Exact,
    Family,
    Loaded,
    RuleError,
    Tensor,
    load_parameters,
    names_table,
    read_checkpoint,
)
from tests.calls import calls

Save = Callable[[str, Mapping[str, Any]], Path]
Arrays = dict[str, np.ndarray[Any, np.dtype[Any]]]
Make = Callable[..., Family]
Wanted = dict[str, ParamType]


def held(arrays: Mapping[str, Any]) -> Checkpoint:
    """A checkpoint in memory."""
    tensors = {k: Tensor(np.shape(a), np.asarray(a).dtype.name, partial(np.array, a)) for k, a in arrays.items()}
    return Checkpoint(Path("w.pth"), tensors)


def refused(wanted: Wanted, arrays: Mapping[str, Any], *families: Family, **options: Any) -> str:
    with pytest.raises(WeightsError) as caught:
        load_parameters(wanted, held(arrays), {f.name: f for f in families}, **options)
    return str(caught.value)


def loaded(wanted: Wanted, arrays: Mapping[str, Any], *families: Family, **options: Any) -> Loaded:
    return load_parameters(wanted, held(arrays), {f.name: f for f in families}, **options)


THEIRS = [("stem.conv", "conv1"), ("stem.bn", "bn1"), ("linear", "fc")]


def renamed(arrays: Arrays) -> Arrays:
    return dict(zip(["conv1.weight", "bn1.running_var", "fc.weight", "fc.bias"], arrays.values(), strict=True))


# -- fits


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz", "w.pth", "legacy.pth"])
def test_our_own_names_load_from_every_format(save: Save, wanted: Wanted, arrays: Arrays, name: str) -> None:
    result = load_parameters(wanted, read_checkpoint(save(name, arrays)), {})
    assert result.family == "convc"
    assert list(result.params) == list(wanted)
    for key, array in arrays.items():
        values = result.params[key].evaluate()
        np.testing.assert_array_equal(values, array, strict=True)
        assert not values.flags.writeable
    assert (result.notes, result.absent, result.unused, result.preprocess) == ((), (), (), None)


def test_the_family_that_fits_is_found(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    other = family("other", [("stem", "backbone.stem")])
    theirs = family("theirs", THEIRS, preprocess={"mean": 0.5})
    result = loaded(wanted, renamed(arrays), other, theirs)
    assert result.family == "theirs"
    assert result.preprocess == {"mean": 0.5}
    np.testing.assert_array_equal(result.params["linear.bias"].evaluate(), arrays["linear.bias"])


def test_a_family_that_is_named_is_the_only_one_tried(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    theirs = family("theirs", THEIRS)
    assert loaded(wanted, renamed(arrays), theirs, family="theirs").family == "theirs"
    assert loaded(wanted, arrays, theirs, family="convc").family == "convc"
    text = refused(wanted, arrays, theirs, family="theirs")
    assert "0 of its 4 tensors are there under the names of the family 'theirs'\n" in text
    assert "conv1.weight [4, 3, 3, 3] (ours: stem.conv.weight); nearest in the file: stem.conv.weight" in text


def test_an_unknown_family_names_the_known(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(wanted, arrays, family("torchvision", []), family="torchvison")
    assert "it has torchvision, convc" in caught.value.message
    assert caught.value.hint == "did you mean 'torchvision'?"


@pytest.mark.parametrize("prefixes", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "backbone.module."])
def test_shared_prefixes_are_peeled_and_reported(wanted: Wanted, arrays: Arrays, family: Make, prefixes: str) -> None:
    theirs = {prefixes + name: array for name, array in renamed(arrays).items()}
    counted = {**theirs, "n_averaged": np.array(5), prefixes + "bn1.num_batches_tracked": np.array(5)}
    result = loaded(wanted, counted, family("theirs", THEIRS))
    peeled = [part + "." for part in prefixes.split(".")[:-1]]
    assert result.notes == tuple(f"peeled the prefix {part!r} off every name" for part in peeled)
    assert result.unused == ()


def test_a_prefix_that_is_the_networks_own_stays(arrays: Arrays) -> None:
    own = {f"backbone.{name}": array for name, array in arrays.items()}
    wanted = {name: ParamType(array.shape, Init()) for name, array in own.items()}
    assert loaded(wanted, own).notes == ()
    doubled = {f"module.{name}": array for name, array in own.items()}
    assert loaded(wanted, doubled).notes == ("peeled the prefix 'module.' off every name",)


def test_a_prefix_that_not_every_name_has_stays(wanted: Wanted, arrays: Arrays) -> None:
    mixed = {f"module.{k}" if k != "linear.bias" else k: a for k, a in arrays.items()}
    assert "unexpected (3)" in refused(wanted, mixed)


def test_old_spellings_are_read_and_reported(evaluate: Evaluate) -> None:
    """densenet's published checkpoints say `norm.1` where the module says `norm1`."""
    wanted = {f"block.0.norm{k}.weight": ParamType((k,), Init()) for k in (1, 2)}
    densenet = Family.compile(
        "torchvision", [("block.{i}", "features.denselayer{i + 1}")], evaluate, old=[("norm.{k}", "norm{k}")]
    )
    today = {f"features.denselayer1.norm{k}.weight": np.full(k, k, np.float32) for k in (1, 2)}
    before = {name.replace("norm", "norm."): array for name, array in today.items()}
    assert loaded(wanted, today, densenet).notes == ()
    result = loaded(wanted, {f"module.{name}": array for name, array in before.items()}, densenet)
    assert result.params["block.0.norm2.weight"].evaluate().tolist() == [2, 2]
    assert result.notes == (
        "peeled the prefix 'module.' off every name",
        "2 names in an old spelling, e.g. features.denselayer1.norm.1.weight for features.denselayer1.norm1.weight",
    )


def test_old_rules_that_make_one_name_of_two_do_not_apply(evaluate: Evaluate) -> None:
    wanted = {"a1.weight": ParamType((1,), Init())}
    both = {"a1.weight": np.ones(1, np.float32), "a.1.weight": np.ones(1, np.float32)}
    theirs = Family.compile("theirs", [], evaluate, old=[("a.{k}", "a{k}")])
    assert "unexpected (1)" in refused(wanted, both, theirs)


def test_axes_of_size_one_are_reshaped_and_noted(arrays: Arrays) -> None:
    wanted = {"fc.weight": ParamType((10, 4), Init()), "scale": ParamType((1, 3, 1, 1), Init())}
    stored = {"fc.weight": arrays["linear.weight"].reshape(10, 4, 1, 1), "scale": np.arange(3, dtype=np.float32)}
    result = loaded(wanted, stored)
    assert result.params["fc.weight"].shape == (10, 4)
    assert result.params["scale"].shape == (1, 3, 1, 1)
    assert result.notes == (
        "2 tensors read in another shape: fc.weight [10, 4, 1, 1] as [10, 4], scale [3] as [1, 3, 1, 1]",
    )


def test_a_transposed_matrix_does_not_fit(arrays: Arrays) -> None:
    wanted = {"fc.weight": ParamType((10, 4), Init())}
    text = refused(wanted, {"fc.weight": np.ones((4, 10), np.float32)})
    assert "wrong shape (1):\n    fc.weight: [4, 10] in the file, [10, 4] in the network" in text


def test_train_only_tensors_may_be_missing_but_not_mis_shaped(wanted: Wanted, arrays: Arrays) -> None:
    aux = {**wanted, "aux.weight": ParamType((7,), Init()), "aux.bias": ParamType((1,), Init())}
    optional = frozenset({"aux.weight", "aux.bias"})
    result = loaded(aux, arrays, optional=optional)
    assert list(result.params) == list(wanted)
    assert result.absent == ("aux.weight", "aux.bias")
    assert result.notes == ("2 train_only tensors are not in the file: aux.weight, aux.bias",)
    with_aux = {**arrays, "aux.weight": np.ones(7, np.float32), "aux.bias": np.ones(1, np.float32)}
    assert loaded(aux, with_aux, optional=optional).absent == ()
    assert "aux.weight: [5] in the file" in refused(
        aux, {**with_aux, "aux.weight": np.ones(5, np.float32)}, optional=optional
    )
    assert "missing (2)" in refused(aux, arrays)


def test_counters_are_ignored_and_leftovers_are_not(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    counted = {**arrays, "stem.bn.num_batches_tracked": np.array(7), "total_ops": np.array(1.0)}
    assert loaded(wanted, counted).unused == ()
    more = {**arrays, "aux1.fc.weight": np.ones((2, 2), np.float32)}
    assert "unexpected (1):\n    aux1.fc.weight [2, 2]" in refused(wanted, more)
    result = loaded(wanted, more, family("lenient", [], ignore=["aux{k}"]))
    assert result.unused == ("aux1.fc.weight",)
    assert result.notes == ("1 tensors of the file are not the network's, as family 'lenient' says: aux1.fc.weight",)


def test_two_names_for_one_tensor_are_an_error(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    text = refused(wanted, renamed(arrays), family("theirs", [*THEIRS, ("fc", None), ("bias", "weight")]))
    assert "two of the network's tensors have one name (1):\n    weight: linear.weight and linear.bias" in text


@pytest.mark.parametrize(("dtype", "count"), [("float16", 4), ("float64", 4)])
def test_other_floats_become_float32_with_a_note(wanted: Wanted, arrays: Arrays, dtype: str, count: int) -> None:
    result = loaded(wanted, {name: array.astype(dtype) for name, array in arrays.items()})
    assert result.notes == (f"{count} tensors converted from {dtype} to float32",)
    for name, array in arrays.items():
        expected = array.astype(dtype).astype(np.float32)
        np.testing.assert_array_equal(result.params[name].evaluate(), expected, strict=True)


# -- numbers that are refused


def edited(arrays: Arrays, name: str, value: float, dtype: str = "float32") -> Arrays:
    changed = arrays[name].astype(dtype)
    changed.flat[-1] = value
    return {**arrays, name: changed}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("value", "found"), [(np.nan, "1 NaN"), (np.inf, "1 Inf"), (-np.inf, "1 Inf")])
def test_numbers_that_are_not_finite_are_named_and_counted(
    wanted: Wanted, arrays: Arrays, dtype: str, value: float, found: str
) -> None:
    text = refused(wanted, edited(arrays, "linear.weight", value, dtype))
    assert f"tensor linear.weight (ours: linear.weight) holds {found} among its 40 values" in text


def test_opposite_infinities_do_not_cancel(wanted: Wanted, arrays: Arrays) -> None:
    both = edited(arrays, "linear.bias", np.inf)
    both["linear.bias"][0] = -np.inf
    both["linear.bias"][1] = np.nan
    assert "holds 1 NaN and 2 Inf among its 10 values" in refused(wanted, both)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_large_finite_numbers_whose_sum_overflows_are_fine(dtype: str) -> None:
    large = np.full(100, np.finfo(dtype).max, dtype)
    result = loaded({"w": ParamType((100,), Init())}, {"w": large})
    np.testing.assert_array_equal(result.params["w"].evaluate(), large.astype(np.float32))


def test_float64_beyond_float32_is_refused(wanted: Wanted, arrays: Arrays) -> None:
    text = refused(wanted, edited(arrays, "linear.bias", 1e39, "float64"))
    assert "1 of its 10 values are beyond float32 (largest 1e+39" in text


def test_a_negative_variance_is_refused(wanted: Wanted, arrays: Arrays) -> None:
    text = refused(wanted, edited(arrays, "stem.bn.running_var", -0.25))
    assert "is a variance, and 1 of its 4 values are negative (smallest -0.25)" in text
    assert loaded(wanted, edited(arrays, "stem.bn.running_var", -0.0)).family == "convc"


@pytest.mark.parametrize("dtype", ["int8", "int64", "bool", "complex64"])
def test_parameters_of_whole_numbers_are_refused(wanted: Wanted, arrays: Arrays, dtype: str) -> None:
    text = refused(wanted, {**arrays, "linear.bias": np.ones(10, dtype)})
    assert f"tensor linear.bias (ours: linear.bias) is stored as {dtype}" in text


# -- what is said when nothing fits


def test_the_nearest_family_is_shown_with_the_nearest_names(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    theirs = renamed(arrays)
    theirs["classifier.bias"] = theirs.pop("fc.bias")
    text = refused(wanted, theirs, family("other", [("stem", "x")]), family("theirs", THEIRS))
    assert text.splitlines() == [
        "'w.pth' does not fit the network: 3 of its 4 tensors are there under the names of the family 'theirs' "
        "(the nearest)",
        "  missing (1):",
        "    fc.bias [10] (ours: linear.bias)" + "; nearest in the file: classifier.bias",
        "  unexpected (1):",
        "    classifier.bias [10]",
        "  hint: `convc show SPEC --family theirs` prints both names of every tensor; "
        "families tried: convc, other, theirs",
    ]


def test_long_lists_are_cut_and_counted() -> None:
    wanted = {f"conv{i}.weight": ParamType((2,), Init()) for i in range(50)}
    text = refused(wanted, {f"layer{i}.w": np.ones(3, np.float32) for i in range(60)})
    assert "missing (50):" in text
    assert "... and 40 more" in text
    assert "unexpected (60):" in text
    assert "... and 50 more" in text
    assert len(text.splitlines()) < 30


def test_another_number_of_classes_is_recognised(wanted: Wanted, arrays: Arrays) -> None:
    other = {**arrays, "linear.weight": np.ones((100, 4), np.float32), "linear.bias": np.ones(100, np.float32)}
    assert "the file has 100 outputs where the network has 10: is it --set classes=100?" in refused(wanted, other)


def test_names_that_do_not_print_are_quoted(wanted: Wanted) -> None:
    assert "'a\\x1b[2J\\n'" in refused(wanted, {"a\x1b[2J\n": np.ones(2, np.float32)})


def test_a_broken_rule_is_an_error_of_the_rule(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    with pytest.raises(RuleError) as caught:
        loaded(wanted, renamed(arrays), family("theirs", [("linear", "fc"), ("conv", "conv{k}")]))
    assert caught.value.index == 1
    with pytest.raises(RuleError, match=r"rule `a\.\*: `"):
        family("theirs", [], ignore=["a.*"])


def test_a_hostile_list_of_names_is_answered_in_time() -> None:
    wanted = {f"stage.{i}.conv.weight": ParamType((i % 7 + 1,), Init()) for i in range(3000)}

    def refused(count: int) -> None:
        stored = {f"layer.{i}.convolution.kernel": SimpleNamespace(i=i) for i in range(count)}
        tensors = {name: Tensor((entry.i % 7 + 1,), "float32", lambda: np.zeros(1)) for name, entry in stored.items()}
        with pytest.raises(ConvcError, match="0 of its 3000"):
            load_parameters(wanted, Checkpoint(Path("w.pth"), tensors), {})

    few, many = (calls(refused, count) for count in (10_000, 100_000))
    assert many < 11 * few


# -- a published layout

RESNET = [
    ("stem.conv", "conv1"),
    ("stem.bn", "bn1"),
    ("stage.{s}.{i}", "layer{s + 1}.{i}"),
    ("conv{k}.conv", "conv{k}"),
    ("conv{k}.bn", "bn{k}"),
    ("shortcut.conv", "downsample.0"),
    ("shortcut.bn", "downsample.1"),
    ("linear", "fc"),
]


def _ours(theirs: str) -> str:
    """The inverse of RESNET, written without the key-map language."""
    parts = theirs.split(".")
    if parts[0].startswith("layer"):
        inner, rest = parts[2], parts[3:]
        if inner == "downsample":
            inner, rest = f"shortcut.{('conv', 'bn')[int(rest[0])]}", rest[1:]
        elif inner.startswith("conv"):
            inner += ".conv"
        else:
            inner = f"conv{inner[2:]}.bn"
        return ".".join([f"stage.{int(parts[0][5:]) - 1}.{parts[1]}.{inner}", *rest])
    return theirs.replace("conv1.", "stem.conv.").replace("bn1.", "stem.bn.").replace("fc.", "linear.")


@pytest.fixture(scope="module")
def resnet18() -> list[tuple[str, list[int], str]]:
    golden = json.loads((Path(__file__).parents[2] / "golden" / "torchvision_resnet18.json").read_text())
    return [(key, shape, dtype) for key, shape, dtype, _ in golden["keys"]]


def _filled(key: str, shape: list[int], dtype: str) -> Any:
    values = np.random.default_rng(zlib.crc32(key.encode())).random(shape, np.float32)
    return np.asarray(values, dtype) if dtype == "float32" else np.zeros(shape, dtype)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_torchvisions_resnet18_loads_with_every_key_used(
    save: Save, resnet18: list[tuple[str, list[int], str]], evaluate: Evaluate, name: str
) -> None:
    stored = {key: _filled(key, shape, dtype) for key, shape, dtype in resnet18}
    ours = {_ours(key): key for key in stored if not key.endswith("num_batches_tracked")}
    wanted = {mine: ParamType(stored[key].shape, Init()) for mine, key in ours.items()}
    torchvision = Family.compile("torchvision", RESNET, evaluate)
    assert dict(names_table(wanted, torchvision)) == ours
    result = load_parameters(wanted, read_checkpoint(save(name, stored)), {"torchvision": torchvision})
    assert (result.family, result.unused, result.absent, result.notes) == ("torchvision", (), (), ())
    assert result.params.keys() == wanted.keys()
    for mine, key in ours.items():
        values = result.params[mine].evaluate()
        np.testing.assert_array_equal(values, stored[key], strict=True)
        assert not values.flags.owndata, "a float32 tensor is a view of the file"


def test_a_family_of_exact_names_loads_like_one_of_rules(wanted: Wanted, arrays: Arrays, family: Make) -> None:
    pairs = dict(zip(arrays, renamed(arrays), strict=True))
    exact = replace(family("theirs", []), names=Exact(pairs))
    assert names_table(wanted, exact) == tuple(pairs.items())
    assert loaded(wanted, renamed(arrays), exact).family == "theirs"
