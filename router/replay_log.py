"""Past traffic, read row by row from .jsonl or .jsonl.gz, whatever wrote it.

A row is one of

- ``{"text" or "prompt": ...}``, with any of ``answer``, ``output_tokens``, ``model``;
- the body of an OpenAI chat request: ``{"model": ..., "messages": [...], ...}``;
- ``{"request": {a body}, "response": {a chat completion}}``;
- a line of OpenAI's batch API: ``{"custom_id": ..., "body": {a body}}``;

each with any of ``user``, ``conversation``, ``feature``, ``namespace`` and a time (``timestamp``,
``created_at`` or ``time``: seconds, milliseconds or nanoseconds since the epoch, or ISO 8601).
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

from router.errors import InvalidRequest, ProviderError
from router.openai_body import read_body
from router.providers.openai_reading import parse_completion
from router.types import Answer, Attribution, ChatRequest, Completion, Usage

CALLER = "replay"
_DEFAULT_NAMESPACE = "default"
_TIMES = ("timestamp", "created_at", "time", "created")
_MAX_NAME_CHARS = 256
_MAX_LINE_BYTES = 64 << 20
_LATEST_S = 1e11  # in the year 5138; a greater number is milliseconds, or finer


class LogUnreadable(Exception):
    """The file cannot be read, or holds no row that can be replayed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One request of the past.

    Attributes:
        line: of the file, from 1.
        request: what was asked.
        answer: what the model said; None where the log does not say.
        usage: as the provider counted it; None where the log does not say.
        output_tokens: length of the answer where the log says that alone.
        model: what answered then; empty where the log does not say.
        at_s: seconds since the epoch; None where the log does not say.
    """

    line: int
    request: ChatRequest
    answer: Answer | None = None
    usage: Usage | None = None
    output_tokens: int | None = None
    model: str = ""
    at_s: float | None = None


@dataclass(frozen=True, slots=True)
class Malformed:
    """A row that cannot be replayed, and why."""

    line: int
    reason: str


class LogFile:
    """Rows of a file, in order; tells how far it is.

    Args:
        path: .jsonl, or .jsonl.gz.

    Raises:
        LogUnreadable: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._raw = path.open("rb")
            self.n_bytes = path.stat().st_size
        except OSError as error:
            raise LogUnreadable(f"{path} cannot be opened: {error.strerror}") from error

    @property
    def n_read(self) -> int:
        """Bytes of the file that were read so far, of ``n_bytes``."""
        return self._raw.tell()

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def __iter__(self) -> Iterator[Logged | Malformed]:
        """Yield every row that is not blank.

        Raises:
            LogUnreadable: reading fails half-way.
        """
        number = 0
        is_packed = self.path.name.endswith(".gz")
        lines: IO[bytes] = self._raw
        if is_packed:
            lines = cast("IO[bytes]", gzip.GzipFile(fileobj=self._raw))
        try:
            while raw := lines.readline(_MAX_LINE_BYTES):
                number += 1
                if raw.strip():
                    yield read_line(raw, number)
        except (OSError, EOFError, zlib.error) as error:
            raise LogUnreadable(
                f"{self.path} cannot be read after line {number} ({error}); expected JSON lines, "
                "gzipped when the name ends in .gz"
            ) from error


def read_line(raw: bytes, number: int) -> Logged | Malformed:
    """Read one line."""
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError) as error:
        return Malformed(number, f"no JSON in UTF-8: {error}")
    if not isinstance(row, dict):
        return Malformed(number, f"saw {type(row).__name__}, expected a JSON object")
    try:
        return _read_row(row, number)
    except InvalidRequest as error:
        return Malformed(number, str(error))
    except ProviderError as error:
        return Malformed(number, f"the logged call has no answer: {error}")


def _read_row(row: Mapping[str, Any], number: int) -> Logged:
    body = _body(row)
    request = read_body(
        body,
        namespace=_name(row, "namespace") or _DEFAULT_NAMESPACE,
        caller=CALLER,
        attribution=Attribution(
            user=_name(row, "user"),
            feature=_name(row, "feature"),
            task=_name(row, "task"),
            conversation=_name(row, "conversation"),
        ),
    )
    completion = _completion(row)
    return Logged(
        line=number,
        request=request,
        answer=completion.answer if completion else _answer(row),
        usage=completion.usage if completion else None,
        output_tokens=_tokens(row.get("output_tokens")),
        model=(completion.provider_model if completion else "") or str(body.get("model") or ""),
        at_s=_at_s(row),
    )


def _body(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row's request as a body of OpenAI's."""
    for name in ("request", "body"):
        inner = row.get(name)
        if isinstance(inner, dict):
            return _body(inner) if "messages" not in inner else inner
    if "messages" in row:
        own = {"namespace", "user", "feature", "task", "conversation", "answer", "output_tokens"}
        own.update(("response", "custom_id", "id", *_TIMES))
        return {name: value for name, value in row.items() if name not in own}
    text = row.get("text", row.get("prompt"))
    if not isinstance(text, str):
        raise InvalidRequest("saw none of text, prompt, messages, request and body")
    model = row.get("model")
    return {"messages": [{"role": "user", "content": text}]} | ({"model": model} if model else {})


def _completion(row: Mapping[str, Any]) -> Completion | None:
    response = row.get("response")
    if not isinstance(response, dict):
        return None
    body = response.get("body")
    return parse_completion(json.dumps(body if isinstance(body, dict) else response).encode())


def _answer(row: Mapping[str, Any]) -> Answer | None:
    answer = row.get("answer")
    return Answer(text=answer) if isinstance(answer, str) and answer else None


def _tokens(value: object) -> int | None:
    is_count = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    return int(cast(float, value)) if is_count else None


def _name(row: Mapping[str, Any], column: str) -> str:
    """Return a name as the wire would take it: short, without control characters."""
    value = row.get(column)
    if value is None or isinstance(value, dict | list):
        return ""
    name = str(value)
    if len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise InvalidRequest(
            f"{column} is a printable name of at most {_MAX_NAME_CHARS} characters, got "
            f"{name[:40]!r}"
        )
    return name


def _at_s(row: Mapping[str, Any]) -> float | None:
    inner = row.get("response")
    for holder in (row, inner if isinstance(inner, dict) else {}):
        for column in _TIMES:
            if holder.get(column) is not None:
                return _time(holder[column], column)
    return None


def _time(value: object, column: str) -> float:
    seconds = _iso_time(value) if isinstance(value, str) else value
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not 0 <= (at_s := float(cast(float, seconds))) < math.inf:
        raise InvalidRequest(
            f"{column} is {str(value)[:40]!r}, expected seconds since the epoch, or ISO 8601"
        )
    while at_s > _LATEST_S:
        at_s /= 1e3
    return at_s


def _iso_time(value: str) -> float | None:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
