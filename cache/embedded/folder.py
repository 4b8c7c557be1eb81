"""The data folder: ours alone, for one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from cache.errors import FolderForeign, FolderLocked, FolderUnusable

MARKER = "scrimp.folder"
"""Marks the folder as ours and carries the lock; holds the pid of the process that has it."""

_HARMLESS = frozenset({MARKER, "lost+found"})


class DataFolder:
    """An owner-only folder, locked against every other process until it is closed.

    The lock belongs to the open file: it ends with the process, however that ends.

    Args:
        path: made when missing, with its parents.

    Raises:
        FolderUnusable: it can not be made, is no folder, or can not be written to.
        FolderForeign: it holds files and no mark of ours.
        FolderLocked: another process works in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _make(path)
        _refuse_foreign(path)
        self._lock = _lock(path)

    def __enter__(self) -> DataFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def file(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self.path / name

    def close(self) -> None:
        """Let go of the lock; a second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _make(path: Path) -> None:
    try:
        if not path.exists():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise FolderUnusable(
            f"the data folder {path} can not be made ({error.strerror}); choose another one or "
            f"give this user the right to write there"
        ) from error
    if not path.is_dir():
        raise FolderUnusable(f"the data folder {path} is a file; choose another path")


def _refuse_foreign(path: Path) -> None:
    try:
        found = {entry.name for entry in path.iterdir()}
    except OSError as error:
        raise FolderUnusable(
            f"the data folder {path} can not be read ({error.strerror}); check its owner and rights"
        ) from error
    if MARKER not in found and found - _HARMLESS:
        example = min(found - _HARMLESS)
        raise FolderForeign(
            f"the data folder {path} holds files that are not scrimp's (such as {example!r}) and "
            f"no {MARKER}; choose an empty or a new folder"
        )


def _lock(path: Path) -> int:
    marker = path / MARKER
    try:
        lock = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnusable(
            f"the data folder {path} can not be written to ({error.strerror}); check its owner "
            f"and rights"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise FolderLocked(
            f"the data folder {path} is in use by the process with pid {holder}; stop that one or "
            f"choose another folder"
        ) from error
    try:
        _write_pid(lock)
    except OSError as error:
        os.close(lock)
        raise FolderUnusable(
            f"the data folder {path} can not be written to ({error.strerror}); check free disk "
            f"space and rights"
        ) from error
    return lock


def _write_pid(lock: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
