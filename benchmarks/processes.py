"""What processes have used, read from /proc, and modules run as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any, cast

from benchmarks.errors import UnusableInput
from benchmarks.service_process import child_environment

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor seconds of a process, all its threads, user and system; to 10 ms."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = stat.rpartition(")")[2].split()  # the name before may hold anything
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Return the resident memory of a process in MB of 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run_module(module: str, job: Any) -> dict[str, Any]:  # noqa: ANN401  any JSON
    """Run a module with a job on its stdin; return the JSON object it writes to stdout.

    The process is killed when the caller is cancelled.

    Raises:
        UnusableInput: it failed; it has said why on stderr.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module.split(), stdin=PIPE, stdout=PIPE,
        start_new_session=True, env=child_environment(),
    )  # fmt: skip
    try:
        out, _ = await process.communicate(json.dumps(job).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise UnusableInput(f"{module} ended with status {process.returncode}; see above")
    return cast(dict[str, Any], json.loads(out))
