"""Wire messages to types and back. Reading validates; writing cannot fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from router.errors import InvalidRequest
from router.faces.bounds import (
    MAX_ALLOWED_MODELS,
    MAX_BIASES,
    MAX_EXTRA,
    MAX_STOPS,
    RANGES,
    Limits,
    between,
    check_count,
    check_pieces,
    check_size,
    json_object,
    json_text,
    read_name,
    read_names,
    seconds,
    target,
    without_nul,
)
from router.faces.keys import Access
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


def read_request(
    wire: pb.ChatRequest,
    *,
    caller: str,
    access: Access,
    limits: Limits,
    deadline_at: float | None = None,
) -> ChatRequest:
    """Read and validate a request; ``deadline_at`` is when its caller stops waiting.

    Raises:
        NotPermitted: its caller does not speak for its namespace, or its user.
        InvalidRequest: says which field, what was seen, what is expected.
    """
    _check_size(wire, limits)
    # Walking an empty repeated field costs more than asking whether it is empty.
    return ChatRequest(
        namespace=access.asks_for(read_name(wire.namespace, "namespace", limits)),
        caller=caller,
        messages=tuple([_message(message, n) for n, message in enumerate(wire.messages)]),
        tools=tuple([_tool(tool, n) for n, tool in enumerate(wire.tools)]) if wire.tools else (),
        tool_choice_json=json_text(wire.tool_choice_json, "tool_choice_json"),
        response_format=_format(wire) if wire.HasField("response_format") else _NO_FORMAT,
        sampling=_sampling(wire.sampling) if wire.HasField("sampling") else _NO_SAMPLING,
        reasoning=_reasoning(wire.reasoning) if wire.HasField("reasoning") else _NO_REASONING,
        attribution=(
            _attribution(wire.attribution, limits, access)
            if wire.HasField("attribution") or access.user("")
            else _NO_ATTRIBUTION
        ),
        cache_control=(
            _cache_control(wire.cache_control) if wire.HasField("cache_control") else _NO_CONTROL
        ),
        wishes=_wishes(wire.wishes, limits) if wire.HasField("wishes") else _NO_WISHES,
        tags=read_names(wire.tags, "tags", limits) if wire.tags else (),
        extra=_extra(wire.extra_json, limits) if wire.extra_json else {},
        request_id=read_name(wire.request_id, "request_id", limits),
        deadline_at=deadline_at,
    )


def _check_size(wire: pb.ChatRequest, limits: Limits) -> None:
    if not wire.messages:
        raise InvalidRequest("messages is empty; send at least the user's message")
    check_count("messages", wire.messages, limits.max_messages)
    check_pieces(sum(len(one.parts) + len(one.tool_calls) for one in wire.messages))
    check_count("tools", wire.tools, limits.max_tools)
    check_count("tags", wire.tags, limits.max_tags)
    check_count("extra_json", wire.extra_json, MAX_EXTRA)
    if wire.HasField("wishes"):
        check_count("wishes.allowed_models", wire.wishes.allowed_models, MAX_ALLOWED_MODELS)
    if wire.HasField("sampling"):
        check_count("sampling.stop", wire.sampling.stop, MAX_STOPS)
        check_count("sampling.logit_bias", wire.sampling.logit_bias, MAX_BIASES)
    check_size(wire.ByteSize(), limits)


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
        name=without_nul(wire.name, "messages[{}].name", n),
        tool_calls=_tool_calls(wire.tool_calls, "messages[{}].tool_calls", n),
        tool_call_id=without_nul(wire.tool_call_id, "messages[{}].tool_call_id", n),
        extra_json=_further(wire, "messages[{}].extra_json", n),
    )


def _tool_calls(wire: Sequence[pb.ToolCall], field: str, *at: int) -> tuple[ToolCall, ...]:
    return tuple([_tool_call(call, field, *at) for call in wire]) if wire else ()


def _tool_call(wire: pb.ToolCall, field: str, *at: int) -> ToolCall:
    return ToolCall(
        id=without_nul(wire.id, field, *at),
        name=without_nul(wire.name, field, *at),
        arguments_json=without_nul(wire.arguments_json, field, *at),
        extra_json=_further(wire, field, *at),
    )


def _further(wire: pb.Message | pb.Part | pb.Tool | pb.ToolCall, field: str, *at: int) -> str:
    return json_object(wire.extra_json, field.format(*at)) if wire.extra_json else ""


def _part(wire: pb.Part, n: int, k: int) -> Part:
    kind = wire.WhichOneof("content")
    if kind == "text":
        text = without_nul(wire.text, "messages[{}].parts[{}].text", n, k)
        further = _further(wire, "messages[{}].parts[{}].extra_json", n, k)
        return Part(text=text, is_context=wire.context, extra_json=further)
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
        media_type=without_nul(media.media_type, field),
        uri=without_nul(media.uri, field),
        data=media.data,
        detail=without_nul(media.detail, field),
        is_context=wire.context,
        extra_json=_further(wire, f"{field}.extra_json"),
    )


def _tool(wire: pb.Tool, n: int) -> Tool:
    if not wire.name:
        raise InvalidRequest(f"tools[{n}].name is empty; every tool needs a name")
    return Tool(
        name=without_nul(wire.name, f"tools[{n}].name"),
        description=without_nul(wire.description, f"tools[{n}].description"),
        parameters_json=json_text(wire.parameters_json, f"tools[{n}].parameters_json"),
        is_strict=wire.strict if wire.HasField("strict") else None,
        extra_json=_further(wire, f"tools[{n}].extra_json"),
    )


def _format(wire: pb.ChatRequest) -> ResponseFormat:
    form = wire.response_format
    kind = _FORMATS.get(form.kind)
    if kind is None:
        raise InvalidRequest(
            f"response_format.kind is {form.kind}, which is none of "
            f"{', '.join(pb.ResponseFormat.Kind.Name(known) for known in _FORMATS)}"
        )
    schema = json_text(form.schema_json, "response_format.schema_json")
    if kind == "json_schema" and not schema:
        raise InvalidRequest("response_format.schema_json is empty; KIND_JSON_SCHEMA needs it")
    return ResponseFormat(kind=kind, schema_json=schema)


def _sampling(wire: pb.Sampling) -> Sampling:
    present = {descriptor.name for descriptor, _ in wire.ListFields()}

    def number(field: str) -> float | None:
        if field not in present:
            return None
        return between(getattr(wire, field), f"sampling.{field}", *RANGES[field])

    def count(field: str) -> int | None:
        value = number(field)
        return None if value is None else int(value)

    return Sampling(
        temperature=number("temperature"),
        top_p=number("top_p"),
        max_tokens=count("max_tokens"),
        stop=tuple([without_nul(stop, "sampling.stop") for stop in wire.stop]),
        seed=wire.seed if "seed" in present else None,
        n=count("n"),
        presence_penalty=number("presence_penalty"),
        frequency_penalty=number("frequency_penalty"),
        logprobs=wire.logprobs if "logprobs" in present else None,
        top_logprobs=count("top_logprobs"),
        logit_bias=tuple(
            sorted(
                (
                    without_nul(token, "sampling.logit_bias"),
                    between(bias, "sampling.logit_bias", *RANGES["logit_bias"]),
                )
                for token, bias in wire.logit_bias.items()
            )
        ),
    )


def _reasoning(wire: pb.Reasoning) -> Reasoning:
    return Reasoning(
        effort=without_nul(wire.effort, "reasoning.effort"),
        budget_tokens=wire.budget_tokens if wire.HasField("budget_tokens") else None,
    )


def _attribution(wire: pb.Attribution, limits: Limits, access: Access) -> Attribution:
    return Attribution(
        user=access.user(read_name(wire.user, "attribution.user", limits)),
        feature=read_name(wire.feature, "attribution.feature", limits),
        task=read_name(wire.task, "attribution.task", limits),
        conversation=read_name(wire.conversation, "attribution.conversation", limits),
    )


def _cache_control(wire: pb.CacheControl) -> CacheControl:
    max_age_s = None
    if wire.HasField("max_age_s"):
        max_age_s = seconds(wire.max_age_s, "cache_control.max_age_s")
    return CacheControl(is_bypass=wire.bypass, is_no_store=wire.no_store, max_age_s=max_age_s)


def _wishes(wire: pb.Wishes, limits: Limits) -> Wishes:
    wanted = None
    if wire.HasField("quality_target"):
        wanted = target(wire.quality_target, "wishes.quality_target")
    most_nanos = None
    if wire.HasField("max_cost_usd_nanos"):
        most_nanos = wire.max_cost_usd_nanos
        if most_nanos < 0:
            raise InvalidRequest(
                f"wishes.max_cost_usd_nanos is a number of nano-dollars >= 0, got {most_nanos}"
            )
    return Wishes(
        pinned_model=read_name(wire.pinned_model, "wishes.pinned_model", limits),
        allowed_models=read_names(wire.allowed_models, "wishes.allowed_models", limits),
        quality_target=wanted,
        max_cost_nanos=most_nanos,
        baseline_model=read_name(wire.baseline_model, "wishes.baseline_model", limits),
    )


def _extra(wire: Mapping[str, str], limits: Limits) -> dict[str, str]:
    for name, value in wire.items():
        if not value:
            raise InvalidRequest(f"extra_json[{name!r}] is empty, expected JSON; leave it out")
    return {
        read_name(name, "extra_json", limits): json_text(value, f"extra_json[{name!r}]")
        for name, value in wire.items()
    }


def read_answer(wire: pb.Answer) -> Answer:
    """Read an answer that an app hands back.

    Raises:
        InvalidRequest: a text holds NUL, or a JSON field is none.
    """
    for field in ("text", "finish_reason", "refusal"):
        without_nul(getattr(wire, field), f"answer.{field}")
    for field in ("extra_choices_json", "logprobs_json"):
        json_text(getattr(wire, field), f"answer.{field}")
    json_object(wire.extra_json, "answer.extra_json")
    _tool_calls(wire.tool_calls, "answer.tool_calls")
    return kept_answer(wire)


def kept_answer(wire: pb.Answer) -> Answer:
    """Read an answer that we wrote ourselves, whatever its model said."""
    return Answer(
        text=wire.text,
        finish_reason=wire.finish_reason or "stop",
        tool_calls=tuple(
            ToolCall(
                id=call.id,
                name=call.name,
                arguments_json=call.arguments_json,
                extra_json=call.extra_json,
            )
            for call in wire.tool_calls
        ),
        refusal=wire.refusal,
        extra_choices_json=wire.extra_choices_json,
        logprobs_json=wire.logprobs_json,
        extra_json=wire.extra_json,
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
    wire.extra_json = answer.extra_json
    wire.SetInParent()


def write_tool_calls(calls: Iterable[ToolCall]) -> list[pb.ToolCall]:
    """Write tool calls."""
    return [
        pb.ToolCall(
            id=call.id,
            name=call.name,
            arguments_json=call.arguments_json,
            extra_json=call.extra_json,
        )
        for call in calls
    ]


def write_usage(wire: pb.Usage, usage: Usage) -> None:
    """Write a usage."""
    wire.input_tokens = usage.input_tokens
    wire.output_tokens = usage.output_tokens
    wire.cache_read_tokens = usage.cache_read_tokens
    wire.cache_write_tokens = usage.cache_write_tokens
    wire.SetInParent()
