"""The client of ``load``, a process of its own: a job on stdin, one JSON object on stdout.

A fixed number of look-ups is in flight: each of so many workers asks again as soon as it has its
answer. What is measured lies between the end of the warm-up and the end of the window.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import grpc
import numpy as np
import uvloop

from benchmarks.processes import cpu_s, rss_mb
from scrimp.client import Client
from scrimp.v1 import advisor_pb2, chat_pb2

_ANSWER = (
    "This is a stored answer of the load benchmark; it goes on for a few hundred tokens. " * 12
)
_USAGE = chat_pb2.Usage(input_tokens=20, output_tokens=240)
_MODEL = "gpt-4o"
_STORING_AT_ONCE = 32
_N_SAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the client shall do.

    Attributes:
        target: ``host:port``.
        server_pid: of the process that answers.
        concurrency: look-ups in flight.
        warm_up_s: seconds before the window.
        seconds: length of the window.
        store: texts to be stored before.
        ask: texts to be asked, in order.
        is_cycled: begin again when all were asked; else the window ends there.
    """

    target: str
    server_pid: int
    concurrency: int
    warm_up_s: float
    seconds: float
    store: list[str] = field(default_factory=list)
    ask: list[str] = field(default_factory=list)
    is_cycled: bool = False


@dataclass(slots=True, kw_only=True)
class Window:
    """What is counted while it is open.

    Attributes:
        starts_at: in seconds of ``perf_counter``; the warm-up ends there.
        ends_at: the same; moved forward when the texts run out.
        ms: latency of every look-up that began and ended within.
        outcomes: of these.
        errors: status to number.
        samples: serialized responses, from the warm-up.
        is_over: set when the time is up, or the texts are.
    """

    starts_at: float
    ends_at: float
    ms: list[float] = field(default_factory=list)
    outcomes: Counter[chat_pb2.CacheOutcome.ValueType] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    samples: list[bytes] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


async def measured(job: Job) -> dict[str, Any]:
    """Store, warm up, measure; return figures."""
    async with Client(job.target, namespace="load", feature="load") as client:
        await _store_all(client, job.store)
        starts_at = time.perf_counter() + job.warm_up_s
        window = Window(starts_at=starts_at, ends_at=starts_at + job.seconds)
        texts = cycle(job.ask) if job.is_cycled else iter(job.ask)
        clocks = asyncio.create_task(_clocked(job, window))
        await asyncio.gather(*(_work(client, texts, window) for _ in range(job.concurrency)))
        used = await clocks
    return figures(window, used)


async def _work(client: Client, texts: Iterator[str], window: Window) -> None:
    now = time.perf_counter  # the loop's own clock ticks in whole milliseconds
    for text in texts:
        began = now()
        if began >= window.ends_at:
            break
        try:
            found = await client.look_up(text)
        except grpc.aio.AioRpcError as error:
            window.errors[f"{error.code().name}: {error.details()}"] += 1
            continue
        ended = now()
        if began < window.starts_at:
            if len(window.samples) < _N_SAMPLES:
                window.samples.append(found.SerializeToString())
        elif ended <= window.ends_at:
            window.ms.append((ended - began) * 1e3)
            window.outcomes[found.cache.outcome] += 1
    window.ends_at = min(window.ends_at, now())  # or no text is left
    window.is_over.set()


async def _clocked(job: Job, window: Window) -> dict[str, float]:
    """Return processor seconds of both sides over the window, and the server's memory then."""
    await asyncio.sleep(window.starts_at - time.perf_counter())
    began = (time.perf_counter(), cpu_s(job.server_pid), cpu_s(os.getpid()))
    await window.is_over.wait()
    ended = (time.perf_counter(), cpu_s(job.server_pid), cpu_s(os.getpid()))
    wall_s, service_s, client_s = (end - begin for begin, end in zip(began, ended, strict=True))
    return {
        "wall_s": wall_s,
        "service_s": service_s,
        "client_s": client_s,
        "rss_mb": rss_mb(job.server_pid),
    }


def figures(window: Window, used: dict[str, float]) -> dict[str, Any]:
    """Return what the window came to; per request, in milliseconds."""
    n = len(window.ms)
    ranks = (50, 90, 99)
    latency = np.percentile(window.ms, ranks).tolist() if n else [None] * len(ranks)
    sample = _typical(window.samples)
    return {
        "n": n,
        "wall_s": used["wall_s"],
        "requests_per_s": n / used["wall_s"],
        "latency_ms": {f"p{rank}": ms for rank, ms in zip(ranks, latency, strict=True)},
        "core_ms": {
            side: used[f"{side}_s"] * 1e3 / n if n else None for side in ("service", "client")
        },
        "rss_mb": used["rss_mb"],
        "outcomes": {
            chat_pb2.CacheOutcome.Name(outcome).removeprefix("CACHE_OUTCOME_").lower(): count
            for outcome, count in window.outcomes.items()
        },
        "errors": dict(window.errors),
        "sample": b64encode(sample).decode(),
    }


def _typical(samples: Sequence[bytes]) -> bytes:
    """Return the sample whose size is nearest to the mean."""
    if not samples:
        return b""
    mean = sum(map(len, samples)) / len(samples)
    return min(samples, key=lambda sample: abs(len(sample) - mean))


async def _store_all(client: Client, texts: Sequence[str]) -> None:
    waiting = iter(texts)

    async def work() -> None:
        for text in waiting:
            found: advisor_pb2.LookUpResponse = await client.look_up(text)
            if found.HasField("advice"):
                await client.store(found, f"{text} {_ANSWER}", usage=_USAGE, model=_MODEL)

    await asyncio.gather(*(work() for _ in range(_STORING_AT_ONCE)))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(runner.run(measured(Job(**json.load(sys.stdin)))), sys.stdout)
