"""A line with what is written in the same transaction."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from router.ledger.feedback import write_pair
from router.ledger.kept import kept_row, key_bytes, write_kept
from router.ledger.lines import Row, attempt_rows, line_row, write_line
from router.ledger.routing import ChoiceRow, choice_row, write_choice
from router.ledger.tickets import ticket_row, write_ticket
from router.ledger.types import KeptOutcome, LedgerLine, Pair, RequestKey, Ticket


class Entry(NamedTuple):
    """A line and what comes with it, as rows."""

    line: Row
    attempts: list[Row]
    kept: Row | None
    pair: Pair | None
    ticket: Row | None = None
    hit: Entry | None = None
    choice: ChoiceRow | None = None

    def write(self, connection: sqlite3.Connection) -> None:
        """Write all of it, or nothing where a later state of the line stands already."""
        if not write_line(connection, self.line, self.attempts):
            return
        if self.choice is not None:
            write_choice(connection, self.line[0], self.choice)
        if self.hit is not None:
            self.hit.write(connection)
        if self.kept is not None:
            write_kept(connection, self.kept)
        if self.pair is not None:
            write_pair(connection, self.line[0], self.line[1], self.pair)
        if self.ticket is not None:
            write_ticket(connection, self.ticket)


def entry_of(
    line: LedgerLine,
    key: RequestKey | None = None,
    kept: KeptOutcome | None = None,
    pair: Pair | None = None,
    ticket: Ticket | None = None,
    hit: Entry | None = None,
) -> Entry:
    """Make the rows, on the event loop, so that the writer only writes.

    Raises:
        LineRefused: an amount is beyond reason.
        ValueError: ``line_id`` is not hexadecimal.
    """
    row = line_row(line)
    return Entry(
        row,
        attempt_rows(line),
        None if key is None or kept is None else kept_row(key_bytes(key), kept, row[0], line.at_ms),
        pair,
        None if ticket is None else ticket_row(ticket),
        hit,
        choice_row(line.choice),
    )
