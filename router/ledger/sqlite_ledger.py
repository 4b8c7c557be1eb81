"""The ledger in one SQLite file.

Written by one thread, many lines to a commit; read by two others, one for quick look-ups and one
for sums. What power loss may take: the commits since the last checkpoint (see ``SqliteWriter``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from cache.calibration import Observation
from cache.embedded.sqlite_schema import connect
from cache.embedded.sqlite_writer import SqliteWriter, WriterStats
from cache.embedded.tidying import Tidying
from cache.embedded.vault import PLAIN, Vault
from cache.errors import CacheError, StoreUnavailable
from router.ledger import erasure, hours
from router.ledger.entry import entry_of
from router.ledger.errors import LedgerError, LedgerUnavailable, LineRefused, TicketUnknown
from router.ledger.evidence import (
    KEEP_S,
    Kept,
    Twin,
    read_evidence,
    trim_evidence,
    write_observation,
    write_report,
    write_twin,
)
from router.ledger.feedback import take_feedback
from router.ledger.foreign import as_ledger_error
from router.ledger.kept import KeptBounds, KeptIndex, find_kept, key_bytes
from router.ledger.labels import write_label
from router.ledger.lines import read_line
from router.ledger.modes import read_modes, write_mode
from router.ledger.reader import Reader
from router.ledger.retention import Retention, shorten
from router.ledger.routing import DriftState, read_calls, read_drift, write_drift
from router.ledger.savings import read_savings
from router.ledger.schema import SCHEMA, ledger_path
from router.ledger.sums import check_query
from router.ledger.tickets import (
    Claims,
    check_opening,
    check_settling,
    digest_of,
    find_ticket,
    spend,
)
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
from router.ledger.upkeep import expire_all
from router.ledger.verdicts import Verdict, read_verdicts, write_verdict
from router.ports import Redemption
from router.types import Mode

T = TypeVar("T")


class SqliteLedger:
    """The ``Ledger`` of a single process; open it with ``open``, leave it with ``aclose``."""

    def __init__(
        self,
        path: Path,
        writer: SqliteWriter,
        kept: KeptIndex,
        on_failure: Callable[[BaseException], None],
        *,
        retention: Retention,
        vault: Vault,
    ) -> None:
        self._writer = writer
        self._kept = kept
        self._on_failure = on_failure
        self._retention = self._shortened_to = retention
        self._tidying = Tidying(
            writer, every_s=retention.rewrite_every_s, rewrite=erasure.rewrite_texts
        )
        self._claims = Claims()
        self._quick = Reader(path, "quick", vault)
        self._slow = Reader(path, "sums", vault)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        on_failure: Callable[[LedgerError], None],
        bounds: KeptBounds | None = None,
        retention: Retention | None = None,
        vault: Vault = PLAIN,
    ) -> SqliteLedger:
        """Open or create the ledger of a data folder that this process holds locked. Blocks.

        Args:
            folder: exists.
            on_failure: told of every noted line that was not written; called in the writer's
                thread or on the event loop, so it only counts and logs.
            bounds: how much of what is kept for retries is in memory.
            retention: how long texts are kept.
            vault: seals them.

        Raises:
            LedgerRefused: the file is foreign, too new or damaged, or sealed otherwise.
            LedgerUnavailable: it can not be opened now.
        """
        path = ledger_path(folder)

        def tell(error: BaseException) -> None:
            on_failure(as_ledger_error(error))

        try:
            writer = SqliteWriter(path, SCHEMA, on_failure=tell, vault=vault)
        except CacheError as error:
            raise as_ledger_error(error) from error
        retention = retention or Retention()
        writer.post(partial(shorten, retention=retention))
        kept = KeptIndex(bounds or KeptBounds())
        try:
            with closing(connect(path, read_only=True)) as connection:
                kept.load(connection)
        except sqlite3.Error as error:
            writer.close()
            raise as_ledger_error(error) from error
        return cls(path, writer, kept, tell, retention=retention, vault=vault)

    def __repr__(self) -> str:
        """Show what was written and what is kept in memory."""
        return f"SqliteLedger({self._writer!r}, {self._kept!r})"

    def stats(self) -> WriterStats:
        """Return what the writer did since the ledger was opened."""
        return self._writer.stats()

    async def aclose(self) -> None:
        """Write what waits and close the file."""
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Do as ``aclose``, blocking."""
        self._quick.close()
        self._slow.close()
        self._writer.close()  # last, so that it can fold the log into the file

    def keep(self, retention: Retention) -> None:
        """Keep texts for other times from now on; the next upkeep holds what is there to them."""
        self._retention = retention
        self._tidying.every_s = retention.rewrite_every_s

    async def record(
        self,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        pair: Pair | None = None,
    ) -> None:
        """Write a line and what is kept with it; see ``Ledger``."""
        kept, pair = self._retention.kept(kept, line), self._retention.pair(pair, line)
        self._remember(key, kept)
        await self._write(entry_of(line, key, kept, pair).write)

    def note(
        self,
        line: LedgerLine,
        *,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
        pair: Pair | None = None,
    ) -> None:
        """Write a line without waiting; a ``kill -9`` may lose the last 10 to 30 ms of them."""
        kept, pair = self._retention.kept(kept, line), self._retention.pair(pair, line)
        self._remember(key, kept)
        try:
            self._writer.post(entry_of(line, key, kept, pair).write)
        except (StoreUnavailable, LineRefused) as error:
            self._on_failure(error)

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
        """Write an open line and its ticket; see ``Ledger``."""
        check_opening(ticket, line)
        kept, pair = self._retention.kept(kept, line), self._retention.pair(pair, line)
        ticket = self._retention.ticket(ticket, line)
        audited = None if hit is None else entry_of(hit, pair=pair)
        await self._write(entry_of(line, key, kept, ticket=ticket, hit=audited).write)
        self._remember(key, kept)  # not before: no retry may get a ticket that nobody knows

    @asynccontextmanager
    async def redeem(
        self, token: bytes, *, namespace: str, caller: str, now_ms: int
    ) -> AsyncIterator[Redemption]:
        """Take a ticket in hand; see ``Ledger``."""
        digest = digest_of(token)
        async with self._claims.hold(digest):
            found = await self._quick.run(lambda connection: find_ticket(connection, digest))
            if found is None:
                raise TicketUnknown
            found.check(namespace=namespace, caller=caller, now_ms=now_ms)
            yield _Redemption(self, found.ticket, found.line, now_ms)

    async def expire_tickets(self, now_ms: int) -> int:
        """Expire a bounded number of tickets, sum past hours; see ``Ledger``."""
        self._kept.drop_expired(now_ms)
        await self._shorten()
        n_expired = await self._write(lambda connection: expire_all(connection, now_ms))
        await self._sum_hours(now_ms)
        await self._apart(self._tidying.tend(now_ms / 1e3))
        return n_expired

    async def made_by(self, user: str, namespace: str) -> set[int]:
        """Return the entries that a user's requests became; see ``Ledger``."""
        await self._catch_up()
        return await self._slow.run(
            partial(erasure.entries_made_by, user=user, namespace=namespace)
        )

    async def erase_copies(
        self, entries: Collection[int], user: str, namespace: str, *, is_dry: bool = False
    ) -> Erased:
        """Forget copies of entries' texts; see ``Ledger``."""
        act = partial(erasure.erase_copies, entries=entries, user=user, namespace=namespace)
        return await self._write(partial(_tried, act=act) if is_dry else act)

    async def erase_user(self, user: str, namespace: str, *, is_dry: bool = False) -> Erased:
        """Take a user's lines and what hangs on them from the user; see ``Ledger``."""
        last = await self._write(erasure.last_line)
        erased = Erased()
        for after in range(0, last, erasure.LINES_AT_ONCE):
            act = partial(erasure.erase_lines, user=user, namespace=namespace, after=after)
            part, keys = await self._write(partial(_tried, act=act) if is_dry else act)
            erased += part
            for key in () if is_dry else keys:
                self._kept.forget(key)
        return erased

    async def free(self, now_s: float) -> bool:
        """Leave nothing of what was deleted in the file; see ``Ledger``."""
        return await self._apart(self._tidying.free(now_s))

    async def kept(self, key: RequestKey, now_ms: int) -> KeptOutcome | None:
        """Return what a request came to; see ``Ledger``. New ids cost no look at the disk."""
        hashed = key_bytes(key)
        found = self._kept.recent(hashed)
        if found is None and not self._kept.is_new(hashed, now_ms):
            await self._catch_up()
            found = await self._quick.run(lambda connection: find_kept(connection, hashed))
            if found is not None:
                self._kept.remember(hashed, found)
        return found if found is not None and found.expires_at_ms > now_ms else None

    async def feedback(self, feedback: Feedback, *, namespace: str, caller: str) -> FeedbackTaken:
        """Keep a caller's word; see ``Ledger``."""
        return await self._write(
            lambda connection: take_feedback(
                connection,
                feedback,
                namespace=namespace,
                caller=caller,
                bounded=self._retention.label,
                note_s=self._retention.words_s(namespace),
            )
        )

    def label(self, pair: LabelledPair) -> None:
        """Keep a labelled pair without waiting; see ``Ledger``."""
        try:
            self._writer.post(partial(write_label, pair=self._retention.label(pair)))
        except StoreUnavailable as error:
            self._on_failure(error)

    async def line(self, line_id: str) -> LedgerLine | None:
        """Return a line as it stands; see ``Ledger``."""
        await self._catch_up()
        return await self._quick.run(lambda connection: read_line(connection, line_id))

    async def savings(self, query: SavingsQuery) -> SavingsReport:
        """Sum the lines of the query, one query at a time; see ``Ledger``."""
        check_query(query)
        await self._catch_up()
        return await self._slow.run(lambda connection: read_savings(connection, query))

    async def modes(self) -> dict[str, Mode]:
        """Return the modes that were set at run time; see ``Ledger``."""
        return await self._quick.run(read_modes)

    async def set_mode(self, namespace: str, mode: Mode | None) -> None:
        """Set a namespace's mode for good; see ``Ledger``."""
        await self._write(lambda connection: write_mode(connection, namespace, mode))

    async def evidence(self, verifier: str, now_s: float) -> dict[str, Kept]:
        """Return what is known of near-duplicates, by namespace; see ``EvidenceStore``."""
        await self._catch_up()
        return await self._slow.run(
            partial(read_evidence, verifier=verifier, since_s=now_s - KEEP_S)
        )

    def note_observation(self, namespace: str, verifier: str, observation: Observation) -> None:
        """Keep an observation without waiting; see ``EvidenceStore``."""
        keep_s = self._retention.words_s(namespace)
        self._post(lambda c: write_observation(c, namespace, verifier, observation, keep_s))

    def note_twin(self, namespace: str, twin: Twin) -> None:
        """Keep a twin call without waiting; see ``EvidenceStore``."""
        self._post(lambda c: write_twin(c, namespace, twin))

    def note_assurance(self, verifier: str, report: AssuranceReport, at_s: float) -> None:
        """Keep how a namespace stands without waiting; see ``EvidenceStore``."""
        keep_s = self._retention.words_s(report.namespace)
        self._post(lambda c: write_report(c, verifier, report, at_s, keep_s))

    def trim_evidence(self, namespace: str, n: int) -> None:
        """Keep a namespace's latest rows without waiting; see ``EvidenceStore``."""
        self._post(lambda c: trim_evidence(c, namespace, n))

    async def drift_states(self) -> dict[str, DriftState]:
        """Return how namespaces stand to their calibration; see ``RoutingStore``."""
        await self._catch_up()
        return await self._slow.run(read_drift)

    async def latest_calls(self, most: int) -> list[tuple[str, str, int, int, int]]:
        """Return the calls among the latest lines; see ``RoutingStore``."""
        await self._catch_up()
        return await self._slow.run(partial(read_calls, most=most))

    async def verdicts(self, scorer: str) -> list[Verdict]:
        """Return the labels under a scorer; see ``VerdictStore``."""
        await self._catch_up()
        return await self._slow.run(partial(read_verdicts, scorer=scorer))

    def note_verdict(self, scorer: str, verdict: Verdict) -> None:
        """Keep a label without waiting; see ``VerdictStore``."""
        keep_s = self._retention.vectors_s(verdict.namespace)
        self._post(lambda c: write_verdict(c, scorer, verdict, keep_s))

    def note_drift(self, state: DriftState) -> None:
        """Keep how a namespace stands without waiting; see ``RoutingStore``."""
        self._post(lambda c: write_drift(c, state))

    async def settle(
        self,
        ticket: Ticket,
        line: LedgerLine,
        *,
        now_ms: int,
        key: RequestKey | None = None,
        kept: KeptOutcome | None = None,
    ) -> None:
        """Spend a ticket in hand and close its line; ``Redemption.settle`` comes here."""
        check_settling(ticket, line)
        kept = self._retention.kept(kept, line)
        entry = entry_of(line, key, kept)

        def work(connection: sqlite3.Connection) -> None:
            spend(connection, ticket, now_ms)
            entry.write(connection)

        await self._write(work)
        self._remember(key, kept)

    def _remember(self, key: RequestKey | None, kept: KeptOutcome | None) -> None:
        if key is not None and kept is not None:
            self._kept.put(key_bytes(key), kept)

    def _post(self, operation: Callable[[sqlite3.Connection], None]) -> None:
        try:
            self._writer.post(operation)
        except StoreUnavailable as error:
            self._on_failure(error)

    async def _shorten(self) -> None:
        retention = self._retention
        if retention is self._shortened_to:
            return
        await self._write(partial(shorten, retention=retention))
        self._kept.forget_outcomes()  # those at hand end when they should have before
        self._shortened_to = retention

    async def _sum_hours(self, now_ms: int) -> None:
        marked = await self._slow.run(partial(hours.hours_to_sum, now_ms=now_ms))
        if marked:
            await self._write(partial(hours.mark, hours=marked))
        for hour in marked:
            sums = await self._slow.run(partial(hours.sum_up, hour=hour))
            await self._write(partial(hours.keep, hour=hour, sums=sums))

    async def _write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._writer.submit(operation)
        except (CacheError, sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
            raise as_ledger_error(error) from error

    async def _apart(self, work: Awaitable[T]) -> T:
        try:
            return await work
        except (CacheError, sqlite3.Error) as error:
            raise as_ledger_error(error) from error

    async def _catch_up(self) -> None:
        """Wait until what was noted is written; where that fails, what is written counts."""
        with suppress(LedgerUnavailable):
            await self._write(_nothing)


class _Redemption:
    """A ticket of a ``SqliteLedger`` in hand."""

    def __init__(self, ledger: SqliteLedger, ticket: Ticket, line: LedgerLine, now_ms: int) -> None:
        self._ledger = ledger
        self._now_ms = now_ms
        self.ticket = ticket
        self.line = line

    async def settle(
        self, line: LedgerLine, *, key: RequestKey | None = None, kept: KeptOutcome | None = None
    ) -> None:
        """Spend the ticket and close its line; see ``Redemption``."""
        await self._ledger.settle(self.ticket, line, now_ms=self._now_ms, key=key, kept=kept)


def _tried(connection: sqlite3.Connection, act: Callable[[sqlite3.Connection], T]) -> T:
    """Return what an act would come to, and undo it."""
    connection.execute("SAVEPOINT tried")
    try:
        return act(connection)
    finally:
        connection.execute("ROLLBACK TO tried")
        connection.execute("RELEASE tried")


def _nothing(connection: sqlite3.Connection) -> None:
    """Write nothing; what was queued before is committed when this is."""
