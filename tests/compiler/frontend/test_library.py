"""Imports: whose name wins, where files are looked for, and what may not be imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import convc
from convc.api import notes
from convc.compiler.errors import SpecError, UsageError
from convc.compiler.frontend.library import MAX_FILES, Loader, open_spec
from convc.compiler.frontend.network import elaborate
from tests.compiler.frontend.nets import Nets, node


def block(name: str, op: str) -> str:
    return f"blocks:\n  {name}: {{body: [{op}]}}\n"


def kind(nets: Nets, text: str, step: str) -> str:
    return node(nets.net(f"{text}network: [{{{step}: , id: s}}]"), "s").op.name


def test_local_over_imported_over_library(nets: Nets) -> None:
    nets.write(block("conv_bn", "tanh"), "other.yaml")
    assert kind(nets, "import: [other.yaml]\n" + block("conv_bn", "abs"), "conv_bn") == "abs"
    assert kind(nets, "import: [other.yaml]\n", "conv_bn") == "tanh"
    assert list(nets.net("network: [conv_bn]").graph.nodes) == ["conv_bn.conv", "conv_bn.bn"]


def test_what_hides_another_is_said(nets: Nets) -> None:
    nets.write(block("conv_bn", "tanh") + "  mine: {body: [relu]}\n", "other.yaml")
    path = nets.write("import: [other.yaml]\n" + block("mine", "abs") + "network: [mine]")
    lines = notes(convc.load(path))
    assert [line.replace(str(nets.folder) + os.sep, "") for line in lines] == [
        "block 'mine' of net.yaml hides that of other.yaml",
        "block 'conv_bn' of other.yaml hides that of the library",
        "block 'conv_bn' of other.yaml hides that of the library",
    ]
    assert notes(convc.load("resnet18")) == []


def test_a_block_that_two_imports_have_must_not_be_called(nets: Nets) -> None:
    for name, op in (("a.yaml", "tanh"), ("b.yaml", "abs")):
        nets.write(block("mine", op), name)
    assert kind(nets, "import: [a.yaml, b.yaml]\n", "relu") == "relu"
    found = nets.problem("import: [a.yaml, b.yaml]\nnetwork: [mine]")
    assert "block 'mine' is in" in found.message
    assert found.hint == "import one of them, or write the block here"
    assert kind(nets, "import: [a.yaml, b.yaml]\n" + block("mine", "neg"), "mine") == "neg"


def test_an_imported_block_sees_the_names_of_its_own_file(nets: Nets) -> None:
    nets.write(block("inner", "tanh") + "  outer: {body: [inner]}\n", "deep/b.yaml")
    nets.write("import: [b.yaml]\nblocks:\n  top: {body: [outer]}\n", "deep/a.yaml")
    assert kind(nets, "import: [deep/a.yaml]\n" + block("outer", "abs") + "  inner: {body: [neg]}\n", "top") == "tanh"
    found = nets.problem("import: [deep/a.yaml]\nnetwork: [inner]")
    assert "called 'inner'" in found.message


def test_a_file_of_the_library_may_be_imported(nets: Nets) -> None:
    net = nets.net(
        "import: [blocks/conv.yaml, resnet.yaml]\nnetwork:\n  - conv: 3\n  - resnet: {variant: resnet18, until: stem}\n    id: b"
    )
    assert net.graph.nodes["b.stem.conv"].origins[0].place.startswith("convc:blocks/conv.yaml:")
    assert not any(str(nets.folder) in n.origins[0].place for n in net.graph)


def test_labels_hold_no_folder_of_this_machine(nets: Nets) -> None:
    nets.write(block("mine", "tanh"), "parts/a.yaml")
    net = nets.net("import: [parts/a.yaml]\nnetwork: [mine, relu]")
    assert [n.origins[0].place for n in net.graph] == ["parts/a.yaml:3", "net.yaml:4"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("../outside.yaml", "leaves the folder of the spec"),
        ("parts/../../outside.yaml", "leaves the folder of the spec"),
        ("link.yaml", "leaves the folder of the spec"),
        ("/etc/passwd", "is no relative path"),
        ("nowhere.yaml", "is not there"),
        (".", "is not there"),
        ("a" * 5000 + ".yaml", "cannot be followed"),
        ("ring.yaml", "cannot be followed"),
        ("net.yaml", "in a circle: net.yaml -> net.yaml"),
        ("a.yaml", "in a circle: net.yaml -> a.yaml -> net.yaml"),
    ],
)
def test_what_may_not_be_imported_is_refused(nets: Nets, wanted: str, message: str) -> None:
    inner = Nets(nets.folder / "inner")
    nets.write(block("mine", "tanh"), "outside.yaml")
    inner.write("import: [net.yaml]\n", "a.yaml")
    (inner.folder / "parts").mkdir()
    (inner.folder / "link.yaml").symlink_to(nets.folder / "outside.yaml")
    (inner.folder / "ring.yaml").symlink_to(inner.folder / "ring.yaml")
    found = inner.problem(f"import: ['{wanted}']\nnetwork: [relu]")
    assert message in found.message
    assert found.mark is not None


def test_a_wider_root_lets_imports_out(nets: Nets) -> None:
    nets.write(block("mine", "tanh"), "outside.yaml")
    path = Nets(nets.folder / "inner").write("import: [../outside.yaml]\nnetwork: [mine]")
    file, _ = open_spec(path, nets.folder)
    assert [n.origins[0].place for n in elaborate(file).graph] == ["outside.yaml:3"]


def test_long_chains_of_imports_end(nets: Nets) -> None:
    for i in range(MAX_FILES + 5):
        nets.write(f"import: [f{i + 1}.yaml]\n", f"f{i}.yaml")
    assert "more than 64 files are imported" in nets.problem("import: [f0.yaml]\nnetwork: [relu]").message


def test_every_file_is_read_once(nets: Nets) -> None:
    nets.write(block("mine", "tanh"), "a.yaml")
    for name in ("b", "c"):
        nets.write(f"import: [a.yaml]\nblocks:\n  {name}: {{body: [mine]}}\n", f"{name}.yaml")
    path = nets.write("import: [b.yaml, c.yaml, a.yaml]\nnetwork: [b, c, mine]")
    loader = Loader(nets.folder)
    file = loader.load(path)
    assert len(loader.files) == 4
    assert len(list(file.reachable())) == 4


def test_mistakes_in_imported_files_are_found_however_deep(nets: Nets) -> None:
    nets.write("blocks:\n  bad: {body: [relu], params: {2x: 3}}\n", "deep.yaml")
    nets.write("import: [deep.yaml]\nblocks:\n  b: {body: [convv]}\n", "a.yaml")
    found = nets.problems("import: [a.yaml]\nnetwork: [{relu: , wen: 3}]")
    assert len(found) == 3
    assert {Path(str(p.mark.file)).name for p in found if p.mark} == {"net.yaml", "a.yaml", "deep.yaml"}


@pytest.mark.parametrize(("name", "what"), [("conv", "an operator"), ("for", "a combinator"), ("act", "an operator")])
def test_a_block_may_not_bear_an_operators_name(nets: Nets, name: str, what: str) -> None:
    assert (
        f"a block cannot be called '{name}': that is {what}"
        in nets.problems(block(name, "relu") + "network: [relu]")[0].message
    )


def test_an_operator_is_not_hidden_by_a_network_of_its_name(nets: Nets) -> None:
    nets.write("name: conv\nnetwork: [relu]", "conv.yaml")
    assert kind(nets, "import: [conv.yaml]\n", "conv") == "conv"


@pytest.mark.parametrize("wanted", ["", "a\0b", "@x"])
def test_what_names_no_spec_is_a_matter_of_arguments(wanted: str) -> None:
    with pytest.raises(UsageError):
        open_spec(wanted)


def test_paths_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for wanted in (tmp_path / "nowhere.yaml", tmp_path, Path("a" * 5000 + ".yaml")):
        with pytest.raises((SpecError, UsageError)):
            open_spec(wanted)
    with pytest.raises(UsageError):
        open_spec("a" * 5000)


INNER = """\
blocks:
  outer:
    params: {att: mine, table: []}
    body:
      - inner: {att: $att}
        id: s
      - for: [what]
        in: table
        do: [{$what: }]
  inner: {params: {att: text}, body: [{$att: }]}
  mine: {body: [tanh]}
"""


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # A word leads where it was written: in the call, in the caller's defaults, in a block's own declaration.
        ("network: [outer: {att: mine}]", ["abs"]),
        ("defaults: {outer: {att: mine}}\nnetwork: [outer]", ["abs"]),
        ("network: [outer]", ["tanh"]),
        ("params: {which: mine}\nnetwork: [outer: {att: $which}]", ["abs"]),
        ("  middle: {params: {att: mine}, body: [outer: {att: $att}]}\nnetwork: [middle]", ["abs"]),
        ("network: [outer: {att: neg, table: [[\"'mine'\"]]}]", ["neg", "abs"]),
    ],
)
def test_a_block_that_is_an_argument_is_the_one_its_writer_sees(nets: Nets, call: str, expected: list[str]) -> None:
    nets.write(INNER, "other.yaml")
    net = nets.net("import: [other.yaml]\n" + block("mine", "abs") + call)
    assert [n.op.name for n in net.graph.nodes.values()] == expected


def test_the_librarys_blocks_take_a_callers_own(nets: Nets) -> None:
    own = "blocks:\n  gate: {body: [sigmoid]}\nnetwork: [basic_block: {width: 4, att: gate}]"
    assert "sigmoid" in {n.op.name for n in nets.net(own).graph.nodes.values()}
    found = nets.problem("network: [basic_block: {width: 4, att: gate}]")
    assert "called 'gate'" in found.message
