"""`preprocess:` and `labels:` as a spec writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from convc.compiler.errors import SpecError
from convc.compiler.frontend.network import Network
from convc.compiler.frontend.preprocess import read_labels
from tests.compiler.frontend.nets import Nets


def test_the_keys_of_preprocess(nets: Nets) -> None:
    net = nets.net(
        """\
        params: {size: 224}
        input: {image: [N, 3, 8, 8]}
        preprocess:
          {scale: 1/255, mean: [0.485, 0.456, 0.406], std: 0.5, resize: 256, crop: size, color: bgr, embed: false}
        network: [relu]
        """
    )
    assert net.preprocess == {
        "scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.5], "resize": 256, "crop": 224, "color": "bgr", "embed": False,
    }  # fmt: skip
    assert nets.net("preprocess: {resize: [8, 9], crop: null}\nnetwork: [relu]").preprocess == {"resize": [8, 9]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{scal: 1}", "`preprocess` has no key 'scal'"),
        ("{scale: a}", "unknown name 'a'"),
        ("{scale: [1]}", "`scale` is a list, expected a number"),
        ("{mean: []}", "`mean` is an empty list"),
        ("{mean: [true]}", "`mean` is the truth value true"),
        ("{mean: [1, 2]}", "has 2 numbers as `mean`, the input [N, 4, 16, 16] has 4 channels"),
        ("{std: 0}", "`std` is 0"),
        ("{resize: 1.5}", "`resize` is 1.5"),
        ("{crop: 0}", "`crop` is 0"),
        ("{crop: [1, 2, 3]}", "`crop` lists 3 sizes"),
        ("{color: rbg}", "`color` is the text 'rbg'"),
        ("{embed: 1}", "`embed` is the number 1, expected true or false"),
    ],
)
def test_what_is_wrong_with_preprocess_is_said(nets: Nets, given: str, message: str) -> None:
    assert message in nets.problem(f"preprocess: {given}\nnetwork: [relu]").message


def labels(net: Network) -> tuple[str, ...]:
    return read_labels(net.labels, net.file.path.parent)


def test_labels_are_a_list_or_a_file(nets: Nets) -> None:
    assert labels(nets.net("labels: [cat, no, 012, 'a b']\nnetwork: [relu]")) == ("cat", "no", "012", "a b")
    assert labels(nets.net("network: [relu]")) == ()
    (nets.folder / "names.txt").write_bytes("\ufeffcat\r\ntench, Tinca\ndog\n\n".encode())
    assert labels(nets.net("labels: names.txt\nnetwork: [relu]")) == ("cat", "tench, Tinca", "dog")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("nowhere.txt", "is not there"),
        ("../outside.txt", "leaves the spec's folder"),
        ("/etc/passwd", "leaves the spec's folder"),
        (".", "is not there"),
        ("a" * 5000, "cannot be read"),
        ("gap.txt", "line 2 of the labels file 'gap.txt' is empty"),
        ("latin.txt", "is not UTF-8"),
        ("3", "`labels` is the number 3"),
        ("{a: 1}", "`labels` is a mapping"),
        ("[[a]]", "a label is a list"),
        ("[a, ]", ""),
    ],
)
def test_what_is_wrong_with_labels_is_said(nets: Nets, given: str, message: str) -> None:
    (nets.folder / "gap.txt").write_text("a\n\nb\n", encoding="utf-8")
    (nets.folder / "latin.txt").write_bytes(b"\xe9t\xe9\n")
    text = f"labels: {given}\nnetwork: [relu]"
    if message:
        assert message in nets.problem(text).message
    else:
        assert labels(nets.net(text)) == ("a",)


def test_labels_need_no_network(tmp_path: Path) -> None:
    from convc.compiler.frontend.document import parse

    with pytest.raises(SpecError):
        read_labels(parse("nowhere.txt", "t"), tmp_path)
