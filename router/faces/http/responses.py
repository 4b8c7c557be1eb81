"""OpenAI's responses. Source: OpenAI's API reference, "Responses" (object, streaming events).

Nothing is kept between requests: ``store`` is answered with false, and an id cannot be fetched.
"""

from __future__ import annotations

import json
from typing import Any

from router import own_words
from router.faces.http.api import Asked, Body, Done, Replies, Unsaid, created_s, event, finish_of
from router.faces.http.chat_completions import openai_problem
from router.faces.http.names import ModelNames
from router.faces.http.problems import Problem
from router.faces.http.words import Words
from router.json_fields import flag, text
from router.openai_body import read_body
from router.responses_body import chat_body
from router.types import OPENAI, Answer, Delta, Usage
from scrimp.v1 import gateway_pb2

_SAID_BACK: dict[str, object] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "user": None,
}
"""Fields of the request that the answer repeats, with what they are when they were not given."""
_EMPTY: dict[str, object] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


class Responses:
    """The API; see ``api.Api``."""

    def read(self, body: Body, words: Words, names: ModelNames) -> Asked:
        """Read a request."""
        wishes = names.wishes(text(body.get("model"), "model"))
        request = read_body(
            chat_body(body),
            namespace=words.namespace,
            caller=words.caller,
            attribution=words.attribution,
        )
        return Asked(
            request=words.said_of(request, wishes),
            is_streamed=bool(flag(body.get("stream"), "stream")),
            body=body,
        )

    def whole(self, asked: Asked, done: Done) -> dict[str, Any]:
        """Write an answer at once."""
        return _finished(asked.body, done, _items(done))

    def replies(self, asked: Asked) -> Replies:
        """Return a writer for an answer that is streamed."""
        return _Events(asked.body)

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Write an error."""
        return openai_problem(problem)


class _Events:
    """Writes output items: one message, as its text comes, then one for each function call."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._unsaid = Unsaid()
        self._said: list[str] = []
        self._id = ""
        self._n_events = 0

    def begin(self, report: gateway_pb2.GatewayReport) -> bytes:
        """Say that it begins."""
        self._id = report.response_id
        model = report.provider_model or report.model
        begun = _frame(self._body, report, model) | {"status": "in_progress"}
        return self._event("response.created", response=begun) + self._event(
            "response.in_progress", response=begun
        )

    def delta(self, delta: Delta) -> bytes:
        """Write a piece of text; calls wait until the message is closed."""
        self._unsaid.note(delta)
        if not delta.text:
            return b""
        sent = b"" if self._said else self._open(_EMPTY)
        self._said.append(delta.text)
        return sent + self._part_event("response.output_text.delta", delta=delta.text, logprobs=[])

    def end(self, done: Done) -> bytes:
        """Close the message, write the calls, and the whole again."""
        sent = self.delta(self._unsaid.of(done.answer))
        found = _items(done)
        for index, item in enumerate(found):
            if item["type"] == "message":
                sent += self._close(item)
            else:
                sent += self._call(index, item)
        finished = _finished(self._body, done, found)
        return sent + self._event(f"response.{finished['status']}", response=finished)

    def broken(self, problem: Problem) -> bytes:
        """Say that no more will come: as the API has it, and as its clients look for it."""
        told = openai_problem(problem)["error"]
        return self._event(
            "error",
            code=told["code"],
            message=told["message"],
            param=told["param"],
            error=told,
        )

    def _event(self, kind: str, **fields: object) -> bytes:
        self._n_events += 1
        return event({"type": kind, "sequence_number": self._n_events - 1, **fields}, kind)

    def _part_event(self, kind: str, **fields: object) -> bytes:
        place = {"item_id": _message_id(self._id), "output_index": 0, "content_index": 0}
        return self._event(kind, **place, **fields)

    def _open(self, part: dict[str, object]) -> bytes:
        item = _message(self._id, [], "in_progress")
        return self._event(
            "response.output_item.added", output_index=0, item=item
        ) + self._part_event("response.content_part.added", part=part)

    def _close(self, item: dict[str, Any]) -> bytes:
        (part,) = item["content"]
        if part["type"] == "refusal":
            sent = self._open({"type": "refusal", "refusal": ""})
            sent += self._part_event("response.refusal.delta", delta=part["refusal"])
            sent += self._part_event("response.refusal.done", refusal=part["refusal"])
        else:
            sent = b"" if self._said else self._open(_EMPTY)
            sent += self._part_event(
                "response.output_text.done", text=part["text"], logprobs=part["logprobs"]
            )
        sent += self._part_event("response.content_part.done", part=part)
        return sent + self._event("response.output_item.done", output_index=0, item=item)

    def _call(self, index: int, item: dict[str, Any]) -> bytes:
        place = {"item_id": item["id"], "output_index": index}
        begun = item | {"arguments": "", "status": "in_progress"}
        arguments = item["arguments"]
        return (
            self._event("response.output_item.added", output_index=index, item=begun)
            + self._event("response.function_call_arguments.delta", delta=arguments, **place)
            + self._event(
                "response.function_call_arguments.done",
                arguments=arguments,
                name=item["name"],
                **place,
            )
            + self._event("response.output_item.done", output_index=index, item=item)
        )


def _frame(body: Body, report: gateway_pb2.GatewayReport, model: str) -> dict[str, Any]:
    said = {name: body.get(name) for name in _SAID_BACK if body.get(name) is not None}
    return {
        "id": f"resp_{report.response_id}",
        "object": "response",
        "created_at": created_s(report),
        "model": model,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "previous_response_id": None,
        "store": False,
        "truncation": "disabled",
        "usage": None,
        **_SAID_BACK,
        **said,
    }


def _finished(body: Body, done: Done, output: list[dict[str, Any]]) -> dict[str, Any]:
    reasons = {"length": "max_output_tokens", "content_filter": "content_filter"}
    reason = None if done.answer.refusal else reasons.get(finish_of(done.answer))
    return _frame(body, done.report, done.model) | {
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": _usage(done.usage, done.answer) if done.usage else None,
    }


def _items(done: Done) -> list[dict[str, Any]]:
    """Return the output: a message, unless there are calls alone, and the calls."""
    answer, response_id = done.answer, done.report.response_id
    found = []
    if answer.text or answer.refusal or not answer.tool_calls:
        found.append(_message(response_id, [_part(answer)], "completed"))
    for n, call in enumerate(answer.tool_calls):
        found.append(
            {
                "type": "function_call",
                "id": f"fc_{response_id}_{n}",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments_json,
                "status": "completed",
            }
        )
    return found


def _part(answer: Answer) -> dict[str, Any]:
    if answer.refusal and not answer.text:
        return {"type": "refusal", "refusal": answer.refusal}
    found = json.loads(answer.logprobs_json) if answer.logprobs_json else {}
    logprobs = found if isinstance(found, dict) else {}
    return {
        "type": "output_text",
        "text": answer.text,
        "annotations": _annotations(answer),
        "logprobs": logprobs.get("content") or [],
    }


def _message(response_id: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": _message_id(response_id),
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _message_id(response_id: str) -> str:
    return f"msg_{response_id}"


def _annotations(answer: Answer) -> list[dict[str, Any]]:
    """Return what a chat completion cites: the same fields, one level up."""
    found = own_words.section(own_words.read(answer, OPENAI), "message").get("annotations")
    listed = found if isinstance(found, list) else []
    return [
        {"type": "url_citation", **one["url_citation"]}
        for one in listed
        if isinstance(one, dict) and isinstance(one.get("url_citation"), dict)
    ]


def _usage(usage: Usage, answer: Answer) -> dict[str, Any]:
    own = own_words.usage_fields(own_words.read(answer, OPENAI))
    thought = own_words.section(own, "completion_tokens_details").get("reasoning_tokens")
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": thought if isinstance(thought, int) else 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
