"""Errors from below the ledger become the ledger's own, here and nowhere else."""

from __future__ import annotations

import sqlite3

from cache.errors import CacheError, OpenRefused
from router.ledger.errors import LedgerError, LedgerRefused, LedgerUnavailable, LineRefused


def as_ledger_error(error: BaseException) -> LedgerError:
    """Return the ledger's word for what went wrong below it."""
    if isinstance(error, LedgerError):
        return error
    if isinstance(error, OpenRefused):
        ours: LedgerError = LedgerRefused(str(error))
    elif isinstance(error, CacheError | sqlite3.OperationalError):
        ours = LedgerUnavailable(str(error))
    else:
        ours = LineRefused(f"the ledger's file can not hold this line: {error}")
    ours.__cause__ = error
    return ours
