"""One request, top to bottom. Read this file first.

::

    faces                wire -> ChatRequest, validated
    gateway | advisor    the two doors; both go
      Decider.decide       rules -> exact lookup -> one run (encode, near lookup, score) -> choice
        a hit                replayed, noted
        else, gateway        join an identical call in flight, or lead one: walk the chain,
                             keep the answer, record the line
        else, advisor        a ticket goes out; with it the app's answer comes back

What is paid for is in the ledger before the caller has the end of its answer; hits are noted
without waiting. Failures of cache and ledger are counted and logged; the answer goes out all the
same. This module holds what both doors share.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cache.admission import refusal_reason
from cache.errors import CacheError
from cache.semantic_cache import SemanticCache
from cache.types import Draft, MissReason
from router.accounts import Accountant, Delivered
from router.audits import Audits
from router.conversations import Conversations
from router.decision import Decider, Decision
from router.errors import NoModelFits
from router.exploring import Exploring
from router.ledger.errors import LedgerError
from router.ledger.tickets import new_line_id
from router.ledger.types import KeptOutcome, LedgerLine, Outcome, Pair, RequestKey
from router.metrics import Metrics
from router.once import Once
from router.ports import Ledger
from router.settings import Settings
from router.stored_answer import pack, unpack
from router.types import ChatRequest, Completion, Face

_log = logging.getLogger(__name__)
E = TypeVar("E")
_PAIR_LIFE_S = 7 * 86_400
_MAX_ANSWER_BYTES = 1 << 20  # a longer answer is hardly asked for twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of a fresh answer: an entry, or why not."""

    entry_id: int = 0
    reason: str = ""


class Pipeline:
    """What both doors share: deciding, replaying, keeping, accounting.

    Args:
        settings: limits and times.
        decider: makes decisions.
        cache: keeps answers.
        ledger: keeps lines.
        accountant: writes lines.
        audits: told of hits and answers, to check them in the background.
        exploring: told of answers, to ask another model in the background; None: nobody is.
        conversations: told which model answered a turn.
        metrics: counts.
        now_s: seconds since the epoch.
        on_routed: told of every decision and line of a request that a model answered, or shall.
        on_called: told of every line whose call is over, whoever made it.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        decider: Decider,
        cache: SemanticCache,
        ledger: Ledger,
        accountant: Accountant,
        audits: Audits,
        conversations: Conversations,
        metrics: Metrics,
        now_s: Callable[[], float],
        exploring: Exploring | None = None,
        on_routed: Callable[[Decision, LedgerLine], None] = lambda *_: None,
        on_called: Callable[[LedgerLine], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.accountant = accountant
        self.audits = audits
        self.exploring = exploring
        self.conversations = conversations
        self.on_routed = on_routed
        self.on_called = on_called
        self.metrics = metrics
        self.now_s = now_s
        self._decider = decider
        self._cache = cache

    def now_ms(self) -> int:
        """Return milliseconds since the epoch."""
        return int(self.now_s() * 1e3)

    def new_line_id(self) -> str:
        """Return the id of a request that came now."""
        return new_line_id(self.now_ms())

    async def decide(self, request: ChatRequest, face: Face) -> tuple[Decision, Completion | None]:
        """Decide, and read the stored answer if one serves.

        Raises:
            UnknownNamespace: the settings close the set.
            NoModelFits: no configured model can take the request, and nothing stored serves.
        """
        try:
            decision = await self._decider.decide(request, is_called_here=face is Face.GATEWAY)
        except NoModelFits as error:
            self._refused(request, face, type(error).__name__)
            raise
        return await self._read(decision)

    async def again(self, decision: Decision) -> tuple[Decision, Completion | None]:
        """Look a missed text up once more, in memory, just before it is paid for."""
        return await self._read(await self._decider.again(decision))

    async def completed(self, decision: Decision) -> Decision:
        """Return a decision with what was found out while a model answered."""
        return await self._decider.completed(decision)

    async def _read(self, decision: Decision) -> tuple[Decision, Completion | None]:
        if not decision.is_served or decision.hit is None:
            return decision, None
        head = decision.hit.head
        try:
            return decision, unpack(
                decision.hit.answer,
                input_tokens=head.input_tokens,
                output_tokens=head.output_tokens,
            )
        except ValueError:
            _log.exception("entry %d cannot be read; a model answers instead", head.id)
            self.degraded("cache")
            return await self._decider.without_hit(decision), None

    def _refused(self, request: ChatRequest, face: Face, status: str) -> None:
        """Account a request that no model can take: it cost nothing and got nothing."""
        decision = self._decider.undecided(request)
        delivered = Delivered(outcome=Outcome.FAILED, status=status)
        line = self.accountant.line(decision, delivered, face=face, line_id=self.new_line_id())
        self.metrics.observe(line)
        self.ledger.note(line)

    def hit_line(
        self, decision: Decision, hit: Completion, face: Face, *, is_open: bool = False
    ) -> LedgerLine:
        """Return the line of a served hit."""
        head = decision.hit.head if decision.hit else None
        delivered = Delivered(
            outcome=decision.outcome,
            model=head.model if head else "",
            usage=hit.usage,
            entry_id=head.id if head else 0,
            is_open=is_open,
        )
        return self.accountant.line(decision, delivered, face=face, line_id=self.new_line_id())

    async def keep(self, decision: Decision, completion: Completion, model: str) -> Kept:
        """Store a fresh answer, if rules and admission agree; never raises."""
        reuse = decision.reuse
        if reuse is None:
            return Kept(reason=MissReason.MODE_OFF.value)
        if decision.request.cache_control.is_no_store:
            return Kept(reason="no_store")
        if reuse.barrier is not None:
            return Kept(reason=reuse.barrier.value)
        attribution = decision.request.attribution
        usage = completion.usage
        draft = Draft(
            partition=reuse.split.partition,
            namespace=decision.request.namespace,
            text=reuse.split.text,
            answer=pack(completion),
            model=model,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
            ttl_s=reuse.ttl_s,
            embedding=decision.embedding,
            scores=decision.scores,
            user=attribution.user,
            conversation=attribution.conversation,
            tags=decision.request.tags,
            exact_only=reuse.exact_only is not None,
        )
        try:
            return await self.put(completion, draft)
        except CacheError:
            _log.exception("an answer could not be stored")
            self.degraded("cache")
            return Kept(reason=MissReason.CACHE_DEGRADED.value)

    async def put(self, completion: Completion, draft: Draft) -> Kept:
        """Store a draft if admission agrees; durable when it returns.

        Raises:
            CacheError: it could not be stored.
        """
        answer = completion.answer
        refused = refusal_reason(
            answer.refusal or answer.text, answer.finish_reason, bool(answer.tool_calls)
        )
        if answer.refusal or refused is not None:
            return Kept(reason=refused.value if refused else "refused")
        if len(draft.answer) > _MAX_ANSWER_BYTES:
            return Kept(reason="too_large")
        head = await self._cache.store(draft)
        return Kept(entry_id=head.id)

    def note(self, decision: Decision, line: LedgerLine, once: Once[E] | None, ended: E) -> None:
        """Write a line that nothing was paid for, without waiting."""
        self.metrics.observe(line)
        key, kept = self.kept(decision, once, ended)
        self.ledger.note(line, key=key, kept=kept, pair=self.pair(decision))

    async def record(
        self, decision: Decision, line: LedgerLine, once: Once[E] | None, ended: E
    ) -> None:
        """Write a line durably; where the ledger cannot, count that and go on."""
        self.metrics.observe(line)
        self.on_routed(decision, line)
        self.on_called(line)
        key, kept = self.kept(decision, once, ended)
        try:
            await self.ledger.record(line, key=key, kept=kept)
        except LedgerError:
            _log.exception("a ledger line could not be written")
            self.degraded("ledger")

    def kept(
        self, decision: Decision, once: Once[E] | None, ended: E
    ) -> tuple[RequestKey | None, KeptOutcome | None]:
        """Return what a retry shall get; with no-store, without the answer."""
        if once is None:
            return None, None
        expires_at_ms = self.now_ms() + self.settings.service.request_id_ttl_s * 1_000
        return once.key, once.keep(
            ended,
            without_answer=decision.request.cache_control.is_no_store,
            expires_at_ms=expires_at_ms,
            since_ms=_since_ms(decision),
        )

    def degraded(self, part: str) -> None:
        """Count a part that failed while the request went on."""
        self.metrics.degraded(part)

    def pair(self, decision: Decision) -> Pair | None:
        """Return the texts of a near hit, so that feedback on it can be acted on."""
        hit, reuse = decision.hit, decision.reuse
        is_near = decision.outcome is Outcome.NEAR
        if hit is None or reuse is None or not is_near:
            return None
        if decision.request.cache_control.is_no_store:
            return None
        return Pair(
            asked=reuse.split.text,
            stored=hit.text,
            expires_at_ms=self.now_ms() + _PAIR_LIFE_S * 1_000,
            is_personal=reuse.is_personal,
            since_ms=_since_ms(decision),
        )


def _since_ms(decision: Decision) -> int:
    """Return when the oldest text of what is served came; 0: with the request."""
    return 0 if decision.hit is None else int(decision.hit.head.created_at_s * 1e3)
