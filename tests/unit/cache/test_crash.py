from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes import FakeClock, FakeEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.embedded.faiss_index import FaissIndex
from cache.embedded.folder import DataFolder
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.semantic_cache import SemanticCache
from cache.types import (
    Bounds,
    Draft,
    EntryId,
    Head,
    Hit,
    MissReason,
    OperatingPoint,
    PartitionKey,
    Query,
    ReusePolicy,
    Selector,
)

ROOT = Path(__file__).parents[3]
WRITER = Path(__file__).with_name("crashing_writer.py")


def permit_all(head: Head) -> MissReason | None:
    return None


def query(partition: PartitionKey, text: str) -> Query:
    policy = ReusePolicy(min_similarity=0.95)
    return Query(
        partition=partition,
        text=text,
        policy=policy,
        permit=permit_all,
        point=OperatingPoint(min_p_right=0.8),
    )


def run_and_kill(folder: Path, after_s: float) -> list[str]:
    """Let the writer work, kill it with SIGKILL, return its lines."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        deadline = time.monotonic() + after_s
        while time.monotonic() < deadline:
            lines.append(process.stdout.readline())
        process.kill()
        lines += process.stdout.readlines()
    return [line.rstrip("\n") for line in lines if line.endswith("\n")]


def allowed_after(lines: list[str], allowed: dict[str, set[str | None]]) -> None:
    """Follow the writer's lines: what may each key hold, given what was acknowledged?"""
    for line in lines:
        act, rest = line.split(" ", 1)
        key, _, answer = rest.partition("=")
        outcomes = allowed.setdefault(key, {None})
        if act == "try":
            outcomes.add(answer)
        elif act == "drop":
            outcomes.add(None)
        else:  # acknowledged: each worker does one thing at a time, so nothing else is possible
            allowed[key] = {answer if act == "kept" else None}


async def check(folder: Path, allowed: dict[str, set[str | None]]) -> int:
    """Return how many keys were found, after checking each of them exactly and near."""
    encoder = FakeEncoder()
    with DataFolder(folder) as data:
        store = SqliteEntryStore(data.file("cache.sqlite3"))
        assert store.quick_check() == []
        cache = SemanticCache(encoder, None, FaissIndex(encoder.dim), store, Bounds(), time.time)
        await cache.start()
        n_found = 0
        for key, outcomes in allowed.items():
            partition = PartitionKey(bytes([int(key.split()[1])]) * 32)
            hit = await cache.find_exact(query(partition, key))
            found = hit.answer.rstrip(b"x").decode() if isinstance(hit, Hit) else None
            assert found in outcomes, key
            [near] = await asyncio.to_thread(
                cache.find_near, [query(partition, key)], encoder.embed([key])
            )
            assert isinstance(near, Hit) == isinstance(hit, Hit), key
            n_found += found is not None
        stats = cache.stats()
        assert stats.n_entries == stats.n_indexed == n_found == len(list(store.heads()))
        await cache.close()
    return n_found


async def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """Killed at any moment, every acknowledged store and removal is found done.

    What was under way is there whole or not at all, and index and store agree.
    """
    allowed: dict[str, set[str | None]] = {}
    for _ in range(3):
        lines = await asyncio.to_thread(run_and_kill, tmp_path, random.uniform(0.2, 0.8))
        allowed_after(lines, allowed)

        n_found = await check(tmp_path, allowed)

        assert n_found > 20


TEXTS = st.sampled_from([f"the {word} thing" for word in ["red", "green", "blue", "old", "new"]])
PARTITIONS = st.sampled_from([PartitionKey(b"h" * 32), PartitionKey(b"t" * 32)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PARTITIONS, TEXTS, st.integers(1, 30)),
        st.tuples(st.just("drop"), PARTITIONS, TEXTS, st.just(0)),
        st.tuples(st.just("reopen"), PARTITIONS, TEXTS, st.integers(0, 20)),
    ),
    max_size=25,
)


@given(steps=STEPS)
@settings(max_examples=25, deadline=None)
async def test_index_and_store_agree_after_any_history(
    steps: list[tuple[str, PartitionKey, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Puts, removals, time and restarts without a goodbye, compared with a plain dictionary."""
    path = tmp_path_factory.mktemp("history") / "cache.sqlite3"
    clock, encoder = FakeClock(), FakeEncoder()
    model: dict[tuple[PartitionKey, str], tuple[bytes, float]] = {}

    def opened() -> tuple[SqliteEntryStore, SemanticCache]:
        store = SqliteEntryStore(path)
        return store, SemanticCache(
            encoder, None, FaissIndex(encoder.dim), store, Bounds(hot_bytes=0), clock
        )

    store, cache = opened()
    await cache.start()
    ids: dict[tuple[PartitionKey, str], EntryId] = {}
    for n, (act, partition, text, number) in enumerate(steps):
        if act == "put":
            answer = f"answer {n}".encode()
            head = await cache.store(
                Draft(
                    partition=partition,
                    namespace="n",
                    text=text,
                    answer=answer,
                    model="m",
                    input_tokens=None,
                    output_tokens=None,
                    ttl_s=number,
                )
            )
            ids[partition, text] = head.id
            model[partition, text] = (answer, clock() + number)
        elif act == "drop" and (partition, text) in ids:
            await cache.invalidate(Selector(ids=(ids[partition, text],)), dry_run=False)
            model.pop((partition, text), None)
        elif act == "reopen":
            await cache._upkeep.stop()  # nothing is finished, as after a crash
            store.close()
            clock.advance(number)
            store, cache = opened()
            await cache.start()

    living = {key: answer for key, (answer, until_s) in model.items() if until_s > clock()}
    await cache.sweep()
    for partition, text in [*ids]:
        exact = await cache.find_exact(query(partition, text))
        [near] = cache.find_near([query(partition, text)], encoder.embed([text]))
        expected = living.get((partition, text))
        assert (exact.answer if isinstance(exact, Hit) else None) == expected
        if expected is not None:
            assert isinstance(near, Hit)
            assert near.answer == expected
    stats = cache.stats()
    assert stats.n_entries == stats.n_indexed == len(living) == len(list(store.heads()))
    await cache.close()
