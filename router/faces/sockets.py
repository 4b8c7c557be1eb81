"""Unix sockets: the owner's alone from the first moment, and nobody else's taken away.

A socket is made under another name beside its own, closed to others, and only then moved to where
callers look. One that was left behind by a process that died is replaced; one that somebody listens
at is not.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NEW: Final = "~"  # short, as a socket's path may be
_BACKLOG: Final = 1_024
_ANSWERS_WITHIN_S: Final = 1.0


def temporary(path: str) -> str:
    """Return where a socket is made before it is moved to ``path``.

    Raises:
        OSError: ``path`` is somebody else's, no socket, or in no folder.
    """
    place = Path(path)
    if not place.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {place.parent}; make it first")
    _check_free(place)
    beside = path + _NEW
    _check_free(Path(beside))
    with suppress(FileNotFoundError):
        Path(beside).unlink()
    return beside


@dataclass(frozen=True, slots=True)
class Moved:
    """A socket where callers look for it, and which one it is."""

    path: str
    inode: int

    def remove(self) -> None:
        """Take it away, unless another stands there by now."""
        with suppress(FileNotFoundError):
            if os.lstat(self.path).st_ino == self.inode:
                Path(self.path).unlink()


def moved(beside: str, path: str) -> Moved:
    """Close a socket made at ``temporary(path)`` to all but its owner, and move it to ``path``."""
    Path(beside).chmod(0o600)
    inode = os.lstat(beside).st_ino
    Path(beside).replace(path)
    return Moved(path, inode)


def bind_unix(path: str) -> tuple[socket.socket, Moved]:
    """Return a socket that listens at a path, which only its owner can connect to.

    Raises:
        OSError: see ``temporary``.
    """
    beside = temporary(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(beside)
        Path(beside).chmod(0o600)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
        there = moved(beside, path)
    except BaseException:
        bound.close()
        raise
    return bound, there


def _check_free(place: Path) -> None:
    try:
        mode = os.lstat(place).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(
            errno.EEXIST, f"{place} is there and is no socket; move it away, or give another path"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWERS_WITHIN_S)
        try:
            probe.connect(str(place))
        except ConnectionRefusedError:
            return  # left behind: nobody listens
        except FileNotFoundError:
            return
    raise OSError(
        errno.EADDRINUSE, f"another process listens at {place}; stop it, or give another path"
    )
