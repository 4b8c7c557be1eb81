"""Tickets: the right to hand one answer back. Ids and tokens are made here as well."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from router.ledger.errors import TicketExpired, TicketSpent, TicketUnknown
from router.ledger.lines import close_as_unknown, read_line
from router.ledger.types import LedgerLine, LineState, Ticket

GRACE_MS = 3_600_000  # how long past its end a ticket is still known as spent or expired

_COLUMNS = (
    "digest",
    "line_id",
    "namespace",
    "caller",
    "partition",
    "text",
    "is_no_store",
    "is_audit",
    "entry_id",
    "models",
    "ttl_s",
    "scores",
    "user",
    "conversation",
    "tags",
    "expires_at_ms",
    "is_personal",
    "p_right",
    "traits",
    "propensity",
)
_SEALED = ("text", "traits")
_INSERT = (
    f"INSERT INTO tickets ({', '.join(_COLUMNS)}, due_at_ms) VALUES ("
    + ", ".join(
        f"seal(?{n}, 'tickets.{name}', ?1)" if name in _SEALED else f"?{n}"
        for n, name in enumerate((*_COLUMNS, "due_at_ms"), 1)
    )
    + ")"
)
_READ = ", ".join(
    # traits of a ticket that is over are no words any more, and are not sealed
    f"CASE WHEN is_over THEN {name} ELSE unseal({name}, 'tickets.{name}', digest) END"
    if name in _SEALED
    else name
    for name in _COLUMNS
)
_SELECT = f"SELECT {_READ}, spent_at_ms, is_over FROM tickets WHERE digest = ?"
_END = (
    "UPDATE tickets SET is_over = 1, spent_at_ms = ?, due_at_ms = expires_at_ms + ?, "
    "partition = x'', text = '', models = '[]', scores = '[]', user = '', conversation = '', "
    "tags = '[]', traits = '[]' WHERE digest = ?"
)

TOKEN_BYTES = 16
_DICE = random.Random()  # seeded by the system; ids need to differ, not to be secret


class _Entropy:
    """The system's randomness, drawn ahead.

    A draw gives up the interpreter's lock, and the event loop then waits for it as long as a
    model runs.
    """

    def __init__(self) -> None:
        self._ahead = b""

    def take(self, n: int) -> bytes:
        if len(self._ahead) < n:
            self._ahead = os.urandom(4_096)
        taken, self._ahead = self._ahead[:n], self._ahead[n:]
        return taken


_ENTROPY = _Entropy()


def new_token() -> bytes:
    """Return 128 random bits: a ticket, for its bearer only. Call it on the event loop."""
    return _ENTROPY.take(TOKEN_BYTES)


def digest_of(token: bytes) -> bytes:
    """Return what the ledger keeps of a token; of any bytes, a forged token is no error here."""
    return hashlib.sha256(token).digest()


def new_line_id(at_ms: int) -> str:
    """Return 32 hex digits: 48 bits of time, then 80 random bits."""
    return (at_ms.to_bytes(6, "big") + _DICE.randbytes(10)).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTicket:
    """A ticket as it stands in the file, with its line."""

    ticket: Ticket
    line: LedgerLine
    spent_at_ms: int | None
    is_over: bool

    def check(self, *, namespace: str, caller: str, now_ms: int) -> None:
        """Refuse a ticket that this caller can not redeem now.

        Raises:
            TicketUnknown: it is another namespace's or caller's.
            TicketSpent: it was settled before.
            TicketExpired: its time is over.
        """
        ticket = self.ticket
        if (ticket.namespace, ticket.caller) != (namespace, caller):
            raise TicketUnknown
        if self.spent_at_ms is not None:
            raise TicketSpent(self.spent_at_ms)
        if self.is_over or ticket.expires_at_ms <= now_ms:
            raise TicketExpired(ticket.expires_at_ms)


def check_opening(ticket: Ticket, line: LedgerLine) -> None:
    """Refuse to open a ticket for a line that it does not belong to.

    Raises:
        ValueError: another line, namespace or caller, or figures that are final already.
    """
    if (ticket.line_id, ticket.namespace, ticket.caller) != (
        line.line_id,
        line.namespace,
        line.caller,
    ):
        raise ValueError(f"the ticket is for line {ticket.line_id}, not for {line.line_id}")
    if line.state is not LineState.OPEN:
        raise ValueError(f"a ticket needs an open line, {line.line_id} is {line.state}")


def check_settling(ticket: Ticket, line: LedgerLine) -> None:
    """Refuse to settle a ticket with a line that is not its own, or still open.

    Raises:
        ValueError: says which.
    """
    if line.line_id != ticket.line_id:
        raise ValueError(f"the ticket is for line {ticket.line_id}, not for {line.line_id}")
    if line.state is LineState.OPEN:
        raise ValueError(f"settling closes the line, but {line.line_id} is still open")


def ticket_row(ticket: Ticket) -> tuple[Any, ...]:
    """Return the values of a ticket's row."""
    return (
        ticket.digest,
        bytes.fromhex(ticket.line_id),
        ticket.namespace,
        ticket.caller,
        ticket.partition,
        "" if ticket.is_no_store else ticket.text,
        ticket.is_no_store,
        ticket.is_audit,
        ticket.entry_id,
        _json_of_names(ticket.models),
        ticket.ttl_s,
        json.dumps(ticket.scores),
        ticket.user,
        ticket.conversation,
        _json_of_names(ticket.tags),
        ticket.expires_at_ms,
        ticket.is_personal,
        ticket.p_right,
        "[]" if ticket.is_no_store else json.dumps(ticket.traits),
        ticket.propensity,
        ticket.expires_at_ms,  # due then
    )


@lru_cache(maxsize=256)
def _json_of_names(names: tuple[str, ...]) -> str:
    """Return a JSON list; the same few chains of models come again and again."""
    return json.dumps(names)


def write_ticket(connection: sqlite3.Connection, row: tuple[Any, ...]) -> None:
    """Insert a ticket."""
    connection.execute(_INSERT, row)


def find_ticket(connection: sqlite3.Connection, digest: bytes) -> FoundTicket | None:
    """Return a ticket as it stands, None when there is none or its line is gone."""
    row = connection.execute(_SELECT, (digest,)).fetchone()
    if row is None:
        return None
    values = dict(zip(_COLUMNS, row, strict=False))
    ticket = Ticket(
        line_id=values.pop("line_id").hex(),
        is_no_store=bool(values.pop("is_no_store")),
        is_audit=bool(values.pop("is_audit")),
        is_personal=bool(values.pop("is_personal")),
        traits=tuple(json.loads(values.pop("traits"))),
        models=tuple(json.loads(values.pop("models"))),
        scores=tuple(json.loads(values.pop("scores"))),
        tags=tuple(json.loads(values.pop("tags"))),
        **values,
    )
    line = read_line(connection, ticket.line_id)
    if line is None:
        return None
    return FoundTicket(ticket=ticket, line=line, spent_at_ms=row[-2], is_over=bool(row[-1]))


def spend(connection: sqlite3.Connection, ticket: Ticket, spent_at_ms: int) -> None:
    """Mark a ticket spent and erase its text. It was in time when it was taken in hand.

    Raises:
        TicketSpent: it was spent before.
        TicketExpired: it is gone.
    """
    row = connection.execute(
        "SELECT spent_at_ms FROM tickets WHERE digest = ?", (ticket.digest,)
    ).fetchone()
    if row is None:
        raise TicketExpired(ticket.expires_at_ms)
    if row[0] is not None:
        raise TicketSpent(row[0])
    connection.execute(_END, (spent_at_ms, GRACE_MS, ticket.digest))


def expire(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Close the lines of overdue tickets and delete tickets long over; return how many expired."""
    rows = connection.execute(
        "SELECT digest, line_id, is_over FROM tickets WHERE due_at_ms <= ? ORDER BY due_at_ms "
        "LIMIT ?",
        (now_ms, limit),
    ).fetchall()
    n_expired = 0
    for digest, line_id, is_over in rows:
        if is_over:
            connection.execute("DELETE FROM tickets WHERE digest = ?", (digest,))
        else:
            close_as_unknown(connection, line_id)
            connection.execute(_END, (None, GRACE_MS, digest))
            n_expired += 1
    return n_expired


class Claims:
    """Which tickets are in hand now: one holder at a time, the others wait. For one event loop."""

    def __init__(self) -> None:
        self._held: dict[bytes, asyncio.Event] = {}

    @asynccontextmanager
    async def hold(self, digest: bytes) -> AsyncIterator[None]:
        """Hold a ticket for the length of the block."""
        while (released := self._held.get(digest)) is not None:
            await released.wait()
        released = self._held[digest] = asyncio.Event()
        try:
            yield
        finally:
            del self._held[digest]
            released.set()
