"""Was the cache right? Found out in the background, while it runs; no caller ever waits for it.

========  ======================================================================================
audit     a random share of the near-duplicate hits that go out is also answered by the model that
          made the entry, and compared with what was served. The propensity of each is known, so
          that audits estimate the error rate without bias
twin      in a share of the audits that model is asked twice: how often do two right answers look
          different? What an audit sees is corrected by that
shadow    a near miss, judged and only not sure enough: when the model's answer comes anyway, it is
          compared with that of the nearest entry. Free, so that recall is learned for nothing
========  ======================================================================================

By the gateway the model is called here; by the advisor the app is asked to, with a ticket.

What an audit costs is a line of its own, without a baseline (``router.ledger.accounting``), and
stays within a sum per day: an estimate is set aside before the call and settled after.

A comparison that comes out unsure counts as different, in audits and twins alike: so a wrong hit
cannot hide there, and right ones that look unsure are corrected for by the twins. Of a near miss it
says nothing, and is only counted.

Never checked: exact hits, and requests with no-store. Of personal texts nothing is kept: no pair,
and no trait that names a word.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from cache.calibration import Observation, Source
from cache.errors import CacheError
from cache.normalize import canonical
from cache.policy import certainty
from cache.ports import StoredEntry
from cache.traits import wordless
from cache.types import EntryId
from router.comparator import Comparator, Comparison, Verdict, is_comparable, said
from router.decision import Decision
from router.errors import RouterError, UnknownNamespace
from router.fallback import Fallback, Walk
from router.forgotten import Forgotten
from router.ledger.accounting import Price, audit_line, closed_audit
from router.ledger.allowance import DAY_S, Allowance, Reserved
from router.ledger.errors import LedgerError
from router.ledger.tickets import new_line_id
from router.ledger.types import (
    Cause,
    LabelledPair,
    LedgerLine,
    Outcome,
    SavingsQuery,
    Ticket,
)
from router.metrics import Metrics
from router.ports import Evidence, Ledger
from router.settings import Settings
from router.stored_answer import unpack
from router.types import NANOS_PER_USD, Answer, ChatRequest, Completion, Usage

_log = logging.getLogger(__name__)
_WORKERS = 4  # calls at once; comparisons go one by one, they share the cores with lookups
_MAX_OUT = 10_000  # audits that apps have in hand
_CHARS_PER_TOKEN = 4

SHADOWED_FROM = 0.5
"""P(right) from which a near miss is compared: below it there is nothing to learn."""

_TWIN = "twin"


class Entries(Protocol):
    """The cache, as far as checks need it."""

    async def read(self, entry_id: EntryId) -> StoredEntry | None:
        """Return an entry whole, None when it has left.

        Raises:
            CacheError: the store could not be read.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """A pair of texts under check.

    Attributes:
        line_id: the request it came from.
        asked: its compared text.
        entry_id: the entry whose answer serves it, or might have.
        p_right: what the decision thought of that.
        traits: how the two texts differ.
        is_personal: nothing of the texts may be kept.
        user: whose request it is.
        at_ms: when it came, milliseconds since the epoch.
    """

    namespace: str
    user: str
    at_ms: int
    line_id: str
    asked: str
    entry_id: EntryId
    p_right: float
    traits: tuple[str, ...]
    is_personal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Audit:
    """A hit to be audited here.

    Attributes:
        of: the pair of texts.
        request: as it came.
        hit: its line.
        stored: the entry's text.
        stored_at_s: when that came, seconds since the epoch.
        served: what went out.
        propensity: how probable it was to be chosen.
        is_twin: the model is asked twice.
        reserved: money set aside.
    """

    of: _Checked
    request: ChatRequest
    hit: LedgerLine
    stored: str
    stored_at_s: float
    served: Answer
    propensity: float
    is_twin: bool
    reserved: Reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class NearMiss:
    """The nearest entry of a request that no stored answer served."""

    entry_id: EntryId
    p_right: float
    traits: tuple[str, ...]


def near_miss(decision: Decision) -> NearMiss | None:
    """Return the entry whose answer is worth comparing with the one that comes; None: none is.

    In shadow mode that is also the entry that mode on would have served.
    """
    if decision.is_served or not decision.may_keep:
        return None
    hit, miss = decision.hit, decision.miss
    found = None
    if hit is not None and not hit.is_exact:
        found = NearMiss(entry_id=hit.head.id, p_right=hit.p_right, traits=hit.traits)
    elif miss is not None and miss.nearest is not None and miss.p_right is not None:
        found = NearMiss(entry_id=miss.nearest, p_right=miss.p_right, traits=miss.traits)
    if found is None or not found.traits or found.p_right < SHADOWED_FROM:
        return None
    return found


class Audits:
    """Checks hits and near misses. ``await start()`` before, ``await stop()`` after.

    Args:
        settings: shares, budget and bounds.
        comparator: compares answers, in worker threads.
        evidence: told what was found; None: it is counted, and pairs are kept, all the same.
        fallback: calls models.
        price: (model, usage) to nano-dollars, None when unknown.
        entries: where stored answers are read.
        ledger: where lines and labelled pairs are kept.
        metrics: counts.
        now_s: seconds since the epoch.
        draw: uniform in [0, 1).
        forgotten: who was erased meanwhile; None: nobody.

    Attributes:
        allowance: what audits of all kinds may cost in a day.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        comparator: Comparator,
        evidence: Evidence | None,
        fallback: Fallback,
        price: Price,
        entries: Entries,
        ledger: Ledger,
        metrics: Metrics,
        now_s: Callable[[], float],
        draw: Callable[[], float] = random.random,
        forgotten: Forgotten | None = None,
    ) -> None:
        self._forgotten = forgotten or Forgotten(now_s)
        self._settings = settings
        self._comparator = comparator
        self._evidence = evidence
        self._fallback = fallback
        self._price = price
        self._entries = entries
        self._ledger = ledger
        self._metrics = metrics
        self._now_s = now_s
        self._draw = draw
        budget = settings.audits.budget_usd_per_day
        self.allowance = Allowance(round(budget * NANOS_PER_USD), now_s)
        self._waiting: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue(
            settings.audits.max_waiting
        )
        self._workers: list[asyncio.Task[None]] = []
        self._knows_today = False
        self._comparing = asyncio.Semaphore(1)
        self._out: OrderedDict[bytes, Reserved] = OrderedDict()

    def __len__(self) -> int:
        """Return how many checks wait."""
        return self._waiting.qsize()

    async def start(self) -> None:
        """Read what audits cost today so far, and begin to work.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        await self.prepare(self._settings)
        self._workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]

    async def prepare(self, settings: Settings) -> None:
        """Read what audits cost today so far, where settings want any and it is not known yet.

        Raises:
            LedgerUnavailable: the ledger cannot be read.
        """
        policies = (settings.default_policy, *settings.policies.values())
        if self._knows_today or not any(
            policy.audit_share or policy.route_share for policy in policies
        ):
            return
        today = SavingsQuery(since_ms=self.allowance.day() * DAY_S * 1_000)
        totals = (await self._ledger.savings(today)).totals
        saved = dict(totals.saved_by_cause).get(Cause.AUDIT.value, 0)
        self.allowance.used_before(-saved)
        self._knows_today = True

    def go_by(self, settings: Settings, fallback: Fallback) -> None:
        """Go by other settings from now on, ``prepare`` awaited; audits that run end as begun."""
        self._settings = settings
        self._fallback = fallback
        self._price = settings.prices.cost_nanos
        self.allowance.go_by(round(settings.audits.budget_usd_per_day * NANOS_PER_USD))

    async def stop(self) -> None:
        """Break off; calls in flight are written off as cancelled, what waits is not done."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()

    async def idle(self) -> None:
        """Wait until nothing waits or runs."""
        await self._waiting.join()

    # ------------------------------------------------------------------------- what the doors tell

    def served(self, decision: Decision, hit: Completion, line: LedgerLine) -> None:
        """Take a hit that the gateway serves; perhaps it is audited."""
        share = self._chosen(decision)
        if share is None or decision.hit is None:
            return
        is_twin = self._draw() < self._settings.audits.twin_share
        model = decision.hit.head.model
        reserved = self._reserve(decision.request, model, hit.usage, n_calls=1 + is_twin)
        if reserved is None:
            return
        audit = _Audit(
            of=_checked(decision, line),
            request=decision.request,
            hit=line,
            stored=decision.hit.text,
            stored_at_s=decision.hit.head.created_at_s,
            served=hit.answer,
            propensity=share,
            is_twin=is_twin,
            reserved=reserved,
        )
        if not self._enqueue(Source.AUDIT, partial(self._audit, audit)):
            self.allowance.settle(reserved, 0)

    def offered(self, decision: Decision, hit: Completion, digest: bytes) -> float | None:
        """Decide whether a hit of the advisor's carries a ticket that asks the app to call a model.

        Args:
            decision: with the hit.
            hit: what is served.
            digest: the ticket's, by which ``returned`` finds what is set aside now.

        Returns:
            The propensity; None: no ticket.
        """
        share = self._chosen(decision)
        if share is None or decision.hit is None:
            return None
        reserved = self._reserve(decision.request, decision.hit.head.model, hit.usage, n_calls=1)
        if reserved is None:
            return None
        self._out[digest] = reserved
        if len(self._out) > _MAX_OUT:
            self._out.popitem(last=False)
        return share

    def audit_line(self, hit: LedgerLine) -> LedgerLine:
        """Return the open line of an audit that the app is asked to make."""
        at_ms = int(self._now_s() * 1e3)
        return audit_line(hit, line_id=new_line_id(at_ms), at_ms=at_ms)

    def answered(self, decision: Decision, completion: Completion, line: LedgerLine) -> None:
        """Take a model's answer that the gateway got; perhaps it shows that a miss was needless."""
        found = near_miss(decision)
        if found is None or decision.reuse is None:
            return
        of = _Checked(
            namespace=line.namespace,
            user=line.attribution.user,
            at_ms=line.at_ms,
            line_id=line.line_id,
            asked=decision.reuse.split.text,
            entry_id=found.entry_id,
            p_right=found.p_right,
            traits=found.traits,
            is_personal=decision.reuse.is_personal,
        )
        self._shadow(of, completion.answer)

    def returned(self, ticket: Ticket, answer: Answer | None, line: LedgerLine) -> None:
        """Take what an app brought for a ticket, with the line that was settled by it."""
        if ticket.is_audit:
            reserved = self._out.pop(ticket.digest, None)
            if reserved is not None:
                self.allowance.settle(reserved, line.cost_nanos)
            elif line.cost_nanos is not None:  # set aside by an earlier process
                self.allowance.used_before(line.cost_nanos)
        if not ticket.entry_id or not ticket.text or ticket.p_right is None or ticket.is_no_store:
            return
        of = _Checked(
            namespace=ticket.namespace,
            user=ticket.user,
            at_ms=line.at_ms,
            line_id=ticket.line_id,
            asked=ticket.text,
            entry_id=EntryId(ticket.entry_id),
            p_right=ticket.p_right,
            traits=ticket.traits,
            is_personal=ticket.is_personal,
        )
        if not ticket.is_audit:
            self._shadow(of, answer)
        elif answer is None:
            self._metrics.unchecked(Source.AUDIT, "failed")
        elif line.model not in ticket.models:  # two models may differ where both are right
            self._metrics.unchecked(Source.AUDIT, "other_model")
        elif ticket.propensity is not None:
            check = partial(self._compare_stored, of, answer, Source.AUDIT, 1 / ticket.propensity)
            self._enqueue(Source.AUDIT, check)

    def _chosen(self, decision: Decision) -> float | None:
        """Return the propensity of a hit that is to be audited; None for all others."""
        share = decision.policy.audit_share
        if decision.outcome is not Outcome.NEAR or decision.request.cache_control.is_no_store:
            return None
        return share if self._draw() < share else None

    def _reserve(
        self, request: ChatRequest, model: str, usage: Usage | None, *, n_calls: int
    ) -> Reserved | None:
        if model not in self._settings.models:
            self._metrics.unchecked(Source.AUDIT, "model_gone")
            return None
        estimate = self._price(model, usage or self._expected(request))
        if estimate is None:  # a budget in dollars cannot bound it
            self._metrics.unchecked(Source.AUDIT, "unpriced")
            return None
        reserved = self.allowance.reserve(estimate * n_calls)
        if reserved is None:
            self._metrics.unchecked(Source.AUDIT, "budget")
        return reserved

    def _expected(self, request: ChatRequest) -> Usage:
        n_chars = sum(len(part.text) for message in request.messages for part in message.parts)
        return Usage(
            input_tokens=n_chars // _CHARS_PER_TOKEN + 1,
            output_tokens=self._settings.routing.expected_output_tokens,
        )

    def _shadow(self, of: _Checked, answer: Answer | None) -> None:
        try:
            share = self._settings.policy(of.namespace).shadow_share
        except UnknownNamespace:  # its ticket is older than the settings
            return
        if answer is None or of.p_right < SHADOWED_FROM or self._draw() >= share:
            return
        check = partial(self._compare_stored, of, answer, Source.SHADOW, 1 / share)
        self._enqueue(Source.SHADOW, check)

    def _enqueue(self, kind: Source, check: Callable[[], Awaitable[None]]) -> bool:
        try:
            self._waiting.put_nowait(check)
        except asyncio.QueueFull:
            self._metrics.unchecked(kind, "queue_full")
            return False
        return True

    # ------------------------------------------------------------------------------ the background

    async def _work(self) -> None:
        while True:
            check = await self._waiting.get()
            try:
                await check()
            except Exception:  # noqa: BLE001  the outermost edge of this task
                _log.exception("a check of the cache failed")
                self._metrics.degraded("audits")
            finally:
                self._waiting.task_done()

    async def _audit(self, audit: _Audit) -> None:
        """Call the model, account for it, compare."""
        answers = await self._fresh(audit)
        whole = [answer for answer in answers if is_comparable(answer)]
        if not whole:
            self._metrics.unchecked(Source.AUDIT, "unanswered" if not answers else "not_whole")
            return
        found = await self._compare(said(audit.served), said(whole[0]))
        weight = 1 / audit.propensity
        self._learn(audit.of, audit.stored, audit.stored_at_s, found, Source.AUDIT, weight)
        if len(whole) == 2:
            await self._compare_twins(audit.of.namespace, whole)

    async def _fresh(self, audit: _Audit) -> list[Answer]:
        """Return the answers of the model that made the entry; what they cost is on record."""
        walk = Walk()
        line = self.audit_line(audit.hit)
        answers: list[Answer] = []
        fallback = self._fallback  # the same to the end, whatever becomes of the settings
        try:
            with fallback.held():
                for _ in range(1 + audit.is_twin):
                    async for event in fallback.call(
                        (line.model,), audit.request, walk, is_streamed=False
                    ):
                        if isinstance(event, Completion):
                            answers.append(event.answer)
        except asyncio.CancelledError:
            walk.close_running("cancelled")
            line = self._closed(replace(line, status="Cancelled"), walk, audit.reserved)
            self._ledger.note(line)  # nothing may be awaited any more
            raise
        except Exception as error:  # noqa: BLE001  whatever it was, what was paid is accounted
            if not isinstance(error, RouterError):
                _log.exception("an audit failed")
            walk.close_running("internal")
            line = replace(line, status=type(error).__name__)
        line = self._closed(line, walk, audit.reserved)
        try:
            await self._ledger.record(line)
        except LedgerError:
            _log.exception("the line of an audit could not be written")
            self._metrics.degraded("ledger")
        return answers

    def _closed(self, line: LedgerLine, walk: Walk, reserved: Reserved) -> LedgerLine:
        closed = closed_audit(line, walk.attempts, self._price)
        self.allowance.settle(reserved, closed.cost_nanos)
        self._metrics.settled(closed)
        return closed

    async def _compare_stored(
        self, of: _Checked, answer: Answer, source: Source, weight: float
    ) -> None:
        """Compare a model's answer with that of an entry."""
        if not is_comparable(answer):
            self._metrics.unchecked(source, "not_whole")
            return
        try:
            entry = await self._entries.read(of.entry_id)
        except CacheError:
            entry = None
            self._metrics.degraded("cache")
        if entry is None:
            self._metrics.unchecked(source, "entry_gone")
            return
        stored = unpack(entry.answer, input_tokens=None, output_tokens=None).answer
        found = await self._compare(said(stored), said(answer))
        self._learn(of, entry.text, entry.head.created_at_s, found, source, weight)

    async def _compare_twins(self, namespace: str, answers: Sequence[Answer]) -> None:
        found = await self._compare(said(answers[0]), said(answers[1]))
        self._metrics.checked(namespace, _TWIN, found.verdict)
        if self._evidence is not None:
            self._evidence.twin(namespace, found.verdict is not Verdict.SAME)

    async def _compare(self, one: str, other: str) -> Comparison:
        async with self._comparing:
            return await asyncio.to_thread(self._comparator.compare, one, other)

    def _learn(
        self,
        of: _Checked,
        stored: str,
        stored_at_s: float,
        found: Comparison,
        source: Source,
        weight: float,
    ) -> None:
        """Tell what a comparison came to; keep the pair where that is certain enough."""
        self._metrics.checked(of.namespace, source, found.verdict)
        is_unsure = found.verdict is Verdict.UNSURE
        if is_unsure and source is Source.SHADOW:
            return
        is_wordless = of.is_personal or self._is_erased(of)
        if self._evidence is not None:
            self._evidence.observe(
                of.namespace,
                Observation(
                    p_right=certainty(of.p_right, canonical(of.asked), canonical(stored)),
                    is_right=found.verdict is Verdict.SAME,
                    weight=weight,
                    traits=wordless(of.traits) if is_wordless else of.traits,
                    source=source,
                    at_s=self._now_s(),
                    line_id=of.line_id,
                    entry_id=of.entry_id,
                    texts_at_s=stored_at_s,
                ),
            )
        now_ms = int(self._now_s() * 1e3)
        days = self._settings.audits.keep_pairs_days
        if is_unsure or is_wordless or not days:
            return
        self._ledger.label(
            LabelledPair(
                line_id=of.line_id,
                namespace=of.namespace,
                asked=of.asked,
                stored=stored,
                is_same=found.verdict is Verdict.SAME,
                source=source,
                at_ms=now_ms,
                expires_at_ms=now_ms + days * DAY_S * 1_000,
                since_ms=int(stored_at_s * 1e3),
                entry_id=of.entry_id,
            )
        )

    def _is_erased(self, of: _Checked) -> bool:
        return self._forgotten.holds(of.user, of.namespace, of.at_ms, of.entry_id)


def _checked(decision: Decision, line: LedgerLine) -> _Checked:
    hit, reuse = decision.hit, decision.reuse
    if hit is None or reuse is None:
        raise ValueError("only a hit can be audited")
    return _Checked(
        namespace=line.namespace,
        user=line.attribution.user,
        at_ms=line.at_ms,
        line_id=line.line_id,
        asked=reuse.split.text,
        entry_id=hit.head.id,
        p_right=hit.p_right,
        traits=hit.traits,
        is_personal=reuse.is_personal,
    )
