"""The service as a process of its own, as an operator starts it."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LISTENING = re.compile(rb"listening on (\S+)")


@dataclass(slots=True, kw_only=True)
class Served:
    """A service in a process.

    Attributes:
        process: it.
        address: where it listens.
        log: what it wrote so far.
    """

    process: asyncio.subprocess.Process
    address: str
    log: list[str]

    async def ended(self, within_s: float = 15.0) -> int:
        """Wait for its end and return its exit status."""
        return await asyncio.wait_for(self.process.wait(), within_s)


async def run_scrimp(*args: str, env: Mapping[str, str] | None = None) -> tuple[int, str, str]:
    """Run a command to its end; return status, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "router",
        *args,
        cwd=ROOT,
        env=environment(env),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return await process.wait(), out.decode(), err.decode()


@asynccontextmanager
async def served(config: Path, *, env: Mapping[str, str] | None = None) -> AsyncIterator[Served]:
    """Start ``scrimp serve`` and wait until it listens; kill what is left of it at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "router",
        "serve",
        "--config",
        str(config),
        cwd=ROOT,
        env=environment(env),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    log: list[str] = []
    address = ""
    while not address:
        line = await asyncio.wait_for(process.stderr.readline(), 60)
        if not line:
            raise AssertionError(f"the service did not start: {''.join(log)}")
        log.append(line.decode())
        found = _LISTENING.search(line)
        address = found[1].decode() if found else ""
    reading = asyncio.create_task(_read_on(process.stderr, log))
    try:
        yield Served(process=process, address=address, log=log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


async def _read_on(stream: asyncio.StreamReader, log: list[str]) -> None:
    async for line in stream:
        log.append(line.decode())


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return ours, in which this checkout's modules are found, and more."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "protos")])
    return {**os.environ, "PYTHONPATH": path, **(more or {})}
