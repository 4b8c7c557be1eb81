"""What the path of a request needs of others; ``router.app`` chooses the adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from cache.calibration import Observation
from router.ledger.evidence import Kept, Twin
from router.ledger.routing import DriftState
from router.ledger.types import (
    AssuranceReport,
    Erased,
    Feedback,
    FeedbackTaken,
    KeptOutcome,
    LabelledPair,
    LedgerLine,
    Pair,
    RequestKey,
    SavingsQuery,
    SavingsReport,
    Ticket,
)
from router.ledger.verdicts import Verdict
from router.types import ChatRequest, Completion, Delta, Mode


class Redemption(Protocol):
    """A ticket in hand: nobody else can redeem it until the ``async with`` block is left."""

    @property
    def ticket(self) -> Ticket:
        """The ticket, as it was opened."""

    @property
    def line(self) -> LedgerLine:
        """The ticket's line, as it was opened."""

    async def settle(
        self, line: LedgerLine, *, key: RequestKey | None = None, kept: KeptOutcome | None = None
    ) -> None:
        """Spend the ticket and close its line, in one transaction; durable when it returns.

        Args:
            line: the ticket's line with its final figures; its state is not open.
            key: scope of the id of the storing request, if it has one.
            kept: what that request came to.

        Raises:
            ValueError: ``line`` is another ticket's, or still open.
            TicketSpent: it was settled in this block already.
            TicketExpired: it was deleted in the meantime, long after its end.
            LedgerUnavailable: nothing was changed; the ticket can be redeemed again.
        """


class Ledger(Protocol):
    """Who spent what and saved what; tickets, and outcomes kept for retries.

    Methods that return durable are durable against the death of the process; what power loss may
    take is the adapter's to say. All raise ``LedgerUnavailable`` when the disk is full or broken.
    """

    async def record(
        self,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        pair: Pair | None = None,
    ) -> None:
        """Write a line and what is kept with it in one transaction; durable when it returns.

        The same ``line_id`` again: one line, the later state; open -> usage unknown -> closed,
        never back. What comes with a line that is late for that reason is not written either.
        A kept outcome serves retries at once, even when the disk refuses it.

        Args:
            line: with its final figures, or open.
            key: scope of the request's id; together with ``kept``.
            kept: what a retry shall get.
            pair: the two texts of a near-duplicate hit, so that feedback makes a labelled pair;
                leave it out with no-store.

        Raises:
            LineRefused: it holds an amount beyond reason.
        """

    def note(
        self,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        pair: Pair | None = None,
    ) -> None:
        """Do as ``record`` without waiting and without raising; for hits.

        A ``kill -9`` may lose what was noted in the last moments (some tens of milliseconds: the
        last group commit), whole lines only. A failure reaches the adapter's ``on_failure``.
        """

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
        """Write an open line and its ticket in one transaction; durable when it returns.

        A kept outcome serves retries only once all of it is written: no retry may get a ticket
        that nobody knows.

        With no-store the ticket's text is not written.

        Args:
            ticket: for ``line``.
            line: open.
            key: scope of the request's id; together with ``kept``.
            kept: what a retry shall get.
            hit: for an audit: the line of the hit it checks, written in the same transaction.
            pair: the texts of that hit.

        Raises:
            ValueError: the line is not the ticket's, or not open.
        """

    def redeem(
        self, token: bytes, *, namespace: str, caller: str, now_ms: int
    ) -> AbstractAsyncContextManager[Redemption]:
        """Take a ticket in hand, to be settled within the block.

        The order inside the block: store the answer in the cache (storing it twice leaves one
        entry), then ``settle``. Dies the process between the two, the ticket is still whole and
        the app may bring the answer again; a block left without ``settle`` changes nothing. A
        second redeemer of the same ticket waits for the first and then gets TicketSpent.

        Raises:
            TicketUnknown: never issued, long gone, or another namespace's or caller's.
            TicketExpired: its time ended at or before ``now_ms``.
            TicketSpent: it was settled before; says when.
        """

    async def expire_tickets(self, now_ms: int) -> int:
        """Close the lines of tickets nobody brought back and delete what outlived its time.

        Such a line becomes USAGE_UNKNOWN: neither saved nor 0. The ticket's text is erased at
        once, its digest after a grace; outcomes and pairs past their time are deleted. Work per
        call is bounded; call it again at once when it did much.

        Returns:
            How many tickets expired in this call.
        """

    async def kept(self, key: RequestKey, now_ms: int) -> KeptOutcome | None:
        """Return what the request came to, None when it is new or its outcome too old."""

    async def feedback(self, feedback: Feedback, *, namespace: str, caller: str) -> FeedbackTaken:
        """Keep a caller's word on a line it received, once per kind and line; durable.

        Raises:
            LineUnknown: no such line, or not received by this caller in this namespace.
            FeedbackUnfit: the kind says nothing about such a line (a hit's word on a miss).
        """

    def label(self, pair: LabelledPair) -> None:
        """Keep a labelled pair until it expires, without waiting and without raising.

        Their number is bounded, the oldest give way. A failure reaches the adapter's
        ``on_failure``.
        """

    async def line(self, line_id: str) -> LedgerLine | None:
        """Return a line as it stands, noted ones included."""

    async def savings(self, query: SavingsQuery) -> SavingsReport:
        """Sum the lines of the query, noted ones included; the identity holds in every sum.

        Raises:
            ValueError: ``group_by`` names something else than it may, or more than two.
        """

    async def made_by(self, user: str, namespace: str) -> set[int]:
        """Return the ids of entries that answers to a user's own requests became.

        Args:
            user: never empty.
            namespace: only there; empty: everywhere.
        """

    async def erase_copies(
        self, entries: Collection[int], user: str, namespace: str, *, is_dry: bool = False
    ) -> Erased:
        """Forget the texts of a user's entries that are kept beside others' requests; durable.

        Pairs and labels go, of what was learned of them the words, also from the reports of the
        namespace (empty: of all). Again: nothing is left to do.

        Args:
            entries: their ids.
            user: whose they are.
            namespace: where they are.
            is_dry: only count.
        """

    async def erase_user(self, user: str, namespace: str, *, is_dry: bool = False) -> Erased:
        """Make a user's lines nobody's, and forget what hangs on them; durable.

        User, conversation and request id leave the lines, whose sums stay as they are; kept
        outcomes, tickets, pairs, labels, notes and words go; open lines become USAGE_UNKNOWN. In
        steps: when it raises, or the process dies, some lines are done, and it is called again.

        Args:
            user: never empty.
            namespace: only there; empty: everywhere.
            is_dry: only count.
        """

    async def free(self, now_s: float) -> bool:
        """Leave nothing of what was deleted before, anywhere; may take seconds.

        Returns:
            False: a reader is at work, and upkeep ends it.
        """

    async def modes(self) -> dict[str, Mode]:
        """Return the modes that were set at run time, by namespace."""

    async def set_mode(self, namespace: str, mode: Mode | None) -> None:
        """Set a namespace's mode for good, None: forget it; durable when it returns."""


class EvidenceStore(Protocol):
    """Keeps what became known of near-duplicates; what is noted may be lost with the last moments.

    Methods named ``note`` and ``trim`` neither wait nor raise.
    """

    async def evidence(self, verifier: str, now_s: float) -> dict[str, Kept]:
        """Return what still counts, by namespace, noted rows included.

        Args:
            verifier: what gives P(right) now; what another one judged is left out.
            now_s: seconds since the epoch.
        """

    def note_observation(self, namespace: str, verifier: str, observation: Observation) -> None:
        """Keep an observation."""

    def note_twin(self, namespace: str, twin: Twin) -> None:
        """Keep what the comparator said of two answers to one prompt."""

    def note_assurance(self, verifier: str, report: AssuranceReport, at_s: float) -> None:
        """Keep how a namespace stands, instead of what was kept before."""

    def trim_evidence(self, namespace: str, n: int) -> None:
        """Keep a namespace's latest ``n`` rows."""


class RoutingStore(Protocol):
    """Keeps what became known of routing; what is noted may be lost with the last moments.

    Methods named ``note`` neither wait nor raise.
    """

    async def drift_states(self) -> dict[str, DriftState]:
        """Return how namespaces stand to their calibration, by name, noted states included."""

    async def latest_calls(self, most: int) -> list[tuple[str, str, int, int, int]]:
        """Return namespace, model, ms, tokens in and out of the calls among the latest lines.

        Args:
            most: lines to look at; calls come oldest first.
        """

    def note_drift(self, state: DriftState) -> None:
        """Keep how a namespace stands, instead of what was kept before."""


class VerdictStore(Protocol):
    """Keeps labels of single answers; what is noted may be lost with the last moments."""

    async def verdicts(self, scorer: str) -> list[Verdict]:
        """Return the labels under a scorer, oldest first."""

    def note_verdict(self, scorer: str, verdict: Verdict) -> None:
        """Keep a label; neither waits nor raises."""


class Evidence(Protocol):
    """Learns how often near-duplicates are right. Sync and short: called on the event loop."""

    def observe(self, namespace: str, observation: Observation) -> None:
        """Take what was learned of a pair."""

    def twin(self, namespace: str, is_different: bool) -> None:
        """Take how two answers of one model to one prompt compared: none is wrong, and yet."""


@dataclass(slots=True)
class Sending:
    """Whether a call has left the house. An adapter that can tell does; of others it is assumed."""

    has_left: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One upstream call.

    Attributes:
        model: the provider's own name of the model.
        request: what is asked; attribution, tags and cache control are not sent.
        connect_s: seconds to connect.
        first_token_s: seconds to the first byte of a stream; says nothing of an answer that comes
            whole.
        between_tokens_s: seconds between two pieces, once the answer has begun.
        total_s: seconds to the last byte.
        max_output_tokens: that the model can answer with; None: unknown.
        sending: the adapter's to change: a call given up before it left was none.
    """

    model: str
    request: ChatRequest
    connect_s: float
    first_token_s: float
    total_s: float
    between_tokens_s: float = 30.0
    max_output_tokens: int | None = None
    sending: Sending = field(default_factory=Sending)


class Provider(Protocol):
    """A wire protocol to models. Raises only ``ProviderError``."""

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""

    async def close(self) -> None:
        """Close connections; calls in flight fail."""


@runtime_checkable
class StreamingProvider(Provider, Protocol):
    """A provider that can answer piece by piece."""

    def stream(self, call: ModelCall) -> AsyncIterator[Delta | Completion]:
        """Yield deltas as they come, then once, last, the whole completion.

        A stream that ends without a completion was cut off, which raises ``ProviderError``. What
        is returned has ``aclose``; closing it early ends the upstream call at once.
        """


@runtime_checkable
class CountingProvider(Provider, Protocol):
    """A provider that says how many tokens a request would be."""

    async def count_tokens(self, call: ModelCall) -> int:
        """Return the input tokens of a request."""
