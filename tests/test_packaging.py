"""What reaches an installation: the package with its specs inside, and nothing beside it."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[PurePosixPath]:
    built = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")), versions=["standard"]))
    with zipfile.ZipFile(built) as archive:
        return frozenset(map(PurePosixPath, archive.namelist()))


def checkout(folder: str, pattern: str) -> set[PurePosixPath]:
    return {PurePosixPath(file.relative_to(ROOT).as_posix()) for file in (ROOT / folder).rglob(pattern)}


def test_nothing_but_convc_reaches_site_packages(wheel: frozenset[PurePosixPath]) -> None:
    tops = {file.parts[0] for file in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"convc"}


def test_the_wheel_carries_every_module_and_every_spec(wheel: frozenset[PurePosixPath]) -> None:
    specs = {"convc" / spec for spec in checkout("specs", "*.yaml")}
    assert specs
    assert checkout("convc", "*.py") | specs <= wheel


def test_the_source_archive_holds_what_the_tests_need(tmp_path: Path) -> None:
    built = next(SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"]))
    with tarfile.open(built) as archive:
        held = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    wanted = checkout("convc", "*.py") | checkout("specs", "*.yaml") | checkout("tests", "*.py")
    assert wanted | {PurePosixPath("pyproject.toml"), PurePosixPath("LICENSE")} <= held


def test_every_direct_dependency_is_pinned_by_the_constraints() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = {_name(line) for line in sum(extras, project["dependencies"])}
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {_name(line) for line in lines if "==" in line}
    assert wanted - pinned == set()


def _name(requirement: str) -> str:
    return requirement.split("=")[0].split(">")[0].split("<")[0].strip().lower()
