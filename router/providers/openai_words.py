"""A request in the words of OpenAI's chat completions.

Source: OpenAI's API reference, "Chat Completions".
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from router.errors import ProviderRejected
from router.providers.asking import joined
from router.providers.quirks import Quirks
from router.types import (
    ANTHROPIC,
    ANTHROPIC_HEADERS,
    ChatRequest,
    Message,
    Part,
    ResponseFormat,
    Tool,
    ToolCall,
)

_COMMON = Quirks()
OURS = frozenset({"model", "messages", "stream", "stream_options", "request_id", ANTHROPIC}) | {
    *ANTHROPIC_HEADERS
}
"""Fields that are not passed on: ours to say, or another wire's."""


def request_body(model: str, request: ChatRequest, quirks: Quirks = _COMMON) -> dict[str, Any]:
    """Return the JSON body of a call; ``request.extra`` never overrides what we set.

    Raises:
        ProviderRejected: chat completions have no words for what is asked.
    """
    sampling, reasoning = request.sampling, request.reasoning
    if reasoning.budget_tokens is not None:
        raise ProviderRejected(
            "reasoning.budget_tokens has no field in chat completions; set reasoning.effort",
            kind="unsupported_reasoning",
        )
    body: dict[str, Any] = {
        name: json.loads(value) for name, value in request.extra.items() if name not in OURS
    }
    body |= {"model": model, "messages": [_message(message) for message in request.messages]}
    optional: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        quirks.max_tokens_thinking if reasoning.effort else quirks.max_tokens: sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        quirks.seed: sampling.seed,
        "n": sampling.n,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "logprobs": sampling.logprobs,
        "top_logprobs": sampling.top_logprobs,
        "logit_bias": dict(sampling.logit_bias) or None,
        "reasoning_effort": reasoning.effort or None,
        "tools": [_tool(tool) for tool in request.tools] or None,
        "tool_choice": json.loads(request.tool_choice_json) if request.tool_choice_json else None,
        "response_format": _format(request.response_format),
    }
    return joined(body, {name: value for name, value in optional.items() if value is not None})


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = _further(message.extra_json)
    body |= {"role": message.role.value, "content": _content(message.parts)}
    if message.name:
        body["name"] = message.name
    if message.tool_call_id:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [tool_call(call) for call in message.tool_calls]
    return body


def tool_call(call: ToolCall) -> dict[str, Any]:
    """Return a tool call in the words of chat completions."""
    function = {"name": call.name, "arguments": call.arguments_json}
    own = {"id": call.id, "type": "function", "function": function}
    return joined(_further(call.extra_json), own)


def _content(parts: tuple[Part, ...]) -> str | list[dict[str, Any]] | None:
    if not parts:
        return None
    if len(parts) == 1 and not parts[0].media_type and not _further(parts[0].extra_json):
        return parts[0].text
    return [joined(_further(part.extra_json), _part(part)) for part in parts]


def _further(extra_json: str) -> dict[str, Any]:
    """Return further fields of whatever has them, but for another wire's words."""
    if not extra_json:
        return {}
    found = json.loads(extra_json)
    return {name: value for name, value in found.items() if name != ANTHROPIC}


def _part(part: Part) -> dict[str, Any]:
    if not part.media_type:
        return {"type": "text", "text": part.text}
    is_image = part.media_type.startswith("image/")
    if not part.data and not (is_image and part.uri):
        raise ProviderRejected(
            f"a part of type {part.media_type} has no data; chat completions take only images by "
            "reference, so send its bytes in data",
            kind="unsupported_media",
        )
    if is_image:
        url = part.uri or f"data:{part.media_type};base64,{b64encode(part.data).decode()}"
        return {"type": "image_url", "image_url": {"url": url} | _detail(part)}
    if part.media_type.startswith("audio/"):
        form = part.media_type.removeprefix("audio/")
        return {
            "type": "input_audio",
            "input_audio": {"data": b64encode(part.data).decode(), "format": form},
        }
    data = f"data:{part.media_type};base64,{b64encode(part.data).decode()}"
    return {"type": "file", "file": {"file_data": data, "filename": part.uri or "file"}}


def _detail(part: Part) -> dict[str, str]:
    return {"detail": part.detail} if part.detail else {}


def _tool(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json:
        function["parameters"] = json.loads(tool.parameters_json)
    if tool.is_strict is not None:
        function["strict"] = tool.is_strict
    return joined(_further(tool.extra_json), {"type": "function", "function": function})


def _format(form: ResponseFormat) -> dict[str, Any] | None:
    if form.kind == "text":
        return None
    if form.kind == "json_schema":
        return {"type": "json_schema", "json_schema": json.loads(form.schema_json)}
    return {"type": form.kind}
