"""Blocks: inputs and outputs, parameters, recursion, `defaults`, and the network of an imported file."""

from __future__ import annotations

import pytest

from tests.compiler.frontend.nets import Nets, args, names, node, params, reads, shape

PAIR = """\
blocks:
  pair:
    inputs: [u, skip]
    outputs: [high, low]
    body:
      - add: [u, skip]
      - relu:
        id: high
      - tanh:
        from: skip
        id: low
"""


def test_a_block_names_what_it_takes_and_gives(nets: Nets) -> None:
    net = nets.steps("- neg:\n  id: a\n- pair:\n  from: [a, image]\n  id: p\n- concat: [p.low, p.high, p.*]", PAIR)
    assert reads(net)["p.add"] == ("a", "image")
    assert reads(net)["concat"] == ("p.low", "p.high", "p.high", "p.low")


def test_one_output_is_a_value_and_the_default_is_the_last_step(nets: Nets) -> None:
    head = (
        "blocks:\n  b: {outputs: [first], body: [{relu: , id: first}, {tanh: }]}\n"
        "  c: {body: [{relu: , id: first}, {tanh: }]}\n"
    )
    net = nets.steps("- b\n- abs\n- c\n- neg", head)
    assert reads(net)["abs"] == ("b.first",)
    assert reads(net)["neg"] == ("c.tanh",)


def test_a_block_takes_a_list_as_one_input(nets: Nets) -> None:
    head = "blocks:\n  many: {inputs: [maps, k], body: [{concat: [maps.*, k]}]}\n"
    net = nets.steps("- split: 2\n  id: s\n- neg:\n  from: image\n  id: n\n- many:\n  from: [[s.*, n], image]", head)
    assert reads(net)["many"] == ("s.0", "s.1", "n", "image")


def test_a_block_sees_its_own_names_and_nothing_else(nets: Nets) -> None:
    head = "params: {width: 4}\nblocks:\n  b: {body: [{conv: width}]}\n"
    assert "unknown name 'width'" in nets.problem(head + "network: [b]").message
    outer = "blocks:\n  b: {body: [{add: [x, outside]}]}\n"
    assert "no value is called 'outside'" in nets.fault("- relu:\n  id: outside\n- b", outer).message
    inner = "blocks:\n  b: {body: [{relu: , id: inside}]}\n"
    assert "no value is called 'inside'" in nets.fault("- b\n- add: [x, inside]", inner).message
    assert "has no part 'inside'" in nets.fault("- b:\n  id: k\n- add: [x, k.inside]", inner).message
    loop = "blocks:\n  b: {body: [{conv: i}]}\n"
    assert "unknown name 'i'" in nets.fault("- b:\n  repeat: 2", loop).message


@pytest.mark.parametrize(
    ("call", "message", "hint"),
    [
        ("pair", "block 'pair' takes 2 values (u, skip), 1 were given", "`from: [u, skip]`"),
        ("{pair: , from: [x, x, x]}", "takes 2 values (u, skip), 3 were given", ""),
        ("{pair: {out: 3}, from: [x, x]}", "'pair' has no field 'out'", "it has no fields"),
        ("{pair: 3, from: [x, x]}", "block 'pair' takes no argument without a name", ""),
        ("{need: }", "block 'need' needs `out` (int)", ""),
        ("{need: {out: null}}", "block 'need' needs `out` (int)", ""),
        ("{need: {otu: 3}}", "'need' has no field 'otu'", "did you mean 'out'?"),
        ("{need: [3]}", "`out` is a list, expected a whole number", "declare it `out: any"),
        ("{need: 1.5}", "`out` is 1.5, expected a whole number", "declare it `out: number = ...`"),
        ("{need: true}", "`out` is the truth value true", ""),
        ("{need: 4, from: [x, x]}", "block 'need' takes one value, 2 were given", ""),
    ],
)
def test_what_is_wrong_with_a_call_is_said(nets: Nets, call: str, message: str, hint: str) -> None:
    found = nets.fault(f"- {call}", PAIR + "  need: {params: {out: int}, body: [conv: out]}\n")
    assert message in found.message
    assert hint in found.hint


def test_parameters_are_set_in_order_and_see_those_before_and_x(nets: Nets) -> None:
    head = """\
        blocks:
          b:
            params: {out: int, mid: int = x.channels * out, last: "int = max(mid, u.width)", act: text = $name}
            inputs: [u]
            body: [conv: mid, conv: last]
        """
    found = nets.problem(f"{head}network: [b: 3]".replace("        ", ""))
    assert "name" in found.message
    net = nets.steps("- b: 3", head.replace(", act: text = $name", ""))
    assert [args(net, name)["out"] for name in ("b.conv", "b.conv_2")] == [12, 16]


def test_null_counts_as_not_given(nets: Nets) -> None:
    head = "blocks:\n  b: {params: {out: 6, eps: number = null}, body: [{conv: out}, {batch_norm: {eps: eps}}]}\n"
    net = nets.steps("- b: {out: null, eps: null}\n- b: {eps: 0.1, out: '7 if false else null'}", head)
    assert [args(net, f"{name}.conv")["out"] for name in ("b", "b_2")] == [6, 6]
    assert args(net, "b.batch_norm").get("eps", 1e-5) == 1e-5
    assert args(net, "b_2.batch_norm")["eps"] == 0.1


# -- recursion


def test_a_block_may_call_itself_under_a_when(nets: Nets) -> None:
    head = (
        "blocks:\n  tree:\n    params: {depth: int}\n    body:\n      - relu\n"
        "      - tree: depth - 1\n        when: depth > 0\n        id: sub\n"
    )
    assert names(nets.steps("- tree: 2", head)) == ["tree.relu", "tree.sub.relu", "tree.sub.sub.relu"]


@pytest.mark.parametrize(
    "wiring",
    ["- tree", "- seq: [tree]", "- branches: {a: [tree], b: [tree]}\n        merge: add", "- tree:\n        repeat: 3"],
)
def test_recursion_without_an_end_ends_in_a_message(nets: Nets, wiring: str) -> None:
    found = nets.fault("- tree", f"blocks:\n  tree:\n    body:\n      {wiring}\n")
    assert found.message == "blocks, loops and branches are nested deeper than 64 calls"
    assert "a `when:` that ends it" in found.hint


# -- defaults


def eps(nets: Nets, text: str, name: str) -> float:
    return float(args(nets.net(text), name).get("eps", 1e-5))


def test_the_call_comes_before_defaults_and_these_before_the_blocks_own(nets: Nets) -> None:
    text = (
        "defaults: {batch_norm: {eps: 0.2}, conv_bn: {kernel: 5}}\n"
        "network: [batch_norm, {batch_norm: {eps: 0.3}}, conv_bn, {conv_bn: {kernel: 1}}]"
    )
    net = nets.net(text)
    assert [args(net, name).get("eps") for name in ("batch_norm", "batch_norm_2", "conv_bn.bn")] == [0.2, 0.3, 0.2]
    assert [args(net, name).get("kernel") for name in ("conv_bn.conv", "conv_bn_2.conv")] == [(5, 5), (1, 1)]


def test_defaults_reach_blocks_that_are_called_and_their_own_come_first(nets: Nets) -> None:
    nets.write(
        (
            "blocks:\n  b: {body: [batch_norm]}\n"
            "  c: {body: [{batch_norm: , id: n}, {conv: 4, id: k}]}\ndefaults: {batch_norm: {eps: 0.4}}"
        ),
        "inner.yaml",
    )
    text = "import: [inner.yaml]\ndefaults: {batch_norm: {eps: 0.2}, conv: {kernel: 1}}\nnetwork: [b, c, batch_norm]"
    assert [eps(nets, text, name) for name in ("b", "c.n", "batch_norm")] == [0.4, 0.4, 0.2]
    assert args(nets.net(text), "c.k")["kernel"] == (1, 1)


def test_defaults_may_read_the_files_parameters_and_x(nets: Nets) -> None:
    text = "params: {e: 0.5}\ndefaults: {batch_norm: {eps: e / 2}, conv: {out: x.channels * 2}}\nnetwork: [batch_norm, conv]"
    assert eps(nets, text, "batch_norm") == 0.25
    assert args(nets.net(text), "conv")["out"] == 8
    nets.write("params: {e: 0.5}\ndefaults: {batch_norm: {eps: e}}\nblocks:\n  b: {body: [batch_norm]}\n", "inner.yaml")
    assert eps(nets, "import: [inner.yaml]\nnetwork: [b]", "b") == 0.5


def test_defaults_set_the_argument_of_an_activation(nets: Nets) -> None:
    net = nets.net("defaults: {leaky_relu: {slope: 0.1}}\nnetwork: [{conv_bn_act: {act: leaky_relu}}]")
    assert args(net, "conv_bn_act.act")["slope"] == 0.1


def test_defaults_of_a_stranger_or_an_unknown_field_are_refused(nets: Nets) -> None:
    found = nets.problems("defaults: {batchnorm: {eps: 1}, conv: {outt: 3}}\nnetwork: [relu]")
    assert [
        "'batchnorm', which is no operator or block" in found[0].message,
        "no field 'outt'" in found[1].message,
    ] == [True, True]
    assert found[0].hint == "did you mean 'batch_norm'?"


# -- a network as a block

BACKBONE = """\
name: backbone_net
params: {width: 4, double: int = 2 * width, classes: 10}
variants: {small: {}, large: {width: 8}}
input: {picture: [N, 3, 224, 224]}
network:
  - conv: width
    id: stem
  - for: k
    in: range(3)
    id: stage
    do:
      - conv: {out: double, kernel: 1}
        id: c
      - relu
  - seq: [{add: [x, stem.0 if false else x]}]
    from: stage
    id: tail
  - global_avg_pool
  - linear: classes
    id: fc
"""


@pytest.fixture
def backbone(nets: Nets) -> Nets:
    nets.write(BACKBONE, "backbone.yaml")
    return nets


def call(nets: Nets, steps: str) -> list[str]:
    return names(nets.net(f"import: [backbone.yaml]\nnetwork:\n{steps}"))


def test_the_network_of_an_imported_file_is_a_block(backbone: Nets) -> None:
    net = backbone.net(
        "import: [backbone.yaml]\nnetwork:\n  - backbone_net: {variant: large, classes: 3}\n    id: b\n  - relu"
    )
    assert [args(net, name)["out"] for name in ("b.stem", "b.stage.0.c", "b.fc")] == [8, 16, 3]
    assert params(net)[0] == "b.stem.weight"
    assert shape(net) == "[N, 3]"


def test_later_defaults_see_what_the_call_gives(backbone: Nets) -> None:
    net = backbone.net("import: [backbone.yaml]\nnetwork: [{backbone_net: {variant: large, width: 6}}]")
    assert [args(net, f"backbone_net.{name}")["out"] for name in ("stem", "stage.0.c")] == [6, 12]


def test_a_scalar_fills_a_networks_first_parameter(backbone: Nets) -> None:
    net = backbone.net("import: [backbone.yaml]\nnetwork: [backbone_net: 5]")
    assert args(net, "backbone_net.stem")["out"] == 5


def test_until_stops_after_a_step_and_its_ids_are_read(backbone: Nets) -> None:
    net = backbone.net(
        "import: [backbone.yaml]\nnetwork:\n  - backbone_net: {until: stage}\n    id: b\n"
        "  - concat: [b, b.stage, b.stage.1, b.stage.0.c, 'b.stage[2]']\n"
    )
    assert reads(net)["concat"] == (
        "b.stage.2.relu",
        "b.stage.2.relu",
        "b.stage.1.relu",
        "b.stage.0.c",
        "b.stage.2.relu",
    )
    assert not any("fc" in name for name in names(net))


def test_until_stops_after_the_step_that_ran_of_those_with_its_id(nets: Nets) -> None:
    nets.write(
        (
            "name: inner\nparams: {a: true}\ninput: {i: [N, 4, 8, 8]}\nnetwork:\n  - relu:\n"
            "    id: s\n    when: a\n  - tanh\n  - abs:\n    id: s\n    when: not a\n  - neg"
        ),
        "inner.yaml",
    )
    text = "import: [inner.yaml]\nnetwork: [{{inner: {{until: s, a: {}}}}}]"
    assert names(nets.net(text.format("true"))) == ["inner.s"]
    assert names(nets.net(text.format("false"))) == ["inner.tanh", "inner.s"]


def test_an_input_and_the_outputs_of_a_network_keep_their_names(nets: Nets) -> None:
    nets.write(
        (
            "name: two\ninput: {l: [N, 4, 8, 8], r: [N, 4, 8, 8]}\nnetwork:\n"
            "  - sub: [l, r]\n    id: d\n  - relu:\n    id: e\noutputs: {near: d, far: e}"
        ),
        "two.yaml",
    )
    net = nets.net(
        "import: [two.yaml]\nnetwork:\n  - neg:\n    id: n\n  - two:\n"
        "    from: [image, n]\n    id: t\n  - add: [t.far, t.near, t.d]"
    )
    assert reads(net)["t.d"] == ("image", "n")
    assert reads(net)["add"] == ("t.e", "t.d", "t.d")


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        ("{backbone_net: {variant: huge}}", "network 'backbone_net' has no variant 'huge'", "variants: small, large"),
        ("{backbone_net: {until: stge}}", "has no step 'stge' at its top level", "did you mean 'stage'?"),
        ("{backbone_net: {until: inner}}", "has no step 'inner' at its top level", "ids: stem, stage, tail, fc"),
        ("{backbone_net: {widht: 3}}", "has no field 'widht'", "did you mean 'width'?"),
        ("{backbone_net: , from: [x, x]}", "network 'backbone_net' takes one value, 2 were given", ""),
        ("{backbone_ne: }", "called 'backbone_ne'", "did you mean 'backbone_net'?"),
    ],
)
def test_what_is_wrong_with_a_call_of_a_network_is_said(backbone: Nets, step: str, message: str, hint: str) -> None:
    found = backbone.problem(f"import: [backbone.yaml]\nnetwork: [{step}]")
    assert message in found.message
    assert hint in found.hint


def test_a_required_parameter_of_a_network_is_asked_for_at_the_call(nets: Nets) -> None:
    nets.write("name: inner\nparams: {width: int}\ninput: {i: [N, 4, 8, 8]}\nnetwork: [conv: width]", "inner.yaml")
    found = nets.problem("import: [inner.yaml]\nnetwork: [inner]")
    assert "network 'inner' needs `width` (int)" in found.message


def test_defaults_may_name_a_network(backbone: Nets) -> None:
    net = backbone.net(
        "import: [backbone.yaml]\ndefaults: {backbone_net: {variant: large, until: stem}}\nnetwork: [backbone_net]"
    )
    assert names(net) == ["backbone_net.stem"]
    assert node(net, "backbone_net.stem").op.arguments()["out"] == 8


def test_a_network_that_repeats_is_read_by_its_rounds(backbone: Nets) -> None:
    net = backbone.net(
        "import: [backbone.yaml]\nnetwork:\n  - backbone_net: {until: stem}\n"
        "    id: b\n    repeat: 2\n  - add: [b.0.stem, b.1.stem, b.stem]"
    )
    assert reads(net)["add"] == ("b.0.stem", "b.1.stem", "b.1.stem")
