"""The same inputs give the same files: in any folder, under any hash seed, and nothing of the machine is inside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.golden_files import golden
from tests.sample_specs import write_twin

FILES = {"model.onnx", "manifest.json", "spec.resolved.yaml"}
USER = "someone_or_other"
DATE = re.compile(rb"20[2-9]\d-[01]\d-[0-3]\d|[0-2]\d:[0-5]\d:[0-5]\d")


def test_two_builds_of_a_shipped_network_from_a_checkpoint_are_one(tmp_path: Path) -> None:
    wanted = golden("torchvision_mobilenet_v2")
    checkpoint = str(wanted.save(tmp_path / "checkpoint.safetensors"))
    arguments = ["mobilenet_v2", "--size", "64", "--weights", checkpoint]
    _same(_built(tmp_path, arguments, "1"), _built(tmp_path, arguments, "271828"))


def test_two_builds_of_a_spec_of_ones_own_are_one(tmp_path: Path) -> None:
    """Each in a folder of its own, where the spec's files lie, are younger, and are named relative to it or in full."""
    first = _built(tmp_path, ["twin.yaml"], "2", spec=True)
    second = _built(tmp_path, ["{folder}/twin.yaml"], "31415", spec=True)
    _same(first, second)


def test_a_network_of_random_weights_is_the_same_through_torch(tmp_path: Path) -> None:
    arguments = ["lenet5", "--seed", "7", "--via", "torch"]
    _same(_built(tmp_path, arguments, "3"), _built(tmp_path, arguments, "4"))


def test_another_seed_is_another_model(tmp_path: Path) -> None:
    first = _built(tmp_path, ["lenet5", "--seed", "7", "--no-verify"], "3")
    second = _built(tmp_path, ["lenet5", "--seed", "8", "--no-verify"], "3")
    assert first["model.onnx"] != second["model.onnx"]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_the_number_of_threads_does_not_reach_the_model(threads: str, tmp_path: Path) -> None:
    arguments = ["mobilenetv1_025", "--size", "64", "--no-verify"]
    _same(_built(tmp_path, arguments, "0"), _built(tmp_path, arguments, "0", {"OMP_NUM_THREADS": threads}))


def _built(
    place: Path, arguments: Sequence[str], seed: str, more: Mapping[str, str] | None = None, *, spec: bool = False
) -> dict[str, bytes]:
    """Run `convc build` in a new folder, as a user with a home of his own, and read what it wrote."""
    folder = place / f"folder_{len(list(place.iterdir()))}"
    home = folder / "home_of_someone"
    home.mkdir(parents=True)
    if spec:
        file = write_twin(folder / "new")
        os.utime(file, (1, int(seed)))
        for path in (folder / "new").iterdir():
            path.rename(folder / path.name)
    said = {"HOME": str(home), "USER": USER, "LOGNAME": USER, "PYTHONHASHSEED": seed}
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    line = [
        sys.executable,
        "-m",
        "convc",
        "build",
        *(argument.format(folder=folder) for argument in arguments),
        "-o",
        "out",
    ]
    done = subprocess.run(
        line,
        cwd=folder,
        env={**os.environ, **said, **paths, **(more or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    assert files.keys() == FILES
    for name, data in files.items():
        _says_nothing_of_the_machine(name, data, place)
    return files


def _says_nothing_of_the_machine(name: str, data: bytes, place: Path) -> None:
    for secret in (str(place), str(Path(__file__).parents[1]), USER, "home_of_someone", sys.prefix):
        assert secret.encode() not in data, f"{secret} stands in {name}"
    assert not DATE.search(data), name


def _same(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> None:
    assert {name for name in first if first[name] != second[name]} == set()
