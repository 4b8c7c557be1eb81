"""An OpenAI request body becomes a ``ChatRequest``: the way back of ``providers.openai``.

What no field of ours stands for is kept in ``extra`` and ``extra_json`` as it is, so that it
reaches the provider untouched and stays part of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from router.errors import InvalidRequest
from router.json_fields import (
    as_json,
    count,
    flag,
    from_base64,
    further,
    items,
    mapping,
    number,
    text,
    unknown,
)
from router.types import (
    OPENAI,
    Attribution,
    ChatRequest,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Tool,
    ToolCall,
)

_OWN = frozenset(
    {"model", "messages", "tools", "tool_choice", "response_format", "temperature", "top_p",
     "max_tokens", "max_completion_tokens", "stop", "seed", "n", "presence_penalty",
     "frequency_penalty", "logprobs", "top_logprobs", "logit_bias", "reasoning_effort"}
)  # fmt: skip
_CHANGE_NO_ANSWER = frozenset({"user", "stream", "stream_options", "metadata", "store"})
_OF_MESSAGES = frozenset({"role", "content", "name", "tool_calls", "tool_call_id"})
_OF_CALLS = frozenset({"id", "type", "function", "index"})
_OF_CALLED = frozenset({"name", "arguments"})
_OF_TOOLS = frozenset({"type", "function"})
_OF_FUNCTIONS = frozenset({"name", "description", "parameters", "strict"})
_OF_FORMATS = frozenset({"type", "json_schema"})
_WITHIN_PARTS: Mapping[str, frozenset[str]] = {
    "image_url": frozenset({"url", "detail"}),
    "input_audio": frozenset({"data", "format"}),
    "file": frozenset({"filename", "file_id", "file_data"}),
}


def read_body(
    body: Mapping[str, Any], *, namespace: str, caller: str, attribution: Attribution
) -> ChatRequest:
    """Read a request body.

    Args:
        body: as it was, or would be, posted.
        namespace: of the request.
        caller: of the request.
        attribution: whom it is accounted to; the body's ``user`` fills in for a missing one.

    Raises:
        InvalidRequest: it is no chat request; says which field.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages is no list with at least one message")
    user = attribution.user or text(body.get("user"), "user")
    tool_choice = body.get("tool_choice")
    return ChatRequest(
        namespace=namespace,
        caller=caller,
        messages=tuple(
            _message(mapping(one, f"messages[{n}]"), n) for n, one in enumerate(messages)
        ),
        tools=tuple(_tool(one, n) for n, one in enumerate(items(body.get("tools"), "tools"))),
        tool_choice_json="" if tool_choice is None else as_json(tool_choice),
        response_format=_format(body.get("response_format")),
        sampling=_sampling(body),
        reasoning=Reasoning(effort=text(body.get("reasoning_effort"), "reasoning_effort")),
        attribution=Attribution(
            user=user,
            feature=attribution.feature,
            task=attribution.task,
            conversation=attribution.conversation,
        ),
        extra={
            name: as_json(value)
            for name, value in body.items()
            if name not in _OWN | _CHANGE_NO_ANSWER and value is not None
        }
        | _of_format(body.get("response_format")),
        wire=OPENAI,
    )


def _message(message: Mapping[str, Any], n: int) -> Message:
    field = f"messages[{n}]"
    try:
        role = Role(str(message.get("role")))
    except ValueError as error:
        known = ", ".join(role.value for role in Role)
        raise InvalidRequest(
            f"{field}.role is {message.get('role')!r}, which is none of {known}"
        ) from error
    return Message(
        role=role,
        parts=_parts(message.get("content"), field),
        name=text(message.get("name"), f"{field}.name"),
        tool_calls=tuple(
            _tool_call(mapping(call, f"{field}.tool_calls"), field)
            for call in items(message.get("tool_calls"), f"{field}.tool_calls")
        ),
        tool_call_id=text(message.get("tool_call_id"), f"{field}.tool_call_id"),
        extra_json=further(message, _OF_MESSAGES),
    )


def _parts(content: object, field: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Part(text=text(content, f"{field}.content")),)
    parts = items(content, f"{field}.content")
    return tuple(_part(mapping(part, f"{field}.content"), field) for part in parts)


def _part(part: Mapping[str, Any], field: str) -> Part:
    read = _content_part(part.get("type"), part, field)
    kind = str(part["type"])
    inner, known = part.get(kind), _WITHIN_PARTS.get(kind)
    within = {kind: unknown(inner, known)} if known and isinstance(inner, dict) else {}
    return replace(read, extra_json=further(part, ("type", kind), within))


def _content_part(kind: object, part: Mapping[str, Any], field: str) -> Part:
    if kind in ("text", "refusal"):
        return Part(text=text(part.get(str(kind)), f"{field}.content"))
    if kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else mapping(image, f"{field}.image_url")
        detail = text(image.get("detail"), f"{field}.image_url.detail")
        return _media(text(image.get("url"), f"{field}.image_url"), "image/*", "", detail)
    if kind == "input_audio":
        audio = mapping(part.get("input_audio"), f"{field}.input_audio")
        form = text(audio.get("format"), f"{field}.input_audio.format") or "wav"
        data = from_base64(text(audio.get("data"), f"{field}.input_audio.data"), field)
        return Part(media_type=f"audio/{form}", data=data)
    if kind == "file":
        file = mapping(part.get("file"), f"{field}.file")
        name = text(file.get("filename") or file.get("file_id"), f"{field}.file")
        data_url = text(file.get("file_data"), f"{field}.file.file_data")
        return _media(data_url, "application/octet-stream", name, "")
    raise InvalidRequest(f"{field}.content holds a part of type {kind!r}, which is not known")


def _media(url: str, media_type: str, name: str, detail: str) -> Part:
    """Return a non-text part: by value where the URL is a data URL, else by reference."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        media_type = head.removeprefix("data:").removesuffix(";base64") or media_type
        return Part(
            media_type=media_type, uri=name, data=from_base64(data, "a data URL"), detail=detail
        )
    return Part(media_type=media_type, uri=url or name, detail=detail)


def _tool_call(call: Mapping[str, Any], field: str) -> ToolCall:
    if call.get("type", "function") != "function":
        raise InvalidRequest(
            f"{field}.tool_calls holds a call of type {call.get('type')!r}, expected 'function'"
        )
    function = mapping(call.get("function"), f"{field}.tool_calls.function")
    arguments = function.get("arguments") or ""
    within = unknown(function, _OF_CALLED)
    return ToolCall(
        id=text(call.get("id"), f"{field}.tool_calls.id"),
        name=text(function.get("name"), f"{field}.tool_calls.name"),
        arguments_json=(
            text(arguments, f"{field}.tool_calls.arguments")
            if isinstance(arguments, str)
            else as_json(arguments)
        ),
        extra_json=further(call, _OF_CALLS, {"function": within}),
    )


def _tool(value: object, n: int) -> Tool:
    tool = mapping(value, f"tools[{n}]")
    if tool.get("type", "function") != "function":
        raise InvalidRequest(f"tools[{n}].type is {tool.get('type')!r}, expected 'function'")
    function = mapping(tool.get("function", tool), f"tools[{n}].function")
    name = text(function.get("name"), f"tools[{n}].name")
    if not name:
        raise InvalidRequest(f"tools[{n}].name is empty; every tool needs a name")
    parameters = function.get("parameters")
    is_bare = "function" not in tool
    within = unknown(function, _OF_FUNCTIONS | _OF_TOOLS if is_bare else _OF_FUNCTIONS)
    return Tool(
        name=name,
        description=text(function.get("description"), f"tools[{n}].description"),
        parameters_json="" if parameters is None else as_json(parameters),
        is_strict=flag(function.get("strict"), f"tools[{n}].strict"),
        extra_json=further({} if is_bare else tool, _OF_TOOLS, {"function": within}),
    )


def _format(value: object) -> ResponseFormat:
    if value is None:
        return ResponseFormat()
    form = mapping(value, "response_format")
    kind = form.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(f"response_format.type is {kind!r}, which is not known")
    if form.get("schema") is not None:  # not every provider knows it, and it would be missed
        raise InvalidRequest(
            "response_format.schema is not known; a schema goes into response_format.json_schema"
        )
    schema = ""
    if kind == "json_schema":
        schema = as_json(mapping(form.get("json_schema"), "response_format.json_schema"))
    return ResponseFormat(kind=kind, schema_json=schema)


def _of_format(value: object) -> dict[str, str]:
    """Return the further fields of a format, under the name that it has in the body."""
    fields = further(value, _OF_FORMATS) if isinstance(value, dict) else ""
    return {"response_format": fields} if fields else {}


def _sampling(body: Mapping[str, Any]) -> Sampling:
    stop = body.get("stop")
    bias = body.get("logit_bias")
    most = body.get("max_completion_tokens")
    most = body.get("max_tokens") if most is None else most
    return Sampling(
        temperature=number(body.get("temperature"), "temperature"),
        top_p=number(body.get("top_p"), "top_p"),
        max_tokens=count(most, "max_tokens"),
        stop=tuple(
            text(one, "stop") for one in ([stop] if isinstance(stop, str) else items(stop, "stop"))
        ),
        seed=count(body.get("seed"), "seed"),
        n=count(body.get("n"), "n"),
        presence_penalty=number(body.get("presence_penalty"), "presence_penalty"),
        frequency_penalty=number(body.get("frequency_penalty"), "frequency_penalty"),
        logprobs=flag(body.get("logprobs"), "logprobs"),
        top_logprobs=count(body.get("top_logprobs"), "top_logprobs"),
        logit_bias=tuple(
            sorted(
                (token, number(value, "logit_bias") or 0.0)
                for token, value in mapping(bias or {}, "logit_bias").items()
            )
        ),
    )
