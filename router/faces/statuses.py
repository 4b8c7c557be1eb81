"""The one table from errors to gRPC statuses."""

from __future__ import annotations

import grpc

from cache.errors import CacheError, EntryRefused
from classifier.errors import BatcherClosed
from router import errors
from router.ledger import errors as ledger_errors

_STATUSES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (errors.InvalidRequest, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.UnknownNamespace, grpc.StatusCode.NOT_FOUND),
    (errors.AlreadyExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.NoModelFits, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (BatcherClosed, grpc.StatusCode.UNAVAILABLE),
    (errors.Stopping, grpc.StatusCode.UNAVAILABLE),
    (errors.ProviderTimeout, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.ProviderRejected, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.ProviderError, grpc.StatusCode.UNAVAILABLE),
    (errors.NoModelAvailable, grpc.StatusCode.UNAVAILABLE),
    (ledger_errors.TicketUnknown, grpc.StatusCode.NOT_FOUND),
    (ledger_errors.TicketError, grpc.StatusCode.FAILED_PRECONDITION),
    (ledger_errors.LineUnknown, grpc.StatusCode.NOT_FOUND),
    (ledger_errors.FeedbackUnfit, grpc.StatusCode.FAILED_PRECONDITION),
    (ledger_errors.LedgerError, grpc.StatusCode.UNAVAILABLE),
    (EntryRefused, grpc.StatusCode.INVALID_ARGUMENT),
    (CacheError, grpc.StatusCode.UNAVAILABLE),
    (TimeoutError, grpc.StatusCode.DEADLINE_EXCEEDED),
)


def status_of(error: Exception) -> grpc.StatusCode | None:
    """Return the status of an error that was raised on purpose, None for a bug."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return status
    return None
