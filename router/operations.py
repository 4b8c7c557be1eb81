"""What callers and operators do besides asking: feedback, invalidation, modes, savings."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Protocol

from cache.calibration import Observation, Source
from cache.normalize import canonical
from cache.policy import certainty
from cache.traits import traits_of_pair, wordless
from cache.types import EntryId, Invalidation, Selector
from router.churn import Churn
from router.erasure import Entries, Eraser, Erasure
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
from router.ports import Evidence, Ledger
from router.settings import Settings
from router.types import Mode

_MAX_CALLERS = 10_000
_MAX_MODES = 10_000
_DAY_MS = 86_400_000

Spoken = OrderedDict[str, deque[float]]
"""By caller, the seconds at which it gave feedback lately."""

FEEDBACK_WEIGHT = 0.25
"""What one word counts as evidence, where a hit audited at random counts one over its propensity,
so at least 1: callers mostly say nothing, and say it of wrong answers more than of right ones."""


class Answers(Entries, Protocol):
    """The cache, as far as callers and operators may change it."""

    async def refute(self, namespace: str, stored: str, asked: str) -> None:
        """Never serve a stored text's answer for another again, and be stricter with it."""


class Operations:
    """Feedback, invalidation, erasure, modes, savings.

    Args:
        settings: limits and the modes of the file.
        modes: set at run time, by namespace; changed here.
        cache: where entries are removed and refuted.
        ledger: where words and modes are kept.
        churn: why partitions changed.
        evidence: told what callers say of near-duplicate hits; None: nobody is.
        eraser: erases users; None: one that tells nobody.
        metrics: counts.
        now_s: seconds since the epoch.
        spoken: when each caller gave feedback lately; None: nobody has.
        on_word: told of every new word.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        modes: dict[str, Mode],
        cache: Answers,
        ledger: Ledger,
        churn: Churn,
        evidence: Evidence | None,
        eraser: Eraser | None = None,
        metrics: Metrics,
        now_s: Callable[[], float],
        spoken: Spoken | None = None,
        on_word: Callable[[FeedbackTaken, FeedbackKind], None] = lambda *_: None,
    ) -> None:
        self._on_word = on_word
        self._settings = settings
        self._modes = modes
        self._cache = cache
        self._ledger = ledger
        self._churn = churn
        self._evidence = evidence
        self._eraser = eraser or Eraser(cache, ledger, now_s)
        self._metrics = metrics
        self._now_s = now_s
        self._feedback_times = OrderedDict() if spoken is None else spoken

    async def feedback(
        self, response_id: str, kind: FeedbackKind, note: str, *, namespace: str, caller: str
    ) -> FeedbackTaken:
        """Take a caller's word on what it received.

        A near-duplicate hit reported wrong is never served for that text again when this returns,
        and its entry not as readily for others; an entry whose answer was wrong even for its own
        text is removed, and so is one of which the text it was served for is not known any more.

        Raises:
            Overloaded: more words than the settings allow in a minute.
            LineUnknown: this caller received no such response.
            FeedbackUnfit: the word says nothing about such a response.
        """
        self._spend_feedback(caller)
        now_ms = int(self._now_s() * 1e3)
        days = self._settings.audits.keep_pairs_days
        word = Feedback(
            line_id=response_id,
            kind=kind,
            at_ms=now_ms,
            note=note,
            keep_pair_until_ms=now_ms + days * _DAY_MS if days else 0,
        )
        taken = await self._ledger.feedback(word, namespace=namespace, caller=caller)
        self._metrics.feedback(kind.value)
        if kind is FeedbackKind.HIT_WRONG:
            await self._refute(taken)
        if kind in (FeedbackKind.HIT_WRONG, FeedbackKind.HIT_RIGHT) and taken.is_new:
            self._learn(taken, is_right=kind is FeedbackKind.HIT_RIGHT)
        if taken.is_new:
            self._on_word(taken, kind)
        return taken

    async def _refute(self, taken: FeedbackTaken) -> None:
        """Act on a hit that was wrong; also when that was said before, should it have failed then.

        Raises:
            CacheError: it could not be made durable; say it again.
        """
        line, pair = taken.line, taken.pair
        if line.outcome is Outcome.NEAR and pair is not None:
            await self._cache.refute(line.namespace, pair.stored, pair.asked)
        elif line.entry_id:
            await self._cache.invalidate(Selector(ids=(EntryId(line.entry_id),)))

    def _learn(self, taken: FeedbackTaken, *, is_right: bool) -> None:
        line, pair = taken.line, taken.pair
        if self._evidence is None or pair is None or line.p_right is None:
            return
        asked, stored = canonical(pair.asked), canonical(pair.stored)
        traits = traits_of_pair(stored, asked)
        self._evidence.observe(
            line.namespace,
            Observation(
                p_right=certainty(line.p_right, asked, stored),
                is_right=is_right,
                weight=FEEDBACK_WEIGHT,
                traits=wordless(traits) if pair.is_personal else traits,
                source=Source.FEEDBACK,
                at_s=self._now_s(),
                line_id=line.line_id,
                entry_id=line.entry_id,
                texts_at_s=pair.since_ms / 1e3,
            ),
        )

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

    async def erase_user(self, user: str, namespace: str, *, dry_run: bool) -> Erasure:
        """Erase what a user wrote or received; see ``Eraser.erase``.

        Raises:
            InvalidRequest: no user is named.
            UnknownNamespace: the settings close the set.
            CacheError, LedgerError: it is not done, or not all of it; call again.
        """
        if namespace:
            self._settings.policy(namespace)
        done = await self._eraser.erase(user, namespace, dry_run=dry_run)
        if not dry_run:
            self._metrics.entries_removed("erased", done.n_entries)
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
