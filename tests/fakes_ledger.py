"""A ledger in memory, for tests of whatever needs one; keeps the promises of ``Ledger``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from router.ledger.errors import LedgerError, TicketExpired, TicketSpent, TicketUnknown
from router.ledger.feedback import check_feedback, labelled_by
from router.ledger.lines import STATE_RANK, line_row
from router.ledger.sums import report_of
from router.ledger.tickets import GRACE_MS, Claims, check_opening, check_settling, digest_of
from router.ledger.types import (
    Attempt,
    Cause,
    Erased,
    Feedback,
    FeedbackTaken,
    KeptOutcome,
    LabelledPair,
    LedgerLine,
    LineState,
    Outcome,
    Pair,
    RequestKey,
    SavingsQuery,
    SavingsReport,
    Stage,
    Ticket,
)
from router.types import Attribution, Face, Mode, Usage

NOW_MS = 1_760_000_000_000
USAGE = Usage(input_tokens=900, output_tokens=200)
TOKEN = bytes(range(16))


def a_line(n: int = 0, **changes: Any) -> LedgerLine:
    """Return a miss that a small model answered for 520 of 2,600 micro-dollars, at second ``n``."""
    at_ms = NOW_MS + n * 1000
    line = LedgerLine(
        line_id=f"{at_ms:012x}{n:020x}",
        at_ms=at_ms,
        namespace="shop",
        caller="app",
        attribution=Attribution(user="ann", feature="chat", task="help", conversation="c1"),
        face=Face.GATEWAY,
        mode=Mode.ON,
        state=LineState.CLOSED,
        outcome=Outcome.MISS,
        cause=Cause.ROUTING,
        miss_reason="nothing_similar",
        entry_id=7,
        similarity=0.5,
        model="small",
        baseline_model="large",
        usage=USAGE,
        cost_nanos=520_000,
        baseline_nanos=2_600_000,
        attempts=(an_attempt(),),
        stage_ms=((Stage.NEAR, 4.5), (Stage.UPSTREAM, 800.0), (Stage.TOTAL, 806.25)),
        scorer="complexity-1",
    )
    return replace(line, **changes)


def a_hit(n: int = 0, **changes: Any) -> LedgerLine:
    """Return an exact hit that saved 2,600 micro-dollars."""
    hit = a_line(
        n,
        outcome=Outcome.EXACT,
        cause=Cause.EXACT,
        miss_reason="",
        similarity=1.0,
        p_right=1.0,
        age_s=60.0,
        cost_nanos=0,
        attempts=(),
        stage_ms=((Stage.EXACT, 0.02), (Stage.TOTAL, 0.25)),
    )
    return replace(hit, **changes)


def an_attempt(**changes: Any) -> Attempt:
    """Return the call behind ``a_line``."""
    attempt = Attempt(
        model="small",
        provider="openai",
        status="ok",
        usage=USAGE,
        cost_nanos=520_000,
        wall_ms=800.0,
    )
    return replace(attempt, **changes)


def an_open_line(n: int = 0, **changes: Any) -> LedgerLine:
    """Return the line of an advisor's ticket that is out."""
    opened = a_line(
        n,
        face=Face.ADVISOR,
        state=LineState.OPEN,
        usage=None,
        cost_nanos=None,
        baseline_nanos=None,
        attempts=(),
    )
    return replace(opened, **changes)


def a_ticket(line: LedgerLine, token: bytes = TOKEN, **changes: Any) -> Ticket:
    """Return a ticket for an open line that lives ten minutes."""
    ticket = Ticket(
        digest=digest_of(token),
        line_id=line.line_id,
        namespace=line.namespace,
        caller=line.caller,
        partition=b"p" * 32,
        text="how do I reset my password?",
        is_no_store=False,
        models=("small", "large"),
        ttl_s=3600,
        scores=(0.9, 0.97),
        user="ann",
        conversation="c1",
        tags=("faq",),
        expires_at_ms=line.at_ms + 600_000,
    )
    return replace(ticket, **changes)


class MemoryLedger:
    """Lines in a dict. Set ``failure`` to make every write raise it (``note``: collect it)."""

    def __init__(self) -> None:
        self.lines: dict[str, LedgerLine] = {}
        self.pairs: dict[str, Pair] = {}
        self.labels: list[LabelledPair] = []
        self.heard: dict[tuple[str, str], tuple[Feedback, Pair | None]] = {}
        self.failure: LedgerError | None = None
        self.failures: list[LedgerError] = []
        self._tickets: dict[bytes, Ticket] = {}
        self._spent: dict[bytes, int] = {}
        self._expired: set[bytes] = set()
        self._kept: dict[RequestKey, KeptOutcome] = {}
        self._modes: dict[str, Mode] = {}
        self._claims = Claims()

    async def aclose(self) -> None:
        """Do nothing; what was written stays readable."""

    async def record(
        self,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        pair: Pair | None = None,
    ) -> None:
        self._write(line, key, kept, pair)

    def note(
        self,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        pair: Pair | None = None,
    ) -> None:
        try:
            self._write(line, key, kept, pair)
        except LedgerError as error:
            self.failures.append(error)

    async def open_ticket(
        self,
        ticket: Ticket,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        hit: LedgerLine | None = None,
        pair: Pair | None = None,
    ) -> None:
        check_opening(ticket, line)
        self._write(line, None, None, None)
        if hit is not None:
            self._write(hit, None, None, pair)
        self._write(line, key, kept, None)
        self._tickets[ticket.digest] = replace(ticket, text="") if ticket.is_no_store else ticket

    @asynccontextmanager
    async def redeem(
        self, token: bytes, *, namespace: str, caller: str, now_ms: int
    ) -> AsyncIterator[MemoryRedemption]:
        digest = digest_of(token)
        async with self._claims.hold(digest):
            ticket = self._tickets.get(digest)
            if ticket is None or (ticket.namespace, ticket.caller) != (namespace, caller):
                raise TicketUnknown
            if digest in self._spent:
                raise TicketSpent(self._spent[digest])
            if digest in self._expired or ticket.expires_at_ms <= now_ms:
                raise TicketExpired(ticket.expires_at_ms)
            yield MemoryRedemption(self, ticket, self.lines[ticket.line_id], now_ms)

    async def expire_tickets(self, now_ms: int) -> int:
        self._kept = {k: v for k, v in self._kept.items() if v.expires_at_ms > now_ms}
        self.pairs = {k: v for k, v in self.pairs.items() if v.expires_at_ms > now_ms}
        n_expired = 0
        for digest, ticket in list(self._tickets.items()):
            if ticket.expires_at_ms <= now_ms and digest not in {*self._spent, *self._expired}:
                self._expired.add(digest)
                line = self.lines[ticket.line_id]
                if line.state is LineState.OPEN:
                    self.lines[ticket.line_id] = replace(
                        line, state=LineState.USAGE_UNKNOWN, cost_nanos=None, baseline_nanos=None
                    )
                n_expired += 1
            elif ticket.expires_at_ms + GRACE_MS <= now_ms:
                del self._tickets[digest]
        return n_expired

    async def kept(self, key: RequestKey, now_ms: int) -> KeptOutcome | None:
        kept = self._kept.get(key)
        return kept if kept is not None and kept.expires_at_ms > now_ms else None

    async def feedback(self, feedback: Feedback, *, namespace: str, caller: str) -> FeedbackTaken:
        line = check_feedback(
            feedback, self.lines.get(feedback.line_id), namespace=namespace, caller=caller
        )
        at = (line.line_id, feedback.kind.value)
        is_new = at not in self.heard
        pair = self.pairs.get(line.line_id)
        labelled = labelled_by(feedback, line, pair)
        if is_new:
            self.heard[at] = (feedback, pair)
        if is_new and labelled is not None:
            self.label(labelled)
        chosen = line.choice.chosen if line.choice else ""
        return FeedbackTaken(line=line, is_new=is_new, pair=pair, chosen=chosen)

    def label(self, pair: LabelledPair) -> None:
        if self.failure is not None:
            self.failures.append(self.failure)
        else:
            self.labels.append(pair)

    async def line(self, line_id: str) -> LedgerLine | None:
        return self.lines.get(line_id)

    async def savings(self, query: SavingsQuery) -> SavingsReport:
        return report_of(list(self.lines.values()), query)

    async def modes(self) -> dict[str, Mode]:
        return dict(self._modes)

    async def set_mode(self, namespace: str, mode: Mode | None) -> None:
        if mode is None:
            self._modes.pop(namespace, None)
        else:
            self._modes[namespace] = mode

    async def made_by(self, user: str, namespace: str) -> set[int]:
        return {
            line.entry_id
            for line in self._of(user, namespace)
            if line.entry_id and line.outcome in (Outcome.MISS, Outcome.BYPASS)
        }

    async def erase_copies(
        self, entries: Collection[int], user: str, namespace: str, *, is_dry: bool = False
    ) -> Erased:
        own = {line.line_id for line in self._of(user, namespace)}
        pairs = {
            k: v for k, v in self.pairs.items() if k in own or self.lines[k].entry_id not in entries
        }
        labels = [
            pair for pair in self.labels if pair.line_id in own or pair.entry_id not in entries
        ]
        erased = Erased(
            n_pairs=len(self.pairs) - len(pairs), n_labels=len(self.labels) - len(labels)
        )
        if not is_dry:
            self.pairs, self.labels = pairs, labels
        return erased

    async def erase_user(self, user: str, namespace: str, *, is_dry: bool = False) -> Erased:
        lines = {line.line_id: line for line in self._of(user, namespace)}
        keys = {
            RequestKey(namespace=line.namespace, caller=line.caller, request_id=line.request_id)
            for line in lines.values()
        }
        kept = {k: v for k, v in self._kept.items() if k not in keys}
        tickets = {k: v for k, v in self._tickets.items() if v.line_id not in lines}
        pairs = {k: v for k, v in self.pairs.items() if k not in lines}
        labels = [pair for pair in self.labels if pair.line_id not in lines]
        noted = {k for k, (said, _) in self.heard.items() if k[0] in lines and said.note}
        erased = Erased(
            n_lines=len(lines),
            n_kept=len(self._kept) - len(kept),
            n_tickets=len(self._tickets) - len(tickets),
            n_pairs=len(self.pairs) - len(pairs),
            n_labels=len(self.labels) - len(labels),
            n_notes=len(noted),
        )
        if is_dry:
            return erased
        self._kept, self._tickets, self.pairs, self.labels = kept, tickets, pairs, labels
        for at in noted:
            said, pair = self.heard[at]
            self.heard[at] = (replace(said, note=""), pair)
        for line_id, line in lines.items():
            nobody = replace(line.attribution, user="", conversation="")
            line = replace(line, attribution=nobody, request_id="")
            if line.state is LineState.OPEN:
                unknown = LineState.USAGE_UNKNOWN
                line = replace(line, state=unknown, cost_nanos=None, baseline_nanos=None)
            self.lines[line_id] = line
        return erased

    async def free(self, now_s: float) -> bool:
        return True

    def _of(self, user: str, namespace: str) -> list[LedgerLine]:
        return [
            line
            for line in self.lines.values()
            if line.attribution.user == user and namespace in ("", line.namespace)
        ]

    def settle(
        self,
        ticket: Ticket,
        line: LedgerLine,
        now_ms: int,
        key: RequestKey | None,
        kept: KeptOutcome | None,
    ) -> None:
        check_settling(ticket, line)
        if ticket.digest in self._spent:
            raise TicketSpent(self._spent[ticket.digest])
        self._write(line, key, kept, None)
        self._spent[ticket.digest] = now_ms

    def _write(
        self,
        line: LedgerLine,
        key: RequestKey | None,
        kept: KeptOutcome | None,
        pair: Pair | None,
    ) -> None:
        line_row(line)  # refuses what no ledger takes
        if key is not None and kept is not None:
            self._kept[key] = kept
        if self.failure is not None:
            raise self.failure
        earlier = self.lines.get(line.line_id)
        if earlier is not None and STATE_RANK[earlier.state] > STATE_RANK[line.state]:
            return
        self.lines[line.line_id] = line
        if pair is not None:
            self.pairs[line.line_id] = pair


class MemoryRedemption:
    """A ticket of a ``MemoryLedger`` in hand."""

    def __init__(self, ledger: MemoryLedger, ticket: Ticket, line: LedgerLine, now_ms: int) -> None:
        self._ledger = ledger
        self._now_ms = now_ms
        self.ticket = ticket
        self.line = line

    async def settle(
        self, line: LedgerLine, *, key: RequestKey | None = None, kept: KeptOutcome | None = None
    ) -> None:
        self._ledger.settle(self.ticket, line, self._now_ms, key, kept)
