"""How long texts are kept: no longer than the settings say, counted from when the text came.

``since_ms`` of what is kept says when its oldest text came: of what a hit brought, when the entry
was stored. What is written is bounded at once; what was written under a wider bound, at a start and
when settings that are read again bring another.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from router.ledger import verdicts
from router.ledger.evidence import KEEP_S
from router.ledger.types import KeptOutcome, LabelledPair, LedgerLine, Pair, Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The bounds of all namespaces.

    Attributes:
        keep_s: seconds that texts of a namespace are kept at most; None: their own times decide.
        rewrite_every_s: how often files are freed of what was deleted; None: when asked for.
    """

    keep_s: Callable[[str], float] | None = None
    rewrite_every_s: float | None = None

    def words_s(self, namespace: str) -> float:
        """Return for how long words of texts are kept beside what was learned of them."""
        return KEEP_S if self.keep_s is None else min(KEEP_S, self.keep_s(namespace))

    def vectors_s(self, namespace: str) -> float:
        """Return for how long vectors are kept beside what was learned of their prompts."""
        longest_s = verdicts.KEEP_S
        return longest_s if self.keep_s is None else min(longest_s, self.keep_s(namespace))

    def kept(self, kept: KeptOutcome | None, line: LedgerLine) -> KeptOutcome | None:
        """Return an outcome that ends in time."""
        if self.keep_s is None or kept is None:
            return kept
        until_ms = self._until_ms(line.namespace, kept.since_ms or line.at_ms)
        return kept if kept.expires_at_ms <= until_ms else replace(kept, expires_at_ms=until_ms)

    def pair(self, pair: Pair | None, line: LedgerLine) -> Pair | None:
        """Return a pair that ends in time."""
        if self.keep_s is None or pair is None:
            return pair
        until_ms = self._until_ms(line.namespace, pair.since_ms or line.at_ms)
        return pair if pair.expires_at_ms <= until_ms else replace(pair, expires_at_ms=until_ms)

    def label(self, pair: LabelledPair) -> LabelledPair:
        """Return a labelled pair that ends in time."""
        if self.keep_s is None:
            return pair
        until_ms = self._until_ms(pair.namespace, pair.since_ms or pair.at_ms)
        return pair if pair.expires_at_ms <= until_ms else replace(pair, expires_at_ms=until_ms)

    def ticket(self, ticket: Ticket, line: LedgerLine) -> Ticket:
        """Return a ticket that ends in time: it may be of a request from before a bound."""
        if self.keep_s is None:
            return ticket
        until_ms = self._until_ms(ticket.namespace, line.at_ms)
        if ticket.expires_at_ms <= until_ms:
            return ticket
        return replace(ticket, expires_at_ms=until_ms)

    def _until_ms(self, namespace: str, since_ms: int) -> int:
        assert self.keep_s is not None
        return since_ms + int(self.keep_s(namespace) * 1e3)


_OF_LINE = "(SELECT {what} FROM lines WHERE lines.line_id = {table}.line_id)"


def shorten(connection: sqlite3.Connection, retention: Retention) -> None:
    """Let what was kept under wider bounds end when those of today say; reads every text's row."""
    keep_s = retention.keep_s
    if keep_s is None:
        return

    def keep_ms(namespace: str | None) -> int | None:
        return None if namespace is None else int(keep_s(namespace) * 1e3)

    connection.create_function("keep_ms", 1, keep_ms)
    owner = _OF_LINE.format(what="namespace", table="{table}")
    came = _OF_LINE.format(what="at_ms", table="{table}")
    for table, until, since, namespace, rows in (
        ("kept", "expires_at_ms", "since_ms", owner, "1"),
        ("pairs", "expires_at_ms", "since_ms", owner, "1"),
        ("labels", "expires_at_ms", "since_ms", "namespace", "1"),
        ("tickets", "expires_at_ms", came, "namespace", "NOT is_over"),
    ):
        end = f"{since} + keep_ms({namespace})".format(table=table)
        also = f", due_at_ms = {end}" if table == "tickets" else ""
        connection.execute(
            f"UPDATE {table} SET {until} = {end}{also} WHERE {rows} AND {until} > {end}"
        )
    connection.execute(
        "UPDATE feedback SET note_until_ms = min(note_until_ms, at_ms + keep_ms("
        "(SELECT namespace FROM lines WHERE lines.id = feedback.line))) WHERE note <> ''"
    )
    connection.execute(
        "UPDATE evidence SET words_until_s = min(words_until_s, texts_at_s + "
        "keep_ms(namespace) / 1e3) WHERE words_until_s IS NOT NULL"
    )
    connection.execute(
        "UPDATE assurance SET words_until_s = min(words_until_s, at_s + keep_ms(namespace) / 1e3) "
        "WHERE words_until_s IS NOT NULL"
    )
    came_s = verdicts.CAME_S.format(line_id="verdicts.line_id", at_s="at_s")
    connection.execute(
        f"UPDATE verdicts SET until_s = min(until_s, {came_s} + keep_ms(namespace) / 1e3)"
    )


def expire_notes(connection: sqlite3.Connection, now_ms: int, n: int) -> None:
    """Take the notes out of up to ``n`` words of feedback that may hold them no longer."""
    connection.execute(
        "UPDATE feedback SET note = '' WHERE (line, kind) IN (SELECT line, kind FROM feedback "
        "WHERE note <> '' AND note_until_ms <= ? LIMIT ?)",
        (now_ms, n),
    )
