"""write_all: all files or none, nothing left behind, nothing written through a link."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from convc.compiler.artifacts import Sink, Writer, must_write, write_all, write_one
from convc.compiler.errors import OutputError

NEW = {"model.onnx": b"new model", "spec.resolved.yaml": b"new spec", "manifest.json": b"new manifest"}
OLD = {"model.onnx": b"old model", "manifest.json": b"old manifest", "notes.txt": b"mine"}


def writers(contents: dict[str, bytes]) -> list[tuple[str, Writer]]:
    def writer(data: bytes) -> Writer:
        return lambda sink: sink.write(data)

    return [(name, writer(data)) for name, data in contents.items()]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} | {
        str(p.relative_to(folder)) + "/": b"" for p in folder.rglob("*") if p.is_dir()
    }


@pytest.fixture
def old(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    return folder


def fail(error: BaseException) -> Callable[[Sink], object]:
    def write(sink: Sink) -> None:
        sink.write(b"half a")
        raise error

    return write


def test_files_appear_with_their_hashes_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    written = write_all(folder, writers(NEW))
    assert written == {name: hashlib.sha256(data).hexdigest() for name, data in NEW.items()}
    assert list(written) == list(NEW)
    assert tree(folder) == NEW


def test_strangers_in_the_folder_stay(old: Path) -> None:
    write_all(old, writers(NEW))
    assert tree(old) == {**NEW, "notes.txt": b"mine"}


def test_a_writer_sees_the_files_before_it_under_their_final_names(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def manifest(sink: Sink) -> None:
        assert (sink.folder / "model.onnx").read_bytes() == b"abc"
        assert not (tmp_path / "model.onnx").exists()
        seen.update(sink.written)

    write_all(tmp_path, [("model.onnx", lambda sink: sink.write(b"abc")), ("manifest.json", manifest)])
    assert seen == {"model.onnx": hashlib.sha256(b"abc").hexdigest()}


def test_a_data_file_is_called_after_its_content_and_older_ones_go(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    keeps = ["model-0123456.onnx.data", "model-mine.onnx.data"]
    for name in ["model-01234567.onnx.data", *keeps]:
        (tmp_path / name).write_bytes(b"")
    written = write_all(tmp_path, writers({"model-{sha8}.onnx.data": b"weights", "model.onnx": b"m"}))
    assert list(written) == [f"model-{digest[:8]}.onnx.data", "model.onnx"]
    assert sorted(os.listdir(tmp_path)) == sorted([*written, *keeps])


def test_writing_something_else_leaves_a_model_s_data_alone(tmp_path: Path) -> None:
    (tmp_path / "model-01234567.onnx.data").write_bytes(b"")
    write_all(tmp_path, writers({"report.json": b"{}", "other.onnx": b""}))
    assert sorted(os.listdir(tmp_path)) == ["model-01234567.onnx.data", "other.onnx", "report.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a defect"), OutputError("known")])
def test_a_failing_writer_changes_nothing(old: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_all(old, [*writers({"model.onnx": b"new"}), ("manifest.json", fail(error))])
    assert tree(old) == OLD


def test_folders_made_here_go_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path / "a" / "b", [("model.onnx", fail(KeyboardInterrupt()))])
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("failing", ["model.onnx", "spec.resolved.yaml", "manifest.json"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("links", [True, False])
def test_a_failing_rename_puts_everything_back(
    old: Path, monkeypatch: pytest.MonkeyPatch, failing: str, error: BaseException, links: bool
) -> None:
    rename = os.replace

    def broken(source: Path, target: Path) -> None:
        if Path(target) == old / failing and Path(source).parent.name == "new":
            raise error
        rename(source, target)

    def no_link(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", broken)
    if not links:
        monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OutputError):
        write_all(old, writers(NEW))
    assert tree(old) == OLD


def test_the_last_file_is_replaced_last(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    rename = os.replace

    def recording(source: Path, target: Path) -> None:
        order.extend([Path(target).name] if Path(target).parent == old else [])
        rename(source, target)

    monkeypatch.setattr(os, "replace", recording)
    write_all(old, writers(NEW))
    assert order == list(NEW)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_files(old: Path) -> None:
    with file_size_limit(100_000), pytest.raises(OutputError, match=r"model\.onnx: the file would pass the size limit"):
        write_all(old, writers({**NEW, "model.onnx": bytes(1_000_000)}))
    assert tree(old) == OLD


def test_a_full_disk_that_shows_when_buffers_are_flushed_does_too(old: Path) -> None:
    with file_size_limit(100), pytest.raises(OutputError, match="size limit"):
        write_all(old, writers({**NEW, "model.onnx": bytes(200)}))
    assert tree(old) == OLD


@pytest.mark.parametrize(
    ("number", "text"), [(28, "the disk is full"), (30, "the file system is read-only"), (13, "permission denied")]
)
def test_errors_name_path_reason_and_a_way_out(
    old: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def refuse(**_: object) -> str:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(OutputError) as caught:
        write_all(old, writers(NEW))
    assert caught.value.message == f"cannot write {old}: {text}"
    assert "-o" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_in_the_way_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "out").write_bytes(b"a file")
    with pytest.raises(OutputError, match=r"cannot write .*out.*: (it|a part of the path) is a file"):
        write_all(tmp_path / "out" / below, writers(NEW))
    assert tree(tmp_path) == {"out": b"a file"}


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files")
def test_a_place_that_takes_no_files(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write /proc"):
        write_all(Path("/proc/convc-out"), writers(NEW))
    with pytest.raises(OutputError, match="cannot write /proc"):
        write_all(Path("/proc"), writers(NEW))


def test_links_are_not_written_through(old: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(b"precious")
    (old / "model.onnx").unlink()
    (old / "model.onnx").symlink_to(outside)
    with pytest.raises(OutputError, match="symbolic link"):
        write_all(old, writers(NEW))
    assert outside.read_bytes() == b"precious"
    assert (old / "model.onnx").is_symlink()


def test_a_folder_in_the_place_of_a_file(old: Path) -> None:
    (old / "spec.resolved.yaml").mkdir()
    with pytest.raises(OutputError, match="it is a folder"):
        write_all(old, writers(NEW))
    assert tree(old) == {**OLD, "spec.resolved.yaml/": b""}


def test_what_is_being_read_is_not_replaced(old: Path) -> None:
    spec = old / "spec.resolved.yaml"
    spec.write_bytes(b"the source")
    with pytest.raises(OutputError, match="being read"):
        write_all(old, writers(NEW), keep=[old / ".." / "out" / "spec.resolved.yaml"])
    assert spec.read_bytes() == b"the source"


@pytest.mark.parametrize("name", ["../model.onnx", "a/b", "..", ""])
def test_names_are_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        write_all(tmp_path / "out", writers({name: b""}))
    assert tree(tmp_path) == {}


def test_two_builds_at_once_do_not_mix(old: Path) -> None:
    def inner(sink: Sink) -> None:
        with pytest.raises(OutputError, match="another build"):
            write_all(old, writers(NEW))
        sink.write(b"outer")

    write_all(old, [("model.onnx", inner)])
    assert tree(old) == {**OLD, "model.onnx": b"outer"}


SLOW_BUILD = """
    import sys, time
    from pathlib import Path
    from convc.compiler.artifacts import write_all

    def slow(sink):
        sink.write(b"half a model")
        print("writing", flush=True)
        time.sleep(60)

    write_all(Path(sys.argv[1]), [("model.onnx", slow), ("manifest.json", lambda sink: None)])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_build_that_is_stopped_in_the_middle(old: Path, number: int) -> None:
    code = textwrap.dedent(SLOW_BUILD)
    command = [sys.executable, "-c", code, str(old)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as build:
        assert build.stdout is not None
        assert build.stdout.readline() == b"writing\n"
        build.send_signal(number)
        assert build.wait() != 0
    left = tree(old)
    assert {name: data for name, data in left.items() if not name.startswith(".convc-")} == OLD
    assert (left == OLD) == (number == signal.SIGINT)
    # What a killed build left, the next one clears away.
    write_all(old, writers(NEW))
    assert tree(old) == {**NEW, "notes.txt": b"mine"}


def test_one_file_goes_into_a_pipe_as_it_is_and_a_set_of_files_never(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        must_write(tmp_path / "pipe")
        write_one(tmp_path / "pipe", b"all of it")
        assert os.read(reader, 100) == b"all of it"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    with pytest.raises(OutputError, match="a device or a pipe"):
        write_all(tmp_path, writers({"pipe": b""}))
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_full_device_is_one_message() -> None:
    with pytest.raises(OutputError, match="cannot write /dev/full: the disk is full") as caught:
        write_one("/dev/full", b"x" * 100_000)
    assert "-o" not in caught.value.hint
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_what_could_not_be_written_is_known_before_and_asking_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("elsewhere")
    bad = {"file/x": "a file, not a folder", "": "it is a folder", "link": "symbolic link", "n" * 300: "too long"}
    for name, reason in bad.items():
        with pytest.raises(OutputError, match=reason) as caught:
            must_write(tmp_path / name)
        assert "-o" not in caught.value.hint
        with pytest.raises(OutputError, match=reason):
            write_one(tmp_path / name, b"")
    with pytest.raises(OutputError, match="it is what is being read"):
        must_write(tmp_path / "file", [tmp_path / "file"])
    must_write(tmp_path / "new" / "deeper" / "file")
    must_write(tmp_path / "file")
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]
