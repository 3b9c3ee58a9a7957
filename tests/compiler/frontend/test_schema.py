"""JSON Schema of the language: every shipped spec is valid, and what the language does not know is refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from convc import zoo
from convc.api import schema
from convc.compiler.frontend.document import parse, plain
from convc.compiler.frontend.schema import language_schema
from convc.compiler.frontend.spec import TOP_KEYS
from convc.compiler.frontend.steps import COMBINATORS, COMMON
from convc.compiler.ir import REGISTRY

ROOT = Path(__file__).parents[2]
FILES = [*zoo.spec_files(), *zoo.block_files(), *sorted((ROOT / "networks").glob("*.yaml"))]


@cache
def validator() -> Any:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


def errors(text: str) -> list[str]:
    return [str(error.message) for error in validator().iter_errors(plain(parse(text, "t")))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_spec_is_valid(path: Path) -> None:
    assert errors(path.read_text(encoding="utf-8")) == []


GOOD = "convc: 1\nname: t\ninput: {image: [N, 3, 8, 8]}\nnetwork: "


@pytest.mark.parametrize(
    "steps",
    [
        "[relu, {relu: }, {conv: 8}, {conv: 2 * x.channels}, {conv: {out: 8, kernel: [3, 1], padding: same_upper}}]",
        "[{add: [x, 0.5]}, {concat: parts.*}, {concat: [a, [b.*]], axis: 2}]",
        "[{max_pool: 2, id: a, from: [x], when: n > 1, repeat: 3, train_only: true, source: 'a.yaml:3'}]",
        "[{residual: [relu], shortcut: [{conv: 8}], shortcut_when: true, act: {leaky_relu: 0.1}}]",
        "[{for: [a, b], in: [[1, null]], do: [relu], merge: add}, {for: a, in: range(3), do: [relu]}]",
        "[{branches: {a: [relu], b: {when: c, do: []}, c: []}, merge: $how, axis: 1}]",
        "[{split: 4}, {split: {sizes: [1, 2]}}, {split: {l: [], r: [relu]}, sizes: [1, 2], merge: concat}]",
        "[{share: [relu], from: [a, b], merge: add}, {use: a}, {act: $act}, {$block: {out: 3}}, {my_block: 3}, {seq: [relu]}]",
        "[{resize: 2}, {resize: [1.5, 2]}, {resize: {like: a, mode: bilinear}}, {crop: {like: a.0, offset: 5 if k else 9}}]",
        "[{conv: {init: {normal: 0.1}}}, {constant: [[1, 2]]}, {conv: {bias: $b, init: zeros}}]",
    ],
)
def test_what_the_language_allows_is_valid(steps: str) -> None:
    assert errors(GOOD + steps) == []


@pytest.mark.parametrize(
    "text",
    [
        f"{GOOD}[relu]\nnetwrk: [relu]",
        "name: t\nnetwork: [relu]",
        "convc: 2\nname: t",
        f"{GOOD}[{{conv: {{kernal: 3}}}}]",
        f"{GOOD}[{{conv: {{out: [8]}}}}]",
        f"{GOOD}[{{conv: {{padding_mode: zeroes}}}}]",
        f"{GOOD}[{{conv_bn: {{strid: 2}}}}]",
        f"{GOOD}[{{resize: {{lik: a}}}}]",
        f"{GOOD}[{{crop: {{like: {{a: b}}}}}}]",
        f"{GOOD}[{{conv: {{like: a}}}}]",
        f"{GOOD}[{{branches: {{a: {{wen: true}}}}}}]",
        f"{GOOD}[{{residual: relu}}]",
        f"{GOOD}[3]",
        f"{GOOD}[[relu]]",
        f"{GOOD}[{{}}]",
        f"{GOOD}relu",
        f"{GOOD}[{{for: a, in: [1], do: relu}}]",
        f"{GOOD}[{{relu: , train_only: 3}}]",
        f"{GOOD}[{{for: a, do: [relu]}}]",
        f"{GOOD}[{{relu: , id: 3}}]",
        f"{GOOD}[{{seq: [{{conv: {{kernal: 3}}}}]}}]",
        f"{GOOD}[relu]\npreprocess: {{scal: 1}}",
        f"{GOOD}[relu]\npreprocess: {{color: rbg}}",
        f"{GOOD}[relu]\nblocks: {{b: {{bdy: []}}}}",
        f"{GOOD}[relu]\nblocks: {{b: {{body: [{{linear: {{outt: 3}}}}]}}}}",
        f"{GOOD}[relu]\nsymbols: {{H: {{multpile: 3}}}}",
        f"{GOOD}[relu]\noutputs: {{}}",
        f"{GOOD}[relu]\nparams: [a]",
        f"{GOOD}[relu]\nrequire: {{a > 1: 3}}",
    ],
)
def test_what_the_language_does_not_know_is_refused(text: str) -> None:
    assert errors(text) != []


def test_the_schema_speaks_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    found = language_schema({})
    step = found["$defs"]["step"]["anyOf"][1]["properties"]
    assert set(found["properties"]) == set(TOP_KEYS)
    assert set(REGISTRY) | set(COMMON) | set(COMBINATORS) | {"act"} <= set(step)
    assert all(key in step for keys in COMBINATORS.values() for key in keys)
    described = step["conv"]["anyOf"][1]["properties"]
    assert described["kernel"]["description"] == REGISTRY["conv"].fields()["kernel"].doc
