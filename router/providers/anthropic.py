"""Anthropic's Messages.

Source: Anthropic's API reference, "Messages", "Streaming messages", "Prompt caching", "Tool use".

What differs from chat completions, and what is made of it:

- system and developer messages stand apart; consecutive turns of one role are one;
- tool results are blocks of a user turn; arguments and results of tools are objects;
- an answer must be bounded: ``max_tokens`` is always sent;
- there is no JSON mode: a tool that takes the answer is forced, and its input is the answer;
- prefixes are cached where they are marked: tools and system prompt, and in a conversation that
  goes on its end, each where it is long enough to be cached at all;
- thoughts are blocks before what was said, and only who came in these words has kept them;
- whoever came in these words (``ANTHROPIC``) is passed on in them: thinking, effort, formats;
- cached input is counted beside ``input_tokens``; ours holds all of it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from router.ports import ModelCall
from router.providers.asking import (
    INSTRUCTING,
    allows_parallel_calls,
    arguments_object,
    extras,
    instructions,
    joined,
    refuse_what_changes_the_answers_form,
    schema_of,
    tool_choice,
    unsupported,
)
from router.providers.http import HttpUpstream, broken_off, cut_off, malformed
from router.providers.reading import NO_ANSWER, PiecedText, count, string, well_formed_all
from router.types import (
    ANTHROPIC,
    Answer,
    ChatRequest,
    Completion,
    Delta,
    Message,
    Part,
    Role,
    Tool,
    ToolCall,
    Usage,
    credible,
)

_VERSION: Final = "2023-06-01"
_WIRE: Final = "Anthropic's Messages"
_DEFAULT_MAX_TOKENS: Final = 4_096
_CACHED_FROM_CHARS: Final = 4_096
"""About 1,024 tokens: of a shorter prefix no model of Anthropic's keeps anything."""

_JSON_TOOL: Final = "give_answer"
_BUDGETS: Final = {"low": 1_024, "medium": 4_096, "high": 16_384}
"""Tokens of thinking for the words that chat completions have for effort."""
_MIN_BUDGET: Final = 1_024
"""Fewer tokens of thinking are refused."""
_MIN_ANSWER_TOKENS: Final = 1_024
"""What thinking leaves of the caller's ``max_tokens``."""

_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CUT_SHORT: Final = frozenset({"max_tokens", "model_context_window_exceeded"})
"""Reasons to stop in the midst of a tool call, which is told as far as it came."""
_THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
_DOCUMENTS: Final = frozenset({"application/pdf"})

Block = dict[str, Any]


class AnthropicProvider:
    """One upstream that speaks Messages.

    Args:
        base_url: up to and with the version, e.g. ``https://host/v1``.
        api_key: returns the key, or an empty string for an upstream without one.
        max_connections: at the same time; further calls wait within their own time limits.
    """

    def __init__(
        self, base_url: str, api_key: Callable[[], str], *, max_connections: int = 512
    ) -> None:
        self._url = base_url.rstrip("/") + "/messages"

        def headers() -> dict[str, str]:
            key = api_key()
            return {"anthropic-version": _VERSION} | ({"x-api-key": key} if key else {})

        self._http = HttpUpstream(headers, api_key, max_connections=max_connections)

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        body = request_body(call.model, call.request)
        with self._http.keyless():
            raw = await self._http.whole(self._url, body, call)
            return parse_message(raw, is_json=_wants_json(call.request))

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer as it comes, then whole."""
        body = request_body(call.model, call.request) | {"stream": True}
        gathered = StreamedMessage(is_json=_wants_json(call.request))
        async with aclosing(self._http.streamed(self._url, body, call, gathered)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()


# ---- asking -----------------------------------------------------------------------------------


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the JSON body of a call; ``request.extra`` never overrides what we set.

    Raises:
        ProviderRejected: Messages have no words for what is asked.
    """
    refuse_what_changes_the_answers_form(request, _WIRE)
    turns = _turns(request.messages)
    system: list[Block] = [_text(text) for text in instructions(request.messages)]
    if not turns:  # there is no call without a turn: then the instructions are the question
        turns, system = [{"role": "user", "content": system}], []
    sampling = request.sampling
    tools, choice = _tools(request)
    own = _own_body(request)
    if not _may_think(request.messages):
        own.pop("thinking", None)
    thinking = _thinking(
        request, is_forced=choice is not None and choice["type"] in ("any", "tool")
    )
    max_tokens = sampling.max_tokens
    if max_tokens is None:
        max_tokens = _DEFAULT_MAX_TOKENS + (thinking["budget_tokens"] if thinking else 0)
    optional: dict[str, Any] = {
        "system": system or None,
        "tools": tools or None,
        "tool_choice": choice,
        "temperature": None if sampling.temperature is None else min(sampling.temperature, 1.0),
        "top_p": None if sampling.top_p == 1.0 else sampling.top_p,  # some models take one of both
        "stop_sequences": list(sampling.stop) or None,
        "thinking": thinking,
    }
    if thinking is not None:
        optional |= {"temperature": None, "top_p": None}  # thinking takes neither
    body = extras(request) | own | {"model": model, "max_tokens": max_tokens, "messages": turns}
    body |= {name: value for name, value in optional.items() if value is not None}
    _mark_stable_prefixes(body)
    return body


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the turns, consecutive ones of a role as one; what says nothing is left out."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in INSTRUCTING:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Message) -> list[Block]:
    blocks = [_block(part) for part in message.parts if part.media_type or part.text]
    if message.role is Role.TOOL:
        result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        failed = {"is_error": True} if _own(message.extra_json).get("is_error") is True else {}
        return [result | failed | ({"content": blocks} if blocks else {})]
    calls: list[Block] = [
        {
            "type": "tool_use",
            "id": call.id,
            "name": call.name,
            "input": arguments_object(call.arguments_json),
        }
        for call in message.tool_calls
    ]
    return _thoughts(message) + blocks + calls


def _thoughts(message: Message) -> list[Block]:
    """Return what an assistant thought before it spoke; it can be sent back only as it came."""
    if message.role is not Role.ASSISTANT:
        return []
    found = _own(message.extra_json).get("thinking_blocks")
    blocks = found if isinstance(found, list) else []
    return [one for one in blocks if isinstance(one, dict) and one.get("type") in _THOUGHTS]


def _own(extra_json: str) -> dict[str, Any]:
    """Return further fields that came in Anthropic's own words; others are another wire's."""
    found = json.loads(extra_json) if extra_json else {}
    own = found.get(ANTHROPIC) if isinstance(found, dict) else None
    return own if isinstance(own, dict) else {}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def _own_body(request: ChatRequest) -> dict[str, Any]:
    """The same of a request as a whole."""
    own = json.loads(request.extra.get(ANTHROPIC, "{}"))
    found = own if isinstance(own, dict) else {}
    return {name: value for name, value in found.items() if name != "stream"}  # ours to say


def _block(part: Part) -> Block:
    own = _own(part.extra_json)
    if own and part.is_context and not part.media_type:  # a document that has a title, or is cited
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
        return joined(own, {"type": "document", "source": source})
    return joined(own, _known_block(part))


def _known_block(part: Part) -> Block:
    if not part.media_type:
        return _text(part.text)
    kind = "image" if part.media_type.startswith("image/") else "document"
    if kind == "document" and part.media_type not in _DOCUMENTS:
        raise unsupported(f"{_WIRE} take no {part.media_type}", "send text, images or PDF", "media")
    if part.data:
        data = b64encode(part.data).decode()
        source = {"type": "base64", "media_type": part.media_type, "data": data}
        return {"type": kind, "source": source}
    if not part.uri:
        raise unsupported(f"a part of type {part.media_type} is empty", "send its bytes", "media")
    return {"type": kind, "source": {"type": "url", "url": part.uri}}


def _tools(request: ChatRequest) -> tuple[list[Block], Block | None]:
    """Return the tools and the choice among them; for JSON, the one tool that takes the answer."""
    if _wants_json(request):
        if request.tools:
            raise unsupported(
                f"{_WIRE} have no JSON mode beside tools", "leave one of them out", "json"
            )
        form = request.response_format
        schema = schema_of(form.schema_json) if form.kind == "json_schema" else {"type": "object"}
        taking = "Takes the answer, the whole of it. Call it once."
        tool = {"name": _JSON_TOOL, "description": taking, "input_schema": schema}
        return [tool], {"type": "tool", "name": _JSON_TOOL}
    tools = [_tool(tool) for tool in request.tools]
    asked = tool_choice(request)
    if not tools:
        return [], None
    parallel = {} if allows_parallel_calls(request) else {"disable_parallel_tool_use": True}
    if asked is None:
        return tools, {"type": "auto"} | parallel if parallel else None
    if asked.kind == "named":
        return tools, {"type": "tool", "name": asked.name} | parallel
    if asked.kind == "none":
        return tools, {"type": "none"}
    return tools, {"type": "any" if asked.kind == "required" else "auto"} | parallel


def _tool(tool: Tool) -> Block:
    schema = json.loads(tool.parameters_json) if tool.parameters_json else {"type": "object"}
    described = {"description": tool.description} if tool.description else {}
    return _own(tool.extra_json) | {"name": tool.name, **described, "input_schema": schema}


def _thinking(request: ChatRequest, *, is_forced: bool) -> Block | None:
    """Return how much may be thought, where the caller has not said so in Anthropic's own words."""
    if ANTHROPIC in request.extra or is_forced or not _may_think(request.messages):
        return None
    reasoning, max_tokens = request.reasoning, request.sampling.max_tokens
    budget = reasoning.budget_tokens or _BUDGETS.get(reasoning.effort)
    if budget is None:
        return None
    if max_tokens is not None:  # it bounds all output, thoughts too: prices and limits rest on it
        room = max_tokens - _MIN_ANSWER_TOKENS
        if room < _MIN_BUDGET:
            return None
        budget = min(budget, room)
    return {"type": "enabled", "budget_tokens": budget}


def _may_think(messages: Sequence[Message]) -> bool:
    """Tell whether there may be thinking: on a tool's result only with the thoughts that called it.

    Chat completions do not keep them, and without them Anthropic refuses the request.
    """
    if messages[-1].role is not Role.TOOL:
        return True
    turns = (one for one in reversed(messages) if one.role is Role.ASSISTANT)
    asked = next(turns, None)
    return asked is None or bool(_thoughts(asked))


def _mark_stable_prefixes(body: dict[str, Any]) -> None:
    """Mark what the next request is likely to begin with; the order is tools, system, turns."""
    mark = {"cache_control": {"type": "ephemeral"}}
    tools, system, turns = body.get("tools", []), body.get("system", []), body["messages"]
    n_chars = len(json.dumps([tools, system]))
    if n_chars >= _CACHED_FROM_CHARS:
        (system or tools)[-1].update(mark)
    goes_on = any(turn["role"] == "assistant" for turn in turns)
    if goes_on and n_chars + len(json.dumps(turns)) >= _CACHED_FROM_CHARS:
        last = turns[-1]["content"][-1]
        if last["type"] not in _THOUGHTS:
            last.update(mark)


# ---- reading ----------------------------------------------------------------------------------


def parse_message(raw: bytes, *, is_json: bool) -> Completion:
    """Read a message.

    Raises:
        ProviderUnavailable: it is none; it may have been billed.
    """
    try:
        body = well_formed_all(json.loads(raw))
        if not isinstance(body, dict):
            raise TypeError("a message is an object")
        blocks = body["content"]
        calls = [block for block in blocks if block["type"] == "tool_use"]
        text = "".join(string(block["text"]) for block in blocks if block["type"] == "text")
        if is_json and calls:
            text, calls = _dumped(calls[0]["input"]), []
        answer = Answer(
            text=text,
            finish_reason=_finish_reason(string(body["stop_reason"]), is_json=is_json),
            tool_calls=tuple(
                ToolCall(
                    id=string(call["id"]),
                    name=string(call["name"]),
                    arguments_json=_dumped(call["input"]),
                )
                for call in calls
            ),
        )
        usage = credible(read_usage(body.get("usage")), answer)
        return Completion(answer=answer, usage=usage, provider_model=string(body.get("model")))
    except NO_ANSWER as error:
        raise malformed(f"the upstream's answer is no message: {raw[:80]!r}") from error


def read_usage(usage: Mapping[str, Any] | None) -> Usage | None:
    """Read a usage block; None when it does not say all counts it must."""
    if not usage:
        return None
    fresh, output = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    read = count(usage.get("cache_read_input_tokens") or 0)
    written = count(usage.get("cache_creation_input_tokens") or 0)
    if fresh is None or output is None or read is None or written is None:
        return None
    return Usage(
        input_tokens=fresh + read + written,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def _wants_json(request: ChatRequest) -> bool:
    """Tell whether a tool is forced for want of a JSON mode; whoever asks for a format has one."""
    config = _own_body(request).get("output_config")
    has_format = isinstance(config, dict) and bool(config.get("format"))
    return request.response_format.kind != "text" and not has_format


def _finish_reason(stop_reason: str, *, is_json: bool) -> str:
    if is_json and stop_reason == "tool_use":
        return "stop"
    return _FINISH_REASONS.get(stop_reason, stop_reason)


def _dumped(value: object) -> str:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return json.dumps(value, ensure_ascii=False)


class _StreamedCall:
    """A tool call, gathered from its pieces."""

    def __init__(self, block: Mapping[str, Any]) -> None:
        self._id = string(block.get("id"))
        self._name = string(block.get("name"))
        self.arguments = PiecedText()

    def call(self, *, is_whole: bool) -> ToolCall:
        arguments = self.arguments.whole or "{}"
        if is_whole:
            json.loads(arguments)  # one that is cut is none
        return ToolCall(id=self._id, name=self._name, arguments_json=arguments)


class StreamedMessage:
    """Gathers events into the message they make.

    Args:
        is_json: the input of the forced tool is the answer's text.
    """

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._text = PiecedText()
        self._calls: dict[int, _StreamedCall] = {}
        self._usage: dict[str, Any] = {}
        self._model = ""
        self._stop_reason = ""
        self.is_over = False

    def add(self, data: bytes) -> Delta | None:
        """Take one event; return the text it brings. Kinds of events that are not known pass by.

        Raises:
            ProviderUnavailable: it tells of an error, or is no event.
        """
        try:
            event = well_formed_all(json.loads(data))
            if not isinstance(event, dict):
                raise TypeError("an event is an object")
            if event["type"] == "error":
                raise broken_off(data)
            text = self._take(event)
        except NO_ANSWER as error:
            raise malformed(f"the upstream sent what is no event: {data[:80]!r}") from error
        return Delta(text=text) if text else None

    def _take(self, event: Mapping[str, Any]) -> str:
        kind = event["type"]
        if kind == "message_start":
            self._model = string(event["message"].get("model"))
            self._note_usage(event["message"].get("usage"))
        elif kind == "content_block_start":
            block = event["content_block"]
            if block["type"] == "tool_use":
                self._calls[int(event["index"])] = _StreamedCall(block)
            elif block["type"] == "text":
                return self._text.add(string(block.get("text")))
        elif kind == "content_block_delta":
            return self._take_delta(int(event["index"]), event["delta"])
        elif kind == "message_delta":
            self._stop_reason = string(event["delta"].get("stop_reason")) or self._stop_reason
            self._note_usage(event.get("usage"))
        elif kind == "message_stop":
            self.is_over = True
        return ""

    def _take_delta(self, index: int, delta: Mapping[str, Any]) -> str:
        if delta["type"] == "text_delta":
            return self._text.add(string(delta["text"]))
        if delta["type"] == "input_json_delta":
            piece = string(delta["partial_json"])
            if self._is_json:
                return self._text.add(piece)
            self._calls[index].arguments.add(piece)
        return ""  # thoughts, signatures, citations

    def _note_usage(self, usage: Mapping[str, Any] | None) -> None:
        """Counts are cumulative: a later one replaces an earlier one."""
        self._usage |= {name: n for name, n in (usage or {}).items() if n is not None}

    def rest(self) -> Delta | None:
        """Return what only the end makes whole: tool calls, and a character that stayed half."""
        delta = Delta(text=self._text.rest, tool_calls=self._tool_calls())
        return delta if delta.text or delta.tool_calls else None

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderUnavailable: the stream ended before the answer did.
        """
        if not self._stop_reason:
            raise cut_off()
        try:
            answer = Answer(
                text=self._text.whole,
                finish_reason=_finish_reason(self._stop_reason, is_json=self._is_json),
                tool_calls=self._tool_calls(),
            )
        except ValueError as error:
            raise malformed("a tool call's arguments are no JSON") from error
        usage = credible(read_usage(self._usage), answer)
        return Completion(answer=answer, usage=usage, provider_model=self._model)

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        if self._is_json:
            return ()
        is_whole = self._stop_reason not in _CUT_SHORT
        calls: Sequence[_StreamedCall] = [call for _, call in sorted(self._calls.items())]
        return tuple(call.call(is_whole=is_whole) for call in calls)
