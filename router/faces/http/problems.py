"""What went wrong, as HTTP tells it; each API gives it a shape of its own."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from math import ceil, isfinite

from aiohttp import web

from router.errors import AlreadyExists, InvalidRequest, RouterError
from router.faces.statuses import sentence_of, sentence_of_bug, status_of

_log = logging.getLogger(__name__)
_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_FIELD = re.compile(r"([a-z_]+(?:[.\[]\S*)?) (?:is|holds) ")  # our sentences begin with the field


class HttpError(Exception):
    """Something that only HTTP can get wrong.

    Attributes:
        status: of the response.
        code: a word for programs.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request got no answer.

    Attributes:
        status: HTTP status.
        code: a word for programs: the error's name in ``router.errors``, in small letters.
        message: a sentence for people.
        field: the field of the body that it is about; None where it is about none.
        retry_after_s: how long to leave us alone; None: nobody said.
        is_final: the same request would fail again, whatever its status makes clients think.
    """

    status: int
    code: str
    message: str
    field: str | None = None
    retry_after_s: int | None = None
    is_final: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell clients whether, when and with what to try again."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers | ({"x-should-retry": "false"} if self.is_final else {})


def problem_of(error: Exception) -> Problem:
    """Say what an error comes to; one that nobody raised on purpose is logged."""
    if isinstance(error, HttpError):
        return Problem(status=error.status, code=error.code, message=str(error))
    if isinstance(error, web.HTTPException):
        return _of_aiohttp(error)
    status = status_of(error)
    if status is None:
        _log.error("an HTTP handler failed unexpectedly", exc_info=error)
        return Problem(status=500, code="internal", message=sentence_of_bug(error))
    message = sentence_of(error)
    field = _FIELD.match(message) if isinstance(error, InvalidRequest) else None
    return Problem(
        status=status.http,
        code=_CAPITAL.sub("_", type(error).__name__).lower(),
        message=message,
        field=field[1] if field else None,
        retry_after_s=_retry_after_s(error),
        is_final=isinstance(error, AlreadyExists),
    )


def _of_aiohttp(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        message = "the body is larger than limits.max_message_bytes allows; shorten it"
        return Problem(status=413, code="body_too_large", message=message)
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{error.method} is not taken here, only {allowed}"
        return Problem(status=405, code="method_not_allowed", message=message)
    message = (
        "there is nothing under this address; clients want a base URL that ends in /v1, under "
        "which are chat/completions, responses, messages, messages/count_tokens, embeddings, "
        "models and feedback"
    )
    return Problem(status=error.status, code="unknown_address", message=message)


def _retry_after_s(error: Exception) -> int | None:
    """Return what the error itself says, in whole seconds: never sooner than it says, never 0."""
    after_s = error.retry_after_s if isinstance(error, RouterError) else None
    return None if after_s is None or not isfinite(after_s) else max(1, ceil(after_s))
