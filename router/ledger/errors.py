"""What can go wrong in the ledger.

LedgerError
├ LedgerUnavailable   now, and it may work again: nothing of what was asked was written
├ LedgerRefused       at start: foreign, too new, damaged; a person has to look
├ TicketError         the caller's fault
│  ├ TicketUnknown    never issued, long gone, or somebody else's: never said which
│  ├ TicketExpired    its time is over
│  └ TicketSpent      it was redeemed before
├ LineRefused         a value that no file can hold (a token count beyond reason, broken text)
├ LineUnknown         no such line, or somebody else's: never said which. The caller's fault
└ FeedbackUnfit       the word does not fit the line. The caller's fault
"""

from __future__ import annotations


class LedgerError(Exception):
    """Root of everything the ledger raises on purpose."""


class LedgerUnavailable(LedgerError):
    """Disk full, file locked or broken, too much waiting, or closed; nothing was written."""


class LedgerRefused(LedgerError):
    """The ledger's file can not be opened; the message says what was found and what to do."""


class TicketError(LedgerError):
    """A ticket that can not be redeemed. The caller's fault."""


class TicketUnknown(TicketError):
    """No such ticket for this caller in this namespace."""

    def __init__(self) -> None:
        super().__init__(
            "no such ticket for this caller in this namespace: never issued, or forgotten long "
            "after its end; look up again to get a new one"
        )


class TicketExpired(TicketError):
    """The ticket's time is over.

    Attributes:
        expired_at_ms: milliseconds since the epoch.
    """

    def __init__(self, expired_at_ms: int) -> None:
        super().__init__(
            f"the ticket expired at {expired_at_ms} ms since the epoch and its request is "
            f"accounted as usage unknown; look up again to get a new one"
        )
        self.expired_at_ms = expired_at_ms


class TicketSpent(TicketError):
    """The ticket was redeemed before.

    Attributes:
        spent_at_ms: milliseconds since the epoch.
    """

    def __init__(self, spent_at_ms: int) -> None:
        super().__init__(
            f"the ticket was redeemed at {spent_at_ms} ms since the epoch; a ticket takes one "
            f"answer, the first one stands"
        )
        self.spent_at_ms = spent_at_ms


class LineRefused(LedgerError):
    """A line with a value that can not be written or added up; this one only, nothing is kept."""


class LineUnknown(LedgerError):
    """No such line was received by this caller in this namespace."""

    def __init__(self, line_id: str) -> None:
        super().__init__(f"this caller received no request {line_id!r} in this namespace")
        self.line_id = line_id


class FeedbackUnfit(LedgerError):
    """The feedback's kind says nothing about such a line."""
