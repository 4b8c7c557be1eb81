from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cache.embedded.folder import MARKER, DataFolder
from cache.errors import FolderForeign, FolderLocked, FolderUnusable


def test_a_new_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    """Made with its parents; opened again after it was closed."""
    path = tmp_path / "a" / "b"

    with DataFolder(path) as folder:
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert folder.file("x.sqlite3") == path / "x.sqlite3"
        folder.file("x.sqlite3").touch()

    DataFolder(path).close()


def test_a_second_one_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    """The pid stands in the message."""
    with DataFolder(tmp_path), pytest.raises(FolderLocked, match=f"with pid {os.getpid()};"):
        DataFolder(tmp_path)


def test_the_lock_ends_with_the_process(tmp_path: Path) -> None:
    """However the process ends, nothing has to be cleaned up by hand."""
    code = (
        "import sys, time; from pathlib import Path; from cache.embedded.folder import DataFolder;"
        "f = DataFolder(Path(sys.argv[1])); print('mine', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(FolderLocked, match=f"with pid {process.pid};"):
            DataFolder(tmp_path)
        process.kill()
    process.wait()

    DataFolder(tmp_path).close()


def test_a_folder_of_others_is_refused_and_untouched(tmp_path: Path) -> None:
    """Anything in it without our mark is somebody's; an empty mount point is not."""
    (tmp_path / "thesis.doc").touch()

    with pytest.raises(FolderForeign, match=r"thesis\.doc"):
        DataFolder(tmp_path)

    assert not (tmp_path / MARKER).exists()


def test_a_mount_point_is_empty(tmp_path: Path) -> None:
    """``lost+found`` belongs to the file system."""
    (tmp_path / "lost+found").mkdir()

    DataFolder(tmp_path).close()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """Says so, and what to do."""
    (tmp_path / "file").touch()

    with pytest.raises(FolderUnusable, match="is a file; choose another path"):
        DataFolder(tmp_path / "file")
    with pytest.raises(FolderUnusable, match="can not be made"):
        DataFolder(tmp_path / "file" / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    """Before anything is opened in it."""
    tmp_path.chmod(0o500)

    with pytest.raises(FolderUnusable, match="can not be written to"):
        DataFolder(tmp_path)
