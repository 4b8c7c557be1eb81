"""An OpenAI request body becomes a ``ChatRequest``: the way back of ``providers.openai``.

What no field of ours stands for is kept in ``extra`` and ``extra_json`` as it is, so that it
reaches the provider untouched and stays part of the key. What would be lost on the way back is
refused.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from router.errors import InvalidRequest
from router.types import (
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
_OF_TOOLS = frozenset({"type", "function"})
_NOT_PASSED: Mapping[str, str] = {
    "functions": "use tools",
    "function_call": "use tool_choice",
    "audio": "answers are text: leave it out, with modalities",
}
"""What would come back in a form that answers are not kept in."""
_MOST = 2**63  # no field of ours holds more, and the compare refuses NaN and infinities as well


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
    for name, remedy in _NOT_PASSED.items():
        if body.get(name) is not None:
            raise InvalidRequest(f"{name} is not supported; {remedy}")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("messages is no list with at least one message")
    user = attribution.user or _text(body.get("user"), "user")
    tool_choice = body.get("tool_choice")
    return ChatRequest(
        namespace=namespace,
        caller=caller,
        messages=tuple(
            _message(_object(one, f"messages[{n}]"), n) for n, one in enumerate(messages)
        ),
        tools=tuple(_tool(one, n) for n, one in enumerate(_list(body.get("tools"), "tools"))),
        tool_choice_json="" if tool_choice is None else _json(tool_choice),
        response_format=_format(body.get("response_format")),
        sampling=_sampling(body),
        reasoning=Reasoning(effort=_text(body.get("reasoning_effort"), "reasoning_effort")),
        attribution=Attribution(
            user=user,
            feature=attribution.feature,
            task=attribution.task,
            conversation=attribution.conversation,
        ),
        extra={
            name: _json(value)
            for name, value in body.items()
            if name not in _OWN | _CHANGE_NO_ANSWER and value is not None
        },
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
        name=_text(message.get("name"), f"{field}.name"),
        tool_calls=tuple(
            _tool_call(_object(call, f"{field}.tool_calls"), field)
            for call in _list(message.get("tool_calls"), f"{field}.tool_calls")
        ),
        tool_call_id=_text(message.get("tool_call_id"), f"{field}.tool_call_id"),
        extra_json=_further(message, _OF_MESSAGES),
    )


def _further(value: Mapping[str, Any], known: Collection[str]) -> str:
    """Return the fields that are not known, as JSON; those that say nothing are left out.

    Clients send answers back as they got them, with fields that are null or empty.
    """
    rest = {
        name: one
        for name, one in value.items()
        if name not in known and one is not None and one != [] and one != ""
    }
    return _json(rest) if rest else ""


def _parts(content: object, field: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Part(text=_text(content, f"{field}.content")),)
    parts = _list(content, f"{field}.content")
    return tuple(_part(_object(part, f"{field}.content"), field) for part in parts)


def _part(part: Mapping[str, Any], field: str) -> Part:
    kind = part.get("type")
    read = _content_part(kind, part, field)
    return replace(read, extra_json=_further(part, ("type", str(kind))))


def _content_part(kind: object, part: Mapping[str, Any], field: str) -> Part:
    if kind in ("text", "refusal"):
        return Part(text=_text(part.get(str(kind)), f"{field}.content"))
    if kind == "image_url":
        image = part.get("image_url")
        image = {"url": image} if isinstance(image, str) else _object(image, f"{field}.image_url")
        detail = _text(image.get("detail"), f"{field}.image_url.detail")
        return _media(_text(image.get("url"), f"{field}.image_url"), "image/*", "", detail)
    if kind == "input_audio":
        audio = _object(part.get("input_audio"), f"{field}.input_audio")
        form = _text(audio.get("format"), f"{field}.input_audio.format") or "wav"
        data = _bytes(_text(audio.get("data"), f"{field}.input_audio.data"), field)
        return Part(media_type=f"audio/{form}", data=data)
    if kind == "file":
        file = _object(part.get("file"), f"{field}.file")
        name = _text(file.get("filename") or file.get("file_id"), f"{field}.file")
        data_url = _text(file.get("file_data"), f"{field}.file.file_data")
        return _media(data_url, "application/octet-stream", name, "")
    raise InvalidRequest(f"{field}.content holds a part of type {kind!r}, which is not known")


def _media(url: str, media_type: str, name: str, detail: str) -> Part:
    """Return a non-text part: by value where the URL is a data URL, else by reference."""
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        media_type = head.removeprefix("data:").removesuffix(";base64") or media_type
        return Part(media_type=media_type, uri=name, data=_bytes(data, "a data URL"), detail=detail)
    return Part(media_type=media_type, uri=url or name, detail=detail)


def _bytes(data: str, field: str) -> bytes:
    try:
        return b64decode(data, validate=True)
    except (Base64Error, ValueError) as error:
        raise InvalidRequest(f"{field} holds data that is no base64 ({error})") from error


def _tool_call(call: Mapping[str, Any], field: str) -> ToolCall:
    if call.get("type", "function") != "function":
        raise InvalidRequest(
            f"{field}.tool_calls holds a call of type {call.get('type')!r}, expected 'function'"
        )
    function = _object(call.get("function"), f"{field}.tool_calls.function")
    arguments = function.get("arguments") or ""
    return ToolCall(
        id=_text(call.get("id"), f"{field}.tool_calls.id"),
        name=_text(function.get("name"), f"{field}.tool_calls.name"),
        arguments_json=(
            _text(arguments, f"{field}.tool_calls.arguments")
            if isinstance(arguments, str)
            else _json(arguments)
        ),
    )


def _tool(value: object, n: int) -> Tool:
    tool = _object(value, f"tools[{n}]")
    if tool.get("type", "function") != "function":
        raise InvalidRequest(f"tools[{n}].type is {tool.get('type')!r}, expected 'function'")
    function = _object(tool.get("function", tool), f"tools[{n}].function")
    name = _text(function.get("name"), f"tools[{n}].name")
    if not name:
        raise InvalidRequest(f"tools[{n}].name is empty; every tool needs a name")
    parameters, strict = function.get("parameters"), function.get("strict")
    return Tool(
        name=name,
        description=_text(function.get("description"), f"tools[{n}].description"),
        parameters_json="" if parameters is None else _json(parameters),
        is_strict=strict if isinstance(strict, bool) else None,
        extra_json=_further(tool, _OF_TOOLS) if "function" in tool else "",
    )


def _format(value: object) -> ResponseFormat:
    if value is None:
        return ResponseFormat()
    form = _object(value, "response_format")
    kind = form.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise InvalidRequest(f"response_format.type is {kind!r}, which is not known")
    schema = ""
    if kind == "json_schema":
        schema = _json(_object(form.get("json_schema"), "response_format.json_schema"))
    return ResponseFormat(kind=kind, schema_json=schema)


def _sampling(body: Mapping[str, Any]) -> Sampling:
    stop = body.get("stop")
    bias = body.get("logit_bias")
    most = body.get("max_completion_tokens")
    most = body.get("max_tokens") if most is None else most
    return Sampling(
        temperature=_number(body.get("temperature"), "temperature"),
        top_p=_number(body.get("top_p"), "top_p"),
        max_tokens=_count(most, "max_tokens"),
        stop=tuple(
            _text(one, "stop") for one in ([stop] if isinstance(stop, str) else _list(stop, "stop"))
        ),
        seed=_count(body.get("seed"), "seed"),
        n=_count(body.get("n"), "n"),
        presence_penalty=_number(body.get("presence_penalty"), "presence_penalty"),
        frequency_penalty=_number(body.get("frequency_penalty"), "frequency_penalty"),
        logprobs=_flag(body.get("logprobs"), "logprobs"),
        top_logprobs=_count(body.get("top_logprobs"), "top_logprobs"),
        logit_bias=tuple(
            sorted(
                (token, _number(value, "logit_bias") or 0.0)
                for token, value in _object(bias or {}, "logit_bias").items()
            )
        ),
    )


def _number(value: object, field: str) -> float | None:
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(cast(float, value)) <= _MOST:
        raise InvalidRequest(f"{field} is {repr(value)[:40]}, expected a number")
    return cast(float, value)


def _count(value: object, field: str) -> int | None:
    number = _number(value, field)
    if number is not None and number != int(number):
        raise InvalidRequest(f"{field} is {value!r}, expected a whole number")
    return None if number is None else int(number)


def _flag(value: object, field: str) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{field} is {value!r}, expected true or false")
    return value


def _text(value: object, field: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRequest(f"{field} is {type(value).__name__}, expected a string")
    if "\0" in value:
        raise InvalidRequest(f"{field} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{field} is no valid Unicode: {error.reason}") from error
    return value


def _list(value: object, field: str) -> Sequence[Any]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidRequest(f"{field} is {type(value).__name__}, expected a list")
    return value


def _object(value: object, field: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field} is {type(value).__name__}, expected an object")
    return value


def _json(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"a number is beyond what JSON holds ({error})") from error
