"""Wire messages to types and back. Reading validates; writing cannot fail."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Protocol

from router.errors import InvalidRequest
from router.types import (
    Answer,
    Attribution,
    CacheControl,
    ChatRequest,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Tool,
    ToolCall,
    Usage,
    Wishes,
)
from scrimp.v1 import chat_pb2 as pb

DEFAULT_NAMESPACE = "default"
_ROLES: Mapping[pb.Role.ValueType, Role] = {
    pb.ROLE_SYSTEM: Role.SYSTEM,
    pb.ROLE_DEVELOPER: Role.DEVELOPER,
    pb.ROLE_USER: Role.USER,
    pb.ROLE_ASSISTANT: Role.ASSISTANT,
    pb.ROLE_TOOL: Role.TOOL,
}
_FORMATS: Mapping[pb.ResponseFormat.Kind.ValueType, str] = {
    pb.ResponseFormat.KIND_UNSPECIFIED: "text",
    pb.ResponseFormat.KIND_TEXT: "text",
    pb.ResponseFormat.KIND_JSON_OBJECT: "json_object",
    pb.ResponseFormat.KIND_JSON_SCHEMA: "json_schema",
}
_NO_FORMAT = ResponseFormat()
_NO_SAMPLING = Sampling()
_NO_REASONING = Reasoning()
_NO_ATTRIBUTION = Attribution()
_NO_CONTROL = CacheControl()
_NO_WISHES = Wishes()


class Limits(Protocol):
    """The bounds that a request is held to; see the settings' ``[limits]``."""

    @property
    def max_prompt_bytes(self) -> int:
        """Texts, media and tools together."""

    @property
    def max_messages(self) -> int:
        """Turns of one request."""

    @property
    def max_tools(self) -> int:
        """Tools of one request."""

    @property
    def max_tags(self) -> int:
        """Tags of one request."""

    @property
    def max_field_chars(self) -> int:
        """Length of a name: namespace, user, tag, id."""


def read_request(
    wire: pb.ChatRequest, *, caller: str, limits: Limits, deadline_at: float | None = None
) -> ChatRequest:
    """Read and validate a request; ``deadline_at`` is when its caller stops waiting.

    Raises:
        InvalidRequest: says which field, what was seen, what is expected.
    """
    _check_size(wire, limits)
    # Walking an empty repeated field costs more than asking whether it is empty.
    return ChatRequest(
        namespace=read_name(wire.namespace, "namespace", limits) or DEFAULT_NAMESPACE,
        caller=caller,
        messages=tuple([_message(message, n) for n, message in enumerate(wire.messages)]),
        tools=tuple([_tool(tool, n) for n, tool in enumerate(wire.tools)]) if wire.tools else (),
        tool_choice_json=_json(wire.tool_choice_json, "tool_choice_json"),
        response_format=_format(wire) if wire.HasField("response_format") else _NO_FORMAT,
        sampling=_sampling(wire.sampling) if wire.HasField("sampling") else _NO_SAMPLING,
        reasoning=_reasoning(wire.reasoning) if wire.HasField("reasoning") else _NO_REASONING,
        attribution=(
            _attribution(wire.attribution, limits)
            if wire.HasField("attribution")
            else _NO_ATTRIBUTION
        ),
        cache_control=(
            _cache_control(wire.cache_control) if wire.HasField("cache_control") else _NO_CONTROL
        ),
        wishes=_wishes(wire.wishes, limits) if wire.HasField("wishes") else _NO_WISHES,
        tags=_names(wire.tags, "tags", limits) if wire.tags else (),
        extra=_extra(wire.extra_json, limits) if wire.extra_json else {},
        request_id=read_name(wire.request_id, "request_id", limits),
        deadline_at=deadline_at,
    )


def read_name(value: str, field: str, limits: Limits) -> str:
    """Check a name: short, and without control characters.

    Raises:
        InvalidRequest: it is not.
    """
    if not value:
        return value
    if len(value) > limits.max_field_chars:
        raise InvalidRequest(
            f"{field} is a name of at most {limits.max_field_chars} characters, got {len(value)}"
        )
    if not value.isprintable():
        raise InvalidRequest(f"{field} holds control characters: {value[:40]!r}; remove them")
    return value


def _names(values: Iterable[str], field: str, limits: Limits) -> tuple[str, ...]:
    return tuple([read_name(value, f"{field}[{n}]", limits) for n, value in enumerate(values)])


def _check_size(wire: pb.ChatRequest, limits: Limits) -> None:
    if not wire.messages:
        raise InvalidRequest("messages is empty; send at least the user's message")
    _check_count("messages", wire.messages, limits.max_messages)
    _check_count("tools", wire.tools, limits.max_tools)
    _check_count("tags", wire.tags, limits.max_tags)
    _check_count("extra_json", wire.extra_json, 64)
    if wire.HasField("wishes"):
        _check_count("wishes.allowed_models", wire.wishes.allowed_models, 256)
    if wire.HasField("sampling"):
        _check_count("sampling.stop", wire.sampling.stop, 64)
        _check_count("sampling.logit_bias", wire.sampling.logit_bias, 4096)
    size = wire.ByteSize()
    if size > limits.max_prompt_bytes:
        raise InvalidRequest(
            f"the request is {size} bytes, at most {limits.max_prompt_bytes} are taken; shorten "
            f"it, or raise limits.max_prompt_bytes"
        )


def _check_count(field: str, items: Sized, most: int) -> None:
    if len(items) > most:
        raise InvalidRequest(f"{field} holds {len(items)} items, at most {most} are taken")


def _text(value: str, field: str, *at: int) -> str:
    """Return a text without NUL; ``field`` has a {} for each position, filled in when it is told.

    Raises:
        InvalidRequest: it holds one.
    """
    if "\0" in value:
        where = field.format(*at) if at else field  # a caller's own name may hold braces
        raise InvalidRequest(f"{where} holds a NUL character at {value.index(chr(0))}; remove it")
    return value


def _json(value: str, field: str) -> str:
    if value:
        try:
            json.loads(_text(value, field), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise InvalidRequest(f"{field} is not JSON ({error}): {value[:60]!r}") from error
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _message(wire: pb.Message, n: int) -> Message:
    role = _ROLES.get(wire.role)
    if role is None:
        raise InvalidRequest(
            f"messages[{n}].role is {wire.role}, which is none of "
            f"{', '.join(pb.Role.Name(known) for known in _ROLES)}"
        )
    return Message(
        role=role,
        parts=tuple([_part(part, n, k) for k, part in enumerate(wire.parts)]),
        name=_text(wire.name, "messages[{}].name", n),
        tool_calls=_tool_calls(wire.tool_calls, "messages[{}].tool_calls", n),
        tool_call_id=_text(wire.tool_call_id, "messages[{}].tool_call_id", n),
    )


def _tool_calls(wire: Sequence[pb.ToolCall], field: str, *at: int) -> tuple[ToolCall, ...]:
    return tuple([_tool_call(call, field, *at) for call in wire]) if wire else ()


def _tool_call(wire: pb.ToolCall, field: str, *at: int) -> ToolCall:
    return ToolCall(
        id=_text(wire.id, field, *at),
        name=_text(wire.name, field, *at),
        arguments_json=_text(wire.arguments_json, field, *at),
    )


def _part(wire: pb.Part, n: int, k: int) -> Part:
    kind = wire.WhichOneof("content")
    if kind == "text":
        text = _text(wire.text, "messages[{}].parts[{}].text", n, k)
        return Part(text=text, is_context=wire.context)
    field = f"messages[{n}].parts[{k}]"
    if kind is None:
        raise InvalidRequest(f"{field} is empty; set text or media")
    media = wire.media
    if "/" not in media.media_type:
        raise InvalidRequest(
            f"{field}.media.media_type is {media.media_type!r}, expected an IANA media type such "
            f"as 'image/png'"
        )
    if not media.uri and not media.data:
        raise InvalidRequest(f"{field}.media has no source; set uri or data")
    return Part(
        media_type=_text(media.media_type, field),
        uri=_text(media.uri, field),
        data=media.data,
        detail=_text(media.detail, field),
        is_context=wire.context,
    )


def _tool(wire: pb.Tool, n: int) -> Tool:
    if not wire.name:
        raise InvalidRequest(f"tools[{n}].name is empty; every tool needs a name")
    return Tool(
        name=_text(wire.name, f"tools[{n}].name"),
        description=_text(wire.description, f"tools[{n}].description"),
        parameters_json=_json(wire.parameters_json, f"tools[{n}].parameters_json"),
        is_strict=wire.strict if wire.HasField("strict") else None,
    )


def _format(wire: pb.ChatRequest) -> ResponseFormat:
    form = wire.response_format
    kind = _FORMATS.get(form.kind)
    if kind is None:
        raise InvalidRequest(
            f"response_format.kind is {form.kind}, which is none of "
            f"{', '.join(pb.ResponseFormat.Kind.Name(known) for known in _FORMATS)}"
        )
    schema = _json(form.schema_json, "response_format.schema_json")
    if kind == "json_schema" and not schema:
        raise InvalidRequest("response_format.schema_json is empty; KIND_JSON_SCHEMA needs it")
    return ResponseFormat(kind=kind, schema_json=schema)


def _between(value: float, field: str, least: float, most: float) -> float:
    if math.isnan(value) or not least <= value <= most:
        raise InvalidRequest(f"{field} is a number in [{least:g}, {most:g}], got {value:g}")
    return value


def _sampling(wire: pb.Sampling) -> Sampling:
    present = {descriptor.name for descriptor, _ in wire.ListFields()}

    def number(field: str, least: float, most: float) -> float | None:
        if field not in present:
            return None
        return _between(getattr(wire, field), f"sampling.{field}", least, most)

    def count(field: str, least: int, most: int) -> int | None:
        value = number(field, least, most)
        return None if value is None else int(value)

    return Sampling(
        temperature=number("temperature", 0, 2),
        top_p=number("top_p", 0, 1),
        max_tokens=count("max_tokens", 1, 10_000_000),
        stop=tuple([_text(stop, "sampling.stop") for stop in wire.stop]),
        seed=wire.seed if "seed" in present else None,
        n=count("n", 1, 128),
        presence_penalty=number("presence_penalty", -2, 2),
        frequency_penalty=number("frequency_penalty", -2, 2),
        logprobs=wire.logprobs if "logprobs" in present else None,
        top_logprobs=count("top_logprobs", 0, 128),
        logit_bias=tuple(
            sorted(
                (
                    _text(token, "sampling.logit_bias"),
                    _between(bias, "sampling.logit_bias", -100, 100),
                )
                for token, bias in wire.logit_bias.items()
            )
        ),
    )


def _reasoning(wire: pb.Reasoning) -> Reasoning:
    return Reasoning(
        effort=_text(wire.effort, "reasoning.effort"),
        budget_tokens=wire.budget_tokens if wire.HasField("budget_tokens") else None,
    )


def _attribution(wire: pb.Attribution, limits: Limits) -> Attribution:
    return Attribution(
        user=read_name(wire.user, "attribution.user", limits),
        feature=read_name(wire.feature, "attribution.feature", limits),
        task=read_name(wire.task, "attribution.task", limits),
        conversation=read_name(wire.conversation, "attribution.conversation", limits),
    )


def _cache_control(wire: pb.CacheControl) -> CacheControl:
    max_age_s = None
    if wire.HasField("max_age_s"):
        max_age_s = wire.max_age_s
        if not (math.isfinite(max_age_s) and max_age_s >= 0):
            raise InvalidRequest(
                f"cache_control.max_age_s is a number of seconds >= 0, got {max_age_s:g}"
            )
    return CacheControl(is_bypass=wire.bypass, is_no_store=wire.no_store, max_age_s=max_age_s)


def _wishes(wire: pb.Wishes, limits: Limits) -> Wishes:
    target = None
    if wire.HasField("quality_target"):
        target = wire.quality_target
        if not 0 < target <= 1:
            raise InvalidRequest(f"wishes.quality_target is a share in (0, 1], got {target:g}")
    return Wishes(
        pinned_model=read_name(wire.pinned_model, "wishes.pinned_model", limits),
        allowed_models=_names(wire.allowed_models, "wishes.allowed_models", limits),
        quality_target=target,
    )


def _extra(wire: Mapping[str, str], limits: Limits) -> dict[str, str]:
    return {
        read_name(name, "extra_json", limits): _json(value, f"extra_json[{name!r}]")
        for name, value in wire.items()
    }


def read_answer(wire: pb.Answer) -> Answer:
    """Read an answer that an app hands back.

    Raises:
        InvalidRequest: a text holds NUL, or a JSON field is none.
    """
    return Answer(
        text=_text(wire.text, "answer.text"),
        finish_reason=_text(wire.finish_reason, "answer.finish_reason") or "stop",
        tool_calls=_tool_calls(wire.tool_calls, "answer.tool_calls"),
        refusal=_text(wire.refusal, "answer.refusal"),
        extra_choices_json=_json(wire.extra_choices_json, "answer.extra_choices_json"),
        logprobs_json=_json(wire.logprobs_json, "answer.logprobs_json"),
    )


def read_usage(wire: pb.Usage) -> Usage:
    """Read a usage that an app hands back.

    Raises:
        InvalidRequest: parts exceed the whole, or a count is beyond all sense.
    """
    cached = wire.cache_read_tokens + wire.cache_write_tokens
    if cached > wire.input_tokens:
        raise InvalidRequest(
            f"usage.input_tokens counts all input, cached input included: got "
            f"{wire.input_tokens}, of which {cached} cached"
        )
    if max(wire.input_tokens, wire.output_tokens) > 1_000_000_000:
        raise InvalidRequest(
            f"usage counts tokens of one call, got {wire.input_tokens} and {wire.output_tokens}"
        )
    return Usage(
        input_tokens=wire.input_tokens,
        output_tokens=wire.output_tokens,
        cache_read_tokens=wire.cache_read_tokens,
        cache_write_tokens=wire.cache_write_tokens,
    )


def write_answer(wire: pb.Answer, answer: Answer) -> None:
    """Write an answer."""
    wire.text = answer.text
    wire.finish_reason = answer.finish_reason
    if answer.tool_calls:
        wire.tool_calls.extend(write_tool_calls(answer.tool_calls))
    wire.refusal = answer.refusal
    wire.extra_choices_json = answer.extra_choices_json
    wire.logprobs_json = answer.logprobs_json
    wire.SetInParent()


def write_tool_calls(calls: Iterable[ToolCall]) -> list[pb.ToolCall]:
    """Write tool calls."""
    return [
        pb.ToolCall(id=call.id, name=call.name, arguments_json=call.arguments_json)
        for call in calls
    ]


def write_usage(wire: pb.Usage, usage: Usage) -> None:
    """Write a usage."""
    wire.input_tokens = usage.input_tokens
    wire.output_tokens = usage.output_tokens
    wire.cache_read_tokens = usage.cache_read_tokens
    wire.cache_write_tokens = usage.cache_write_tokens
    wire.SetInParent()
