"""What callers and operators do besides asking: feedback, invalidation, modes, savings."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from cache.semantic_cache import SemanticCache
from cache.types import EntryId, Invalidation, Selector
from router.churn import Churn
from router.errors import InvalidRequest, Overloaded
from router.ledger.types import (
    Feedback,
    FeedbackKind,
    FeedbackTaken,
    Outcome,
    SavingsQuery,
    SavingsReport,
)
from router.metrics import Metrics
from router.ports import Ledger
from router.settings import Settings
from router.types import Mode

_MAX_CALLERS = 10_000
_MAX_MODES = 10_000


class Operations:
    """Feedback, invalidation, modes, savings.

    Args:
        settings: limits and the modes of the file.
        modes: set at run time, by namespace; changed here.
        cache: where entries are removed.
        ledger: where words and modes are kept.
        churn: why partitions changed.
        metrics: counts.
        now_s: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        modes: dict[str, Mode],
        cache: SemanticCache,
        ledger: Ledger,
        churn: Churn,
        metrics: Metrics,
        now_s: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._modes = modes
        self._cache = cache
        self._ledger = ledger
        self._churn = churn
        self._metrics = metrics
        self._now_s = now_s
        self._feedback_times: OrderedDict[str, deque[float]] = OrderedDict()

    async def feedback(
        self, response_id: str, kind: FeedbackKind, note: str, *, namespace: str, caller: str
    ) -> FeedbackTaken:
        """Take a caller's word on what it received.

        An entry whose answer was reported wrong is removed before this returns.

        Raises:
            Overloaded: more words than the settings allow in a minute.
            LineUnknown: this caller received no such response.
            FeedbackUnfit: the word says nothing about such a response.
        """
        self._spend_feedback(caller)
        word = Feedback(line_id=response_id, kind=kind, at_ms=int(self._now_s() * 1e3), note=note)
        taken = await self._ledger.feedback(word, namespace=namespace, caller=caller)
        self._metrics.feedback(kind.value)
        line = taken.line
        is_hit = line.outcome in (Outcome.EXACT, Outcome.NEAR)
        if kind is FeedbackKind.HIT_WRONG and is_hit and line.entry_id:
            await self._cache.invalidate(Selector(ids=(EntryId(line.entry_id),)))
        return taken

    async def invalidate(self, selector: Selector, *, dry_run: bool) -> Invalidation:
        """Remove entries at once.

        Raises:
            InvalidRequest: the selector is empty.
            UnknownNamespace: the settings close the set.
            CacheError: the store failed.
        """
        if selector.is_empty():
            raise InvalidRequest(
                "no condition was given, so that everything would be removed; name at least one of "
                "entry_ids, namespace, tag, model, older_than_s, user, conversation"
            )
        if selector.namespace:
            self._settings.policy(selector.namespace)
        done = await self._cache.invalidate(selector, dry_run=dry_run)
        if not dry_run:
            self._metrics.entries_removed("invalidated", done.n_entries)
        return done

    def mode(self, namespace: str) -> tuple[Mode, bool]:
        """Return a namespace's mode, and whether it was set at run time.

        Raises:
            UnknownNamespace: the settings close the set.
        """
        of_file = self._settings.policy(namespace).mode
        return self._modes.get(namespace, of_file), namespace in self._modes

    async def set_mode(self, namespace: str, mode: Mode | None) -> tuple[Mode, Mode]:
        """Switch a namespace, None: back to what the file says. Returns the modes before and now.

        Raises:
            UnknownNamespace: the settings close the set.
            LedgerUnavailable: it could not be kept, and nothing was switched.
        """
        before, _ = self.mode(namespace)
        if mode is not None and len(self._modes) >= _MAX_MODES and namespace not in self._modes:
            raise Overloaded(f"{_MAX_MODES} namespaces have a mode of their own; reset some first")
        await self._ledger.set_mode(namespace, mode)
        if mode is None:
            self._modes.pop(namespace, None)
        else:
            self._modes[namespace] = mode
        return before, self.mode(namespace)[0]

    async def savings(self, query: SavingsQuery) -> SavingsReport:
        """Sum the ledger.

        Raises:
            InvalidRequest: ``group_by`` names what cannot be grouped by.
            UnknownNamespace: the settings close the set.
        """
        if query.namespace:
            self._settings.policy(query.namespace)
        try:
            return await self._ledger.savings(query)
        except ValueError as error:
            raise InvalidRequest(str(error)) from error

    def churn(self) -> list[tuple[str, str, int]]:
        """Return namespace, field and number of misses it caused, since the start."""
        return self._churn.counts()

    def _spend_feedback(self, caller: str) -> None:
        now = self._now_s()
        times = self._feedback_times.pop(caller, None) or deque()
        self._feedback_times[caller] = times
        if len(self._feedback_times) > _MAX_CALLERS:
            self._feedback_times.popitem(last=False)
        while times and times[0] <= now - 60:
            times.popleft()
        most = self._settings.limits.feedback_per_minute
        if len(times) >= most:
            raise Overloaded(
                f"at most {most} words of feedback a minute are taken; try again later"
            )
        times.append(now)
