"""Builds that cannot be: a damaged checkpoint, a folder that cannot be written, ^C in the middle. Nothing is half-written."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import convc
from convc.cli import main

Writer = Callable[[Path], object]


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return {name: param.rounded("float32") for name, param in convc.load("lenet5").model().params.items()}


def listing(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], code: int = 2) -> None:
    assert main(arguments) == code
    seen = capsys.readouterr()
    assert words in seen.err
    assert "error: " in seen.err
    assert "Traceback" not in seen.err + seen.out
    assert "defect" not in seen.err


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch PWNED",)


CHECKPOINTS: dict[str, tuple[str, Writer, str]] = {
    "empty": ("w.safetensors", lambda p: p.write_bytes(b""), ""),
    "random bytes": ("w.safetensors", lambda p: p.write_bytes(bytes(range(256)) * 9), ""),
    "a pointer of Git LFS": (
        "w.pth",
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "LFS",
    ),
    "a web page": ("w.pth", lambda p: p.write_text("<!DOCTYPE html><html></html>"), ""),
    "pickled code": ("w.pth", lambda p: p.write_bytes(pickle.dumps({"a": Evil()})), ""),
    "a header of 2**60 bytes": (
        "w.safetensors",
        lambda p: p.write_bytes((2**60).to_bytes(8, "little") + b"{}"),
        "",
    ),
    "a header that is no JSON": (
        "w.safetensors",
        lambda p: p.write_bytes((8).to_bytes(8, "little") + b"{{{{{{{{"),
        "",
    ),
    "an array of objects": (
        "w.npz",
        lambda p: np.savez(p, a=np.array([Evil()], dtype=object)),
        "",
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_file_that_is_no_checkpoint_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, write, words = CHECKPOINTS[name]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / file)
    before = listing(tmp_path)
    refused(["build", "lenet5", "--weights", file, "-o", "out", "--no-verify"], words or file, capsys)
    assert listing(tmp_path) == before
    assert not (tmp_path / "out").exists()


DAMAGES: dict[str, tuple[Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]], str]] = {
    "a missing tensor": (
        lambda t: {k: v for k, v in t.items() if k != "fc3.weight"} if "fc3.weight" in t else dict(list(t.items())[1:]),
        "missing",
    ),
    "a strange tensor": (lambda t: {**t, "extra.weight": np.zeros(3, np.float32)}, "extra.weight"),
    "a tensor of the wrong shape": (lambda t: {**t, next(iter(t)): np.zeros((2, 2), np.float32)}, "shape"),
    "a NaN": (lambda t: {**t, next(iter(t)): np.full_like(next(iter(t.values())), np.nan)}, "NaN"),
    "an infinity": (lambda t: {**t, next(iter(t)): np.full_like(next(iter(t.values())), np.inf)}, ""),
    "integers": (lambda t: {k: v.astype(np.int64) for k, v in t.items()}, ""),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_checkpoint_that_does_not_fit_names_the_tensor(
    name: str, tensors: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, words = DAMAGES[name]
    save_file(damage(dict(tensors)), tmp_path / "w.safetensors")
    weights = str(tmp_path / "w.safetensors")
    refused(["build", "lenet5", "--weights", weights, "-o", str(tmp_path / "out"), "--no-verify"], words, capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(
    share: float, tensors: dict[str, np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = tmp_path / "w.safetensors"
    save_file(tensors, whole)
    whole.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    refused(
        ["build", "lenet5", "--weights", str(whole), "-o", str(tmp_path / "out"), "--no-verify"],
        "w.safetensors",
        capsys,
    )


OUTPUTS: dict[str, tuple[str, str]] = {
    "a file": ("file", "file"),
    "a file on the way": ("file/below", "file"),
    "a file system that takes no folders": ("/proc/convc", "/proc/convc"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_folder_that_cannot_be_written_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target, words = OUTPUTS[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    refused(["build", "lenet5", "-o", target, "--no-verify"], words, capsys)
    assert listing(tmp_path) == {"file": b"mine"}


def test_a_link_is_not_followed_out_of_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_text("not yours")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").symlink_to(stranger)
    refused(["build", "lenet5", "-o", str(tmp_path / "out"), "--no-verify"], "link", capsys)
    assert stranger.read_text() == "not yours"


def test_the_spec_that_is_built_is_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "lenet5", "-o", str(tmp_path), "--no-verify"]) == 0
    spec = tmp_path / "spec.resolved.yaml"
    before = spec.read_bytes()
    capsys.readouterr()
    refused(["build", str(spec), "-o", str(tmp_path), "--no-verify"], "spec.resolved.yaml", capsys)
    assert spec.read_bytes() == before


def child(arguments: list[str], folder: Path, **given: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "convc", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, **pipes, **given)  # type: ignore[call-overload,no-any-return]


def test_a_full_disk_keeps_what_was_there(tmp_path: Path) -> None:
    assert main(["build", "lenet5", "-o", str(tmp_path / "out"), "--no-verify", "-q"]) == 0
    before = listing(tmp_path)

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    run = child(["build", "lenet5", "-o", "out", "--no-verify", "--seed", "7"], tmp_path, preexec_fn=small_files)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 2, err
    assert "error: cannot write" in err
    assert "Traceback" not in err + out
    assert listing(tmp_path) == before


def test_an_interrupt_in_the_middle_leaves_nothing_half_written(tmp_path: Path) -> None:
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        run = child(["build", "vgg11", "-o", "out", "--no-verify"], folder)
        deadline = time.monotonic() + 60
        # Wait until the build writes: the staging folder appears beside what it will become.
        while run.poll() is None and time.monotonic() < deadline and not (folder / "out").exists():
            time.sleep(0.001)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
        assert "Traceback" not in err + out
        if run.returncode != 0:
            assert run.returncode == 130, err
            assert listing(folder) == {}
            return
        # On a busy machine the build may have been the faster.
        shutil.rmtree(folder)
    pytest.fail("the build ended each time before it could be interrupted")


def test_memory_and_time_stay_in_proportion_to_a_bomb(tmp_path: Path) -> None:
    bombs = {
        "alias.yaml": "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(5000)),
        "deep.yaml": "[" * 1_000_000,
        "blocks.yaml": "convc: 1\ninput: {image: [N, 3, 8, 8]}\nblocks:\n"
        + "".join(f"  b{i}: {{body: [{', '.join([f'b{i + 1}'] * 9)}]}}\n" for i in range(30))
        + "  b30: {body: [relu]}\nnetwork: [b0]\n",
    }
    # The peak is read inside: what the system counts for a child begins with its parent's.
    program = (
        "import sys; from pathlib import Path; from convc.cli import main; code = main(['check', sys.argv[1]]); "
        "print([line for line in Path('/proc/self/status').read_text().splitlines() if 'VmHWM' in line][0].split()[1]); "
        "sys.exit(code)"
    )
    for name, text in bombs.items():
        (tmp_path / name).write_text(text)
        command = [sys.executable, "-c", program, name]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 2, run.stderr
        assert "error: " in run.stderr
        assert "Traceback" not in run.stderr
        # In kilobytes; Python with the frontend loaded takes some 60,000.
        assert int(run.stdout) < 500_000, name
