"""What processes have used, read from /proc, and modules run as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
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


def tree_cpu_s(pid: int) -> float:
    """Return the processor seconds of a process and of all that it started and that still run."""
    return sum(cpu_s(one) for one in tree(pid))


def tree(pid: int) -> list[int]:
    """Return a process and all that it started and that still run."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended meanwhile
                children.setdefault(_parent(entry), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, ())
    return found


def is_at_work(pids: Sequence[int]) -> bool:
    """Tell whether any thread of these processes runs, or wants to, at this moment."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # it has ended meanwhile
                stat = (thread / "stat").read_text(encoding="utf-8", errors="replace")
                if stat.rpartition(")")[2].split()[0] == "R":
                    return True
    return False


def _parent(process: Path) -> int:
    stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[1])


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
