"""The service as users run it: ``scrimp serve`` in a process of its own, in a folder that vanishes.

However the block is left (an error, Ctrl-C, a closed terminal), the process is ended with it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.errors import UnusableInput

T = TypeVar("T")

_ROOT = Path(__file__).resolve().parent.parent
_LISTENING = re.compile(r"listening on (\S+)")
_HTTP = re.compile(r"HTTP on (\S+)")
_LOGGED = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) (.*)$", re.MULTILINE)
_START_S = 60.0
_STOP_S = 20.0
_SHOWN_LOG_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers.

    Attributes:
        pid: of its process.
        target: ``host:port`` of its gRPC server.
        data_folder: where it writes; gone when the block is left.
        log: its log file.
    """

    pid: int
    target: str
    data_folder: Path
    log: Path

    async def http_address(self) -> str:
        """Return where its HTTP server listens.

        Raises:
            UnusableInput: it does not say so.
        """
        for _ in range(200):
            found = _HTTP.search(_read(self.log))
            if found:
                return found.group(1)
            await asyncio.sleep(0.01)  # it is said just after the other address
        raise UnusableInput(f"the service does not say where HTTP is; its log: {self.log}")

    def complaints(self, *levels: str) -> list[str]:
        """Return what it logged at these levels, without time and place, in order."""
        found = _LOGGED.findall(_read(self.log))
        return [words for level, words in found if level in levels]


@asynccontextmanager
async def served(config: Path, *, env: Mapping[str, str] | None = None) -> AsyncIterator[Service]:
    """Start the service and wait until it says SERVING.

    Args:
        config: its settings; address and data folder are given on the command line.
        env: variables it gets beside our own.

    Raises:
        UnusableInput: it does not start; its own words are in the message.
    """
    with tempfile.TemporaryDirectory(prefix="scrimp-bench-") as name:
        folder = Path(name)
        log = folder / "service.log"
        command = [sys.executable, "-m", "router", "serve", "--config", str(config)]
        command += ["--listen", "127.0.0.1:0", "--data-folder", str(folder / "data")]
        with _running(command, log, env or {}) as process:
            target = await _serving(process, log)
            yield Service(process.pid, target, folder / "data", log)


@contextmanager
def _running(
    command: Sequence[str], log: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    # A session of its own: Ctrl-C reaches us alone, and we end it in order.
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env=child_environment() | dict(env),
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to stop; kill it when it does not."""
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def child_environment() -> dict[str, str]:
    """Return an environment in which this checkout's modules are found and settings are not."""
    paths = [str(_ROOT), str(_ROOT / "protos"), os.environ.get("PYTHONPATH", "")]
    kept = {name: value for name, value in os.environ.items() if name != "SCRIMP_CONFIG"}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


async def _serving(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return where the service listens, once it takes calls."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_S
    while loop.time() < deadline:
        said = _read(log)
        if process.poll() is not None:
            raise UnusableInput(f"the service does not start:\n{said[-_SHOWN_LOG_CHARS:]}")
        found = _LISTENING.search(said)
        if found and await _is_serving(found.group(1)):
            return found.group(1)
        await asyncio.sleep(0.05)
    raise UnusableInput(f"the service did not say SERVING within {_START_S:g} s; its log: {log}")


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


async def _is_serving(target: str) -> bool:
    async with grpc.aio.insecure_channel(target) as channel:
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=2.0
            )
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def run_to_end(work: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop; Ctrl-C, SIGTERM and SIGHUP all end the work in order, so nothing is left.

    Raises:
        SystemExit: one of them came; with the status that shells expect.
    """

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {name: signal.signal(name, leave) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
