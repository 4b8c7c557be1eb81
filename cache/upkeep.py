"""What the cache does by itself: sweep the expired, empty the store of the departed, re-embed.

Every step is bounded and yields to the event loop; a step that fails is counted, logged and tried
again later.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import islice

from cache.errors import CacheError
from cache.ports import Encoder, EntryStore
from cache.shelf import Shelf

_SWEPT_AT_ONCE = 256
_REMOVED_AT_ONCE = 512
_EMBEDDED_AT_ONCE = 16


class Upkeep:
    """Background care of a shelf and its store.

    Args:
        shelf: what lookups see.
        encoder: makes vectors for entries that another encoder embedded; None: nobody does.
        store: where entries survive.
        clock: seconds since the epoch.
        every_s: seconds between two rounds.
    """

    def __init__(
        self,
        shelf: Shelf,
        encoder: Encoder | None,
        store: EntryStore,
        clock: Callable[[], float],
        *,
        every_s: float = 1.0,
    ) -> None:
        self.n_expired = 0
        self._shelf = shelf
        self._encoder = encoder
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._tasks: list[asyncio.Task[None]] = []
        self._removing = asyncio.Lock()
        self._kept_to = shelf.keep_s

    def start(self) -> None:
        """Begin the rounds on the running event loop."""
        self._tasks = [
            asyncio.create_task(self._rounds("sweeping", self.sweep)),
            asyncio.create_task(self._rounds("embedding", self.embed)),
        ]

    async def stop(self) -> None:
        """End the rounds."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def sweep(self) -> int:
        """Hide everything that has expired and remove all that is hidden; return how many expired.

        Raises:
            StoreUnavailable: hidden, but not removed yet.
        """
        await self._end_earlier()
        n_expired = 0
        while n := self._shelf.hide_expired(self._clock(), _SWEPT_AT_ONCE):
            n_expired += n
            self.n_expired += n
            await asyncio.sleep(0)
        await self.remove_hidden()
        await self._store.tend(self._clock())
        return n_expired

    async def _end_earlier(self) -> None:
        """Hold what is there to the bound of now, where that is a new one."""
        keep_s = self._shelf.keep_s
        if keep_s is self._kept_to:
            return
        heads = self._shelf.catalog.heads()
        for start in range(0, len(heads), _SWEPT_AT_ONCE):
            self._shelf.end_earlier(heads[start : start + _SWEPT_AT_ONCE])
            await asyncio.sleep(0)
        self._kept_to = keep_s

    async def remove_hidden(self) -> None:
        """Remove from the store what is hidden already.

        Raises:
            StoreUnavailable: some of it is still there.
        """
        async with self._removing:
            while batch := list(islice(self._shelf.unremoved, _REMOVED_AT_ONCE)):
                await self._store.remove(batch)
                self._shelf.unremoved.difference_update(batch)

    async def embed(self) -> int:
        """Make the vectors that are missing, pausing as long as it works; return how many.

        Raises:
            CacheError: the store could not be read or written.
        """
        n_embedded = 0
        unembedded = self._shelf.unembedded
        if self._encoder is None:
            return 0
        while batch := list(islice(unembedded, _EMBEDDED_AT_ONCE)):
            began = time.perf_counter()
            entries = await asyncio.to_thread(self._store.read, batch)
            ids = [entry_id for entry_id in batch if entry_id in entries]
            if ids:
                texts = [entries[entry_id].text for entry_id in ids]
                embeddings = await asyncio.to_thread(self._encoder.embed, texts)
                await self._store.embed(ids, embeddings, self._encoder.encoder_id)
                for entry_id in ids:
                    self._shelf.hot.discard(entry_id)  # it holds the tokens of another encoder
            for entry_id in batch:
                unembedded.pop(entry_id, None)
            if ids:  # those that fail are put back, behind all
                self._shelf.show_embeddings(ids, embeddings)
            n_failed = sum(entry_id in unembedded for entry_id in ids)
            n_embedded += len(ids) - n_failed
            if n_failed:
                break  # the next round tries again
            await asyncio.sleep(time.perf_counter() - began)
        return n_embedded

    async def _rounds(self, name: str, step: Callable[[], Awaitable[int]]) -> None:
        while True:
            try:
                await step()
            except CacheError as error:
                self._shelf.failed(name, error)
            except Exception as error:  # noqa: BLE001 - the task's edge: the next round must come
                self._shelf.failed(f"{name}, for no known reason,", error)
            await asyncio.sleep(self._every_s)
