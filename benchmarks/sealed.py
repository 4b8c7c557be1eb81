"""``sealed``: what encryption at rest costs, against the same work without it, by turns.

In process, on the embedded store: entries with vectors, token vectors and answers of usual length
are stored by many callers at once, read back from disk, looked up in memory, and loaded by a start.
Each round does all of it once without a key and once with one, in folders that vanish.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import console
from benchmarks.errors import UnusableInput
from cache.embedded.faiss_index import FaissIndex
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.embedded.vault import KEY_BYTES, PLAIN, Vault, vault_of
from cache.semantic_cache import SemanticCache
from cache.types import Bounds, Draft, EntryId, PartitionKey, Query, ReusePolicy, Vector

WORK = ("store", "read_cold", "look_up_warm", "start")
_PARTITION = PartitionKey(sha256(b"benchmarks sealed").digest())
_ANSWER = b"An answer of the length that answers have. " * 28  # 1.2 KB
_QUESTION = "What is to be done where the {} does not do what it has to, and nobody knows why?"
_CALLERS = 64
_DIM, _TOKEN_BYTES = 384, 1_100


@dataclass(frozen=True, slots=True)
class _Embedding:
    vector: Vector
    tokens: bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the scenario's options."""
    parser.add_argument("--entries", type=int, default=5_000, metavar="N")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure; see README.md for what the figures mean.

    Raises:
        UnusableInput: too few entries or rounds, or the extra is not installed.
    """
    if args.entries < _CALLERS or args.rounds < 1:
        raise UnusableInput(f"sealed takes at least {_CALLERS} entries and one round")
    try:
        vaults = {"plain": PLAIN, "sealed": vault_of([os.urandom(KEY_BYTES)])}
    except ModuleNotFoundError as error:
        raise UnusableInput("sealed needs the extra: pip install 'scrimp[encryption]'") from error
    drafts = _drafts(args.entries, args.seed)
    seconds: dict[str, list[Mapping[str, float]]] = {"plain": [], "sealed": []}
    for _ in console.track(range(args.rounds), "rounds"):
        for name, vault in vaults.items():
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(asyncio.run(_round(Path(folder), vault, drafts)))
    return {"entries": args.entries, "rounds": args.rounds, **figures(seconds, args.entries)}


def figures(seconds: Mapping[str, Sequence[Mapping[str, float]]], n_entries: int) -> dict[str, Any]:
    """Return, by kind of work, operations per second and the ratio of the two rounds' times.

    Args:
        seconds: of each round, by kind of work, for ``plain`` and ``sealed``.
        n_entries: operations of a kind in a round.
    """
    found = {}
    for work in WORK:
        plain, sealed = ([one[work] for one in seconds[name]] for name in ("plain", "sealed"))
        found[work] = {
            "plain_per_s": n_entries / median(plain),
            "sealed_per_s": n_entries / median(sealed),
            "ratio": median(mine / its for its, mine in zip(plain, sealed, strict=True)),
        }
    return found


def _drafts(n: int, seed: int) -> list[Draft]:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, _DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        Draft(
            partition=_PARTITION,
            namespace="benchmarks",
            text=_QUESTION.format(f"part number {at}"),
            answer=_ANSWER,
            model="some",
            input_tokens=100,
            output_tokens=300,
            ttl_s=86_400,
            embedding=_Embedding(vectors[at], rng.bytes(_TOKEN_BYTES)),
        )
        for at in range(n)
    ]


async def _round(folder: Path, vault: Vault, drafts: Sequence[Draft]) -> dict[str, float]:
    path, took = folder / "cache.sqlite", {}
    store = SqliteEntryStore(path, vault=vault)
    started = time.perf_counter()
    await asyncio.gather(*(_put_all(store, drafts[at::_CALLERS]) for at in range(_CALLERS)))
    took["store"] = time.perf_counter() - started
    store.close()

    store = SqliteEntryStore(path, vault=vault)
    started = time.perf_counter()
    for entry_id in range(1, len(drafts) + 1):
        store.read([EntryId(entry_id)])
    took["read_cold"] = time.perf_counter() - started

    bounds = Bounds(hot_bytes=1 << 40)
    cache = SemanticCache(None, None, FaissIndex(_DIM), store, bounds, time.time)
    started = time.perf_counter()
    await cache.start()
    took["start"] = time.perf_counter() - started
    queries = [_query(draft.text) for draft in drafts]
    for query in queries:
        await cache.find_exact(query)
    started = time.perf_counter()
    for query in queries:
        await cache.find_exact(query)
    took["look_up_warm"] = time.perf_counter() - started
    await cache.close()
    return took


async def _put_all(store: SqliteEntryStore, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        await store.put(draft, text=draft.text, encoder_id="some", now_s=time.time())


def _query(text: str) -> Query:
    return Query(partition=_PARTITION, text=text, policy=ReusePolicy(), permit=lambda _: None)
