"""``demo``: a few thousand requests through a real client, and what they saved.

The service is a process of its own on ``demo.toml``, with a scripted provider: no key, no network.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
from rich.console import Console

from benchmarks import console
from benchmarks.demo_report import Asked, figures, judge, tables
from benchmarks.demo_traffic import Row, Traffic, read_traffic
from benchmarks.errors import UnusableInput
from benchmarks.service_process import Service, run_to_end, served
from router.ledger.reader import open_to_read
from router.ledger.savings import read_savings
from router.ledger.types import SavingsQuery, SavingsReport
from scrimp.client import Client
from scrimp.v1 import chat_pb2, gateway_pb2

PRINTS_ITSELF = True
_FOLDER = Path(__file__).resolve().parent
_CONFIG = _FOLDER / "demo.toml"
_STREAMED_EVERY = 5
_GIVE_UP_AFTER = 200  # failures from the very start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=_FOLDER / "traffic" / "demo.jsonl",
        metavar="FILE",
        help="rows {text | prompt, group?, user?, feature?}; default: the demo's own",
    )
    parser.add_argument("--requests", type=int, default=4_000, metavar="N", help="default 4000")
    parser.add_argument("--concurrency", type=int, default=16, metavar="C", help="default 16")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of shuffle and draws")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Send the traffic, and say what came of it.

    Raises:
        UnusableInput: the file has no usable row, an option is out of range, or the service does
            not start or does not answer.
    """
    for name in ("requests", "concurrency"):
        if getattr(args, name) < 1:
            raise UnusableInput(f"--{name} is at least 1, got {getattr(args, name)}")
    traffic = read_traffic(args.file, args.requests, args.seed)
    asked, savings, wall_s, complaints = run_to_end(_played(traffic, args.concurrency))
    result = figures(traffic, asked, savings, wall_s) | {"notices": complaints}
    if not args.json:
        Console(highlight=False).print(tables(traffic, asked, savings, result, complaints))
    if args.show:
        _show(traffic.rows, asked, args.show)
    return result


async def _played(
    traffic: Traffic, concurrency: int
) -> tuple[list[Asked], SavingsReport, float, list[str]]:
    """Return the requests, the ledger's sums, the seconds, and what the service complained of."""
    console.say("starting the service (scripted provider: no key, no network)")
    async with served(_CONFIG) as service:
        started = time.perf_counter()
        asked = await _ask_all(traffic, service, concurrency)
        wall_s = time.perf_counter() - started
        savings = await _settled(service, asked)
        complaints = service.complaints("WARNING", "ERROR", "CRITICAL")
    return asked, savings, wall_s, complaints


async def _ask_all(traffic: Traffic, service: Service, concurrency: int) -> list[Asked]:
    asked: list[Asked] = []
    waiting = iter(console.track(list(enumerate(traffic.order)), "asking", len(traffic.order)))
    async with Client(service.target, caller="demo") as client:
        await asyncio.gather(
            *(_work(client, traffic, waiting, asked, service) for _ in range(concurrency))
        )
    return asked


async def _work(
    client: Client,
    traffic: Traffic,
    waiting: Iterator[tuple[int, int]],
    asked: list[Asked],
    service: Service,
) -> None:
    for number, position in waiting:
        row = traffic.rows[position]
        one = await _ask(client, row, position, is_streamed=number % _STREAMED_EVERY == 0)
        asked.append(one)
        if len(asked) == _GIVE_UP_AFTER and all(each.error for each in asked):
            said = "; ".join(service.complaints("ERROR", "CRITICAL")[-3:])
            raise UnusableInput(
                f"the first {_GIVE_UP_AFTER} requests failed: {one.error}"
                + (f"; the service says: {said}" if said else "")
            )


async def _ask(client: Client, row: Row, position: int, *, is_streamed: bool) -> Asked:
    request = client.request(row.text, user=row.user, feature=row.feature)
    started = time.perf_counter()
    try:
        if is_streamed:
            done = await _streamed(client, request)
        else:
            done = await client.complete(request)
    except grpc.aio.AioRpcError as error:
        return Asked(row=position, error=f"{error.code().name}: {error.details()}")
    cache = done.report.cache
    return Asked(
        row=position,
        outcome=_outcome(cache.outcome),
        entry_id=cache.entry_id,
        similarity=cache.similarity if cache.HasField("similarity") else None,
        p_right=cache.p_right if cache.HasField("p_right") else None,
        ms=(time.perf_counter() - started) * 1e3,
    )


async def _streamed(client: Client, request: chat_pb2.ChatRequest) -> gateway_pb2.CompleteResponse:
    done = gateway_pb2.CompleteResponse()
    async for event in client.stream(request):
        if event.WhichOneof("event") == "done":
            done = event.done
    return done


def _outcome(value: chat_pb2.CacheOutcome.ValueType) -> str:
    return chat_pb2.CacheOutcome.Name(value).removeprefix("CACHE_OUTCOME_").lower()


async def _settled(service: Service, asked: list[Asked]) -> SavingsReport:
    """Return the ledger's sums, once the lines of hits, written without waiting, are there."""
    expected = sum(1 for one in asked if not one.error)
    for _ in range(50):
        with closing(open_to_read(service.data_folder)) as connection:
            found = read_savings(connection, SavingsQuery())
        if found.totals.n_requests >= expected:
            break
        await asyncio.sleep(0.1)
    return found


def _show(rows: Sequence[Row], asked: Sequence[Asked], n: int) -> None:
    wrong = judge(rows, asked).wrong[:n]
    if not wrong:
        return
    console.show_cases(
        "near-duplicate hits that the labels call wrong, surest first",
        ("stored", "asked", "similarity", "P(right)", "times"),
        [
            (
                rows[hit.stored].text,
                rows[hit.asked.row].text,
                f"{hit.asked.similarity or 0:.3f}",
                f"{hit.asked.p_right or 0:.3f}",
                hit.n,
            )
            for hit in wrong
        ],
    )
