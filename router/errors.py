"""What can go wrong on the path of a request, and whose fault it is.

The faces translate these, and the ledger's errors, to statuses; nobody else speaks gRPC::

    RouterError
    ├── InvalidRequest          the caller's fault; the sentence says what to change
    ├── Unauthenticated         a key is needed, and none that is known came along
    ├── NotPermitted            the caller's key does not cover what was asked
    ├── UnknownNamespace        the settings close the set of namespaces
    ├── AlreadyExists           a request id came again with another body
    ├── NoModelFits             no configured model can take the request; says why for each
    ├── Overloaded              a bound was reached; try again later
    ├── Stopping                the service is shutting down
    ├── ProviderError           a model was called and did not answer
    │   ├── ProviderTimeout     retryable
    │   ├── ProviderUnavailable retryable
    │   └── ProviderRejected    the same model would refuse it again
    └── NoModelAvailable        every attempt failed; lists them
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class RouterError(Exception):
    """The base of all.

    Attributes:
        retry_after_s: after how many seconds trying again may help; None: nobody knows.
    """

    retry_after_s: float | None = None


class InvalidRequest(RouterError):
    """The request cannot be understood or breaks a limit. The caller's fault."""


class Unauthenticated(RouterError):
    """The service wants a key, and the caller sent none, or none that is known."""


class NotPermitted(RouterError):
    """The caller's key covers neither this namespace, nor this name, or not this act."""


class UnknownNamespace(RouterError):
    """The settings close the set of namespaces, and this one is not in it."""


class AlreadyExists(RouterError):
    """A request id was used before for another body. The caller's fault."""


class NoModelFits(RouterError):
    """No configured model can take the request; the sentence says why for each."""


class Overloaded(RouterError):
    """A bound on what may wait or run was reached."""

    retry_after_s = 1.0


class Stopping(RouterError):
    """The service is shutting down; another instance may take the call."""


class ProviderError(RouterError):
    """A model was called and did not answer.

    Attributes:
        kind: a short word for the ledger and the metrics: ``timeout``, ``http_500``, ...
        is_billable: the provider may charge for what was done; then the cost is unknown.
        retry_after_s: how long the provider asked to be left alone; None when it did not say.
        is_repeatable: the same model may answer the same call in a moment.
        is_account_fault: key or account are refused (revoked, out of credit): every call with that
            key fails until someone acts.
    """

    is_retryable = True

    def __init__(
        self,
        message: str,
        *,
        kind: str,
        is_billable: bool = False,
        retry_after_s: float | None = None,
        is_repeatable: bool = True,
        is_account_fault: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.is_billable = is_billable
        self.retry_after_s = retry_after_s
        self.is_repeatable = self.is_retryable and is_repeatable and not is_account_fault
        self.is_account_fault = is_account_fault


class ProviderTimeout(ProviderError):
    """It took longer than it may; the work may go on over there, and be billed."""


class ProviderUnavailable(ProviderError):
    """It cannot be reached, is overloaded, or answers nonsense."""


class ProviderRejected(ProviderError):
    """It understood and refused; the same model would refuse the same call again."""

    is_retryable = False


class NoModelAvailable(RouterError):
    """Every attempt failed, or none could be made."""

    def __init__(
        self,
        failures: Sequence[tuple[str, ProviderError]],
        passed_over: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """Take every attempt's model and error, in order, and why others were not asked.

        Args:
            failures: every attempt's model and error, in order.
            passed_over: by model, why it was not asked.
            retry_after_s: until the first model may be asked again, where that is known.
        """
        lines = [f"{model}: {error}" for model, error in failures]
        lines += [f"{model}: not asked, {why}" for model, why in (passed_over or {}).items()]
        listed = "; ".join(lines)
        super().__init__(f"no model answered after {len(failures)} attempts ({listed})")
        self.failures = tuple(failures)
        self.retry_after_s = retry_after_s
