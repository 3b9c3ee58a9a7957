"""What stands in a slot: expressions where numbers are expected, text where text is, words first where both are."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compiler.frontend.nets import Nets, args, node, params, shape

HEAD = "params: {k: 5, widths: [8, 16], mode: same_upper, act: tanh, flag: true, none: null}\n"


def argument(nets: Nets, step: str, name: str) -> Any:
    net = nets.steps(f"- {step}\n  id: s", HEAD)
    return getattr(node(net, "s").op, name)


@pytest.mark.parametrize(
    ("step", "name", "wanted"),
    [
        ("conv: {out: 2 * k}", "out", 10),
        ("conv: {out: 8 / 2}", "out", 4),
        ("conv: {out: 1e1}", "out", 10),
        ("conv: {out: widths.1}", "out", 16),
        ("conv: {out: 'widths[0]'}", "out", 8),
        ("conv: {out: 'max(k, 7)'}", "out", 7),
        ("conv: {out: 3 if flag else 4}", "out", 3),
        ("conv: {kernel: k}", "kernel", (5, 5)),
        ("conv: {kernel: [k, 1]}", "kernel", (5, 1)),
        ("conv: {kernel: ['max(1, 3)', k]}", "kernel", (3, 5)),
        ("conv: {bias: not flag}", "bias", False),
        ("conv: {bias: false}", "bias", False),
        ("conv: {out: none}", "out", 4),
        ("conv: {out: null, kernel: 1}", "out", 4),
        ("conv: {padding: half}", "padding", (1, 1, 1, 1)),
        ("conv: {padding: valid}", "padding", (0, 0, 0, 0)),
        ("conv: {padding: $mode, stride: 2}", "padding", (0, 0, 1, 1)),
        ("conv: {padding: mode, stride: 2}", "padding", (0, 0, 1, 1)),
        ("conv: {padding: k // 2}", "padding", (2, 2, 2, 2)),
        ("conv: {padding: [1, 0]}", "padding", (1, 0, 1, 0)),
        ("conv: {padding: [0, 1, 2, k]}", "padding", (0, 1, 2, 5)),
        ("conv: {padding: none}", "padding", (1, 1, 1, 1)),
        ("batch_norm: {eps: 1 / 4}", "eps", 0.25),
        ("reduce_mean: {axes: [2, 1 + 2]}", "axes", (2, 3)),
        ("pad: {padding: 1, mode: reflect}", "mode", "reflect"),
        ("gelu: {approximate: tanh}", "approximate", "tanh"),
        ("gelu: {approximate: $act}", "approximate", "tanh"),
    ],
)
def test_a_slot_takes_what_its_kind_says(nets: Nets, step: str, name: str, wanted: object) -> None:
    assert argument(nets, step, name) == wanted


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        ("conv: {out: wide}", "unknown name 'wide'", ""),
        ("conv: {out: kk}", "in the expression `kk`: unknown name 'kk'", ""),
        ("conv: {out: flag}", "`out` is the truth value true, expected a whole number", ""),
        ("conv: {out: 2.5}", "`out` is 2.5, expected a whole number", ""),
        ("conv: {out: 0}", "`out` is 0, expected at least 1", ""),
        ("conv: {out: -8}", "`out` is -8, expected at least 1", ""),
        ("conv: {out: 99999999999}", "expected at most 2,147,483,647", ""),
        ("conv: {out: widths}", "`out` is the list [8, 16], expected a whole number", ""),
        ("conv: {out: [8]}", "`out` is the list [8], expected a whole number", ""),
        ("conv: {out: {a: 1}}", "`out` is a mapping, expected a whole number", ""),
        ("conv: {out: act}", "`out` is the text 'tanh', expected a whole number", ""),
        ("conv: {kernel: [1, 2, 3, 4, 5, 6, 7]}", "`kernel` lists 7 numbers", ""),
        ("conv: {kernel: []}", "`kernel` lists 0 numbers", ""),
        ("conv: {bias: 1}", "`bias` is 1, expected true or false", ""),
        ("conv: {padding: hlf}", "`padding` is 'hlf', which is no padding", "did you mean 'half'?"),
        ("conv: {padding: -1}", "`padding` is -1, expected at least 0", ""),
        ("conv: {padding: $act}", "`padding` is 'tanh'", "words: half, valid"),
        ("conv: {padding_mode: zeroes}", "`padding_mode` is 'zeroes'", "did you mean 'zeros'?"),
        ("conv: {padding_mode: $actt}", "unknown name 'actt'", "did you mean 'act'?"),
        ("batch_norm: {eps: act}", "`eps` is the text 'tanh', expected a number", ""),
        ("batch_norm: {eps: flag}", "`eps` is the truth value true", ""),
        ("reduce_mean: {axes: [1.5]}", "`axes` is 1.5, expected a whole number", ""),
        ("constant: {value: [1, flag, act]}", "`value` is the text 'tanh', expected a number", ""),
        ("conv: {init: blub}", "no filling is called 'blub'", ""),
        ("act: blub", "there is no activation 'blub'", "one of: "),
        ("act: rleu", "there is no activation 'rleu'", "did you mean 'relu'?"),
        ("act: [relu]", "`act` is a list, expected text", ""),
        ("act: {relu: , tanh: }", "`act` names one activation", "leaky_relu: 0.1"),
        ("act: null", "`act` names no activation", ""),
        ("act: true", "`act` is the truth value true, expected text", ""),
    ],
)
def test_what_does_not_fit_a_slot_is_refused(nets: Nets, step: str, message: str, hint: str) -> None:
    found = nets.fault(f"- {step}", HEAD)
    assert message in found.message
    assert hint in found.hint


def test_an_expression_is_underlined_where_it_is_wrong(nets: Nets) -> None:
    for step in ("conv: {out: 2 * kk}", "conv: {out: '2 * kk'}", "conv: 2 * kk"):
        found = nets.fault(f"- {step}", HEAD)
        assert found.mark is not None
        line = found.mark.source.line(found.mark.line)
        assert line[found.mark.column - 1 :].startswith("kk")


@pytest.mark.parametrize("word", ["same_upper", "$mode"])
def test_text_is_text_and_only_a_dollar_reads_a_parameter(nets: Nets, word: str) -> None:
    net = nets.steps(f"- act: $act\n- act: relu\n- conv: {{padding: {word}}}", HEAD)
    assert [node(net, name).op.name for name in ("act", "act_2")] == ["tanh", "relu"]


def test_activations_by_name_with_and_without_their_parameter(nets: Nets) -> None:
    net = nets.steps(
        "- act: {leaky_relu: 0.2}\n- act: {kind: $act}\n- act: {clip: {min: 0, max: k}}\n- act: none\n- abs", HEAD
    )
    assert [node(net, f"act{n}").op.name for n in ("", "_2", "_3")] == ["leaky_relu", "tanh", "clip"]
    assert args(net, "act")["slope"] == 0.2
    assert node(net, "abs").inputs == ("act_3",)


def test_any_weight_takes_an_init(nets: Nets) -> None:
    net = nets.steps(
        "- conv: {init: zeros}\n- linear: {out: 3, init: {normal: 1 / k}}\n- batch_norm: {init: 0.5}\n- prelu: {init: k}",
        HEAD,
    )
    kinds = {name: net.param_types[f"{name}.weight"].init for name in ("conv", "linear", "batch_norm", "prelu")}
    assert [(init.kind, init.value) for init in kinds.values()] == [
        ("constant", 0.0),
        ("normal", 0.2),
        ("constant", 0.5),
        ("constant", 5.0),
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("no", "no"), ("'012'", "012"), ("'a b'", "a b"), ("on", "on"), ("1:30", "1:30"), ("$act", "tanh"),
        ("pre_$act", "pre_tanh"), ("$$", "$"), ("012", "012"), ("1e-5", "1e-5"),
    ],
)  # fmt: skip
def test_yaml_words_are_text_where_text_is_expected(nets: Nets, text: str, wanted: str) -> None:
    head = HEAD + "blocks:\n  b:\n    params: {t: text}\n    body:\n      - relu:\n        when: t == wanted\n".replace(
        "wanted", f"'{wanted}'"
    )
    assert list(nets.steps(f"- b: {text}\n  id: b\n- abs", head).graph.nodes) == ["b", "abs"]


def test_012_is_twelve_and_1e_minus_5_a_number(nets: Nets) -> None:
    net = nets.steps("- conv: 012\n- batch_norm: {eps: 1e-5}", HEAD)
    assert args(net, "conv")["out"] == 12
    assert "unknown name 'no'" in nets.fault("- conv: {bias: no}").message


# -- sizes that are known only when the network runs

DYNAMIC = "input: {image: [N, 4, H, W]}\n"


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ("reshape: [0, 0, x.height * x.width]", "[N, 4, H * W]"),
        ("reshape: [x.shape[0], 2, 2, H, W]", "[N, 2, 2, H, W]"),
        ("resize: {size: [2 * x.height, W // 2]}", "[N, 4, 2 * H, W // 2]"),
        ("slice: {axis: 2, end: x.height // 2}", "[N, 4, H // 2, W]"),
        ("crop: {size: [H - 1, W - 1]}", "[N, 4, H - 1, W - 1]"),
        ("pad: {padding: [0, 0, x.height, W]}", "[N, 4, 2 * H, 2 * W]"),
    ],
)
def test_symbolic_sizes_may_be_computed_in_the_graph(nets: Nets, step: str, wanted: str) -> None:
    quoted = step.replace("x.shape[0]", "'x.shape[0]'")
    assert shape(nets.steps(f"- {quoted}", DYNAMIC)) == wanted


@pytest.mark.parametrize(
    ("step", "what"),
    [
        ("{relu: , when: x.height > 4}", "H"),
        ("{relu: , repeat: x.width}", "`repeat` depends on the dynamic size W"),
        ("{conv: x.height}", "`out` depends on the dynamic size H"),
        ("{conv: {kernel: H}}", "`kernel` depends on the dynamic size H"),
        ("{conv: {kernel: [3, W]}}", "`kernel` depends on the dynamic size W"),
        ("{conv: {padding: W // 2}}", "`padding` depends on the dynamic size W // 2"),
        ("{split: H}", "`split` depends on the dynamic size H"),
        ("{batch_norm: {eps: H}}", "`eps` depends on the dynamic size H"),
        ("{for: k, in: range(H), do: [relu]}", "the dynamic size H"),
        ("{sized: H}", "`n` depends on the dynamic size H"),
        ("{branches: {a: {when: W == 3, do: []}}}", "the dynamic size W"),
    ],
)  # fmt: skip
def test_what_must_not_depend_on_a_dynamic_size_names_it(nets: Nets, step: str, what: str) -> None:
    found = nets.fault(f"- {step}", DYNAMIC + "blocks:\n  sized: {params: {n: int}, body: [relu]}\n")
    assert what in found.message
    assert "dynamic size" in found.message
    assert "--size 224" in found.hint


def test_a_dynamic_size_passes_through_a_parameter_of_any_type(nets: Nets) -> None:
    head = DYNAMIC + "blocks:\n  b: {params: {h: any, w: any}, body: [{resize: {size: [h, w]}}]}\n"
    assert shape(nets.steps("- b: {h: 2 * H, w: x.width}", head)) == "[N, 4, 2 * H, W]"


def test_lists_and_text_reach_a_block(nets: Nets) -> None:
    head = HEAD + (
        "blocks:\n  b:\n    params: {outs: list, kinds: list, kernel: any}\n    body:\n      - for: [c, t]\n"
        "        in: zip(outs, kinds)\n        do: [{conv: {out: c, kernel: kernel}}, {act: $t}]\n"
    )
    net = nets.steps(
        (
            "- b: {outs: [k, 'max(1, 2)'], kinds: ['relu', 'tanh'], kernel: [1, 3]}\n"
            "- b: {outs: widths, kinds: ['elu', 'silu'], kernel: 1}"
        ),
        head,
    )
    assert [args(net, f"b.{i}.conv")["out"] for i in (0, 1)] == [5, 2]
    assert [node(net, f"b_2.{i}.act").op.name for i in (0, 1)] == ["elu", "silu"]
    assert args(net, "b.0.conv")["kernel"] == (1, 3)
    assert len(params(net)) == 8
