"""The zoo: found in a wheel and in a checkout, scanned as YAML would read it, honest about names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from convc import zoo
from convc.compiler.errors import UsageError, ZooError

RESNET = """\
convc: 1
name: resnet
doc: the word variants: in a text means nothing

params: {depths: [2, 2, 2, 2]}
variants:                  # named sets
  resnet18: {}
  # resnet26: {}
  resnet34:
    depths: [3, 4, 6, 3]

  resnext50_32x4d: {depths: [3, 4, 6, 3]}
input: {image: [N, 3, 224, 224]}
blocks:
  basic:
    body: [relu]
"""
LENET = "name: lenet5   # no variants\nblocks:\n  lrn: {body: [relu]}\nnetwork: [relu]\n"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    root = tmp_path / "specs"
    (root / "blocks").mkdir(parents=True)
    (root / "resnet.yaml").write_text(RESNET, encoding="utf-8")
    (root / "lenet.yaml").write_text(LENET, encoding="utf-8")
    (root / "blocks" / "se.yaml").write_text("blocks: {}\n", encoding="utf-8")
    (root / "imagenet.txt").write_text("tench\n", encoding="utf-8")
    return root


def test_networks_and_blocks_are_listed_in_order_of_their_names(specs: Path) -> None:
    assert [file.name for file in zoo.spec_files(specs)] == ["lenet.yaml", "resnet.yaml"]
    assert [file.name for file in zoo.block_files(specs)] == ["se.yaml"]


def test_variants_lead_to_their_file_and_a_spec_without_them_bears_its_name(specs: Path) -> None:
    found = {name: file.name for name, file in zoo.variants(specs).items()}
    assert found == {
        "lenet5": "lenet.yaml",
        "resnet18": "resnet.yaml",
        "resnet34": "resnet.yaml",
        "resnext50_32x4d": "resnet.yaml",
    }
    assert zoo.find("resnet34", specs) == specs / "resnet.yaml"


def test_a_name_in_two_files_is_refused_and_both_are_named(specs: Path) -> None:
    (specs / "wide.yaml").write_text("name: wide\nvariants:\n  resnet34: {}\n", encoding="utf-8")
    with pytest.raises(ZooError, match=r"'resnet34' stands in resnet\.yaml and in wide\.yaml") as error:
        zoo.variants(specs)
    assert error.value.exit_code == 1


def test_a_name_twice_in_one_file_is_refused(specs: Path) -> None:
    (specs / "wide.yaml").write_text("variants:\n  wide: {}\n  wide: {}\n", encoding="utf-8")
    with pytest.raises(ZooError, match="'wide' stands in"):
        zoo.variants(specs)


def test_a_spec_without_variants_and_name_is_refused(specs: Path) -> None:
    (specs / "odd.yaml").write_text("network: [relu]\n", encoding="utf-8")
    with pytest.raises(ZooError, match=r"odd\.yaml has neither"):
        zoo.variants(specs)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet43", "did you mean 'resnet34'"),
        ("resnet", "did you mean 'resnet18', 'resnet34' or 'resnext50_32x4d'?"),
        ("lenet", "did you mean 'lenet5'?"),
        ("qqq", "my_net.yaml"),
    ],
)
def test_an_unknown_name_gets_the_near_ones_or_its_family(specs: Path, name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"no network called '{name}'") as error:
        zoo.find(name, specs)
    assert hint in error.value.hint


@pytest.mark.parametrize("place", ["convc/specs", "specs"])
def test_specs_are_found_inside_an_installed_package_and_beside_one_in_a_checkout(
    specs: Path, tmp_path: Path, place: str
) -> None:
    tree = tmp_path / "tree"
    package = Path(zoo.__file__).parent
    (tree / "convc" / "compiler").mkdir(parents=True)
    for file in ("zoo.py", "compiler/errors.py"):
        shutil.copy(package / file, tree / "convc" / file)
    shutil.copytree(specs, tree / place)
    # Without site-packages: an installed convc would come first.
    run = [sys.executable, "-S", "-c", "from convc import zoo; print(zoo.specs_root(), *zoo.variants())"]
    said = subprocess.run(run, cwd=tree, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(tree / place), "lenet5", "resnet18", "resnet34", "resnext50_32x4d"]


def test_a_package_without_specs_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(zoo, "__file__", str(tmp_path / "convc" / "zoo.py"))
    with pytest.raises(ZooError, match="has no specs"):
        zoo.specs_root.__wrapped__()


def test_the_scan_of_the_shipped_specs_is_what_yaml_reads() -> None:
    read: dict[str, Path] = {}
    for file in zoo.spec_files():
        spec = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # text only, no objects
        read |= dict.fromkeys(spec.get("variants") or [spec["name"]], file)
    assert read
    assert dict(zoo.variants()) == read
