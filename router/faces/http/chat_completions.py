"""OpenAI's chat completions.

Source: OpenAI's API reference, "Chat Completions" (object, chunk object, errors).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from router import own_words
from router.errors import InvalidRequest
from router.faces.http.api import (
    Asked,
    Body,
    Done,
    Replies,
    Unsaid,
    created_s,
    event,
    finish_of,
)
from router.faces.http.names import ModelNames
from router.faces.http.problems import Problem
from router.faces.http.words import Words
from router.json_fields import flag, mapping, text, unknown
from router.openai_body import read_body
from router.types import ANTHROPIC, OPENAI, Answer, Delta, ToolCall, Usage
from scrimp.v1 import gateway_pb2

_NOTHING: Final[Mapping[str, Any]] = {}
_OF_CHOICES: Final = ("index", "message", "finish_reason", "logprobs")
_END: Final = b"data: [DONE]\n\n"
_NOT_PASSED: Mapping[str, str] = {
    "functions": "use tools",
    "function_call": "use tool_choice",
    "audio": "answers are text: leave it out, with modalities",
}
"""What would come back in a form that answers are not kept in."""


class ChatCompletions:
    """The API; see ``api.Api``."""

    def read(self, body: Body, words: Words, names: ModelNames) -> Asked:
        """Read a request."""
        for name, remedy in _NOT_PASSED.items():
            if body.get(name) is not None:
                raise InvalidRequest(f"{name} is not supported; {remedy}")
        wishes = names.wishes(text(body.get("model"), "model"))
        request = read_body(
            body, namespace=words.namespace, caller=words.caller, attribution=words.attribution
        )
        return Asked(
            request=words.said_of(request, wishes),
            is_streamed=bool(flag(body.get("stream"), "stream")),
            body=body,
        )

    def whole(self, asked: Asked, done: Done) -> dict[str, Any]:
        """Write an answer at once."""
        own = own_words.read(done.answer, OPENAI)
        first = own_words.section(own, "choice") | {
            "index": 0,
            "message": own_words.section(own, "message") | _message(done.answer),
            "logprobs": _logprobs(done.answer),
            "finish_reason": finish_of(done.answer),
        }
        return own_words.body_fields(own) | {
            "id": _id(done.report),
            "object": "chat.completion",
            "created": done.created_s,
            "model": done.model,
            "choices": [first, *_further_choices(done.answer)],
            **({"usage": usage_block(done.usage, own)} if done.usage else {}),
        }

    def replies(self, asked: Asked) -> Replies:
        """Return a writer for an answer that is streamed."""
        options = asked.body.get("stream_options")
        wanted = mapping(options, "stream_options").get("include_usage") if options else False
        return _Chunks(includes_usage=bool(flag(wanted, "stream_options.include_usage")))

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Write an error."""
        return openai_problem(problem)


class _Chunks:
    """Writes chunks: text as it comes, and what is known at the end only, at the end."""

    def __init__(self, *, includes_usage: bool) -> None:
        self._includes_usage = includes_usage
        self._unsaid = Unsaid()
        self._has_own = False
        self._frame: dict[str, Any] = {}

    def begin(self, report: gateway_pb2.GatewayReport) -> bytes:
        """Say who speaks."""
        self._frame = {
            "id": _id(report),
            "object": "chat.completion.chunk",
            "created": created_s(report),
            "model": report.provider_model or report.model,
        }
        return self._chunk({"role": "assistant", "content": ""})

    def delta(self, delta: Delta) -> bytes:
        """Write a piece."""
        self._unsaid.note(delta)
        sent = b""
        own = delta.own.get(OPENAI) if delta.own else None
        if own:
            self._has_own = True
            sent += self._chunk(dict(own))
        if delta.text:
            sent += self._chunk({"content": delta.text})
        if delta.tool_calls:
            sent += self._chunk({"tool_calls": _indexed(map(_tool_call, delta.tool_calls))})
        return sent

    def end(self, done: Done) -> bytes:
        """Write what is left: choices 2..n, log probabilities, the finish, the usage."""
        answer = done.answer
        own = own_words.read(answer, OPENAI)
        sent = b""
        message_fields = own_words.section(own, "message")
        if message_fields and not self._has_own:
            sent += self._chunk(message_fields)
        sent += self.delta(self._unsaid.of(answer))
        if answer.refusal:
            sent += self._chunk({"refusal": answer.refusal})
        for choice in _further_choices(answer):
            message = dict(choice["message"])
            if isinstance(message.get("tool_calls"), list):
                message["tool_calls"] = _indexed(message["tool_calls"])
            sent += self._chunk(
                message,
                choice["index"],
                str(choice.get("finish_reason") or "stop"),
                choice.get("logprobs"),
                unknown(choice, _OF_CHOICES),
            )
        self._frame = own_words.body_fields(own) | self._frame
        choice_fields = own_words.section(own, "choice")
        finish, logprobs = finish_of(answer), _logprobs(answer)
        sent += self._chunk({}, finish=finish, logprobs=logprobs, further=choice_fields)
        if self._includes_usage and done.usage:
            sent += event(self._frame | {"choices": [], "usage": usage_block(done.usage, own)})
        return sent + _END

    def broken(self, problem: Problem) -> bytes:
        """Say that no more will come; there is no end mark then."""
        return event(openai_problem(problem))

    def _chunk(
        self,
        delta: dict[str, Any],
        index: int = 0,
        finish: str | None = None,
        logprobs: object = None,
        further: Mapping[str, Any] = _NOTHING,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        choice = {**further, **choice}
        usage = {"usage": None} if self._includes_usage else {}
        return event(self._frame | {"choices": [choice]} | usage)


def usage_block(usage: Usage, own: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    """Write a usage as chat completions do; ``own``: what else its provider said of it."""
    block = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }
    return own_words.joined(block, own_words.usage_fields(own))


def openai_problem(problem: Problem) -> dict[str, Any]:
    """Write an error as OpenAI does."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    usual = "server_error" if problem.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": problem.message,
            "type": kinds.get(problem.status, usual),
            "param": problem.field,
            "code": problem.code,
        }
    }


def _id(report: gateway_pb2.GatewayReport) -> str:
    return f"chatcmpl-{report.response_id}"


def _message(answer: Answer) -> dict[str, Any]:
    has_more = bool(answer.tool_calls or answer.refusal)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": answer.text if answer.text or not has_more else None,
        "refusal": answer.refusal or None,
    }
    if answer.tool_calls:
        message["tool_calls"] = [_tool_call(call) for call in answer.tool_calls]
    return message


def _tool_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments_json}
    own = {"id": call.id, "type": "function", "function": function}
    if not call.extra_json:
        return own
    further = json.loads(call.extra_json)
    return own_words.joined(own, {name: one for name, one in further.items() if name != ANTHROPIC})


def _indexed(calls: Any) -> list[dict[str, Any]]:  # noqa: ANN401  as a provider gave them
    return [{"index": n, **call} for n, call in enumerate(calls) if isinstance(call, dict)]


def _logprobs(answer: Answer) -> Any:  # noqa: ANN401  as a provider gave them
    return json.loads(answer.logprobs_json) if answer.logprobs_json else None


def _further_choices(answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield choices 2..n as the provider gave them, each with its index and a message.

    An app may have handed the answer back, so that what is no choice is passed over.
    """
    given = json.loads(answer.extra_choices_json) if answer.extra_choices_json else ()
    for n, choice in enumerate(given if isinstance(given, list) else (), start=1):
        if isinstance(choice, dict):
            message = choice.get("message")
            said = message if isinstance(message, dict) else {}
            yield {"logprobs": None, **choice, "index": n, "message": said}
