"""Completions as Anthropic's Messages and Gemini's generateContent put them on the wire.

Written for tests from the API references, apart from the adapters: what goes in here must come out
of them again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakes_upstream import Handler, events_of, json_of

from router.types import Answer, Completion, Usage

_ANTHROPIC_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_GEMINI_STOPS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}


THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": "Hm, lava.", "signature": "c2ln"}


def completed(text: str = "", finish: str = "stop", **fields: Any) -> Completion:
    """A completion; its usage and model may be given beside what the answer holds."""
    usage = fields.pop("usage", Usage(input_tokens=100, output_tokens=7, cache_read_tokens=60))
    model = fields.pop("model", "m-2026")
    answer = Answer(text=text, finish_reason=finish, **fields)
    return Completion(answer=answer, usage=usage, provider_model=model)


def thought_over(completion: Completion) -> Completion:
    """The same answer of Anthropic's, with the thoughts that came before it."""
    content = [THOUGHT, *anthropic_message(completion)["content"]]
    own = json.dumps({"anthropic": {"content": content}}, ensure_ascii=False)
    return replace(completion, answer=replace(completion.answer, extra_json=own))


@dataclass(frozen=True, slots=True)
class Wire:
    """How one wire puts completions, whole and as events."""

    whole: Callable[[Completion], dict[str, Any]]
    events: Callable[[Completion], list[bytes]]

    def says(self, completion: Completion, *, is_streamed: bool) -> Handler:
        """An upstream's answer."""
        if is_streamed:
            return events_of(*self.events(completion), has_end=False)
        return json_of(self.whole(completion))


def pieces(text: str, size: int = 4) -> list[str]:
    """Cut a text."""
    return [text[start : start + size] for start in range(0, len(text), size)]


# ---- Anthropic --------------------------------------------------------------------------------


def anthropic_usage(usage: Usage) -> dict[str, int]:
    fresh = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }


def anthropic_message(completion: Completion) -> dict[str, Any]:
    answer = completion.answer
    own = json.loads(answer.extra_json)["anthropic"] if answer.extra_json else {}
    if own.get("content"):
        return {**_message(completion, own["content"]), **own.get("body", {})}
    content: list[dict[str, Any]] = []
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    content += [
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": json.loads(call.arguments_json),
        }
        for call in answer.tool_calls
    ]
    return _message(completion, content)


def _message(completion: Completion, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": completion.provider_model,
        "content": content,
        "stop_reason": _ANTHROPIC_STOPS[completion.answer.finish_reason],
        "usage": anthropic_usage(completion.usage) if completion.usage else {},
    }


def anthropic_events(completion: Completion, size: int = 4) -> list[bytes]:
    """The same as events, texts cut into pieces; the last is the stop."""
    message = anthropic_message(completion)
    usage = message["usage"]
    start = message | {"content": [], "stop_reason": None, "usage": usage | {"output_tokens": 1}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        empty: Mapping[str, Any]
        if block["type"] == "tool_use":
            empty = block | {"input": {}}
            whole = json.dumps(block["input"], ensure_ascii=False)
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces(whole, size)]
        elif block["type"] == "text":
            empty = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": p} for p in pieces(block["text"], size)]
            cited = block.get("citations", ())
            deltas += [{"type": "citations_delta", "citation": one} for one in cited]
        elif block["type"] == "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            thoughts = pieces(block["thinking"], size)
            deltas = [{"type": "thinking_delta", "thinking": p} for p in thoughts]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        else:
            empty, deltas = block, []
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    stop = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    output = {"output_tokens": usage["output_tokens"]} if usage else {}
    events.append({"type": "message_delta", "delta": stop, "usage": output})
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}".encode() for event in events]


# ---- Gemini -----------------------------------------------------------------------------------


def gemini_usage(usage: Usage) -> dict[str, int]:
    thoughts = usage.output_tokens // 2
    return {
        "promptTokenCount": usage.input_tokens,
        "cachedContentTokenCount": usage.cache_read_tokens,
        "candidatesTokenCount": usage.output_tokens - thoughts,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": usage.input_tokens + usage.output_tokens,
    }


def gemini_response(completion: Completion) -> dict[str, Any]:
    answer = completion.answer
    parts: list[dict[str, Any]] = [{"text": "hm", "thought": True}]
    if answer.text:
        parts.append({"text": answer.text})
    parts += [
        {
            "functionCall": {
                "id": call.id,
                "name": call.name,
                "args": json.loads(call.arguments_json),
            },
            "thoughtSignature": "s",
        }
        for call in answer.tool_calls
    ]
    return _gemini(completion, parts, _GEMINI_STOPS[answer.finish_reason])


def gemini_chunks(completion: Completion, size: int = 4) -> list[bytes]:
    """The same as events, the text cut into pieces; usage grows along."""
    whole = gemini_response(completion)["candidates"][0]
    parts: list[dict[str, Any]] = []
    for part in whole["content"]["parts"]:
        is_text = "text" in part and not part.get("thought")
        parts += [{"text": p} for p in pieces(part["text"], size)] if is_text else [part]
    chunks = [_gemini(completion, [part], "") for part in parts]
    chunks.append(_gemini(completion, [{"text": ""}], whole["finishReason"]))
    return [b"data: " + json.dumps(chunk).encode() for chunk in chunks]


def _gemini(
    completion: Completion, parts: Sequence[Mapping[str, Any]], finish: str
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    response: dict[str, Any] = {
        "candidates": [candidate | ({"finishReason": finish} if finish else {})],
        "modelVersion": completion.provider_model,
    }
    if completion.usage:
        response["usageMetadata"] = gemini_usage(completion.usage)
    return response


ANTHROPIC = Wire(anthropic_message, anthropic_events)
GEMINI = Wire(gemini_response, gemini_chunks)
