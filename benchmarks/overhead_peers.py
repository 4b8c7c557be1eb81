"""Other gateways beside scrimp in ``overhead``: where they are found, how they are started.

Each runs as its makers advise for speed: one process, no database, no cache, no callers' keys to
check, logs down to errors. They are asked by the same client, and pass on to the same upstream.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.errors import UnusableInput
from benchmarks.overhead_client import Party
from benchmarks.overhead_upstream import MODEL, PATH
from benchmarks.service_process import end

_START_S: Final = 180.0
_SHOWN_LOG_CHARS: Final = 2_000
_NO_KEY: Final = "none"  # the upstream wants none, but some want to send one


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a gateway is started.

    Attributes:
        arguments: behind its command.
        env: beside ours.
        headers: that its requests need.
        configuration: the same in words, for the result.
    """

    arguments: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    configuration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A gateway that we know how to start.

    Attributes:
        start: from the upstream's base URL, the port to listen on, and a folder to write into.
        variable: of the environment, that holds its command.
        program: looked for on PATH; empty: its name says too little.
        version: of the program behind a command; empty: not known.
    """

    start: Callable[[str, int, Path], Start]
    variable: str
    program: str = ""
    version: Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A gateway that answers: whom to ask, and how it runs."""

    party: Party
    version: str
    configuration: str


def _litellm(upstream: str, port: int, folder: Path) -> Start:
    config = folder / "litellm.json"  # JSON is YAML
    way = {"model": f"openai/{MODEL}", "api_base": upstream, "api_key": _NO_KEY}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": way}],
        "litellm_settings": {"set_verbose": False},
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    env = {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    said = ", ".join(f"{name}={value}" for name, value in env.items())
    return Start(
        arguments=[*arguments, "--num_workers", "1"],
        env=env,
        configuration=f"uvicorn, --num_workers 1; set_verbose false, no database; {said}",
    )


def _portkey(upstream: str, port: int, _: Path) -> Start:
    return Start(
        arguments=["--headless", f"--port={port}"],
        env={"NODE_ENV": "production"},
        headers={
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": upstream,
            "Authorization": f"Bearer {_NO_KEY}",
        },
        configuration=(
            "--headless, NODE_ENV=production, one process; x-portkey-provider openai, "
            "x-portkey-custom-host, neither cache nor guardrails nor retries"
        ),
    )


def _said_version(command: Sequence[str]) -> str:
    env = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    said = subprocess.run(
        [*command, "--version"], capture_output=True, text=True, timeout=_START_S, env=env
    )
    return said.stdout.rpartition("=")[2].strip()


def _packaged_version(command: Sequence[str]) -> str:
    """Return the version in the package.json above the command's own file."""
    for word in reversed(command):
        for folder in Path(shutil.which(word) or word).resolve().parents:
            package = folder / "package.json"
            if package.is_file():
                return str(json.loads(package.read_text(encoding="utf-8")).get("version", ""))
    return ""


KINDS: Final[Mapping[str, Kind]] = {
    "litellm": Kind(
        start=_litellm, variable="SCRIMP_LITELLM", program="litellm", version=_said_version
    ),
    "portkey": Kind(start=_portkey, variable="SCRIMP_PORTKEY", version=_packaged_version),
}


def found(given: Sequence[str], env: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the commands of the gateways that are here, by name.

    Args:
        given: ``NAME=COMMAND`` each; an empty command leaves that gateway out.
        env: where commands are looked for that were not given; PATH comes last.

    Raises:
        UnusableInput: one is no such pair, or names what we do not know how to start.
    """
    said: dict[str, str] = {}
    for one in given:
        name, equals, command = one.partition("=")
        if not equals or name not in KINDS:
            raise UnusableInput(f"--peer is NAME=COMMAND, NAME one of {', '.join(KINDS)}: {one!r}")
        said[name] = command
    commands: dict[str, list[str]] = {}
    for name, kind in KINDS.items():
        on_path = shutil.which(kind.program, path=env.get("PATH")) if kind.program else None
        command = said.get(name, env.get(kind.variable, on_path or ""))
        if command:
            commands[name] = shlex.split(command)
    return commands


@asynccontextmanager
async def running(name: str, command: Sequence[str], upstream: str) -> AsyncIterator[Peer]:
    """Start a gateway and wait until it answers.

    Args:
        name: one of ``KINDS``.
        command: that starts it; ours follows behind.
        upstream: base URL, up to and with the version.

    Raises:
        UnusableInput: it does not start, or does not answer.
    """
    kind = KINDS[name]
    with tempfile.TemporaryDirectory(prefix=f"scrimp-{name}-") as folder:
        port = _free_port()
        start = kind.start(upstream, port, Path(folder))
        log = Path(folder) / "log"
        version = await asyncio.to_thread(kind.version, command)
        process = await asyncio.to_thread(_started, [*command, *start.arguments], start, log)
        try:
            party = Party(
                name=name, address=f"127.0.0.1:{port}", pid=process.pid, headers=start.headers
            )
            await _answering(party, process, log)
            yield Peer(party=party, version=version, configuration=start.configuration)
        finally:
            await asyncio.to_thread(end, process)


def _started(command: Sequence[str], start: Start, log: Path) -> subprocess.Popen[bytes]:
    # A session of its own, as the service has: Ctrl-C reaches us alone, and we end it in order.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with log.open("wb") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, start_new_session=True, env=env | dict(start.env)
        )


async def _answering(party: Party, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a question is answered."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _START_S
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Are you there?"}]}
    said = "nothing"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        while loop.time() < deadline and process.poll() is None:
            try:
                async with session.post(
                    f"http://{party.address}{PATH}", json=body, headers=party.headers
                ) as response:
                    if response.status == 200:
                        return
                    said = f"status {response.status}: {(await response.text())[:200]}"
            except (aiohttp.ClientError, TimeoutError) as error:
                said = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.2)
    told = await asyncio.to_thread(log.read_text, encoding="utf-8", errors="replace")
    raise UnusableInput(f"{party.name} does not answer ({said}):\n{told[-_SHOWN_LOG_CHARS:]}")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
