"""``load``: look-ups per second through gRPC on loopback, and what they cost, without any upstream.

Three processes: the service as it ships, the client, and this one, which only waits. Afterwards the
same client asks a bare grpc.aio echo that answers with a message of the service's own size, and the
bare encoder is run on the same texts: what no service on this machine can beat.

========  ==========================================================================================
exact     N stored texts, asked again and again in turn: the exception to "each text once"
near      other wordings of N stored texts, each asked once; ``hit_share`` says how many were served
miss      texts that nobody asked before, each once, among N stored others
mixed     of ten look-ups four exact, two near, four misses
========  ==========================================================================================
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks import console
from benchmarks.errors import UnusableInput
from benchmarks.load_client import Job
from benchmarks.load_texts import distinct_texts, paraphrases
from benchmarks.metrics import share
from benchmarks.processes import run_module
from benchmarks.service_process import Service, child_environment, run_to_end, served

_CONFIG = Path(__file__).resolve().parent / "load.toml"
_WARM_UP_S = 2.0
_MOST_PER_CORE_S = 2_000  # look-ups; so many texts are prepared that they do not run out
_ENCODED = 768
_OVERHEAD_CORE_MS = 0.9
_MIX = ("exact", "near", "miss", "exact", "miss", "exact", "near", "miss", "exact", "miss")
_HITS = {"exact": ("exact",), "near": ("near",), "mixed": ("exact", "near"), "miss": ()}


@dataclass(frozen=True, slots=True)
class Texts:
    """What is stored before, what is asked, and whether asking begins again at the end."""

    store: list[str]
    ask: list[str]
    is_cycled: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("--scenario", required=True, choices=("exact", "near", "miss", "mixed"))
    parser.add_argument("--concurrency", type=int, required=True, metavar="C", help="in flight")
    parser.add_argument("--seconds", type=float, required=True, metavar="S", help="measured")
    parser.add_argument(
        "--entries", type=int, default=2_000, metavar="N", help="stored before; default 2000"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the texts")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; see BENCHMARKS.md.

    Raises:
        UnusableInput: an option is out of range, or a process does not start.
    """
    for name, least in (("concurrency", 1), ("entries", 1), ("seconds", 0.1)):
        if not getattr(args, name) >= least:
            raise UnusableInput(f"--{name} is at least {least}, got {getattr(args, name)}")
    if not Path("/proc/self/stat").exists():
        raise UnusableInput("core time is read from /proc, which this system does not have")
    cores = len(os.sched_getaffinity(0))
    n_asked = int((args.seconds + _WARM_UP_S) * _MOST_PER_CORE_S * cores)
    texts = prepared(args.scenario, args.entries, n_asked, args.seed)
    measured = run_to_end(_measured(args, texts))
    return result(args.scenario, texts, *measured)


def prepared(scenario: str, n_entries: int, n_asked: int, seed: int) -> Texts:
    """Return the texts of a scenario; the same for the same seed."""
    fresh = distinct_texts(seed)
    store = list(islice(fresh, n_entries))
    if scenario == "exact":
        return Texts(store, store, is_cycled=True)
    sources: Mapping[str, Callable[[], Iterator[str]]] = {
        "exact": lambda: cycle(store),
        "near": lambda: paraphrases(store, seed),
        "miss": lambda: fresh,
    }
    kinds = _MIX if scenario == "mixed" else (scenario,)
    running = {kind: sources[kind]() for kind in kinds}
    asked = (next(running[kind], None) for kind in cycle(kinds))
    ask = []
    for text in islice(asked, n_asked):
        if text is None:
            break  # no other wording is left
        ask.append(text)
    return Texts(store, ask, is_cycled=False)


async def _measured(
    args: argparse.Namespace, texts: Texts
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    """Return the client's figures on the service and on the echo, and the encoder's."""
    console.say(f"storing {len(texts.store):,} entries, then {args.seconds:g} s of look-ups")
    async with served(_CONFIG) as service:
        on_service = await run_module("benchmarks.load_client", _job(args, texts, service))
        console.say(f"{on_service['requests_per_s']:.0f} look-ups per second; now a bare echo")
    async with _echo(on_service["sample"]) as (target, pid):
        job = Job(
            target=target, server_pid=pid, concurrency=args.concurrency, warm_up_s=1.0,
            seconds=min(args.seconds, 5.0), ask=texts.ask[:50_000], is_cycled=True,
        )  # fmt: skip
        on_echo = await run_module("benchmarks.load_client", asdict(job))
    if args.scenario == "exact":
        return on_service, on_echo, None
    console.say("the bare encoder")
    job_texts = {"texts": texts.ask[:_ENCODED]}
    return on_service, on_echo, await run_module("benchmarks.load_limits encoder", job_texts)


def _job(args: argparse.Namespace, texts: Texts, service: Service) -> dict[str, Any]:
    job = Job(
        target=service.target,
        server_pid=service.pid,
        concurrency=args.concurrency,
        warm_up_s=_WARM_UP_S,
        seconds=args.seconds,
        store=texts.store,
        ask=texts.ask,
        is_cycled=texts.is_cycled,
    )
    return asdict(job)


@asynccontextmanager
async def _echo(sample: str) -> AsyncIterator[tuple[str, int]]:
    """Run the echo; yields its address and process id."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.load_limits", "echo", stdin=PIPE, stdout=PIPE,
        start_new_session=True, env=child_environment(),
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps({"response": sample}).encode() + b"\n")
        target = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        yield target, process.pid
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def result(
    scenario: str,
    texts: Texts,
    on_service: Mapping[str, Any],
    on_echo: Mapping[str, Any],
    encoder: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return the figures of BENCHMARKS.md, and some more.

    Args:
        scenario: exact, near, miss or mixed.
        texts: what was stored and asked.
        on_service: the client's figures against the service.
        on_echo: the same against the bare echo.
        encoder: of the bare encoder; None where nothing is encoded.
    """
    n, outcomes = on_service["n"], on_service["outcomes"]
    core_ms, echo_core_ms = on_service["core_ms"], on_echo["core_ms"]["service"]
    encoder_core_ms = encoder["core_ms"] if encoder else None
    limit = limit_per_s(scenario, on_echo["requests_per_s"], encoder["per_s"] if encoder else None)
    budget = None
    if scenario in ("near", "miss") and echo_core_ms is not None and encoder_core_ms is not None:
        budget = encoder_core_ms + echo_core_ms + _OVERHEAD_CORE_MS
    spent = core_ms["service"]
    return {
        "scenario": scenario,
        "requests": n,
        "seconds": on_service["wall_s"],
        "requests_per_s": on_service["requests_per_s"],
        "latency_ms": on_service["latency_ms"],
        "core_ms_per_request": core_ms,
        "limit_per_s": limit,
        "echo_per_s": on_echo["requests_per_s"],
        "echo_core_ms": echo_core_ms,
        "encoder_per_s": encoder["per_s"] if encoder else None,
        "encoder_core_ms": encoder_core_ms,
        "encoder_batch": encoder["batch"] if encoder else None,
        "ratio": on_service["requests_per_s"] / limit if limit else None,
        "budget_core_ms": budget,
        "within_budget": None if budget is None or spent is None else spent <= budget,
        "rss_mb": on_service["rss_mb"],
        "errors": sum(on_service["errors"].values()),
        "errors_by_status": dict(list(on_service["errors"].items())[:10]),
        "outcomes": outcomes,
        "hit_share": share(sum(outcomes.get(kind, 0) for kind in _HITS[scenario]), n),
        "entries": len(texts.store),
        "each_text_asked": share(n, len(texts.ask)) if texts.is_cycled else 1.0,
        "artifacts": {"encoder": encoder["encoder_id"]} if encoder else {},
    }


def limit_per_s(scenario: str, echo_per_s: float, encoder_per_s: float | None) -> float | None:
    """Return what cannot be beaten: the echo, the encoder, or for a mix one after the other."""
    if scenario == "exact":
        return echo_per_s
    if not encoder_per_s or not echo_per_s:
        return None
    if scenario == "mixed":
        exact = _MIX.count("exact") / len(_MIX)
        return 1 / (exact / echo_per_s + (1 - exact) / encoder_per_s)
    return encoder_per_s
