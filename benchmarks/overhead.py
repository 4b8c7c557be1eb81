"""``overhead``: what scrimp as a gateway adds to a call over HTTP, beside other gateways.

Processes of their own: an upstream that answers at once (``overhead_upstream``), scrimp as it
ships, the peers that are installed (``overhead_peers``), and one client for all of them
(``overhead_client``). Everybody passes the same kind of request on to the same upstream, in turns.

============  ======================================================================================
direct        the client asks the upstream
scrimp        every text is new: looked up in vain, passed on, stored, accounted
scrimp_turns  the same service, every text the second turn of a conversation of its own: nothing can
              be near, so that the encoder runs while the upstream answers
scrimp_off    another one in mode off: passed on and accounted, as a proxy does
============  ======================================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import console, overhead_peers
from benchmarks.errors import UnusableInput
from benchmarks.overhead_client import Job, Party
from benchmarks.overhead_peers import Peer
from benchmarks.processes import run_module
from benchmarks.service_process import child_environment, run_to_end, served

DIRECT: Final = "direct"
ON: Final = "scrimp"
TURNS: Final = "scrimp_turns"
OFF: Final = "scrimp_off"
_OURS: Final = (ON, TURNS, OFF)
_CONFIG: Final = Path(__file__).resolve().parent / "overhead.toml"
_KINDS: Final = {"unary": "unary_ms", "stream_first_byte": "first_byte_ms"}
_RANKS: Final = (50, 99)

Seen = Mapping[str, Any]
"""What the client saw of a party: ``overhead_client.Seen`` as JSON has it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument(
        "--requests", type=int, default=500, metavar="N",
        help="per party, whole and streamed each, one at a time; default 500",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of windows; default 5")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="S", help="of a window; default 3"
    )
    parser.add_argument(
        "--concurrency", type=int, default=32, metavar="C", help="in flight in a window; default 32"
    )
    parser.add_argument(
        "--peer", action="append", default=[], metavar="NAME=COMMAND",
        help="where another gateway is: litellm=... or portkey=...; an empty command leaves it out",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the texts")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; see BENCHMARKS.md.

    Raises:
        UnusableInput: an option is out of range, or a process does not start.
    """
    for name, least in (("requests", 1), ("rounds", 1), ("seconds", 0.1), ("concurrency", 1)):
        if not getattr(args, name) >= least:
            raise UnusableInput(f"--{name} is at least {least}, got {getattr(args, name)}")
    if not Path("/proc/self/stat").exists():
        raise UnusableInput("core time is read from /proc, which this system does not have")
    commands = overhead_peers.found(args.peer, os.environ)
    seen, peers = run_to_end(_measured(args, commands))
    return {
        "requests": args.requests,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "concurrency": args.concurrency,
        **figures(seen),
        "peers": {
            name: {"version": peer.version, "configuration": peer.configuration}
            for name, peer in peers.items()
        },
        "absent": [name for name in overhead_peers.KINDS if name not in peers],
    }


async def _measured(
    args: argparse.Namespace, commands: Mapping[str, Sequence[str]]
) -> tuple[dict[str, Seen], dict[str, Peer]]:
    absent = ", ".join(name for name in overhead_peers.KINDS if name not in commands)
    if absent:
        console.say(f"not here, and left out: {absent} (benchmarks/README.md says how to add them)")
    async with AsyncExitStack() as running:
        port, upstream_pid = await running.enter_async_context(_upstream())
        base_url = f"http://127.0.0.1:{port}/v1"
        parties = [Party(name=DIRECT, address=f"127.0.0.1:{port}")]
        for name, mode in ((ON, "on"), (OFF, "off")):
            parties.append(await running.enter_async_context(_scrimp(name, base_url, mode)))
        parties.insert(2, replace(parties[1], name=TURNS, is_follow_up=True))
        peers = {}
        for name, command in commands.items():
            console.say(f"starting {name}")
            peer = await running.enter_async_context(
                overhead_peers.running(name, command, base_url)
            )
            peers[name] = peer
            parties.append(peer.party)
        job = Job(
            parties=parties,
            upstream_pid=upstream_pid,
            requests=args.requests,
            rounds=args.rounds,
            seconds=args.seconds,
            concurrency=args.concurrency,
            warm_up_s=min(args.seconds, 2.0),
            seed=args.seed,
        )
        console.say(f"asking {', '.join(party.name for party in parties)} in turns")
        return await run_module("benchmarks.overhead_client", asdict(job)), peers


@asynccontextmanager
async def _upstream() -> AsyncIterator[tuple[int, int]]:
    """Run the upstream; yields its port and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.overhead_upstream", stdin=PIPE, stdout=PIPE,
        start_new_session=True, env=child_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = await asyncio.wait_for(process.stdout.readline(), 30)
        if not said:
            raise UnusableInput("the upstream does not start; see above")
        yield int(said), process.pid
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _scrimp(name: str, upstream: str, mode: str) -> AsyncIterator[Party]:
    """Run the service; yields whom to ask."""
    with tempfile.TemporaryDirectory(prefix="scrimp-overhead-") as folder:
        config = Path(folder) / "overhead.toml"
        config.write_text(settings_text(upstream, mode), encoding="utf-8")
        async with served(config) as service:
            yield Party(name=name, address=await service.http_address(), pid=service.pid)


def settings_text(upstream: str, mode: str) -> str:
    """Return the service's settings for an upstream at this base URL, in this mode."""
    text = _CONFIG.read_text(encoding="utf-8")
    return text.replace("@UPSTREAM@", upstream).replace("@MODE@", mode)


def figures(seen: Mapping[str, Seen]) -> dict[str, Any]:
    """Return the figures of BENCHMARKS.md, and some more.

    Args:
        seen: by party; ``direct`` and ``scrimp`` are among them.
    """
    between = [name for name in seen if name != DIRECT]
    added = {name: _added(seen[name], seen[DIRECT]) for name in between}
    core_ms = {name: core_ms_of(seen[name], "party") for name in between}
    return {
        "added_ms": added[ON],
        "added_ms_by_party": added,
        "passed_on_added_ms": {
            name: difference(seen[name]["passed_on_ms"], seen[DIRECT]["passed_on_ms"])
            for name in between
        },
        "latency_ms": {
            name: {kind: quantiles(one[field]) for kind, field in _KINDS.items()}
            for name, one in seen.items()
        },
        "requests_per_s": {name: requests_per_s(one) for name, one in seen.items()},
        "core_ms_per_request": {
            **core_ms,
            **{side: core_ms_of(seen[DIRECT], side) for side in ("upstream", "client")},
        },
        "requests_per_core_s": {name: 1e3 / ms if ms else None for name, ms in core_ms.items()},
        "per_core_against": {
            peer: {name: _ratio(core_ms[peer], core_ms[name]) for name in _OURS if name in seen}
            for peer in between
            if peer not in _OURS
        },
        "outcomes": {name: one["outcomes"] for name, one in seen.items() if one["outcomes"]},
        "errors": sum(sum(one["faults"].values()) for one in seen.values()),
        "errors_by_party": {name: one["faults"] for name, one in seen.items() if one["faults"]},
    }


def _added(party: Seen, direct: Seen) -> dict[str, dict[str, float | None]]:
    return {kind: difference(party[field], direct[field]) for kind, field in _KINDS.items()}


def quantiles(values: Sequence[float]) -> dict[str, float | None]:
    """Return p50 and p99; None where there are no values."""
    found = np.percentile(values, _RANKS).tolist() if len(values) else [None] * len(_RANKS)
    return {f"p{rank}": value for rank, value in zip(_RANKS, found, strict=True)}


def difference(values: Sequence[float], direct: Sequence[float]) -> dict[str, float | None]:
    """Return how much higher p50 and p99 are; None where either side has none."""
    mine, others = quantiles(values), quantiles(direct)
    return {
        name: None if value is None or (other := others[name]) is None else value - other
        for name, value in mine.items()
    }


def requests_per_s(party: Seen) -> float | None:
    """Return answers per second over all windows; None without any."""
    n, wall_s = (sum(window[column] for window in party["windows"]) for column in (0, 1))
    return n / wall_s if wall_s else None


def core_ms_of(party: Seen, side: str) -> float | None:
    """Return processor milliseconds per answer over all windows; None without any.

    Args:
        party: whose windows.
        side: ``party``, ``upstream`` or ``client``: whose processor.
    """
    column = 2 + ("party", "upstream", "client").index(side)
    n, used_s = (sum(window[at] for window in party["windows"]) for at in (0, column))
    return used_s * 1e3 / n if n else None


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    """Return how many times as many requests a core of ours takes."""
    return theirs / ours if theirs and ours else None
