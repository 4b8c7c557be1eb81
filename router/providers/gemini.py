"""Gemini's generateContent.

Source: Google's Gemini API reference, "Generating content", "Function calling", "Thinking", and
"Thought signatures".

What differs from chat completions, and what is made of it:

- system and developer messages stand apart; consecutive turns of one role are one;
- a function's result names the function, not the call: the name is looked up by the call's id;
- calls may come without an id: they get one of ours, by their place in the answer;
- thoughts are counted beside the answer; ours holds both as output;
- from Gemini 3 on a call that is sent back must carry the signature of its thought. Those are not
  kept, so the mark stands in that the API has for calls without one.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

from router.json_fields import parse
from router.ports import ModelCall
from router.providers.asking import (
    INSTRUCTING,
    arguments_object,
    extras,
    instructions,
    refuse_what_changes_the_answers_form,
    schema_of,
    text_of,
    tool_choice,
    unsupported,
)
from router.providers.http import HttpUpstream, broken_off, cut_off, malformed
from router.providers.reading import NO_ANSWER, PiecedText, count, string, well_formed_all
from router.types import (
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

_WIRE: Final = "Gemini's generateContent"
_BUDGETS: Final = {"none": 0, "minimal": 512, "low": 1_024, "medium": 8_192, "high": 24_576}
"""Tokens of thinking for the words that chat completions have for effort."""

_WANTS_SIGNATURES: Final = re.compile(r"(models/)?gemini-([3-9]|[1-9]\d)")
_NO_SIGNATURE: Final = "skip_thought_signature_validator"
_KNOWN_BY_URI: Final = ("gs://", "https://generativelanguage.googleapis.com/")
_FINISH_REASONS: Final = {"STOP": "stop", "MAX_TOKENS": "length"}
_NO_REASON: Final = frozenset({"", "FINISH_REASON_UNSPECIFIED"})
_BROKEN_CALL: Final = frozenset({"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"})
_COUNTS: Final = (
    "promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount",
    "cachedContentTokenCount",
)  # fmt: skip
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "named": "ANY"}


class GeminiProvider:
    """One upstream that speaks generateContent.

    Args:
        base_url: up to and with the version, e.g. ``https://host/v1beta``.
        api_key: returns the key, or an empty string for an upstream without one.
        max_connections: at the same time; further calls wait within their own time limits.
    """

    def __init__(
        self, base_url: str, api_key: Callable[[], str], *, max_connections: int = 512
    ) -> None:
        self._base_url = base_url.rstrip("/")

        def headers() -> dict[str, str]:
            key = api_key()
            return {"x-goog-api-key": key} if key else {}

        self._http = HttpUpstream(headers, api_key, max_connections=max_connections)

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        body = request_body(call.model, call.request)
        gathered = GatheredContent()
        with self._http.keyless():
            raw = await self._http.whole(self._url(call.model, "generateContent"), body, call)
            gathered.add(raw)
            return gathered.completion()

    async def stream(self, call: ModelCall) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer as it comes, then whole."""
        body = request_body(call.model, call.request)
        url = self._url(call.model, "streamGenerateContent") + "?alt=sse"
        gathered = GatheredContent()
        async with aclosing(self._http.streamed(url, body, call, gathered)) as events:
            async for event in events:
                yield event

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    def _url(self, model: str, verb: str) -> str:
        return f"{self._base_url}/models/{quote(model.removeprefix('models/'), safe='')}:{verb}"


# ---- asking -----------------------------------------------------------------------------------


def request_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the JSON body of a call; ``request.extra`` never overrides what we set.

    Raises:
        ProviderRejected: generateContent has no words for what is asked.
    """
    refuse_what_changes_the_answers_form(request, _WIRE)
    contents = _contents(request.messages, signs=_WANTS_SIGNATURES.match(model) is not None)
    system = [{"text": text} for text in instructions(request.messages)]
    if not contents:  # there is no call without a turn: then the instructions are the question
        contents, system = [{"role": "user", "parts": system}], []
    optional: dict[str, Any] = {
        "systemInstruction": {"parts": system} if system else None,
        "tools": [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
        if request.tools
        else None,
        "toolConfig": _tool_config(request),
        "generationConfig": _generation(request) or None,
    }
    body = extras(request) | {"contents": contents}
    return body | {name: value for name, value in optional.items() if value is not None}


def _contents(messages: Iterable[Message], *, signs: bool) -> list[dict[str, Any]]:
    """Return the turns, consecutive ones of a role as one; what says nothing is left out."""
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    for message in messages:
        if message.role in INSTRUCTING:
            continue
        names |= {call.id: call.name for call in message.tool_calls}
        role = "model" if message.role is Role.ASSISTANT else "user"
        parts = _parts(message, names, signs=signs)
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(message: Message, names: Mapping[str, str], *, signs: bool) -> list[dict[str, Any]]:
    if message.role is Role.TOOL:
        return [_result(message, names)]
    parts = [_part(part) for part in message.parts if part.media_type or part.text]
    for n, call in enumerate(message.tool_calls):
        asked = {"name": call.name, "args": arguments_object(call.arguments_json)}
        signature = {"thoughtSignature": _NO_SIGNATURE} if signs and n == 0 else {}
        parts.append({"functionCall": asked} | signature)
    return parts


def _result(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    name = names.get(message.tool_call_id) or message.name
    if not name:
        raise unsupported(
            f"a tool's result answers the call {message.tool_call_id[:80]!r}, which no earlier "
            "message holds",
            "send the assistant's message with its tool calls before it",
            "tool_result",
        )
    text = text_of(message.parts)
    try:
        value = parse(text)
    except ValueError:
        value = text
    response = value if isinstance(value, dict) else {"result": value}
    return {"functionResponse": {"name": name, "response": response}}


def _part(part: Part) -> dict[str, Any]:
    if not part.media_type:
        return {"text": part.text}
    if part.data:
        data = b64encode(part.data).decode()
        return {"inlineData": {"mimeType": part.media_type, "data": data}}
    if not part.uri.startswith(_KNOWN_BY_URI):
        raise unsupported(
            f"{_WIRE} fetches nothing, and a part of type {part.media_type} has no data",
            "send its bytes in data",
            "media",
        )
    return {"fileData": {"mimeType": part.media_type, "fileUri": part.uri}}


def _tool(tool: Tool) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.parameters_json:
        declared["parametersJsonSchema"] = json.loads(tool.parameters_json)
    return declared


def _tool_config(request: ChatRequest) -> dict[str, Any] | None:
    choice = tool_choice(request)
    if choice is None or not request.tools:
        return None
    config: dict[str, Any] = {"mode": _MODES[choice.kind]}
    if choice.name:
        config["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": config}


def _generation(request: ChatRequest) -> dict[str, Any]:
    sampling, form, reasoning = request.sampling, request.response_format, request.reasoning
    budget = reasoning.budget_tokens
    if budget is None:
        budget = _BUDGETS.get(reasoning.effort)
    optional: dict[str, Any] = {
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "maxOutputTokens": sampling.max_tokens,
        "stopSequences": list(sampling.stop) or None,
        "seed": sampling.seed,
        "presencePenalty": sampling.presence_penalty,
        "frequencyPenalty": sampling.frequency_penalty,
        "thinkingConfig": None if budget is None else {"thinkingBudget": budget},
        "responseMimeType": None if form.kind == "text" else "application/json",
        "responseJsonSchema": schema_of(form.schema_json) if form.kind == "json_schema" else None,
    }
    return {name: value for name, value in optional.items() if value is not None}


# ---- reading ----------------------------------------------------------------------------------


class GatheredContent:
    """Gathers responses into the answer they make: one where it comes whole, many of a stream."""

    is_over = False  # nothing in a response says that it is the last one

    def __init__(self) -> None:
        self._text = PiecedText()
        self._calls: list[ToolCall] = []
        self._usage: Mapping[str, Any] | None = None
        self._model = ""
        self._finish_reason = ""

    def add(self, data: bytes) -> Delta | None:
        """Take one response; return the text it brings.

        Raises:
            ProviderUnavailable: it tells of an error, or is no response.
        """
        try:
            response = well_formed_all(json.loads(data))
            if not isinstance(response, dict):
                raise TypeError("a response is an object")
            if response.get("error"):
                raise broken_off(data)
            text = self._take(response)
        except NO_ANSWER as error:
            raise malformed(f"the upstream sent what is no response: {data[:80]!r}") from error
        return Delta(text=text) if text else None

    def _take(self, response: Mapping[str, Any]) -> str:
        usage = response.get("usageMetadata") or self._usage
        if usage is not None and not isinstance(usage, dict):
            raise TypeError("usage is an object")
        self._usage = usage
        self._model = string(response.get("modelVersion")) or self._model
        if (response.get("promptFeedback") or {}).get("blockReason"):
            self._finish_reason = "content_filter"
        candidates: Sequence[Mapping[str, Any]] = response.get("candidates") or ()
        if not candidates:
            return ""
        first = candidates[0]
        said = [self._part(part) for part in (first.get("content") or {}).get("parts") or ()]
        reason = string(first.get("finishReason"))
        if reason in _BROKEN_CALL:
            raise ValueError(reason)
        if reason not in _NO_REASON:
            self._finish_reason = _FINISH_REASONS.get(reason, "content_filter")
        return "".join(said)

    def _part(self, part: Mapping[str, Any]) -> str:
        if part.get("thought"):
            return ""
        asked = part.get("functionCall")
        if asked is None:
            return self._text.add(string(part.get("text")))
        arguments = asked.get("args") or {}
        if not isinstance(arguments, dict):
            raise TypeError("arguments are an object")
        self._calls.append(
            ToolCall(
                id=string(asked.get("id")) or f"call_{len(self._calls)}",
                name=string(asked["name"]),
                arguments_json=json.dumps(arguments, ensure_ascii=False),
            )
        )
        return ""

    def rest(self) -> Delta | None:
        """Return what only the end makes whole: tool calls, and a character that stayed half."""
        delta = Delta(text=self._text.rest, tool_calls=tuple(self._calls))
        return delta if delta.text or delta.tool_calls else None

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ProviderUnavailable: it ended before the answer did.
        """
        if not self._finish_reason:
            raise cut_off()
        finish_reason = self._finish_reason
        if self._calls and finish_reason == "stop":
            finish_reason = "tool_calls"
        answer = Answer(
            text=self._text.whole, finish_reason=finish_reason, tool_calls=tuple(self._calls)
        )
        usage = credible(read_usage(self._usage), answer)
        return Completion(answer=answer, usage=usage, provider_model=self._model)


def read_usage(usage: Mapping[str, Any] | None) -> Usage | None:
    """Read usage metadata; None when it does not say both counts.

    Input is the prompt, cached or not, and what tools of the provider's brought in; output is the
    answer and the thoughts. A count of 0 may be left out, except for the prompt's.
    """
    if not usage:
        return None
    if "promptTokenCount" not in usage:
        return None
    counts = [count(usage.get(name) or 0) for name in _COUNTS]
    if any(one is None for one in counts):
        return None
    prompt, tool_use, answer, thoughts, cached = (one or 0 for one in counts)
    if cached > prompt:
        return None
    return Usage(
        input_tokens=prompt + tool_use,
        output_tokens=answer + thoughts,
        cache_read_tokens=cached,
    )
