"""A body of OpenAI's responses becomes the body of the chat completion that asks the same.

The chat's own reader then reads it, so both are held to the same rules. scrimp keeps no
conversations: what would need one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from router.errors import InvalidRequest
from router.json_fields import items, mapping, text

Body = Mapping[str, Any]

_CHANGE_NO_ANSWER: Final = frozenset(
    {"store", "include", "truncation", "stream_options", "max_tool_calls", "background"}
)
_TRANSLATED: Final = frozenset(
    {"input", "instructions", "max_output_tokens", "tools", "tool_choice", "text", "reasoning"}
)
_NOT_KEPT: Final[Mapping[str, str]] = {
    "previous_response_id": "send the earlier turns in input",
    "conversation": "send the earlier turns in input",
    "prompt": "send the prompt itself in input",
}


def chat_body(body: Body) -> dict[str, Any]:
    """Return the body of the chat completion that asks the same.

    Raises:
        InvalidRequest: there is none; says which field.
    """
    for name, remedy in _NOT_KEPT.items():
        if body.get(name) is not None:
            raise InvalidRequest(f"{name} is not supported, as nothing is kept here; {remedy}")
    if body.get("background"):
        raise InvalidRequest("background is not supported; leave it out, or stream")
    tools, choice = items(body.get("tools"), "tools"), body.get("tool_choice")
    own = {
        "messages": _messages(body),
        "max_completion_tokens": body.get("max_output_tokens"),
        "tools": [_tool(one, f"tools[{n}]") for n, one in enumerate(tools)] or None,
        "tool_choice": _tool_choice(choice) if isinstance(choice, dict) else choice,
        **_text_settings(body),
        **_reasoning(body),
    }
    included = items(body.get("include"), "include")
    if "message.output_text.logprobs" in included or body.get("top_logprobs") is not None:
        own["logprobs"] = True
    known = _CHANGE_NO_ANSWER | _TRANSLATED
    passed = {name: value for name, value in body.items() if name not in known}
    return passed | {name: value for name, value in own.items() if value is not None}


def _messages(body: Body) -> list[dict[str, Any]]:
    chat: list[dict[str, Any]] = []
    instructions = text(body.get("instructions"), "instructions")
    if instructions:
        chat.append({"role": "system", "content": instructions})
    given = body.get("input")
    if isinstance(given, str):
        return [*chat, {"role": "user", "content": given}]
    turns = items(given, "input")
    if not turns:
        raise InvalidRequest("input is empty; send at least the user's message")
    for n, turn in enumerate(turns):
        _add(chat, mapping(turn, f"input[{n}]"), f"input[{n}]")
    return chat


def _add(chat: list[dict[str, Any]], item: Mapping[str, Any], field: str) -> None:
    """Add an item; calls of one turn go together, as a chat has them."""
    kind = item.get("type") or "message"
    if kind == "message":
        content = item.get("content")
        if not isinstance(content, str):
            content = _content(items(content, f"{field}.content"), field)
        chat.append({"role": item.get("role"), "content": content})
    elif kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        if not chat or chat[-1]["role"] != "assistant":
            chat.append({"role": "assistant", "content": None})
        chat[-1].setdefault("tool_calls", []).append(call)
    elif kind == "function_call_output":
        output = item.get("output")
        if not isinstance(output, str):
            output = _content(items(output, f"{field}.output"), field)
        chat.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
    elif kind != "reasoning":  # which is for whoever thought it, and that is not kept here
        raise InvalidRequest(f"{field}.type is {kind!r}, which is not supported")


def _content(parts: Iterable[Any], field: str) -> list[dict[str, Any]]:
    return [_part(mapping(part, f"{field}.content"), f"{field}.content") for part in parts]


def _part(part: Mapping[str, Any], field: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part.get("refusal")}
    if kind == "input_image":
        image = {"url": part.get("image_url"), "detail": part.get("detail")}
        if not image["url"]:
            raise InvalidRequest(
                f"{field} holds an image without image_url; files are not kept here"
            )
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        names = ("file_data", "filename", "file_id")
        return {"type": "file", "file": {name: part.get(name) for name in names}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part.get("input_audio")}
    raise InvalidRequest(f"{field} holds a part of type {kind!r}, which is not known")


def _tool(value: object, field: str) -> dict[str, Any]:
    tool = mapping(value, field)
    if tool.get("type") != "function":
        raise InvalidRequest(
            f"{field}.type is {tool.get('type')!r}; only functions of the app's own are supported"
        )
    return {
        "type": "function",
        "function": {name: one for name, one in tool.items() if name != "type"},
    }


def _tool_choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    if choice.get("type") != "function":
        raise InvalidRequest(f"tool_choice.type is {choice.get('type')!r}, expected 'function'")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _text_settings(body: Body) -> dict[str, Any]:
    if body.get("text") is None:
        return {}
    settings = mapping(body["text"], "text")
    form = settings.get("format")
    if form is not None:
        form = dict(mapping(form, "text.format"))
        if form.get("type") == "json_schema":
            schema = {name: one for name, one in form.items() if name != "type"}
            form = {"type": "json_schema", "json_schema": schema}
    return {"response_format": form, "verbosity": settings.get("verbosity")}


def _reasoning(body: Body) -> dict[str, Any]:
    if body.get("reasoning") is None:
        return {}
    return {"reasoning_effort": mapping(body["reasoning"], "reasoning").get("effort")}
