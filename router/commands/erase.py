"""``scrimp erase``: erase a user from a data folder that no service runs on.

Of a running service it is asked for over gRPC (``Admin.EraseUser``) or HTTP (``/scrimp/v1/erase``).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import asdict

from cache.embedded.faiss_index import FaissIndex
from cache.embedded.folder import DataFolder
from cache.embedded.sqlite_store import SqliteEntryStore
from cache.embedded.vault import vault_of
from cache.errors import CacheError, FolderLocked
from cache.semantic_cache import SemanticCache
from cache.types import Bounds
from router.erasure import Eraser, Erasure
from router.errors import RouterError
from router.ledger.errors import LedgerError
from router.ledger.sqlite_ledger import SqliteLedger
from router.settings import Settings


def erase(settings: Settings, user: str, namespace: str, *, dry_run: bool) -> int:
    """Erase a user, and print how much there was as one JSON object.

    Returns:
        The exit status: 0, or 1 with a sentence on stderr.
    """
    try:
        done = asyncio.run(_erase(settings, user, namespace, dry_run=dry_run))
    except FolderLocked as error:
        print(
            f"scrimp erase: {error}; a running service erases by itself: ask it with "
            f"Admin.EraseUser, or POST /scrimp/v1/erase",
            file=sys.stderr,
        )
        return 1
    except (CacheError, LedgerError, RouterError) as error:
        print(f"scrimp erase: {error}", file=sys.stderr)
        return 1
    print(json.dumps({"n_entries": done.n_entries, **asdict(done.erased)}))
    return 0


async def _erase(settings: Settings, user: str, namespace: str, *, dry_run: bool) -> Erasure:
    vault = vault_of(settings.data_keys.reveal())
    failures: list[LedgerError] = []
    async with AsyncExitStack() as opened:
        folder = opened.enter_context(DataFolder(settings.service.data_folder))
        ledger = SqliteLedger.open(folder.path, on_failure=failures.append, vault=vault)
        opened.push_async_callback(ledger.aclose)
        store = SqliteEntryStore(folder.file("cache.sqlite"), vault=vault)
        cache = SemanticCache(
            None, None, FaissIndex(1), store, Bounds(max_entries=10**9, max_bytes=2**60), time.time
        )
        opened.push_async_callback(cache.close)
        await cache.start()
        return await Eraser(cache, ledger, time.time).erase(user, namespace, dry_run=dry_run)
