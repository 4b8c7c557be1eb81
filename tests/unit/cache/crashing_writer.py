"""A process that stores and invalidates until it is killed; each acknowledged act is one line."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from fakes import FakeEncoder

from cache.embedded.faiss_index import FaissIndex
from cache.embedded.folder import DataFolder
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.semantic_cache import SemanticCache
from cache.types import Bounds, Draft, PartitionKey, Selector


def tell(line: str) -> None:
    """Hand a line to the parent; unbuffered, so that it is out before the next step."""
    os.write(1, f"{line}\n".encode())


async def work(cache: SemanticCache, worker: int) -> None:
    """Store texts, some of them again, and remove some."""
    rng = random.Random(os.getpid() + worker)
    for n in range(1_000_000):
        key = f"prompt {worker} {rng.randrange(300)}"
        answer = f"{os.getpid()}-{n}"
        if n % 7 == 6:
            tell(f"drop {key}")
            await cache.invalidate(Selector(tag=key), dry_run=False)
            tell(f"gone {key}")
        else:
            tell(f"try {key}={answer}")
            await cache.store(
                Draft(
                    partition=PartitionKey(bytes([worker]) * 32),
                    namespace="n",
                    text=key,
                    answer=answer.encode() + b"x" * 2000,
                    model="m",
                    input_tokens=1,
                    output_tokens=1,
                    ttl_s=3600,
                    tags=(key,),
                )
            )
            tell(f"kept {key}={answer}")


async def main(folder: Path) -> None:
    """Open, work, never end."""
    encoder = FakeEncoder()
    store = SqliteEntryStore(DataFolder(folder).file("cache.sqlite3"))
    cache = SemanticCache(encoder, None, FaissIndex(encoder.dim), store, Bounds(), time.time)
    await cache.start()
    await asyncio.gather(*(work(cache, worker) for worker in range(8)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
