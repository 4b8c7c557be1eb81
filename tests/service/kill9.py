"""Kill the service with SIGKILL amid stores, start it again, and look for what it acknowledged.

    PYTHONPATH=.:protos:tests python tests/service/kill9.py 10000 --kills 3

Every acknowledged store must be an exact hit with the same bytes, every ticket either spent or
whole, every ledger line accounted, and both databases sound.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from service.subprocesses import served

from scrimp.client import Client
from scrimp.v1 import chat_pb2, savings_pb2

_N_APPS = 32
_CONFIG = """
[service]
listen = "127.0.0.1:0"
metrics_listen = ""
data_folder = "data"
ticket_ttl_s = 86400

[http]
listen = ""

[limits]
max_waiting_lookups = 1000

[providers.none]
kind = "scripted"

[models.one]
provider = "none"
input_usd_per_mtok = 1.0
output_usd_per_mtok = 2.0
"""
_USAGE = chat_pb2.Usage(input_tokens=100, output_tokens=10)


class Lost(AssertionError):
    """Something that was promised is not there."""


@dataclass(slots=True)
class Known:
    """What the apps know for sure.

    Attributes:
        stored: numbers whose store was acknowledged.
        tickets: the ticket of every number that was looked up and not yet stored.
        doubtful: numbers whose store was under way when the service died.
        n_lines: look-ups that were acknowledged.
    """

    stored: set[int] = field(default_factory=set)
    tickets: dict[int, bytes] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    n_lines: int = 0


def prompt(n: int) -> str:
    """Return a prompt that no other is alike."""
    rng = random.Random(n)
    return f"Question {n}: " + " ".join(f"w{rng.randrange(10**6)}" for _ in range(8))


def answer(n: int) -> str:
    """Return its answer, of some length."""
    return f"Answer {n}. " + "It goes on. " * (n % 60)


async def main(n_stores: int, n_kills: int, folder: Path, seed: int) -> Known:
    """Store ``n_stores`` answers, killing the service ``n_kills`` times; check after each kill.

    Raises:
        Lost: a promise was broken.
    """
    config = folder / "scrimp.toml"
    config.write_text(_CONFIG)
    rng = random.Random(seed)
    known = Known()
    ends = sorted(rng.uniform(0.1, 0.95) * n_stores for _ in range(n_kills))
    for end in [*map(int, ends), None]:
        async with served(config) as process, Client(process.address, namespace="kill") as client:
            await check(client, known)
            await redeem_what_is_left(client, known)
            todo = iter([n for n in range(n_stores) if n not in known.stored])
            apps = [asyncio.create_task(app(client, known, todo)) for _ in range(_N_APPS)]
            if end is not None:
                while len(known.stored) < end and not all(  # noqa: ASYNC110  any moment will do
                    task.done() for task in apps
                ):
                    await asyncio.sleep(rng.uniform(0, 0.01))
                process.process.kill()
                await process.ended()
            await asyncio.gather(*apps)
            if end is None:
                await check(client, known)
        if end is not None:
            check_files(folder / "data")
    if len(known.stored) != n_stores:
        raise Lost(f"{len(known.stored)} of {n_stores} were stored")
    check_files(folder / "data")
    return known


async def app(client: Client, known: Known, todo: Iterator[int]) -> None:
    """Look up, store, note what was acknowledged; leave when the service is gone."""
    for n in todo:
        try:
            found = await client.look_up(prompt(n))
            known.n_lines += 1
            if found.WhichOneof("result") == "hit":
                raise Lost(f"{n} is answered already: {found.cache}")
            known.tickets[n] = found.advice.ticket.token
            known.doubtful.add(n)
            await client.store(found, answer(n), usage=_USAGE, model="one")
        except grpc.aio.AioRpcError as error:
            if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
                raise
            return
        known.stored.add(n)
        known.doubtful.discard(n)
        del known.tickets[n]


async def check(client: Client, known: Known) -> None:
    """Look for every acknowledged store, and add up the ledger."""

    async def look(n: int) -> None:
        found = await client.look_up(prompt(n))
        if found.cache.outcome != chat_pb2.CACHE_OUTCOME_EXACT:
            raise Lost(f"store {n} was acknowledged and is {found.cache}")
        if found.hit.answer.text != answer(n) or found.hit.usage != _USAGE:
            raise Lost(f"store {n} came back as {found.hit}")

    sums = await totals(client)
    if sums.n_requests < known.n_lines:
        raise Lost(f"{known.n_lines} look-ups were acknowledged, {sums.n_requests} lines are there")
    parts = sums.n_priced + sums.n_unpriced + sums.n_usage_unknown + sums.n_open
    if parts != sums.n_requests or sums.n_unpriced or sums.n_usage_unknown:
        raise Lost(f"lines of no known state: {sums}")
    n_closed = sums.n_by_outcome["miss"] - sums.n_open
    if not len(known.stored) <= n_closed <= len(known.stored) + len(known.doubtful):
        raise Lost(f"{len(known.stored)} stores were acknowledged, {n_closed} lines are closed")
    if sums.cost_usd_nanos != n_closed * (100 * 1_000 + 10 * 2_000):
        raise Lost(f"{n_closed} closed lines cost {sums.cost_usd_nanos}")
    if sums.cost_usd_nanos + sums.saved_usd_nanos != sums.baseline_usd_nanos:
        raise Lost(f"cost + saved is not the baseline: {sums}")
    for start in range(0, len(known.stored), 200):
        batch = sorted(known.stored)[start : start + 200]
        await asyncio.gather(*map(look, batch))
    known.n_lines += len(known.stored)


async def redeem_what_is_left(client: Client, known: Known) -> None:
    """Bring every ticket of the time before: it is whole, or it was spent by its own store."""
    from scrimp.v1 import advisor_pb2

    for n, token in list(known.tickets.items()):
        found = advisor_pb2.LookUpResponse(
            advice=advisor_pb2.Advice(ticket=advisor_pb2.Ticket(token=token))
        )
        try:
            await client.store(found, answer(n), usage=_USAGE, model="one")
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION or n not in known.doubtful:
                raise Lost(f"ticket {n} is gone: {error.details()}") from error
        known.stored.add(n)
        known.doubtful.discard(n)
        del known.tickets[n]


async def totals(client: Client) -> savings_pb2.Totals:
    """Return the sums over everything."""
    response = await client.savings.GetSavings(savings_pb2.GetSavingsRequest())
    return response.report.totals


def check_files(folder: Path) -> None:
    """Look into both databases while no service runs."""
    for name in ("cache.sqlite", "ledger.sqlite"):
        with closing(sqlite3.connect(folder / name)) as connection:
            for pragma in ("integrity_check", "foreign_key_check"):
                found = connection.execute(f"PRAGMA {pragma}").fetchall()
                if found not in ([], [("ok",)]):
                    raise Lost(f"{name}: {pragma} says {found[:3]}")
    with closing(sqlite3.connect(folder / "cache.sqlite")) as connection:
        for what, sql in (
            ("entries without an answer", "SELECT id FROM entries EXCEPT SELECT id FROM answers"),
            ("answers without an entry", "SELECT id FROM answers EXCEPT SELECT id FROM entries"),
            (
                "one text twice",
                "SELECT 1 FROM entries GROUP BY partition, text HAVING count(*) > 1",
            ),
        ):
            if found := connection.execute(sql).fetchall():
                raise Lost(f"{what}: {found[:3]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stores", type=int, nargs="?", default=10_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        done = asyncio.run(main(args.stores, args.kills, Path(temporary), args.seed))
    sys.stdout.write(
        f"{len(done.stored)} acknowledged stores, {args.kills} kills (seed {args.seed}): "
        f"nothing lost\n"
    )
