"""A whole file: top-level keys, outputs, several mistakes in one run, the way to an error, and what travels with the model."""

from __future__ import annotations

import os

import numpy as np
import pytest

import convc
from convc.api.weights import read_families
from tests.compiler.frontend.nets import Nets, names, output, reads


@pytest.mark.parametrize(
    ("top", "message", "hint"),
    [
        ("netwrk: [relu]", "a spec has no key 'netwrk'", "did you mean 'network'?"),
        ("convc: 2", "`convc` is the number 2, expected the language version", "`convc: 1`"),
        ("convc: true", "expected the language version", ""),
        ("name: a/b", "a network cannot be called 'a/b'", "folder's name"),
        ("name: [a]", "a network cannot be called 'a list'", ""),
        ("doc: [a]", "`doc` is a list, expected text", ""),
        ("params: [a]", "`params` is a list, expected a mapping", ""),
        ("variants: 3", "`variants` is the number 3, expected a mapping", ""),
        ("variants: {a/b: {}}", "a variant cannot be called 'a/b'", ""),
        ("import: [{a: 1}]", "an import is a mapping", "" ),
        ("blocks: [a]", "`blocks` is a list, expected a mapping", ""),
        ("blocks: {b: [relu]}", "block 'b' is a list, expected a mapping", "`params:` and a `body:`"),
        ("blocks: {b: {bdy: [relu], body: []}}", "block 'b' has no key 'bdy'", "did you mean 'body'?"),
        ("blocks: {b: {params: {}}}", "block 'b' has no `body:`", ""),
        ("blocks: {a-b: {body: []}}", "a block cannot be called 'a-b'", ""),
        ("blocks: {b: {inputs: [a, a], body: []}}", "`inputs` is no list of different names", ""),
        ("blocks: {b: {inputs: [x], body: []}}", "an input cannot be called 'x'", ""),
        ("blocks: {b: {inputs: [u], params: {u: 1}, body: []}}", "are both called 'u'", ""),
        ("blocks: {b: {body: relu}}", "the body of 'b' is the text 'relu', expected a list of steps", "each behind `- `"),
        ("defaults: [a]", "`defaults` is a list, expected a mapping", ""),
        ("outputs: [a]", "`outputs` is a list, expected a mapping", ""),
        ("outputs: {}", "`outputs` names nothing", "leave it out"),
        ("outputs: {a b: x}", "an output cannot be called 'a b'", ""),
        ("outputs: {a: nowhere}", "no value is called 'nowhere'", ""),
        ("outputs: {a: [x]}", "output 'a' is a list, expected the name of a value", ""),
        ("outputs: {a: 3}", "output 'a' is the number 3", ""),
        ("preprocess: 3", "`preprocess` is the number 3, expected a mapping", ""),
        ("checkpoints: [a]", "`checkpoints` is a list, expected a mapping", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_key_is_said(nets: Nets, top: str, message: str, hint: str) -> None:
    found = nets.problem(f"{'' if top.startswith('convc') else 'convc: 1'}\n{top}\nnetwork: [relu]")
    assert message in found.message
    assert hint in found.hint
    assert found.mark is not None


def test_a_file_of_blocks_is_no_network(nets: Nets) -> None:
    found = nets.problem("blocks:\n  b: {body: [relu]}")
    assert "the spec has no network" in found.message
    assert "blocks alone are imported" in found.hint


def test_outputs_name_values_and_the_default_is_the_last_step(nets: Nets) -> None:
    text = "network:\n  - branches: {a: [relu], b: [tanh]}\n    id: m\n  - sub: [m.a, m.b]\n"
    net = nets.net(text + "outputs: {low: m.a, high: 'm[1]', d.e: x, last: m.a if false else x}")
    assert dict(net.graph.outputs) == {"low": "m.a", "high": "m.b", "d.e": "sub", "last": "sub"}
    assert dict(nets.net(text).graph.outputs) == {"output": "sub"}


def test_an_output_is_one_value(nets: Nets) -> None:
    text = "network:\n  - split: 2\n    id: p\n"
    found = nets.problem(text)
    assert found.message == "the network ends in a list of 2 values"
    assert "`outputs: {p3: head.0, p4: head.1}`" in found.hint
    assert "output 'a' is a list of 2 values" in nets.problem(text + "outputs: {a: p}").message
    assert dict(nets.net(text + "outputs: {a: p.1}").graph.outputs) == {"a": "p.1"}


def test_an_input_may_be_an_output(nets: Nets) -> None:
    assert output(nets.net("network: [relu]\noutputs: {same: image, y: x}"), "same") == "image"


# -- several mistakes in one run


def test_independent_mistakes_are_reported_in_one_run(nets: Nets) -> None:
    found = nets.problems(
        """\
        blocks:
          b: {params: {out: int}, body: [conv: {out: out, groups: 3}]}
        network:
          - b: 8
            id: a
          - conv: 0
            from: image
            id: k
          - relu:
            from: nowhere
          - residual: [{conv: {out: 8, stride: 2}}]
            from: image
          - add: [a, k]
          - linear: unknown
            from: a
        """
    )
    wanted = ["groups", "`out` is 0", "no value is called 'nowhere'", "cannot add 'main'", "unknown name 'unknown'"]
    assert [w in p.message for w, p in zip(wanted, found, strict=True)] == [True] * 5


def test_one_mistake_in_sixteen_rounds_is_one_problem(nets: Nets) -> None:
    for loop in (
        "- conv: {out: 4, groups: 3}\n  from: image\n  repeat: 16\n  id: s",
        "- for: k\n  in: range(16)\n  id: s\n  do: [{conv: {groups: 3}, from: image}]",
    ):
        assert "groups" in nets.fault(f"{loop}\n- add: [x, s, s.3]").message


def test_two_calls_of_one_bad_block_are_two_problems(nets: Nets) -> None:
    found = nets.problems("network:\n  - conv_bn: {groups: 3}\n  - conv_bn: {groups: 3}\n    from: image")
    assert [p.mark.line for p in found if p.mark] == [4, 5]
    assert found[0].frames[-1].text == "a step of the library"


def test_no_more_than_twenty_are_listed(nets: Nets) -> None:
    assert len(nets.problems("network:\n" + "  - relu:\n    from: nowhere\n" * 40)) == 20
    assert len(nets.problems("network:\n" + "  - convv\n" * 40)) == 40


def test_names_inside_a_step_that_failed_are_no_second_mistake(nets: Nets) -> None:
    found = nets.fault(
        """\
        - seq:
            - conv: {groups: 3}
              id: inner
            - relu
          id: s
        - for: c
          in: range(2)
          do: [{relu: , id: row_name}]
        - branches: {a: [{relu: , id: deep}]}
          merge: add
        - add: [s.inner, s, row_name, deep]
        """
    )
    assert "groups" in found.message
    broken = nets.fault("- for: c\n  in: nowhere\n  do: [{relu: , id: r}]\n- add: [r, image]\n- abs:\n  from: image")
    assert "unknown name 'nowhere'" in broken.message


# -- the way to an error


def test_the_way_to_an_error_is_shown_outermost_first(nets: Nets) -> None:
    text = """\
        blocks:
          bottleneck:
            params: {out: int, stride: 1}
            body:
              - residual:
                  - conv_bn_act: {out: out, kernel: 1}
                  - conv_bn: {stride: stride}
        network:
          - conv_bn_act: 32
          - for: [c, n, s]
            id: stage
            in:
              - [32, 1, 1]
              - [32, 2, 1]
              - [64, 2, 1]
            do:
              - bottleneck: {out: c, stride: s}
                repeat: n
        """
    found = nets.problem(text)
    shown = str(found).replace(str(nets.folder) + os.sep, "")
    assert shown.splitlines() == [
        "net.yaml:7:9: error: cannot add 'main' [N, 64, 16, 16] and 'shortcut' [N, 32, 16, 16]: channels differ (64 and 32)",
        "    7 |       - residual:",
        "      |         ^^^^^^^^",
        "  in loop row 2 (c=64, n=2, s=1)              net.yaml:17:9",
        "  in round 0 of `repeat`                      net.yaml:19:9",
        "  in block 'bottleneck' (out=64, stride=1)    net.yaml:19:9",
        "  hint: give the residual a `shortcut: [{conv_bn: {out: 64, kernel: 1}}]`, or let `shortcut_when:` drop it",
    ]


def test_a_mistake_inside_the_library_points_at_the_call(nets: Nets) -> None:
    found = nets.fault("- conv: 6\n- conv_bn_act: {out: 6, groups: 4}")
    assert found.mark is not None
    assert (found.mark.line, found.mark.source.label) == (5, "net.yaml")
    assert [frame.mark.source.label for frame in found.frames] == ["net.yaml", "convc:blocks/conv.yaml"]
    assert "block 'conv_bn_act' (out=6" in found.frames[0].text


def test_a_sum_names_its_values(nets: Nets) -> None:
    found = nets.fault("- conv: 8\n  id: a\n- relu:\n  id: b\n- relu:\n  from: image\n  id: c\n- add: [a, b, c]")
    assert found.message.startswith("cannot add 'a' [N, 8, 16, 16] and 'c' [N, 4, 16, 16]")


# -- checkpoints


def test_the_checkpoints_of_the_design_are_read(nets: Nets) -> None:
    text = """\
        params: {classes: 3}
        network:
          - conv_bn_act: 4
            id: stem
          - for: [n]
            id: stage
            in: [1, 2]
            do: [{conv_bn: , repeat: n}]
          - linear: classes
        checkpoints:
          torchvision:
            stem.conv: conv1
            stage.{s}.{i}: layer{s + 1}.{i}
            conv{k}.conv: conv{k}
            inception{s}.{i}: "inception{s}{'abcde'[i]}"
          lab:
            names: {linear: head}
            old: {norm.1: norm1}
            ignore: [extra]
            preprocess: {mean: [0.5]}
        """
    assert list(read_families(nets.net(text))) == ["torchvision", "lab"]


# -- preprocessing that is part of the network


@pytest.mark.parametrize(
    ("mean", "std"), [("[0.5, 0.4, 0.3]", "[0.2, 0.3, 0.4]"), ("0.5", "[0.25]"), ("[0.1]", "[1, 2, 4]")]
)
def test_embedded_preprocessing_is_the_formula(nets: Nets, mean: str, std: str) -> None:
    import torch

    path = nets.write(
        f"input: {{image: [N, 3, H, W]}}\npreprocess: {{scale: 1/255, mean: {mean}, std: {std}, embed: true}}\n"
        f"network:\n  - identity:\n    from: image"
    )
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4)).astype(np.float32)
    with torch.no_grad():
        found = convc.load(path).to_torch()(torch.from_numpy(pixels)).numpy()
    m, s = (np.array(numbers(v)).reshape(1, -1, 1, 1) for v in (mean, std))
    assert np.abs(found - (pixels / 255 - m) / s).max() < 1e-5


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.strip("[]").split(",")]


def test_every_image_input_is_normalised_and_others_are_not(nets: Nets) -> None:
    net = nets.net(
        "input: {a: [N, 3, 8, 8], t: [N, 5], b: [N, 3, 8, 8]}\n"
        "preprocess: {mean: 0.5, embed: true}\nnetwork:\n  - sub: [a, b]\n  - abs:\n    from: t"
    )
    assert reads(net)["sub"] == ("preprocess.a.add", "preprocess.b.add")
    assert reads(net)["abs"] == ("t",)
    assert len([name for name in names(net) if name.startswith("preprocess.")]) == 8
