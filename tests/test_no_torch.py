"""On a machine without torch, or without onnxruntime, convc does what needs neither, and says of the rest what is missing."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import convc
from tests.golden_files import golden

REPOSITORY = Path(__file__).parents[1]
TORCH = ("torch", "functorch", "torchgen", "torchvision", "triton")
RUNTIME = ("onnxruntime",)
HEAVY = {"torch", "onnx", "onnx_ir", "onnxscript", "onnxruntime"}
# Python that runs a command line and then says which libraries that took.
LOADED = """\
import sys
from convc.cli import main
code = main(sys.argv[1:])
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
raise SystemExit(code)
"""


@dataclass(frozen=True)
class Machine:
    """An environment that lacks some packages: links to all the others, and no site-packages."""

    packages: Path
    work: Path

    def convc(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.python("-m", "convc", *arguments)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": f"{self.packages}{os.pathsep}{REPOSITORY}"}
        line = [sys.executable, "-S", *arguments]
        done = subprocess.run(line, cwd=self.work, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module")
def without_torch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _packages(tmp_path_factory.mktemp("without_torch"), TORCH)


@pytest.fixture(scope="module")
def without_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _packages(tmp_path_factory.mktemp("without_runtime"), RUNTIME)


@pytest.fixture
def board(without_torch: Path, tmp_path: Path) -> Machine:
    return Machine(without_torch, tmp_path)


@pytest.fixture
def compiler(without_runtime: Path, tmp_path: Path) -> Machine:
    return Machine(without_runtime, tmp_path)


def test_the_boards_python_has_no_torch_and_the_compilers_no_onnxruntime(board: Machine, compiler: Machine) -> None:
    find = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('onnxruntime'), u.find_spec('numpy'))"
    assert board.python("-c", find).stdout.startswith("None ModuleSpec(")
    torch, runtime = compiler.python("-c", find).stdout.split("ModuleSpec(", 1)[0], compiler.python("-c", find).stdout
    assert torch == ""
    assert " None ModuleSpec(" in runtime


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "resnet18", "lenet5"], "resnet18"),
        (["show", "lenet5"], "61,706"),
        (["show", "resnet18", "--family", "torchvision"], "layer1.0.conv1.weight"),
        (["show", "op", "conv"], "dilation"),
        (["show", "block", "conv_bn"], "batch_norm"),
        (["show", "pass", "fold_batchnorm"], "batch norm"),
        (["list"], "resnet18"),
        (["list", "ops"], "adaptive_avg_pool"),
        (["list", "blocks"], "conv_bn_act"),
        (["list", "passes"], "fold_batchnorm"),
        (["schema"], "$schema"),
        (["new", "mine", "--from", "resnet18"], "mine.yaml"),
        (["doctor"], "pip install"),
        (["--help"], "build"),
        (["--version"], convc.__version__),
    ],
)
def test_without_torch_the_verbs_that_need_none_work(arguments: Sequence[str], said: str, board: Machine) -> None:
    done = board.convc(*arguments)
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize("ending", [".safetensors", ".npz"])
def test_without_torch_a_checkpoint_builds_unproven_and_the_model_runs(ending: str, board: Machine) -> None:
    wanted = golden("torchvision_shufflenet_v2_x1_0")
    wanted.save(board.work / f"checkpoint{ending}")
    np.save(board.work / "image.npy", wanted.image())
    arguments = ["shufflenet_v2_x1_0", "--weights", f"checkpoint{ending}", "--size", wanted.size, "-o", "out"]
    built = board.convc("build", *arguments, "--no-verify")
    assert built.returncode == 0, built.stderr
    assert "not verified" in built.stdout
    assert json.loads((board.work / "out" / "manifest.json").read_text())["versions"].keys().isdisjoint(TORCH)
    ran = board.convc("run", "out/model.onnx", "-i", "image.npy", "-o", "result.npz")
    assert ran.returncode == 0, ran.stderr
    with np.load(board.work / "result.npz") as result:
        assert wanted.distance(result["output"]) <= wanted.bound


def test_the_model_does_not_hang_on_torch_being_there(board: Machine) -> None:
    assert board.convc("build", "resnet18", "--size", "64", "--no-verify", "-o", "out").returncode == 0
    here = convc.build("resnet18", board.work / "here", size=64, verify=False)
    assert (board.work / "out" / "model.onnx").read_bytes() == here.path.read_bytes()


def test_without_torch_a_build_is_compared_and_bundled(board: Machine) -> None:
    assert board.convc("build", "lenet5", "--no-verify", "-o", "out").returncode == 0
    compared = board.convc("compare", "lenet5", "out", "--seconds", "0.3", "--html", "page.html")
    assert compared.returncode == 0, compared.stderr
    assert "B is " in compared.stdout
    assert (board.work / "page.html").read_text().startswith("<!doctype html>")
    bundled = board.convc("bundle", "out", "-o", "kit")
    assert bundled.returncode == 0, bundled.stderr
    assert (board.work / "kit" / "run.py").exists()


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["build", "lenet5", "-o", "out"], "--no-verify"),
        (["build", "lenet5", "-o", "out", "--weights", "w.pth", "--no-verify"], ".safetensors"),
        (["build", "lenet5", "-o", "out", "--via", "torch", "--no-verify"], "--via direct"),
        (["verify", "lenet5", "model.onnx"], "pip install"),
    ],
)
def test_without_torch_what_needs_it_says_so_and_how_to_go_on(
    arguments: Sequence[str], hint: str, board: Machine
) -> None:
    import torch

    torch.save({"c1.weight": torch.zeros(1)}, board.work / "w.pth")
    convc.build("lenet5", board.work / "made", verify=False).path.rename(board.work / "model.onnx")
    done = board.convc(*arguments)
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.startswith("error: ")
    assert "torch" in done.stderr.splitlines()[0]
    assert hint in done.stderr
    assert not (board.work / "out").exists()


def test_without_onnxruntime_a_build_is_proven_and_says_that_the_file_was_not_run(compiler: Machine) -> None:
    built = compiler.convc("build", "mobilenetv1_025", "--size", "64", "-o", "out")
    assert built.returncode == 0, built.stderr
    assert "onnxruntime" in built.stdout
    manifest = json.loads((compiler.work / "out" / "manifest.json").read_text())
    assert manifest["proof"]["whole_network_error"] <= manifest["proof"]["allowed"]
    assert "onnxruntime" in manifest["verification"]["skipped"]


def test_without_onnxruntime_running_says_what_to_install(compiler: Machine) -> None:
    convc.build("lenet5", compiler.work / "made", verify=False)
    np.save(compiler.work / "image.npy", np.zeros((1, 1, 28, 28), np.float32))
    done = compiler.convc("run", "made/model.onnx", "-i", "image.npy")
    assert done.returncode == 4
    assert "onnxruntime" in done.stderr
    assert "pip install" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "resnet152"],
        ["check", "resnet50", "--size", "dynamic"],
        ["show", "googlenet"],
        ["show", "resnet18", "--family", "torchvision"],
        ["show", "op", "conv"],
        ["show", "block", "conv_bn"],
        ["show", "pass", "fold_batchnorm"],
        ["list"],
        ["list", "ops"],
        ["list", "passes"],
        ["schema"],
        ["new", "mine"],
        ["--help"],
        ["build", "--help"],
    ],
)
def test_what_reads_specs_loads_neither_torch_nor_onnx(arguments: Sequence[str], tmp_path: Path) -> None:
    loaded = _loaded(LOADED, arguments, tmp_path)
    assert "convc" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["build", "--help"],
        ["--version"],
        ["compare", "--help"],
        ["bundle", "--help"],
        ["profile", "--help"],
    ],
)
def test_help_loads_no_library_but_the_command_lines(arguments: Sequence[str], tmp_path: Path) -> None:
    assert not _loaded(LOADED, arguments, tmp_path) & {*HEAVY, "numpy", "networkx", "rich", "yaml", "PIL"}


def test_a_spec_with_errors_loads_neither_torch_nor_onnx(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("convc: 1\nname: bad\ninput: {image: [N, 3, 8, 8]}\nnetwork:\n  - cnov: 4\n")
    assert not _loaded(LOADED, ["check", "bad.yaml"], tmp_path, status=2) & HEAVY


def test_importing_convc_loads_no_library_at_all(tmp_path: Path) -> None:
    code = "import sys, convc\nprint('loaded', *{n.partition('.')[0] for n in sys.modules}, file=sys.stderr)"
    assert not _loaded(code, [], tmp_path) & {*HEAVY, "numpy", "networkx", "rich", "yaml", "click", "PIL"}


def _loaded(code: str, arguments: Sequence[str], work: Path, *, status: int = 0) -> set[str]:
    line = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(line, cwd=work, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return set(done.stderr.splitlines()[-1].removeprefix("loaded ").split())


def _packages(folder: Path, hidden: Sequence[str]) -> Path:
    """Links to every installed package but the hidden ones, their metadata included."""
    for root in site.getsitepackages():
        for path in Path(root).iterdir():
            name = path.name.partition("-")[0].partition(".")[0]
            if name not in hidden and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder
