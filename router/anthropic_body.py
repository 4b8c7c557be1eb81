"""A body of Anthropic's messages becomes a ``ChatRequest``.

Fields that we do not know are kept as they are, as ``openai_body`` does; what chat completions
have no words for (thoughts, citations, titles, thinking, effort) stands apart, under ``ANTHROPIC``.
Marks for prompt caching (``cache_control``) change no answer and are left out: what is worth
marking is for the provider's adapter to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

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
    ANTHROPIC,
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

Body = Mapping[str, Any]

_OWN: Final = frozenset(
    {"model", "messages", "system", "max_tokens", "temperature", "top_p", "stop_sequences"}
    | {"tools", "tool_choice", "thinking", "output_config", "stream", "metadata", "cache_control"}
    | {"service_tier"}
)
_ROLES: Final = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM}
_CHOICES: Final = {"auto": '"auto"', "any": '"required"', "none": '"none"'}
_THOUGHTS: Final = ("thinking", "redacted_thinking")
_OF_SOURCES: Final = {
    "text": ("type", "media_type", "data"),
    "base64": ("type", "media_type", "data"),
    "url": ("type", "media_type", "url"),
}
_OF_CHOICES: Final = ("type", "name", "disable_parallel_tool_use")
_ALONE: Final = ("thinking", "output_config", "service_tier")
"""Fields of the body that go to Anthropic as they came, beside what we read of them."""


def read_body(body: Body, *, namespace: str, caller: str, attribution: Attribution) -> ChatRequest:
    """Read a request body.

    Args:
        body: as it was posted.
        namespace: of the request.
        caller: of the request.
        attribution: whom it is accounted to; ``metadata.user_id`` fills in for a missing user.

    Raises:
        InvalidRequest: it is no request for a message; says which field.
    """
    if body.get("max_tokens") is None:
        raise InvalidRequest("max_tokens is missing, expected the most tokens to answer with")
    turns = items(body.get("messages"), "messages")
    if not turns:
        raise InvalidRequest("messages is empty; send at least the user's message")
    return ChatRequest(
        namespace=namespace,
        caller=caller,
        messages=(
            *_system(body.get("system")),
            *(one for n, turn in enumerate(turns) for one in _turn(turn, f"messages[{n}]")),
        ),
        tools=tuple(
            _tool(one, f"tools[{n}]") for n, one in enumerate(items(body.get("tools"), "tools"))
        ),
        tool_choice_json=_tool_choice(body.get("tool_choice")),
        response_format=_format(body),
        sampling=_sampling(body),
        reasoning=_reasoning(body),
        attribution=_attribution(body, attribution),
        extra=_extra(body),
        wire=ANTHROPIC,
    )


def _system(value: object) -> Iterator[Message]:
    parts = _parts(value, "system")
    if parts:
        yield Message(role=Role.SYSTEM, parts=parts)


def _turn(value: object, field: str) -> Iterator[Message]:
    """Yield a turn: the results of tools each by itself, for so the other APIs have them."""
    turn = mapping(value, field)
    role = _ROLES.get(str(turn.get("role")))
    if role is None:
        raise InvalidRequest(
            f"{field}.role is {turn.get('role')!r}, which is none of user, assistant"
        )
    content, field = turn.get("content"), f"{field}.content"
    own = unknown(turn, ("role", "content"))
    if isinstance(content, str):
        said = Message(role=role, parts=_parts(content, field), extra_json=_own(_of_turn(own)))
        yield said
        return
    blocks = [mapping(one, f"{field}[{n}]") for n, one in enumerate(items(content, field))]
    rest = [block for block in blocks if block.get("type") != "tool_result"]
    n_results = len(blocks) - len(rest)
    for n, block in enumerate(blocks):
        if block.get("type") == "tool_result":
            n_results -= 1
            is_end = n_results == 0 and not rest
            yield _result(block, f"{field}[{n}]", own if is_end else {})
    if rest or not blocks:
        yield _spoken(role, rest, own, field)


def _spoken(role: Role, blocks: list[Mapping[str, Any]], own: Body, field: str) -> Message:
    """Return a turn without its tools' results."""
    said = [one for one in blocks if one.get("type") not in ("tool_use", *_THOUGHTS)]
    thoughts = [one for one in blocks if one.get("type") in _THOUGHTS]
    order = [_place(one) for one in blocks]
    further_fields: dict[str, Any] = _of_turn(own)
    if thoughts:
        further_fields["thinking_blocks"] = thoughts
    if order != sorted(order):
        further_fields["order"] = order
    return Message(
        role=role,
        parts=tuple(_part(block, field) for block in said),
        tool_calls=tuple(
            _call(block, field) for block in blocks if block.get("type") == "tool_use"
        ),
        extra_json=_own(further_fields),
    )


def _of_turn(own: Body) -> dict[str, Any]:
    return {"turn": own} if own else {}


def _place(block: Body) -> int:
    """Return where a block stands by our order: thoughts, then what is said, then calls."""
    kind = block.get("type")
    return 0 if kind in _THOUGHTS else 2 if kind == "tool_use" else 1


def _call(block: Body, field: str) -> ToolCall:
    return ToolCall(
        id=text(block.get("id"), f"{field}.id"),
        name=text(block.get("name"), f"{field}.name"),
        arguments_json=as_json(block.get("input") or {}),
        extra_json=_further(block, ("type", "id", "name", "input")),
    )


def _result(block: Mapping[str, Any], field: str, of_turn: Body) -> Message:
    parts = _parts(block.get("content"), f"{field}.content")
    if block.get("is_error") and not parts:
        parts = (Part(text="The tool failed."),)
    own = unknown(block, ("type", "tool_use_id", "content", "is_error", "cache_control"))
    if block.get("is_error") is True:
        own["is_error"] = True
    return Message(
        role=Role.TOOL,
        parts=parts,
        tool_call_id=text(block.get("tool_use_id"), f"{field}.tool_use_id"),
        extra_json=_own(own | _of_turn(of_turn)),
    )


def _parts(value: object, field: str) -> tuple[Part, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (Part(text=text(value, field)),)
    return tuple(_part(mapping(one, field), field) for one in items(value, field))


def _part(block: Mapping[str, Any], field: str) -> Part:
    kind = block.get("type")
    if kind == "text":
        rest = _further(block, ("type", "text"))
        return Part(text=text(block.get("text"), f"{field}.text"), extra_json=rest)
    if kind in ("image", "document"):
        return _source(block, str(kind), field)
    raise InvalidRequest(f"{field} holds a block of type {kind!r}, which is not known")


def _source(block: Mapping[str, Any], kind: str, field: str) -> Part:
    """Return an image or a document; one of plain text is context, which must match exactly."""
    source = mapping(block.get("source"), f"{field}.source")
    form = source.get("type")
    usual = "image/*" if kind == "image" else "application/pdf"
    media_type = text(source.get("media_type"), f"{field}.source.media_type") or usual
    data = text(source.get("data"), f"{field}.source.data")
    within = unknown(source, _OF_SOURCES.get(str(form), ()))
    rest = _further(block, ("type", "source"), {"source": within})
    if form == "text":
        return Part(text=data, is_context=True, extra_json=rest)
    if form == "base64":
        raw = from_base64(data, f"{field}.source.data")
        return Part(media_type=media_type, data=raw, extra_json=rest)
    if form == "url":
        uri = text(source.get("url"), f"{field}.source.url")
        return Part(media_type=media_type, uri=uri, extra_json=rest)
    raise InvalidRequest(f"{field}.source.type is {form!r}, which is none of base64, url, text")


def _tool(value: object, field: str) -> Tool:
    tool = mapping(value, field)
    if tool.get("type", "custom") not in ("custom", None):
        raise InvalidRequest(
            f"{field}.type is {tool.get('type')!r}; tools that run at Anthropic are not supported"
        )
    name = text(tool.get("name"), f"{field}.name")
    if not name:
        raise InvalidRequest(f"{field}.name is empty; every tool needs a name")
    schema = tool.get("input_schema")
    return Tool(
        name=name,
        description=text(tool.get("description"), f"{field}.description"),
        parameters_json="" if schema is None else as_json(schema),
        is_strict=flag(tool.get("strict"), f"{field}.strict"),
        extra_json=_further(tool, ("type", "name", "description", "input_schema")),
    )


def _further(
    value: Body, known: Collection[str], within: Mapping[str, dict[str, Any]] | None = None
) -> str:
    """Return the fields that are not known, as Anthropic's own words."""
    rest = further(value, (*known, "cache_control"), within or {})
    return f'{{"{ANTHROPIC}": {rest}}}' if rest else ""


def _own(fields: Body) -> str:
    return as_json({ANTHROPIC: fields}) if fields else ""


def _tool_choice(value: object) -> str:
    if value is None:
        return ""
    choice = mapping(value, "tool_choice")
    kind = str(choice.get("type"))
    if kind == "tool":
        name = text(choice.get("name"), "tool_choice.name")
        return as_json({"type": "function", "function": {"name": name}})
    if kind not in _CHOICES:
        raise InvalidRequest(
            f"tool_choice.type is {kind!r}, which is none of auto, any, tool, none"
        )
    return _CHOICES[kind]


def _format(body: Body) -> ResponseFormat:
    form = _output(body).get("format")
    if form is None:
        return ResponseFormat()
    form = mapping(form, "output_config.format")
    if form.get("type") != "json_schema":
        raise InvalidRequest(
            f"output_config.format.type is {form.get('type')!r}, expected json_schema"
        )
    schema = {"name": "answer", "schema": form.get("schema"), "strict": True}
    return ResponseFormat(kind="json_schema", schema_json=as_json(schema))


def _output(body: Body) -> Mapping[str, Any]:
    config = body.get("output_config")
    return {} if config is None else mapping(config, "output_config")


def _sampling(body: Body) -> Sampling:
    stops = items(body.get("stop_sequences"), "stop_sequences")
    return Sampling(
        temperature=number(body.get("temperature"), "temperature"),
        top_p=number(body.get("top_p"), "top_p"),
        max_tokens=count(body.get("max_tokens"), "max_tokens"),
        stop=tuple(text(one, "stop_sequences") for one in stops),
    )


def _reasoning(body: Body) -> Reasoning:
    effort = text(_output(body).get("effort"), "output_config.effort")
    thinking = body.get("thinking")
    budget = None
    if thinking is not None:
        budget = count(mapping(thinking, "thinking").get("budget_tokens"), "thinking.budget_tokens")
    return Reasoning(effort=effort, budget_tokens=budget)


def _attribution(body: Body, said: Attribution) -> Attribution:
    metadata = body.get("metadata")
    user = "" if metadata is None else mapping(metadata, "metadata").get("user_id")
    return Attribution(
        user=said.user or text(user, "metadata.user_id"),
        feature=said.feature,
        task=said.task,
        conversation=said.conversation,
    )


def _extra(body: Body) -> dict[str, str]:
    extra = {
        name: as_json(value)
        for name, value in body.items()
        if name not in _OWN and value is not None
    }
    alone = {name: body[name] for name in _ALONE if body.get(name) is not None}
    of_choice = unknown(body.get("tool_choice") or {}, _OF_CHOICES)
    if of_choice:
        alone["tool_choice"] = of_choice
    if alone:
        extra[ANTHROPIC] = as_json(alone)
    if (body.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        extra["parallel_tool_calls"] = "false"
    return extra
