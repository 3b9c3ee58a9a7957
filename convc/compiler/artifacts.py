"""Writes a set of files into a folder, all or none of them.

    folder/.convc-xxxx/new/NAME     written, hashed and synced first, under its final name
    folder/.convc-xxxx/old/NAME     a second link to what stood there before
    folder/NAME                     replaced in the given order; the last file is the commit point

A failure at any step puts the links back and removes the staging folder. A killed process can leave the staging folder
behind; the next build in that folder holds the folder's lock, so it may remove what it finds.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO

from .errors import OutputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_STAGING = ".convc-"
_PROBE = ".convc_"
_DATA_FILE = re.compile(r"(?P<model>.+)-[0-9a-f]{8}(?P<ending>\.onnx)\.data")

_REASONS: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space, or choose another folder with -o"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or choose another folder with -o"),
    errno.EFBIG: ("the file would pass the size limit of this process or file system", "raise it (`ulimit -f`)"),
    errno.EROFS: ("the file system is read-only", "choose another folder with -o"),
    errno.EACCES: ("permission denied", "choose a folder that you may write to with -o"),
    errno.EPERM: ("not permitted", "choose a folder that you may write to with -o"),
    errno.EEXIST: ("it is a file, not a folder", "choose another folder with -o"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another folder with -o"),
    errno.ENAMETOOLONG: ("the path is too long", "choose a shorter one with -o"),
    errno.ELOOP: ("its symbolic links lead in a circle", "choose another folder with -o"),
}


class Sink:
    """What a writer is handed: `write` bytes in any number of pieces.

    `written` maps the files that came before this one to their sha256, `folder` is where they lie until the commit,
    under their final names: so a manifest can state them, and a check can open them, before anything is replaced.
    """

    def __init__(self, file: BinaryIO, name: str, folder: Path, written: Mapping[str, str]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._name = name
        self.folder = folder
        self.written = written

    def write(self, data: Buffer) -> int:
        """Append a bytes-like object; raises OutputError. Returns the number of bytes."""
        view = memoryview(data)
        with explained(Path(self._name)):
            self._file.write(view)
        self._hash.update(view)
        return view.nbytes

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of everything written so far."""
        return self._hash.hexdigest()


Writer = Callable[[Sink], object]


def write_all(folder: Path, writers: Sequence[tuple[str, Writer]], *, keep: Sequence[Path] = ()) -> dict[str, str]:
    """Write every file, or leave the folder as it was; returns name -> sha256 in the given order.

    `{sha8}` in a name stands for the first eight digits of the file's own hash. The folder is made if it is missing,
    and gone again on failure if it was made here. After the commit, `model-<sha8>.onnx.data` files that a written
    `model.onnx` no longer reads are removed.
    `keep` lists files that must not be replaced, the spec that is being built for one.

    Raises OutputError with the path, the reason and what to do. Whatever a writer raises passes through.
    """
    with ExitStack() as stack:
        stack.enter_context(_existing(folder))
        stack.enter_context(_locked(folder))
        for name, _ in writers:
            _refuse(folder, name, keep)
        staging = stack.enter_context(_staging(folder))
        written = _stage(staging / "new", folder, writers)
        for name in written:
            _refuse(folder, name, keep)
        _commit(staging, folder, list(written))
    _remove_stale(folder, set(written))
    return written


def write_one(path: str | Path, data: bytes) -> None:
    """One file, whole or not at all; a device or a pipe is written to as it is. Raises OutputError."""
    target = Path(path)
    with _of_one_file(), explained(target):
        if _special(target):
            with target.open("wb") as stream:
                stream.write(data)
            return
        write_all(target.parent, [(target.name, lambda sink: sink.write(data))])


def must_write(path: str | Path, keep: Sequence[Path] = ()) -> None:
    """Raises OutputError where `write_one` would: before a measurement, not after it. Leaves no trace."""
    target = Path(path)
    with _of_one_file(), explained(target):
        if target.exists() and any(one.exists() and os.path.samefile(target, one) for one in keep):
            raise OutputError(f"cannot write {target}: it is what is being read", hint="choose another file")
        if _special(target):
            return
        folder = next(one for one in (target.parent, *target.parent.parents) if os.path.lexists(one))
        if not folder.is_dir():
            raise FileExistsError(errno.EEXIST, "not a folder")
        _refuse(target.parent, target.name, ())
        os.rmdir(tempfile.mkdtemp(prefix=_PROBE, dir=folder))


def _special(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def _of_one_file() -> Iterator[None]:
    """What is written as one file was not named by -o."""
    try:
        yield
    except OutputError as error:
        raise OutputError(error.message, hint=error.hint.removesuffix(" with -o")) from error


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns an OSError into an OutputError that names `path`, the reason and a way out."""
    try:
        yield
    except OSError as error:
        text = (error.strerror or str(error)).lower()
        reason, hint = _REASONS.get(error.errno or 0, (text, "choose another folder with -o"))
        raise OutputError(f"cannot write {path}: {reason}", hint=hint) from error


@contextmanager
def _existing(folder: Path) -> Iterator[None]:
    missing = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    made: list[Path] = []
    try:
        with explained(folder):
            for path in reversed(missing):
                path.mkdir(exist_ok=True)
                made.append(path)
            if not folder.is_dir():
                raise FileExistsError(errno.EEXIST, "not a folder")
        yield
    except BaseException:
        for path in reversed(made):
            with suppress(OSError):
                path.rmdir()
        raise


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: the renames alone have to do
        yield
        return
    with explained(folder):
        handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        hint = "wait for it, or choose another folder with -o"
        raise OutputError(f"cannot write {folder}: another build is writing there", hint=hint) from None
    except OSError:  # a network file system without locks
        pass
    try:
        yield
    finally:
        os.close(handle)


def _refuse(folder: Path, name: str, keep: Sequence[Path]) -> None:
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no plain file name")
    target = folder / name
    if target.is_symlink():
        hint = "remove the link, or choose another folder with -o"
        raise OutputError(f"cannot write {target}: it is a symbolic link to {os.readlink(target)}", hint=hint)
    if target.is_dir():
        raise OutputError(f"cannot write {target}: it is a folder", hint="remove it, or choose another folder with -o")
    if _special(target):
        raise OutputError(f"cannot write {target}: it is a device or a pipe", hint="choose another folder with -o")
    if target.exists() and any(path.exists() and os.path.samefile(target, path) for path in keep):
        raise OutputError(f"cannot write {target}: it is what is being read", hint="choose another folder with -o")


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    for stale in folder.glob(_STAGING + "*"):
        if stale.is_dir() and not stale.is_symlink():
            shutil.rmtree(stale, ignore_errors=True)
    with explained(folder):
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        with explained(folder):
            (staging / "new").mkdir()
            (staging / "old").mkdir()
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _stage(new: Path, folder: Path, writers: Sequence[tuple[str, Writer]]) -> dict[str, str]:
    written: dict[str, str] = {}
    for name, write in writers:
        shown = folder / name
        with explained(shown):
            file = open(new / name, "xb")
        try:
            sink = Sink(file, str(shown), new, MappingProxyType(written))
            write(sink)
            with explained(shown):
                file.flush()
                os.fsync(file.fileno())
        finally:
            # A second failure, of the flush inside close, must not hide the first.
            with suppress(OSError):
                file.close()
        final = name.replace("{sha8}", sink.sha256[:8])
        with explained(shown):
            os.replace(new / name, new / final)
        written[final] = sink.sha256
    return written


def _commit(staging: Path, folder: Path, names: Sequence[str]) -> None:
    done: list[str] = []
    try:
        for name in names:
            with explained(folder / name):
                _hold(folder / name, staging / "old" / name)
                done.append(name)
                os.replace(staging / "new" / name, folder / name)
        _sync(folder)
    except BaseException:
        for name in reversed(done):
            _put_back(folder / name, staging / "old" / name)
        raise


def _hold(target: Path, kept: Path) -> None:
    if not target.exists():
        return
    try:
        os.link(target, kept)
    except OSError:  # a file system without hard links
        shutil.copy2(target, kept)


def _put_back(target: Path, kept: Path) -> None:
    with suppress(OSError):
        if kept.exists():
            os.replace(kept, target)
        else:
            target.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Make the renames last through a power cut, where the file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_stale(folder: Path, written: set[str]) -> None:
    """Of the models that were written, remove the data files that they no longer read."""
    for path in folder.glob("*.onnx.data"):
        found = _DATA_FILE.fullmatch(path.name)
        if found and found["model"] + found["ending"] in written and path.name not in written:
            # The commit is done: what cannot be removed now, the next build removes.
            with suppress(OSError):
                path.unlink()
