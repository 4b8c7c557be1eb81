"""What all providers over HTTP share: posting, limits of time and size, events, errors.

Sources: the server-sent events of the WHATWG HTML standard, section 9.2; Retry-After of RFC 9110,
section 10.2.3, and the ``retry-after-ms`` that OpenAI and Azure send beside it.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from router.errors import ProviderError, ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.ports import ModelCall, Sending
from router.providers.reading import NO_ANSWER, well_formed
from router.types import Completion, Delta

MAX_ANSWER_BYTES = 32 * 1024 * 1024
_RETRYABLE_STATUS = frozenset({408, 409, 425, 429})
_GAVE_UP_STATUS = frozenset({408, 504, 522, 524})
"""Somebody on the way, such as a proxy, waited no longer; the model may have answered, and cost."""
_ELSEWHERE_STATUS = range(300, 400)
_NOT_HERE_STATUS = frozenset({403, 404})
_MAX_ERROR_CHARS = 300
_MIN_KEY_CHARS = 16
"""Shorter ones mostly stand for none: ``EMPTY``, ``ollama``."""
_MIN_TELLING_CHARS = 12
"""So much of a long key, and whatever hangs on it, is struck out."""
_MAX_LINE_BYTES = 8 * 1024 * 1024
_ACCOUNT_WORDS = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error",
     "invalid_api_key", "account_deactivated", "authentication_error", "API_KEY_INVALID"}
)  # fmt: skip
_ACCOUNT_SENTENCE = re.compile(
    # Anchored: an error that quotes a prompt must not pass for one.
    r"(your )?credit balance is too low|insufficient (balance|credits?|funds|quota)"
    r"|you exceeded your current quota, please check your plan|out of credits?\b|api key not valid",
    re.IGNORECASE,
)

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}
Read = Callable[[], Awaitable[bytes]]
"""Returns the next bytes of an upstream's answer, none at its end."""


class Gathering(Protocol):
    """Makes the events of a streamed answer into what it says."""

    @property
    def is_over(self) -> bool:
        """Whether the answer has ended, whatever may come yet."""

    def add(self, data: bytes) -> Delta | None:
        """Take one event; return what of it is the caller's to see."""

    def completion(self) -> Completion:
        """Return the whole answer."""

    def rest(self) -> Delta | None:
        """Return what could be told only at the end: tool calls."""


class HttpUpstream:
    """Posts JSON to one upstream.

    Args:
        headers: with the key, where there is one; asked at every call.
        secret: the key itself, to strike it out of errors that say it back; may be empty.
        max_connections: at the same time; further calls wait within their own time limits.
        now_s: seconds since the epoch, to read dates in headers.
    """

    def __init__(
        self,
        headers: Callable[[], Mapping[str, str]],
        secret: Callable[[], str],
        *,
        max_connections: int = 512,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._headers = headers
        self._secret = secret
        self._max_connections = max_connections
        self._now_s = now_s
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False

    async def whole(
        self, url: str, body: Mapping[str, Any], call: ModelCall, headers: Headers = NO_HEADERS
    ) -> bytes:
        """Return an answer that comes whole; ``headers`` are the call's own.

        Raises:
            ProviderError: there is none.
        """
        async with self._posted(url, body, call, _patient(call), headers) as read:
            return await _whole(read)

    async def events(
        self, url: str, body: Mapping[str, Any], call: ModelCall, headers: Headers = NO_HEADERS
    ) -> AsyncGenerator[bytes, None]:
        """Yield the data of every event of a streamed answer.

        Raises:
            ProviderError: there is no answer, or it breaks off.
        """
        async with (
            self._posted(url, body, call, _impatient(call), headers) as read,
            aclosing(_events(read)) as events,
        ):
            async for data in events:
                yield data

    async def streamed(
        self,
        url: str,
        body: Mapping[str, Any],
        call: ModelCall,
        gathering: Gathering,
        headers: Headers = NO_HEADERS,
    ) -> AsyncGenerator[Delta | Completion, None]:
        """Yield a streamed answer as it comes, then whole.

        Raises:
            ProviderError: there is no answer, or it breaks off.
        """
        with self.keyless():
            async with aclosing(self.events(url, body, call, headers)) as events:
                async for data in events:
                    delta = gathering.add(data)
                    if delta is not None:
                        yield delta
                    if gathering.is_over:
                        break
            completion = gathering.completion()
        rest = gathering.rest()
        if rest is not None:
            yield rest
        yield completion

    @contextmanager
    def keyless(self) -> Iterator[None]:
        """Strike the key out of errors of the block: they quote what an upstream says.

        Answers stay as they came: a key may be a word that is in use, such as ``token``.
        """
        try:
            yield
        except ProviderError as error:
            key = self._secret()
            error.args = tuple(without_key(str(arg), key) for arg in error.args)
            cause = error.__cause__
            if cause is not None and without_key(repr(cause), key) != repr(cause):
                error.__cause__ = None  # it holds the bytes that could not be read
            raise

    async def close(self) -> None:
        """Close every connection; no call is made after that."""
        self._is_closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def _posted(
        self,
        url: str,
        body: Mapping[str, Any],
        call: ModelCall,
        limits: aiohttp.ClientTimeout,
        headers: Headers,
    ) -> AsyncIterator[Read]:
        """Send, and turn whatever goes wrong inside the block into ``ProviderError``.

        The call's whole time bounds every wait for the upstream, never what the caller does with
        the answer meanwhile.
        """
        now = asyncio.get_running_loop().time
        ends_at = now() + call.total_s
        is_sent = call.sending.has_left = False
        try:
            async with asyncio.timeout_at(ends_at):
                response = await self._open().post(
                    url,
                    data=_Told(json.dumps(body).encode(), call.sending),
                    headers={**self._headers(), **headers},
                    timeout=limits,
                    allow_redirects=False,  # it would take key and prompt to another host
                )
            async with response:
                is_sent = True
                read = _reader(response, call, limits, ends_at)
                if response.status != 200:
                    raw = await _whole(read)
                    raise refusal(response.status, response.headers, raw, self._now_s())
                yield read
        except ProviderError:
            raise
        except aiohttp.ConnectionTimeoutError as error:
            waited_s = now() - ends_at + call.total_s
            limit = f"connect_s = {call.connect_s:g} s"
            if limits.connect and waited_s >= limits.connect:
                limit = f"connect_s + first_token_s = {limits.connect:g} s: all were taken"
            raise ProviderUnavailable(
                f"{url} cannot be reached: no connection within {limit}", kind="connect"
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise ProviderUnavailable(
                f"{url} cannot be reached: {error}", kind="connect"
            ) from error
        except aiohttp.SocketTimeoutError as error:
            raise _too_slow(
                f"{url} sent nothing for first_token_s = {call.first_token_s:g} s"
            ) from error
        except TimeoutError as error:
            raise _too_slow(f"{url} did not finish within total_s = {call.total_s:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ProviderUnavailable(
                f"{url} broke off: {type(error).__name__}",
                kind="broken" if is_sent else "reset",
                is_billable=True,
            ) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._is_closed:  # it would be opened for good, for nobody closes it again
            raise ProviderUnavailable(
                "settings changed and its connections are closed",
                kind="closed",
                is_repeatable=False,
            )
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=self._max_connections, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session


def refusal(status: int, headers: Mapping[str, str], raw: bytes, now_s: float) -> ProviderError:
    """Return the error of any status but 200: billed, perhaps, where somebody gave up.

    Args:
        status: of the response.
        headers: of the response.
        raw: its body, which may tell of an error.
        now_s: seconds since the epoch.
    """
    words = error_message(raw)
    message, kind = f"status {status}: {words}", f"http_{status}"
    if is_account_fault(status, raw):
        message = f"status {status}: key or account are refused"  # words may hold half the key
        return ProviderUnavailable(message, kind=kind, is_account_fault=True)
    if status in _RETRYABLE_STATUS or status >= 500:
        return ProviderUnavailable(
            message,
            kind=kind,
            is_billable=status in _GAVE_UP_STATUS,
            retry_after_s=read_retry_after(headers, now_s),
        )
    if status in _ELSEWHERE_STATUS:
        message = (
            f"status {status}: the upstream points elsewhere, which is not followed, since key "
            "and prompt would go along; set base_url to where it answers"
        )
        return ProviderUnavailable(message, kind=kind, is_repeatable=False)
    if status in _NOT_HERE_STATUS:
        # What is asked for is not to be had here; another model may serve.
        return ProviderUnavailable(message, kind=kind, is_repeatable=False)
    return ProviderRejected(message, kind=kind)


class _Told(aiohttp.BytesPayload):
    """A JSON body that tells when it leaves; aiohttp's own tracing costs a third of a call more."""

    def __init__(self, body: bytes, sending: Sending) -> None:
        super().__init__(body, content_type="application/json")
        self._sending = sending

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self._sending.has_left = True
        await super().write_with_length(writer, content_length)


def _patient(call: ModelCall) -> aiohttp.ClientTimeout:
    """Limits where the first byte comes with the whole answer: only to connect."""
    return aiohttp.ClientTimeout(total=None, sock_connect=call.connect_s)


def _impatient(call: ModelCall) -> aiohttp.ClientTimeout:
    """Limits of a stream: to connect, and to the first byte."""
    return aiohttp.ClientTimeout(
        total=None,
        connect=call.connect_s + call.first_token_s,  # with the wait for a free connection
        sock_connect=call.connect_s,
        sock_read=call.first_token_s,
    )


def _reader(
    response: aiohttp.ClientResponse,
    call: ModelCall,
    limits: aiohttp.ClientTimeout,
    ends_at: float,
) -> Read:
    """Return what reads the body; once it has begun, no silence may last too long."""
    now = asyncio.get_running_loop().time
    between_s = min(call.between_tokens_s, limits.sock_read or math.inf)
    has_begun = False

    async def read() -> bytes:
        nonlocal has_begun
        silent_at = now() + between_s if has_begun else math.inf
        try:
            async with asyncio.timeout_at(min(ends_at, silent_at)):
                piece = await response.content.readany()
        except TimeoutError as error:
            if silent_at >= ends_at or isinstance(error, aiohttp.SocketTimeoutError):
                raise
            raise _too_slow(
                f"{response.url} fell silent for between_tokens_s = {between_s:g} s"
            ) from error
        has_begun = True
        return piece

    return read


def _too_slow(message: str) -> ProviderTimeout:
    return ProviderTimeout(message, kind="timeout", is_billable=True)


async def _whole(read: Read) -> bytes:
    pieces: list[bytes] = []
    n_bytes = 0
    while piece := await read():
        n_bytes += len(piece)
        if n_bytes > MAX_ANSWER_BYTES:
            raise malformed(f"the upstream's answer exceeds {MAX_ANSWER_BYTES} bytes")
        pieces.append(piece)
    return b"".join(pieces)


async def _events(read: Read) -> AsyncGenerator[bytes, None]:
    """Yield the data of every server-sent event."""
    data: list[bytes] = []
    n_bytes = 0
    async with aclosing(_lines(read)) as lines:
        async for line in lines:
            if not line:
                if data:
                    yield b"\n".join(data)
                data = []
            elif line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
                n_bytes += len(line)
                if n_bytes > MAX_ANSWER_BYTES:
                    raise malformed(f"the upstream's answer exceeds {MAX_ANSWER_BYTES} bytes")
    if data:
        yield b"\n".join(data)


async def _lines(read: Read) -> AsyncGenerator[bytes, None]:
    """Yield lines without their ends; a line that never ends is refused."""
    rest = b""
    while piece := await read():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > _MAX_LINE_BYTES:
            raise malformed(f"an event line of the upstream exceeds {_MAX_LINE_BYTES} bytes")
    if rest:
        yield rest


def malformed(message: str) -> ProviderUnavailable:
    """Return the error of an answer that is none; it may have been billed."""
    return ProviderUnavailable(message, kind="malformed", is_billable=True)


def broken_off(raw: bytes) -> ProviderUnavailable:
    """Return the error of a stream that ends with words about an error."""
    return ProviderUnavailable(
        f"the upstream broke off: {error_message(raw)}", kind="stream_error", is_billable=True
    )


def cut_off() -> ProviderUnavailable:
    """Return the error of a stream that just ends."""
    return ProviderUnavailable(
        "the upstream's stream ended before the answer did", kind="cut_off", is_billable=True
    )


def without_key(text: str, key: str) -> str:
    """Return text without the key; a short one, perhaps a word, only where it stands alone.

    Of a long key its beginning is looked for: a quotation may be cut within it.
    """
    if not key:
        return text
    if len(key) < _MIN_KEY_CHARS:
        return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "[key]", text)
    begin = re.escape(key[:_MIN_TELLING_CHARS])
    return re.sub(rf"{begin}[\w.+/=*-]*", "[key]", text.replace(key, "[key]"))


def error_message(raw: bytes) -> str:
    """Return an upstream's own words, short."""
    try:
        found = json.loads(raw)["error"]
        text = str(found["message"] if isinstance(found, dict) else found)
    except NO_ANSWER:
        text = raw.decode(errors="replace")
    return well_formed(text)[:_MAX_ERROR_CHARS]


def is_account_fault(status: int, raw: bytes) -> bool:
    """Tell whether key or account are refused, so that every call with that key would be.

    401 and 402 say so by themselves; "out of credit" also comes as 400, 403 or 429.
    """
    if status in (401, 402):
        return True
    if status not in (400, 403, 429):
        return False
    try:
        error = json.loads(raw)["error"]
        error = error if isinstance(error, dict) else {"message": error}
        details = [one.get("reason") for one in error.get("details") or () if isinstance(one, dict)]
        words = {str(word) for word in (error.get("code"), error.get("type"), *details)}
        message = str(error.get("message") or "")
    except NO_ANSWER:
        return False
    return bool(words & _ACCOUNT_WORDS) or _ACCOUNT_SENTENCE.match(message) is not None


def read_retry_after(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return the seconds an upstream asks to be left alone: as a number or a date, never below 0.

    None where it does not say, or says what is no time.
    """
    exact, header = headers.get("retry-after-ms"), headers.get("Retry-After")
    seconds = _number(exact, 1e-3)
    if seconds is None:
        seconds = _number(header, 1.0)
    if seconds is None and header:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - now_s
        except (ValueError, OverflowError, OSError):
            return None
    return None if seconds is None else max(0.0, seconds)


def _number(text: str | None, unit: float) -> float | None:
    try:
        value = float(text) * unit if text else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None
