"""What a person may get wrong in a spec, and what convc says: one clear message at the place, exit 2, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from convc.cli import main

HEAD = "convc: 1\nname: t\ninput: {image: [N, 3, 32, 32]}\n"


def network(*steps: str, head: str = HEAD) -> str:
    return head + "network:\n" + "".join(f"  - {step}\n" for step in steps)


def nested(depth: int) -> str:
    return HEAD + "network: " + "[" * depth + "]" * depth + "\n"


def block_nested(depth: int) -> str:
    return HEAD + "network:\n" + "".join("  " * (i + 1) + "- seq:\n" for i in range(depth))


ALIASES = "a: &a [x, x]\n" + "".join(
    f"b{i}: &b{i} [{', '.join(['*a' if i == 0 else f'*b{i - 1}'] * 9)}]\n" for i in range(12)
)
MERGES = "a: &a {k: 1}\n" + "".join(f"m{i}: &m{i} {{<<: [{', '.join(['*a'] * 9)}]}}\n" for i in range(9))

# name -> (text, what the message must hold, the place `line:column` or "" where the whole file is meant)
CASES: dict[str, tuple[str | bytes, str, str]] = {
    # -- YAML
    "empty file": ("", "", ""),
    "only a comment": ("# nothing\n", "", ""),
    "a list": ("- relu\n", "a spec is a mapping", "1:1"),
    "a scalar": ("relu\n", "a spec is a mapping", "1:1"),
    "two documents": (network("relu") + "---\nconvc: 1\n", "document", ""),
    "alias bomb": (ALIASES, "anchor", "1:"),
    "merge-key bomb": (MERGES, "", "1:"),
    "self reference": ("a: &a [*a]\n", "", "1:"),
    "flow deeper than 64": (nested(70), "64", "4:"),
    "flow deeper than the stack": (nested(100_000), "64", "4:"),
    "blocks deeper than 64": (block_nested(80), "64", ""),
    "10 MB": (HEAD + "doc: " + "x" * 10_000_000 + "\n", "MiB", ""),
    "a scalar of 1 MB": (HEAD + "doc: " + "x" * 1_000_000 + "\n", "", "4:"),
    "not UTF-8": (b"convc: 1\nname: \xff\xfe\n", "UTF-8", "2:"),
    "UTF-16": ("convc: 1\n".encode("utf-16"), "", ""),
    "NUL": ("convc: 1\nname: a\0b\n", "", "2:"),
    "tab indent": ("convc: 1\nnetwork:\n\t- relu\n", "tab", "3:"),
    "unclosed bracket": (HEAD + "network: [relu\n", "", ""),
    "unclosed quote": (HEAD + 'name2: "abc\n', "", ""),
    "duplicate key": (HEAD + "name: u\n", "name", "4:"),
    "duplicate key in a step": (network("conv: {out: 8, out: 9}"), "out", "5:"),
    "a tag": (network("conv: !!python/object/apply:os.system ['true']"), "tag", "5:"),
    "an unquoted comma": (network("conv: {out: divisible(32, 8)}"), "quote", "5:"),
    "NaN": (network("batch_norm: {eps: .nan}"), "", "5:"),
    "infinity": (network("dropout: .inf"), "", "5:"),
    "a number of 5,000 digits": (network("conv: " + "9" * 5000), "", "5:"),
    # -- keys and types
    "another language version": (network("relu").replace("convc: 1", "convc: 2"), "version", "1:8"),
    "unknown top-level key": (network("relu") + "netwerk: []\n", "did you mean 'network'", "6:1"),
    "unknown operator": (network("conw: 8"), "did you mean 'conv'", "5:5"),
    "unknown field": (network("conv: {out: 8, kernal: 3}"), "did you mean 'kernel'", "5:20"),
    "unknown step key": (network("for: c\n    in: [1]\n    do: [relu]\n    mrge: add"), "", ""),
    "two heads": (network("conv: 8\n    relu: null"), "", ""),
    "no head": (network("id: a"), "", "5:"),
    "a step that is a number": (network("7"), "", "5:5"),
    "a step that is a list": (network("[relu]"), "", "5:5"),
    "network is a mapping": (HEAD + "network: {relu: null}\n", "list of steps", "4:10"),
    "no network": (HEAD, "network", ""),
    "an empty network": (HEAD + "network: []\n", "", ""),
    "no input": ("convc: 1\nnetwork: [relu]\n", "input", ""),
    "input without a shape": ("convc: 1\ninput: {image: 3}\nnetwork: [relu]\n", "shape", "2:"),
    "a list for a number": (network("linear: [1, 2]"), "", "5:"),
    "a mapping for a number": (network("conv: {out: {a: 1}}"), "", "5:"),
    "text for a truth value": (network("conv: {out: 8, bias: maybe}"), "maybe", "5:"),
    "a number for a word": (network("conv: {out: 8, padding_mode: mirror}"), "reflect", "5:"),
    "a missing argument": (network("conv_transpose: {kernel: 2}", "gather: {axis: 1}"), "", ""),
    "argument of an argument-free operator": (network("relu: 3"), "", "5:"),
    "an id with a slash": (network("relu:\n    id: a/b"), "a/b", "6:"),
    "a reserved id": (network("relu:\n    id: weight"), "weight", "6:"),
    "two ids": (network("relu:\n    id: a", "relu:\n    id: a"), "a", ""),
    "a block called conv": (HEAD + "blocks: {conv: {body: [relu]}}\nnetwork: [relu]\n", "conv", "4:"),
    "a block without a body": (HEAD + "blocks: {b: {params: {}}}\nnetwork: [b]\n", "body", "4:"),
    "a block's unknown parameter": (network("conv_bn: {outt: 8}"), "did you mean 'out'", "5:"),
    "a required parameter": (HEAD + "blocks: {b: {params: {n: int}, body: [relu]}}\nnetwork: [b]\n", "n", "5:"),
    "a parameter of the wrong type": (
        HEAD + "blocks: {b: {params: {n: int}, body: [relu]}}\nnetwork: [b: 1.5]\n",
        "",
        "5:",
    ),
    "defaults of a stranger": (network("relu") + "defaults: {conw: {out: 1}}\n", "conw", "6:"),
    "a variant that sets a stranger": (network("relu") + "variants: {v: {width: 2}}\n", "", ""),
    "a promise that is none": (network("relu") + "symbols: {H: {multiple: 0}}\n", "", "6:"),
    "unknown preprocess key": (network("relu") + "preprocess: {meen: [1]}\n", "did you mean 'mean'", "6:"),
    "a zero deviation": (network("relu") + "preprocess: {std: [0, 1, 1]}\n", "std", "6:"),
    "labels outside": (network("relu") + "labels: ../../../etc/passwd\n", "", ""),
    # -- sizes
    "zero channels": (network("conv: 0"), "at least 1", "5:"),
    "negative channels": (network("conv: -8"), "at least 1", "5:"),
    "enormous channels": (network("conv: 100000000000"), "", "5:"),
    "channels whose product is enormous": (network("conv: {out: 2000000000, kernel: 99}"), "", "5:"),
    "zero kernel": (network("conv: {out: 8, kernel: 0}"), "kernel", "5:"),
    "zero stride": (network("conv: {out: 8, stride: 0}"), "stride", "5:"),
    "negative padding": (network("conv: {out: 8, padding: -1}"), "padding", "5:"),
    "padding of three": (network("conv: {out: 8, padding: [1, 2, 3]}"), "padding", "5:"),
    "zero dilation": (network("conv: {out: 8, dilation: 0}"), "dilation", "5:"),
    "zero groups": (network("conv: {out: 8, groups: 0}"), "groups", "5:"),
    "groups that do not divide the input": (network("conv: {out: 8, groups: 2}"), "groups", "5:"),
    "groups that do not divide the output": (network("conv: {out: 8, groups: 3}"), "groups", "5:"),
    "a fraction of a channel": (network("conv: 1.5"), "1.5", "5:"),
    "an empty output": (network("conv: {out: 8, kernel: 99, padding: 0}"), "empty", "5:"),
    "a pool with too much padding": (network("max_pool: {kernel: 2, padding: 2}"), "padding", "5:"),
    "a zero input": ("convc: 1\ninput: {image: [N, 0, 8, 8]}\nnetwork: [relu]\n", "at least 1", "2:"),
    "an enormous input": ("convc: 1\ninput: {image: [1, 3, 999999, 999999]}\nnetwork: [relu]\n", "", "2:"),
    "an input of text": ("convc: 1\ninput: {image: [N, abc, 8, 8]}\nnetwork: [relu]\n", "abc", "2:"),
    "repeat below zero": (network("relu:\n    repeat: -1"), "repeat", "6:"),
    "repeat a billion times": (network("relu:\n    repeat: 1000000000"), "repeat", "6:"),
    "repeats that multiply": (network("seq: [seq: [relu: null, repeat: 20000], repeat: 20000]"), "", ""),
    "repeat by a dynamic size": (
        network("relu:\n    repeat: x.height", head="convc: 1\ninput: {image: [N, 3, H, W]}\n"),
        "H",
        "",
    ),
    "channels by a dynamic size": (
        network("conv: x.width", head="convc: 1\ninput: {image: [N, 3, H, W]}\n"),
        "W",
        "",
    ),
    "linear over the wrong rank": (network("concat: {axis: 9}"), "", "5:"),
    "split that does not divide": (network("split: 2"), "split", "5:"),
    "split sizes that do not add up": (network("split: {sizes: [1, 1]}"), "add up", "5:"),
    "shuffle that does not divide": (network("channel_shuffle: 2"), "", "5:"),
    "an axis that is not there": (network("softmax: 7"), "axis", "5:"),
    "reshape to another count": (network("reshape: [0, 7]"), "", "5:"),
    "transpose without an axis": (network("transpose: [0, 1]"), "", "5:"),
    # -- values
    "a missing name": (network("relu:\n    from: stem"), "stem", "6:"),
    "a later name": (network("relu:\n    from: b", "relu:\n    id: b"), "b", "6:"),
    "a name of its own": (network("relu:\n    id: a\n    from: a"), "a", ""),
    "a part that is not there": (network("split: [1, 2]\n    id: p", "relu:\n    from: 'p[5]'"), "", ""),
    "a list where one is wanted": (network("split: [1, 2]", "relu"), "list", "6:"),
    "add of unequal channels": (
        network("branches: {a: [conv: 8], b: [conv: 9]}\n    merge: add"),
        "channels differ (8 and 9)",
        "5:",
    ),
    "residual of unequal channels": (network("residual: [conv: 8]"), "shortcut", "5:"),
    "concat of unequal sizes": (
        network("branches: {a: [conv: 8], b: [max_pool: 2]}\n    merge: concat"),
        "",
        "5:",
    ),
    "add of nothing": (network("add: []"), "", "5:"),
    "an unknown merge": (network("branches: {a: [relu], b: [relu]}\n    merge: glue"), "glue", ""),
    "no branch exists": (network("branches: {a: {when: false, do: [relu]}}\n    merge: add"), "", "5:"),
    "outputs of nothing": (network("relu") + "outputs: {}\n", "outputs", "6:"),
    "an output that is not there": (network("relu") + "outputs: {y: nowhere}\n", "nowhere", "6:"),
    "use of nothing": (network("use: stem"), "stem", "5:"),
    "rows of unequal length": (network("for: [a, b]\n    in: [[1, 2], [3]]\n    do: [relu]"), "cells", ""),
    "for without rows": (network("for: a\n    do: [relu]"), "in", "5:"),
    # -- expressions
    "an unknown name": (network("conv: widht"), "widht", "5:"),
    "an unknown function": (network("conv: f(3)"), "f", "5:"),
    "division by zero": (network("conv: 8 / 0"), "zero", "5:"),
    "a power tower": (network("conv: 9**9**9"), "", "5:"),
    "a huge range": (network("conv: len(range(10**9))"), "", "5:"),
    "a dunder": (network("conv: x.__class__"), "", "5:"),
    "a call of a value": (network("conv: (3)(4)"), "", "5:"),
    "a deep expression": (network("conv: " + "(" * 300 + "1" + ")" * 300), "", "5:"),
    "a long expression": (network("conv: " + "1+" * 5000 + "1"), "", "5:"),
    "text plus a number": (network("conv: \"'a' + 1\""), "", "5:"),
    "a number as a condition": (network("relu:\n    when: 1"), "truth value", "6:"),
    "an index out of range": (network("conv: '[1, 2][5]'"), "", "5:"),
    "an import that is missing": ("import: [no.yaml]\n" + network("relu"), "no.yaml", "1:"),
    "an import that escapes": ("import: [../../../etc/hosts]\n" + network("relu"), "leaves", "1:"),
    "an absolute import": ("import: [/etc/hosts]\n" + network("relu"), "", "1:"),
    "recursion without end": (HEAD + "blocks: {b: {body: [b]}}\nnetwork: [b]\n", "nested deeper", ""),
    "recursion of two": (HEAD + "blocks: {a: {body: [b]}, b: {body: [a, a]}}\nnetwork: [a]\n", "nested deeper", ""),
    "two parameters of one name": (
        HEAD + "network:\n  - branches: {a: [conv: 8], b: [relu]}\n  - conv: 8\n    id: a\n",
        "",
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_in_a_spec_gets_one_clear_message_at_its_place(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, words, place = CASES[name]
    spec = tmp_path / "spec.yaml"
    spec.write_bytes(text if isinstance(text, bytes) else text.encode())
    variant = "@v" if "variants:" in str(text) else ""
    code = main(["check", f"{spec}{variant}"])
    seen = capsys.readouterr()
    assert code == 2, seen
    assert "error: " in seen.err
    assert "Traceback" not in seen.err + seen.out
    assert "defect" not in seen.err
    assert words in seen.err
    assert f"{spec}:{place}" in seen.err if place else True
    assert seen.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["spec.yaml"]


def test_files_that_import_each_other_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("import: [b.yaml]\n" + network("relu"))
    (tmp_path / "b.yaml").write_text("import: [a.yaml]\n" + network("relu"))
    assert main(["check", str(tmp_path / "a.yaml")]) == 2
    assert "circle" in capsys.readouterr().err


def test_a_link_out_of_the_folder_is_no_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outside = tmp_path / "outside.yaml"
    outside.write_text(network("relu"))
    inside = tmp_path / "specs"
    inside.mkdir()
    (inside / "link.yaml").symlink_to(outside)
    (inside / "a.yaml").write_text("import: [link.yaml]\n" + network("relu"))
    assert main(["check", str(inside / "a.yaml")]) == 2
    assert "leaves" in capsys.readouterr().err


ARGUMENTS = {
    "an unknown verb": (["bild", "resnet18"], "bild"),
    "an unknown option": (["check", "resnet18", "--fast"], "--fast"),
    "an unknown network": (["check", "resnet19"], "resnet18"),
    "a missing file": (["check", "nowhere.yaml"], "nowhere.yaml"),
    "a variant that is not there": (["check", "convnot.yaml@x"], ""),
    "a size of text": (["check", "resnet18", "--size", "big"], "--size"),
    "a size of zero": (["check", "resnet18", "--size", "0"], "--size"),
    "a size too small": (["check", "inception_like.yaml", "--size", "1"], ""),
    "a batch of zero": (["check", "resnet18", "--batch", "0"], "--batch"),
    "a parameter that is not there": (["check", "resnet18", "--set", "clases=10"], "classes"),
    "a parameter without a value": (["check", "resnet18", "--set", "classes"], "key=value"),
    "a parameter of text": (["check", "resnet18", "--set", "classes=many"], "classes"),
    "a negative parameter": (["check", "resnet18", "--set", "classes=-1"], ""),
    "an opset too new": (["build", "lenet5", "--opset", "99"], "opset"),
    "a runtime of junk": (["build", "lenet5", "--runtime", "junk"], "--runtime"),
    "a level too high": (["build", "lenet5", "-O", "9"], "9"),
    "a pass that is not there": (["build", "lenet5", "--enable", "nope"], "nope"),
    "a family without a meaning": (["build", "lenet5", "--family", "nope"], "nope"),
    "weights that are missing": (["build", "lenet5", "--weights", "no.safetensors"], "no.safetensors"),
    "weights that are a folder": (["build", "lenet5", "--weights", "."], ""),
    "a model that is missing": (["run", "no.onnx", "-i", "x.npy"], "no.onnx"),
    "an operator that is not there": (["show", "op", "conw"], "conv"),
    "a block that is not there": (["show", "block", "conv_bm"], "conv_bn"),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_mistake_in_the_arguments_gets_one_clear_message(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = ARGUMENTS[name]
    monkeypatch.chdir(tmp_path)
    code = main(arguments)
    seen = capsys.readouterr()
    assert code == 2, seen
    assert words in seen.err
    assert "rror" in seen.err
    assert "Traceback" not in seen.err
    assert "defect" not in seen.err
    assert list(tmp_path.iterdir()) == []
