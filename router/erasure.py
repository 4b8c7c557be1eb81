"""Erasure by user: everything a user wrote or received, wherever it rests.

The order is such that each step can be taken again: a process that dies in between has not said
that it is done, and the same call finishes it. Answers to other users' questions stay, those that
the user received among them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

from cache.types import Invalidation, Selector
from classifier import overlap
from router import partition, reuse
from router.errors import InvalidRequest
from router.ledger.types import Erased
from router.ports import Ledger


class Entries(Protocol):
    """The cache, as far as an erasure changes it."""

    async def invalidate(self, selector: Selector, *, dry_run: bool = False) -> Invalidation:
        """Remove every entry that matches, from memory at once."""

    async def free(self) -> bool:
        """Leave nothing of what was removed in any file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What an erasure came to, or would.

    Attributes:
        n_entries: stored answers to the user's own requests.
        erased: what the ledger held.
        is_freed: nothing of it is in any file now; False: a reader was at work, and upkeep frees
            the files within a minute of its end.
    """

    n_entries: int = 0
    erased: Erased = field(default_factory=Erased)
    is_freed: bool = True


class Eraser:
    """Erases, one user at a time.

    Args:
        cache: where answers are.
        ledger: where everything else is.
        now_s: seconds since the epoch.
        forget: told user, namespace and entries: what is at work or in memory forgets them.
        relearn: takes up anew, after all, what was learned of pairs of texts.
    """

    def __init__(
        self,
        cache: Entries,
        ledger: Ledger,
        now_s: Callable[[], float],
        *,
        forget: Callable[[str, str, Collection[int]], None] = lambda *_: None,
        relearn: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._cache = cache
        self._ledger = ledger
        self._now_s = now_s
        self._forget = forget
        self._relearn = relearn
        self._one = asyncio.Lock()
        self._running: set[asyncio.Task[Erasure]] = set()

    async def erase(self, user: str, namespace: str, *, dry_run: bool) -> Erasure:
        """Erase a user; durable, and out of the files, when it returns. Again: nothing is left.

        An erasure that was begun goes on when its caller leaves. Requests of the user that are
        under way meanwhile may leave traces; once they have ended, erase again.

        Args:
            user: as the app names them.
            namespace: only there; empty: everywhere.
            dry_run: only count.

        Raises:
            InvalidRequest: no user is named.
            CacheError, LedgerError: it is not done, or not all of it; call again.
        """
        if not user:
            raise InvalidRequest(
                "user is empty; name whom to erase (entries without a user are nobody's)"
            )
        task = asyncio.create_task(self._erase(user, namespace, dry_run=dry_run))
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Wait for what was begun."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _erase(self, user: str, namespace: str, *, dry_run: bool) -> Erasure:
        async with self._one:
            theirs = Selector(user=user, namespace=namespace)
            ledger = self._ledger
            found = await self._cache.invalidate(theirs, dry_run=True)
            entries = set(found.ids) | await ledger.made_by(user, namespace)
            if not dry_run:
                self._forget(user, namespace, entries)
                await self._cache.invalidate(theirs)
            # Copies first: lines that are nobody's do not tell any more which entries were made.
            copies = await ledger.erase_copies(entries, user, namespace, is_dry=dry_run)
            lines = await ledger.erase_user(user, namespace, is_dry=dry_run)
            if dry_run:
                return Erasure(n_entries=found.n_entries, erased=copies + lines)
            late = await self._cache.invalidate(theirs)  # of answers that came meanwhile
            if self._relearn is not None:
                await self._relearn()
            forget_texts()
            is_freed = await ledger.free(self._now_s())
            is_freed = await self._cache.free() and is_freed
            return Erasure(
                n_entries=found.n_entries + late.n_entries,
                erased=copies + lines,
                is_freed=is_freed,
            )

    def _ended(self, task: asyncio.Task[Erasure]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits has it


def forget_texts() -> None:
    """Forget the texts that pure functions remember their results for."""
    reuse.forget_texts()
    partition.forget_texts()
    overlap.forget_texts()
