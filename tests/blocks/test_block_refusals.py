"""What a block of the library refuses: at the line of the call, with the reason in the field's words. Every block is here."""

from __future__ import annotations

from pathlib import Path

import pytest

import convc
from convc import zoo

EVEN = "an even kernel has no centre"
AT_LEAST = "at least 1"
# block -> (arguments, what is said)
REFUSED: dict[str, list[tuple[str, str]]] = {
    "cbam": [("{reduction: 99}", "channels / reduction"), ("{reduction: 2, kernel: 4}", EVEN)],
    "cbam_channel": [("{reduction: 0}", "channels / reduction"), ("{reduction: -1}", "channels / reduction")],
    "cbam_spatial": [("{kernel: 2}", EVEN), ("{kernel: seven}", "seven")],
    "eca": [("{kernel: 4}", "as many neighbours on either side"), ("{gamma: 0}", "division by zero")],
    "coord_att": [("{reduction: 0}", "divided"), ("{least: 0}", "between the two transforms"), ("{act: rely}", "relu")],
    "conv_bn": [("{groups: 3}", "groups 3 do not divide 8 input channels"), ("{padding: -1}", "padding")],
    "conv_bn_act": [("{act: rely}", "there is no activation 'rely'"), ("{eps: -1}", "eps")],
    "conv_act": [("{out: 9, groups: 2}", "groups 2 do not divide 9 output channels"), ("{stride: 0}", "stride")],
    "convnext_block": [("{kernel: 6}", EVEN), ("{expand: 0}", "hidden layer"), ("{drop: 1.5}", "1.5")],
    "convnext_down": [("{out: 0}", AT_LEAST)],
    "deform_conv_bn_act": [("{offset_groups: 3}", "offset_groups 3 do not divide 8 input channels")],
    "warped_conv": [("{groups: 3}", "equal parts of the channels"), ("{kernel: 2}", EVEN)],
    "dense_block": [("{layers: 0}", "a dense block has layers"), ("{layers: 2, growth: 0}", AT_LEAST)],
    "dense_layer": [("{bottleneck: -1}", "bottleneck * growth"), ("{drop: 2}", "2")],
    "transition": [("{theta: 0}", "kept"), ("{theta: 2}", "kept"), ("{theta: 0.1}", "no map is left")],
    "flattened_conv": [("{sets: 0}", "follow each other"), ("{kernel: 4}", EVEN)],
    "ghost_module": [("{out: 8, ratio: 1}", "ghosts"), ("{out: 8, cheap_kernel: 2}", EVEN), ("{out: 0}", AT_LEAST)],
    "ghost_bottleneck": [
        ("{mid: 8, out: 8, kernel: 4}", EVEN),
        ("{mid: 8, out: 8, squeeze: -1}", "number of channels"),
    ],
    "aspp": [("{rates: []}", "there is no pyramid"), ("{rates: [0]}", "dilation"), ("{out: 0}", AT_LEAST)],
    "fcn_head": [("{classes: 0}", AT_LEAST), ("{classes: 3, width: 0}", "leaves none")],
    "double_conv": [("{out: 0}", AT_LEAST), ("{out: 4, padding: halve}", "half"), ("{out: 4, unit: conv_b}", "conv_b")],
    "classifier_head": [("{classes: 3, form: fcc}", "these are the forms there are"), ("{classes: 0}", AT_LEAST)],
    "conv_stack": [("{out: 8, layers: 0}", "a stage has convolutions"), ("{out: 8, pool: -1}", "it is a size")],
    "inception_v1": [("{c1: 4, c3: 4, c5: 4, kernel5: 4}", EVEN), ("{c1: 0, c3: 4, c5: 4}", AT_LEAST)],
    "inception_v1_aux": [("{classes: 3, pool: gap}", "4x4"), ("{classes: 0}", AT_LEAST)],
    "inception_bn": [
        ("{r3: 4, c3: 4, rd: 4, cd: 4, pool: mean}", "the paper's table"),
        ("{c1: 4, r3: 4, c3: 4, rd: 4, cd: 4, stride: 2}", "one place in four"),
    ],
    "inception_a": [("{proj: 0}", AT_LEAST), ("", "needs `proj`")],
    "inception_b": [("3", "takes no argument")],
    "inception_c": [("{c7: 0}", AT_LEAST)],
    "inception_d": [("{out: 3}", "has no field 'out'")],
    "inception_e": [("{out: 3}", "has no field 'out'")],
    "inception_aux": [("{classes: 0}", AT_LEAST)],
    "mlpconv": [("{kernel: 3, c1: 8, c2: 0, c3: 8}", AT_LEAST), ("{kernel: 0, c1: 8, c2: 8, c3: 8}", "kernel")],
    "inverted_residual": [("{out: 8, kernel: 4}", EVEN), ("{out: 8, expand: 0}", "the hidden width has channels")],
    "mbconv": [("{out: 8, kernel: 2}", EVEN), ("{out: 8, se: -1}", "a part of the channels")],
    "fused_mbconv": [("{out: 8, kernel: 2}", EVEN), ("{out: 8, expand: 0}", "expand * channels")],
    "uib": [
        ("{start_kernel: 2, mid_kernel: 3, out: 8}", EVEN),
        ("{start_kernel: 0, mid_kernel: 4, out: 8}", EVEN),
        ("{start_kernel: 3, mid_kernel: 3, out: 8, start_act: rely}", "there is no activation 'rely'"),
    ],
    "mobile_mqa": [("{heads: 0}", "every head"), ("{heads: 2, q_stride: 0}", "a step between places")],
    "shared_mqa": [("{heads: 0}", "every head"), ("{heads: 2, kernel: 2}", EVEN)],
    "mqa_projection": [("{out: 8, kernel: 2}", EVEN)],
    "multi_query": [("{heads: 3}", "takes 3 values")],
    "mobileone_block": [("{branches: 0}", "so many convolutions"), ("{groups: 3}", "groups 3 do not divide")],
    "repvgg_block": [("{deploy: true, project: true}", "one 3x3"), ("{groups: 3}", "groups 3 do not divide")],
    "basic_block": [("{width: 0}", AT_LEAST), ("{width: 8, att: sse}", "called 'sse'")],
    "bottleneck": [
        ("{width: 8, groups: 4, group_width: 4}", "no channel in a group"),
        ("{width: 8, groups: 0}", "no channel in a group"),
    ],
    "split_bottleneck": [
        ("{width: 8, group_width: 4}", "no channel in a path"),
        ("{width: 64, merge: mul}", "figure 3 (a) and (b)"),
    ],
    "projection": [("{out: 0}", AT_LEAST), ("{out: 8, stride: 0}", "stride")],
    "se": [
        ("{squeeze: 0}", "no channel is left"),
        ("{reduction: 0}", "division by zero"),
        ("{gate: sigmod}", "sigmoid"),
    ],
    "separable_conv": [("{multiplier: 0}", "depthwise filters"), ("{mid_act: rely}", "there is no activation 'rely'")],
    "spatially_separable_conv": [("{kernel: 4}", EVEN), ("{mid: 0}", AT_LEAST)],
    "cross_channel_conv": [("{segments: 3}", "equal parts"), ("{segments: 2, kernel: 2}", EVEN)],
    "shuffled_conv": [("{groups: 3}", "groups 3 do not divide 8 input channels")],
    "shuffle_unit": [
        ("{out: 10, groups: 1}", "out / 4"),
        ("{out: 8, groups: 4}", "to the groups"),
        ("{out: 16, groups: 2}", "the input is added"),
        ("{out: 8, groups: 2, stride: 2}", "concatenated"),
    ],
    "shuffle_unit_v2": [("{out: 7, stride: 2}", "equal width"), ("{out: 16}", "passes as it is")],
    "shuffle_branch": [("{out: 0}", AT_LEAST)],
    "wavenet_stack": [("{dilations: [], skip: 4}", "at least one block"), ("{dilations: [0], skip: 4}", "dilation")],
    "wavenet_block": [("{skip: 4, condition: true}", "come as one list"), ("{skip: 0}", AT_LEAST)],
    "wavenet_gate": [("{out: 0, act: tanh}", AT_LEAST), ("{out: 4, act: tanhh}", "there is no activation 'tanhh'")],
    "xception_block": [("{widths: []}", "at least one separable")],
    "aligned_xception_block": [
        ("{widths: []}", "at least one separable"),
        ("{widths: [8], act: rely}", "there is no activation 'rely'"),
    ],
    "c4_conv_bn_act": [
        ("{out: 0}", AT_LEAST),
        ("{out: 4, kernel: 2, padding: -1}", "padding"),
        ("{out: 4, kind: lift}", "lifting"),
    ],
}
# Where the call names what it takes.
SOUND = ("wavenet_stack", "wavenet_block", "wavenet_gate")
CASES = [(name, arguments, said) for name, cases in REFUSED.items() for arguments, said in cases]


def test_every_block_of_the_library_refuses_something() -> None:
    assert set(REFUSED) >= zoo.blocks().keys() - ELSEWHERE


# Blocks whose own tests hold their refusals.
ELSEWHERE: set[str] = set()


@pytest.mark.parametrize(("name", "arguments", "said"), CASES, ids=[f"{name}-{given}" for name, given, _ in CASES])
def test_a_block_says_why_it_refuses(tmp_path: Path, name: str, arguments: str, said: str) -> None:
    spec = tmp_path / "net.yaml"
    shape = "[N, 8, L]" if name in SOUND else "[N, 8, 9, 9]"
    spec.write_text(f"convc: 1\ninput: {{image: {shape}}}\nnetwork:\n  - relu\n  - {name}: {arguments}\n")
    with pytest.raises(convc.SpecError) as caught:
        convc.load(spec)
    problem = caught.value.problems[0]
    assert said in f"{problem.message} {problem.hint}"
    # At the call in the user's file, not somewhere in the library.
    assert str(problem.mark).startswith(str(spec))
    assert problem.mark is not None
    assert problem.mark.line == 5


def test_a_requirement_of_ones_own_block(tmp_path: Path) -> None:
    spec = tmp_path / "net.yaml"
    text = (
        "convc: 1\ninput: {image: [N, 8, 9, 9]}\nblocks:\n  halves:\n    params: {out: int}\n    require:\n"
        "      out % 2 == 0: both halves are of equal width\n    body: [conv: out]\nnetwork: [halves: SIZE]\n"
    )
    spec.write_text(text.replace("SIZE", "6"))
    assert convc.load(spec).costs().params == 8 * 6 * 9 + 6
    spec.write_text(text.replace("SIZE", "7"))
    with pytest.raises(convc.SpecError, match="needs out % 2 == 0: both halves are of equal width"):
        convc.load(spec)
    spec.write_text(text.replace("both halves are of equal width", "[1]").replace("SIZE", "6"))
    with pytest.raises(convc.SpecError, match="a condition without a reason"):
        convc.load(spec)
    spec.write_text(text.replace("out % 2", "outt % 2").replace("SIZE", "6"))
    with pytest.raises(convc.SpecError, match="outt"):
        convc.load(spec)


NETWORK = (
    "convc: 1\nname: halved\nparams: {out: 6}\nrequire:\n  out % 2 == 0: both halves are of equal width\n"
    "input: {image: [N, 8, 9, 9]}\nnetwork: [conv: out]\n"
)


def test_a_requirement_of_a_network(tmp_path: Path) -> None:
    spec = tmp_path / "halved.yaml"
    spec.write_text(NETWORK)
    assert convc.load(spec).costs().params == 8 * 6 * 9 + 6
    with pytest.raises(
        convc.SpecError, match="network 'halved' needs out % 2 == 0: both halves are of equal"
    ) as caught:
        convc.load(spec, out=7)
    assert "halved.yaml:5:3" in str(caught.value)
    for wrong, said in (
        (("both halves are of equal width", "[1]"), "a condition without a reason"),
        (("out % 2", "outt % 2"), "outt"),
        (("out % 2 == 0", "out % == 0"), "halved.yaml:5:"),
        (("out % 2", "x.height % 2"), "unknown name 'x'"),
    ):
        spec.write_text(NETWORK.replace(*wrong))
        with pytest.raises(convc.SpecError, match=said):
            convc.load(spec)


def test_a_requirement_that_is_no_expression_is_told_with_the_rest(tmp_path: Path) -> None:
    spec = tmp_path / "halved.yaml"
    spec.write_text(NETWORK.replace("out % 2 == 0", "out % == 0").replace("conv: out", "convolution: out"))
    with pytest.raises(convc.SpecError) as caught:
        convc.load(spec)
    assert [problem.mark.line for problem in caught.value.problems if problem.mark] == [5, 7]


def test_a_requirement_of_an_imported_network(tmp_path: Path) -> None:
    (tmp_path / "halved.yaml").write_text(NETWORK)
    spec = tmp_path / "outer.yaml"
    text = (
        "convc: 1\nimport: [halved.yaml]\ninput: {image: [N, 8, 9, 9]}\nnetwork:\n  - relu\n  - halved: {out: SIZE}\n"
    )
    spec.write_text(text.replace("SIZE", "4"))
    assert convc.load(spec).costs().params == 8 * 4 * 9 + 4
    spec.write_text(text.replace("SIZE", "5"))
    with pytest.raises(convc.SpecError, match="needs out % 2 == 0") as caught:
        convc.load(spec)
    assert "in network 'halved' (out=5)" in str(caught.value)
    assert "outer.yaml:6:5" in str(caught.value)
