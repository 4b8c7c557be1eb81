"""The one table from errors to what a caller sees: a gRPC status, and an HTTP status."""

from __future__ import annotations

from typing import NamedTuple

import grpc

from cache.errors import CacheError, EntryRefused
from classifier.errors import BatcherClosed
from router import errors
from router.ledger import errors as ledger_errors


class Status(NamedTuple):
    """How an error is told: by gRPC, and by HTTP."""

    grpc: grpc.StatusCode
    http: int


_BAD = Status(grpc.StatusCode.INVALID_ARGUMENT, 400)
_UNFIT = Status(grpc.StatusCode.FAILED_PRECONDITION, 400)
_UNKNOWN = Status(grpc.StatusCode.NOT_FOUND, 404)
_CONFLICT = Status(grpc.StatusCode.ALREADY_EXISTS, 409)
_BUSY = Status(grpc.StatusCode.RESOURCE_EXHAUSTED, 429)
_AWAY = Status(grpc.StatusCode.UNAVAILABLE, 503)
_BROKEN = Status(grpc.StatusCode.UNAVAILABLE, 502)
_LATE = Status(grpc.StatusCode.DEADLINE_EXCEEDED, 504)

_STATUSES: tuple[tuple[type[Exception], Status], ...] = (
    (errors.InvalidRequest, _BAD),
    (errors.Unauthenticated, Status(grpc.StatusCode.UNAUTHENTICATED, 401)),
    (errors.NotPermitted, Status(grpc.StatusCode.PERMISSION_DENIED, 403)),
    (errors.UnknownNamespace, _UNKNOWN),
    (errors.AlreadyExists, _CONFLICT),
    (errors.NoModelFits, _UNFIT),
    (errors.Overloaded, _BUSY),
    (BatcherClosed, _AWAY),
    (errors.Stopping, _AWAY),
    (errors.ProviderTimeout, _LATE),
    (errors.ProviderRejected, _UNFIT),
    (errors.ProviderError, _BROKEN),
    (errors.NoModelAvailable, _AWAY),
    (ledger_errors.TicketUnknown, _UNKNOWN),
    (ledger_errors.TicketError, Status(grpc.StatusCode.FAILED_PRECONDITION, 409)),
    (ledger_errors.LineUnknown, _UNKNOWN),
    (ledger_errors.FeedbackUnfit, _UNFIT),
    (ledger_errors.LedgerError, _AWAY),
    (EntryRefused, _BAD),
    (CacheError, _AWAY),
    (TimeoutError, _LATE),
)


def status_of(error: Exception) -> Status | None:
    """Return the status of an error that was raised on purpose, None for a bug."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return None


def sentence_of(error: Exception) -> str:
    """Return what a caller is told of an error that was raised on purpose."""
    return str(error) or "the deadline passed before the work was done"


def sentence_of_bug(error: Exception) -> str:
    """Return what a caller is told of any other error; the log says more."""
    return f"scrimp failed unexpectedly ({type(error).__name__}); its log says more"
