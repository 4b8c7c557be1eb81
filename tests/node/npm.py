"""Node.js and what its registry gives; tests are skipped where either is not to be had."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


async def seen_by(
    script: str, *args: str, packages: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    """Install packages into a folder, run a script of ours there, return what it printed.

    Skips the test where that cannot be done.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("needs node and npm")
    _prepare(folder)
    install = ("install", "--no-audit", "--no-fund", "--ignore-scripts", *packages)
    status, _, err = await _run(npm, *install, folder=folder, within_s=180)
    if status != 0:
        pytest.skip(f"the npm registry gave no packages: {err.strip()[-200:]}")
    status, out, err = await _run(node, str(HERE / script), *args, folder=folder, within_s=60)
    assert status == 0, err
    return dict(json.loads(out))


def _prepare(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "package.json").write_text('{"private": true}')


async def _run(*command: str, folder: Path, within_s: float) -> tuple[int, str, str]:
    """Run a command in a folder; return its status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        await process.wait()
        return -1, "", f"not done within {within_s:g} s"
    return await process.wait(), out.decode(), err.decode()
