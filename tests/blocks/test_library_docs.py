"""A person with the paper open can read a block: it says where it is from, and what each parameter is for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from convc import zoo
from convc.api import tables
from convc.compiler.frontend.library import open_spec
from convc.compiler.frontend.lint import lint
from convc.compiler.frontend.spec import Block

FILES = zoo.block_files()
BLOCKS = {name: file for file in FILES for name in open_spec(file)[0].spec.blocks}
# Parts of a file's other blocks, or wiring that every paper has.
WITHOUT_PAPER = {"conv_bn", "conv_bn_act", "conv_act"}


def block(name: str) -> tuple[Block, str]:
    spec = open_spec(BLOCKS[name])[0].spec
    return spec.blocks[name], spec.doc


def test_the_index_knows_every_block() -> None:
    assert zoo.blocks().keys() == BLOCKS.keys()


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_names_its_paper(name: str) -> None:
    found, doc = block(name)
    assert len(found.doc) > 20
    assert name in WITHOUT_PAPER or re.search(r"\b(19|20)\d\d\b", f"{doc} {found.doc}")


@pytest.mark.parametrize("name", BLOCKS)
def test_every_parameter_is_explained_and_shown(name: str) -> None:
    found, _ = block(name)
    shown = re.sub(r"\s+", " ", tables.block_text(name))
    assert re.sub(r"\s+", " ", found.doc).strip()[:60] in shown
    for param in found.params.values():
        assert param.doc, f"{name}: {param.name} has no doc"
        assert "\n" not in param.doc
        assert re.sub(r"\s+", " ", param.doc) in shown.replace("|", " "), param.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file).stem)
def test_a_file_of_blocks_holds_no_strange_name_and_few_lines(file: Path) -> None:
    found, _ = open_spec(file)
    assert not found.spec.problems
    assert not lint(found)
    assert len(file.read_text().splitlines()) <= 200
