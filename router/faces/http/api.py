"""What an API has to know: how it asks, and how it answers, whole or as a stream of events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from router.faces.http.names import ModelNames
from router.faces.http.problems import Problem
from router.faces.http.words import Words
from router.types import Answer, ChatRequest, Delta, ToolCall, Usage
from scrimp.v1 import gateway_pb2

Body = Mapping[str, Any]

_FINISHES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "refusal", "safety"), "content_filter"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it was asked.

    Attributes:
        request: validated but for the bounds.
        is_streamed: the answer is wanted as it comes.
        body: as it came, for answers that say parts of it back.
    """

    request: ChatRequest
    is_streamed: bool
    body: Body


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """An answer with all that is told of it. ``usage`` is None when nobody knows it."""

    answer: Answer
    usage: Usage | None
    report: gateway_pb2.GatewayReport

    @property
    def created_s(self) -> int:
        """Seconds since the epoch; see ``created_s``."""
        return created_s(self.report)

    @property
    def model(self) -> str:
        """What answered, in its provider's words where these are known."""
        return self.report.provider_model or self.report.model


class Replies(Protocol):
    """Writes one answer as server-sent events. Every method returns bytes to send, maybe none."""

    def begin(self, report: gateway_pb2.GatewayReport) -> bytes:
        """Begin; the report holds what is known so far."""

    def delta(self, delta: Delta) -> bytes:
        """Write a piece."""

    def end(self, done: Done) -> bytes:
        """Write what is left, and the end."""

    def broken(self, problem: Problem) -> bytes:
        """Say that no more will come."""


class Api(Protocol):
    """One API for chats."""

    def read(self, body: Body, words: Words, names: ModelNames) -> Asked:
        """Read a request.

        Raises:
            InvalidRequest: it is none; says which field.
            HttpError: its model is not known.
        """

    def whole(self, asked: Asked, done: Done) -> dict[str, Any]:
        """Write an answer at once."""

    def replies(self, asked: Asked) -> Replies:
        """Return a writer for an answer that is streamed."""

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Write an error."""


def created_s(report: gateway_pb2.GatewayReport) -> int:
    """Return the seconds since the epoch at which a response was begun: its id begins with them."""
    return int(report.response_id[:12] or "0", 16) // 1_000


def event(data: object, name: str = "") -> bytes:
    """Return a server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def finish_of(answer: Answer) -> str:
    """Return why an answer ended: ``stop``, ``length``, ``tool_calls`` or ``content_filter``.

    Providers have words of their own for these; what none of them is, is ``stop``.
    """
    usual = "tool_calls" if answer.tool_calls else "stop"
    return _FINISHES.get(answer.finish_reason.lower(), usual)


class Unsaid:
    """What of an answer has not been streamed yet; an answer may come in one piece at the end."""

    def __init__(self) -> None:
        self._has_text = False
        self._has_calls = False

    @property
    def is_all(self) -> bool:
        """Whether nothing was said."""
        return not (self._has_text or self._has_calls)

    def note(self, delta: Delta) -> None:
        """Take note of a piece that was sent."""
        self._has_text |= bool(delta.text)
        self._has_calls |= bool(delta.tool_calls)

    def of(self, answer: Answer) -> Delta:
        """Return the rest."""
        calls: tuple[ToolCall, ...] = () if self._has_calls else answer.tool_calls
        return Delta(text="" if self._has_text else answer.text, tool_calls=calls)
