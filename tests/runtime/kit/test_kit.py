"""The kit: what it holds, and a runner that verifies and measures where convc cannot be imported."""

from __future__ import annotations

import ast
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import convc
from convc.api.side_by_side import read_result
from convc.cli import main
from convc.compiler.errors import ModelError, OutputError, UsageError
from convc.runtime.kit import board as board_file
from convc.runtime.kit import figures, runner
from convc.runtime.kit.assemble import assembled
from convc.runtime.kit.bundle import UNPROVEN, bundle
from convc.runtime.kit.layers import skeleton
from convc.runtime.profile import stats
from convc.runtime.profile.codec import encode
from convc.runtime.profile.record import Profile

FILES = ["expected.npz", "inputs.npz", "kit.json", "model.onnx", "run.py"]
# Python that finds nothing but the standard library and the two packages of the kit.
ALONE = """\
import sys, runpy
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {refused!r}:
            raise ImportError(name + ' is not on this board')
sys.meta_path.insert(0, Only())
sys.argv = {argv!r}
runpy.run_path({script!r}, run_name='__main__')
"""
REFUSED = ("convc", "onnx", "onnx_ir", "torch", "click", "yaml", "networkx", "rich", "safetensors", "PIL", "scipy")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A proven build of LeNet."""
    return convc.build("lenet5", tmp_path_factory.mktemp("build") / "lenet5").folder


@pytest.fixture
def kit(build: Path, tmp_path: Path) -> Path:
    return bundle(build, tmp_path / "kit").folder


@pytest.fixture(scope="module")
def once(build: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A kit that was run, and what its runner said."""
    folder = bundle(build, tmp_path_factory.mktemp("measured") / "kit").folder
    return folder, board(folder, "--seconds", "0.3", "--threads", "1", "--batch", "3")


@pytest.fixture
def measured(once: tuple[Path, object], tmp_path: Path) -> Path:
    """A copy of that kit, to be spoiled."""
    return Path(shutil.copytree(once[0], tmp_path / "measured"))


def board(kit: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The runner in an isolated Python, where importing convc or anything that the kit does not need fails."""
    script = ALONE.format(refused=REFUSED, argv=["run.py", *arguments], script=str(kit / "run.py"))
    line = [sys.executable, "-I", "-c", script]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(line, cwd=kit, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_a_kit_holds_the_model_as_built_and_what_proves_it(build: Path, kit: Path) -> None:
    assert sorted(os.listdir(kit)) == FILES
    assert (kit / "model.onnx").read_bytes() == (build / "model.onnx").read_bytes()
    told = json.loads((kit / "kit.json").read_text())
    manifest = json.loads((build / "manifest.json").read_text())
    allowed = [case["outputs"]["output"]["bound"] for case in manifest["verification"]["cases"]]
    assert told["bounds"] == {"output": max(allowed)}
    assert told["proven"] is True
    assert sorted(told["files"]) == [name for name in FILES if name != "kit.json"]
    with np.load(kit / "inputs.npz") as inputs, np.load(kit / "expected.npz") as expected:
        assert inputs["image"].shape == (2, 1, 28, 28)
        assert expected["output"].shape == (2, 10)


def test_two_kits_of_one_build_are_the_same_bytes(build: Path, tmp_path: Path) -> None:
    first, second = bundle(build, tmp_path / "a"), bundle(build, tmp_path / "b")
    assert first.files == second.files
    assert str(build) not in (first.folder / "kit.json").read_text()


def test_the_runner_verifies_measures_and_writes_a_record_where_convc_is_not(
    once: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    kit, done = once
    assert done.returncode == 0, done.stderr
    assert "output: error" in done.stdout
    assert "verified" in done.stdout
    found = Profile.from_json(json.loads((kit / "result.json").read_text()), "result.json")
    point = found.points[0]
    assert (point.batch, point.size, point.threads, point.inputs) == (3, (28, 28), 1, {"image": (3, 1, 28, 28)})
    assert point.latency == stats.latency(point.samples_ms)
    assert point.throughput is not None
    assert point.throughput.samples_per_s > 0
    assert found.model.spec == "lenet5"
    assert found.start.cpu_model
    assert any("verified on this machine" in note for note in found.notes)


def test_the_result_goes_through_the_same_reports(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, result = tmp_path / "page.html", str(measured / "result.json")
    assert main(["profile", "--from", result, "--html", str(page), "--trace", str(tmp_path / "t.json")]) == 0
    assert "measured by the kit's runner" in capsys.readouterr().out
    assert '<section id="latency">' in page.read_text()
    assert '<section id="layers">' in page.read_text()
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert main(["profile", "--from", result, "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["points"][0]["samples_ms"]
    assert main(["compare", result, result]) == 0


def test_layers_of_a_result_are_named_with_their_lines_and_close(measured: Path) -> None:
    found = read_result(measured / "result.json").points[0].layers
    assert found is not None
    costs = {row.name: row for row in convc.load("lenet5", batch=3).costs().rows}
    by_name = {row.layer: row for row in found.rows}
    heavy = [name for name, cost in costs.items() if cost.macs]
    assert set(heavy) <= set(by_name)
    assert {name: by_name[name].macs for name in heavy} == {name: costs[name].macs for name in heavy}
    assert all("lenet.yaml:" in by_name[name].source for name in heavy)
    assert 0.3 < found.closure <= 1.0
    assert found.sum_ms == pytest.approx(sum(row.time_ms for row in found.rows))
    named = {owner for row in found.rows for owner in row.owners} | {one.layer for one in found.absent}
    assert {node.name for node in onnx.load(str(measured / "model.onnx")).graph.node} <= {
        name.split("/")[0] for name in named
    }


def test_without_profiling_there_are_no_layers(kit: Path) -> None:
    assert board(kit, "--seconds", "0.2", "--no-layers").returncode == 0
    assert read_result(kit / "result.json").points[0].layers is None


@pytest.mark.parametrize(
    "damage",
    [
        {"graph": "x"},
        {"graph": "AAAA"},
        {"walls_ms": None},
        {"events": [{"name": "model_run", "ts": 0, "dur": "long"}]},
        {"profiled_over_unprofiled": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_damaged_profile_is_one_message(damage: dict[str, Any], measured: Path) -> None:
    data = json.loads((measured / "result.json").read_text())
    data["profile"].update(damage)
    (measured / "result.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match=r"result\.json: its profile is damaged"):
        read_result(measured / "result.json")


def test_the_kits_graph_holds_no_weights(build: Path) -> None:
    proto = onnx.load(str(build / "model.onnx"))
    bare = onnx.ModelProto.FromString(base64.b64decode(skeleton(proto)))
    assert [node.name for node in bare.graph.node] == [node.name for node in proto.graph.node]
    assert [tuple(one.dims) for one in bare.graph.initializer] == [tuple(one.dims) for one in proto.graph.initializer]
    assert bare.ByteSize() < 0.2 * proto.ByteSize()


def test_other_numbers_are_told_with_exit_3(kit: Path) -> None:
    with np.load(kit / "expected.npz") as archive:
        wrong = {name: array.copy() for name, array in archive.items()}
    wrong["output"][1, 4] += 0.01
    np.savez(kit / "expected.npz", **wrong)
    _resign(kit, "expected.npz")
    done = board(kit, "--verify-only")
    assert done.returncode == 3
    assert "DIFFERS" in done.stdout
    assert not (kit / "result.json").exists()
    measured = board(kit, "--seconds", "0.2")
    assert measured.returncode == 3
    assert "differ" in json.loads((kit / "result.json").read_text())["warnings"][0]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda kit: (kit / "kit.json").unlink(), "kit.json"),
        (lambda kit: (kit / "kit.json").write_text("{"), "kit.json"),
        (lambda kit: (kit / "kit.json").write_text("[]"), "is no record of a kit"),
        (lambda kit: (kit / "kit.json").write_text("{}"), "is no record of a kit"),
        (lambda kit: (kit / "inputs.npz").unlink(), "inputs.npz"),
        (lambda kit: (kit / "model.onnx").write_bytes(b"\x08"), "model.onnx is not the file that was bundled"),
    ],
)
def test_a_damaged_kit_is_one_message_and_exit_2(spoil: Callable[[Path], object], said: str, kit: Path) -> None:
    spoil(kit)
    done = board(kit)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["--provider", "tensorrt"], "has no TensorrtExecutionProvider", 4),
        (["--seconds", "0"], "--seconds is above 0", 2),
        (["--seconds", "nan"], "--seconds is above 0", 2),
        (["--batch", "99999999"], "--batch 0 to", 2),
        (["-o", "."], "cannot write .: it is a folder", 2),
        (["--provider", "gpu"], "invalid choice", 2),
        (["-o", "none/result.json", "--seconds", "0.1"], "cannot write none/result.json", 2),
        (["--help"], "", 0),
    ],
)
def test_the_runners_own_messages(arguments: list[str], said: str, code: int, kit: Path) -> None:
    done = board(kit, *arguments)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_what_cannot_be_written_is_said_before_anything_is_measured(kit: Path) -> None:
    done = board(kit, "-o", "none/result.json")
    assert (done.returncode, done.stdout) == (2, "")


def test_the_result_goes_into_a_device_as_it_is(kit: Path) -> None:
    done = board(kit, "--seconds", "0.1", "--no-layers", "-o", "/dev/stdout")
    assert done.returncode == 0, done.stderr
    assert '"kind": "convc.profile"' in done.stdout


def test_a_reader_of_the_pipe_that_has_seen_enough_is_no_error(kit: Path) -> None:
    line = [sys.executable, "-I", str(kit / "run.py"), "--verify-only"]
    child = subprocess.Popen(line, cwd=kit, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    with child.stderr as stream:
        said = stream.read()
    assert (child.wait(60), said) == (0, "")


def test_memory_that_runs_out_is_one_message(kit: Path) -> None:
    code = "import runpy, resource, sys, numpy, onnxruntime; sys.argv = ['run.py', '--batch', '1000000']; {}"
    limit = "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); runpy.run_path('run.py', run_name='__main__')"
    line = [sys.executable, "-c", code.format(limit)]
    done = subprocess.run(line, cwd=kit, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr == "error: memory ran out: use a smaller --batch\n"


def test_nodes_that_left_the_provider_are_listed_with_exit_4() -> None:
    engine = runner.ENGINES["cuda"]
    nodes = [("conv", "Conv", engine), ("size", "Shape", runner.ENGINES["cpu"]), ("odd", "Odd", runner.ENGINES["cpu"])]
    runner.must_stay(nodes[:2], "cuda", ["size"])
    with pytest.raises(
        runner.Problem, match="1 of 3 nodes do not run on cuda:\n  odd  Odd  on CPUExecutionProvider"
    ) as caught:
        runner.must_stay(nodes, "cuda", ["size"])
    assert caught.value.code == 4


def test_a_library_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "onnxruntime" / "capi"
    folder.mkdir(parents=True)
    (folder / "libonnxruntime_providers_cuda.so").write_bytes(b"no library")
    said = board_file.missing_library(str(tmp_path / "onnxruntime" / "__init__.py"), "cuda")
    assert "libonnxruntime_providers_cuda.so" in said
    assert board_file.missing_library(str(tmp_path / "onnxruntime" / "__init__.py"), "tensorrt") == ""


def test_the_runner_records_who_took_the_nodes(once: tuple[Path, object]) -> None:
    found = read_result(once[0] / "result.json").points[0].provider
    assert set(found.placement) == {runner.ENGINES["cpu"]}
    assert found.placement[runner.ENGINES["cpu"]] > 5


def test_a_fixed_batch_is_kept(tmp_path: Path) -> None:
    folder = convc.build("lenet5", tmp_path / "fixed", batch=1, verify=False).folder
    made = bundle(folder)
    assert made.folder == tmp_path / "fixed-kit"
    assert (made.bounds, made.proven) == ({"output": UNPROVEN}, False)
    assert "the build was not verified" in made.text()
    done = board(made.folder, "--batch", "2")
    assert done.returncode == 2
    assert "fixes it at 1" in done.stderr


def test_the_runner_is_plain_python_38_and_imports_two_packages() -> None:
    source = assembled()
    tree = ast.parse(source, feature_version=(3, 8))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported - set(sys.stdlib_module_names) == {"numpy", "onnxruntime"}
    # Annotations are text there; an alias such as dict[str, int] would be evaluated, and fail.
    assert not [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)]


@pytest.mark.parametrize("count", [1, 5, 6, 7, 30, 99, 100, 1000, 1001, 2500])
def test_the_runners_figures_are_those_of_the_record(count: int) -> None:
    samples = np.random.default_rng(count).lognormal(size=count).tolist()
    assert figures.latency(samples) == pytest.approx(encode(stats.latency(samples)))


def test_the_runners_error_is_that_of_verify() -> None:
    from convc.runtime.parity import compare

    rng = np.random.default_rng(0)
    wanted = rng.standard_normal((2, 10)).astype(np.float32)
    got = wanted + rng.standard_normal((2, 10)).astype(np.float32) * 1e-4
    ours = runner.compared(np, "y", wanted, got, 1e-3)
    theirs = compare({"y": wanted}, {"y": got}, 1e-3).differences[0]
    assert (ours["error"], ours["ok"]) == (pytest.approx(theirs.error), theirs.ok)
    for bad in (None, got[:1], np.full_like(got, np.nan)):
        assert runner.compared(np, "y", wanted, bad, 1e9)["ok"] is False


# --- what bundle refuses ---


def _manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    change(data)
    (folder / "manifest.json").write_text(json.dumps(data))


REFUSED_BUILDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no manifest": (lambda p: (p / "manifest.json").unlink(), "is no build folder"),
    "manifest cut": (lambda p: (p / "manifest.json").write_text("{"), "is no JSON"),
    "manifest of something else": (lambda p: (p / "manifest.json").write_text("[]"), "is no manifest"),
    "no model": (lambda p: (p / "model.onnx").unlink(), "model.onnx"),
    "another model": (lambda p: (p / "model.onnx").write_bytes(b"\x08\x08"), "is not the file that was built"),
    "data outside": (
        lambda p: _manifest(p, lambda d: d["files"].update({"../x.onnx.data": "0"})), "outside its folder"
    ),
    "verification damaged": (
        lambda p: _manifest(p, lambda d: d.update(verification={"cases": [{"outputs": {}}]})), "how the build was verified"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_BUILDS)
def test_what_is_no_whole_build_is_refused_and_nothing_written(name: str, build: Path, tmp_path: Path) -> None:
    spoil, said = REFUSED_BUILDS[name]
    folder = tmp_path / "copy"
    shutil.copytree(build, folder)
    spoil(folder)
    with pytest.raises(ModelError, match=said):
        bundle(folder, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_a_kit_is_not_written_over_its_build(build: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the build folder itself"):
        bundle(build, build)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        bundle(build, tmp_path / "file")
    other = convc.build("lenet5", tmp_path / "other", seed=1, verify=False)
    before = other.path.read_bytes()
    with pytest.raises(UsageError, match="is a build folder, whose model would be replaced"):
        bundle(build, other.folder)
    assert other.path.read_bytes() == before
    assert not (other.folder / "kit.json").exists()


def test_the_command_prints_what_to_do_next(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", str(build), "-o", str(tmp_path / "k"), "--batch", "4"]) == 0
    text = capsys.readouterr().out
    assert "python run.py" in text
    assert "image [4, 1, 28, 28]" in text
    assert main(["bundle", str(build), "-o", str(tmp_path / "k"), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["proven"] is True
    assert main(["bundle", str(tmp_path)]) == 2
    assert "is no build folder" in capsys.readouterr().err
    assert main(["bundle", str(build), "-o", str(tmp_path / "k2"), "--size", "dynamic"]) == 2
    assert "one size" in capsys.readouterr().err


def _resign(kit: Path, name: str) -> None:
    told = json.loads((kit / "kit.json").read_text())
    told["files"][name] = runner.sha256(str(kit / name))
    (kit / "kit.json").write_text(json.dumps(told))
