"""Logs that tell what failed, and nothing of what people wrote.

A prompt reaches a log most easily in the message of an exception that nobody thought of: "invalid
literal: ...". So of errors that are not raised on purpose here, or by the disk, only kind and place
are written; with ``--log-level DEBUG`` all of it.
"""

from __future__ import annotations

import logging
import sqlite3
import traceback
from types import TracebackType
from typing import Final

from cache.errors import CacheError
from classifier.errors import ArtifactError
from router.ledger.errors import LedgerError

HIDDEN: Final = "(its message is not shown; --log-level DEBUG shows it)"
_TELLING: Final = (CacheError, LedgerError, ArtifactError, OSError, sqlite3.Error)
_MOST_CAUSES: Final = 8

Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class Reticent(logging.Formatter):
    """Writes exceptions without what they quote."""

    def formatException(self, ei: Raised) -> str:  # noqa: N802  logging's own name
        """Return kind and place of an exception and its causes, the first cause first."""
        told: list[str] = []
        error = ei[1]
        while error is not None and len(told) < _MOST_CAUSES:
            told.append(_told(error))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nwhich led to\n".join(reversed(told))


def _told(error: BaseException) -> str:
    place = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    message = str(error) if isinstance(error, _TELLING) else HIDDEN
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    return f"{place}\n{kind}: {message}" if place else f"{kind}: {message}"


def begin_logging(level: str) -> None:
    """Write logs to stderr, without what people wrote unless everything is asked for."""
    handler = logging.StreamHandler()
    form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    handler.setFormatter(logging.Formatter(form) if level == "DEBUG" else Reticent(form))
    logging.basicConfig(level=level, handlers=[handler])
