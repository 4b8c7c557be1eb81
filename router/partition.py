"""A chat becomes (PartitionKey, text): what must be equal, and what may be alike.

The key holds everything that reaches the provider, and the scope of sharing, except

- the compared text: the text parts of the last user message that are not marked as context,
- ``max_tokens``: a stored answer is checked against it instead,
- the model: an entry carries the model that made it, and is checked instead,
- fields that change no answer: user, metadata, stream, stream options, request id, the provider's
  prompt-cache and safety identifiers, attribution, tags, cache control, and a version of
  Anthropic's API that is known to answer as the others do.

Canonical form, version 1: the version, then every field in a fixed order as name and value, each
prefixed by its length (8 bytes, big endian); lists are prefixed by their count. The key is the
SHA-256 of that. A changed form is a new version: it silently empties every cache, so golden files
in ``tests/golden`` make it a reviewed diff.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from cache.types import PartitionKey
from router.types import (
    ChatRequest,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Share,
)

VERSION = b"scrimp/partition/1"
HARMLESS_EXTRA = frozenset(
    {"user", "metadata", "stream", "stream_options", "request_id"}
    | {"prompt_cache_key", "prompt_cache_retention", "safety_identifier"}
)
HARMLESS_VALUES = frozenset(
    ("anthropic-version", f'"{version}"') for version in ("2023-06-01", "2026-10-21")
)
"""Versions of Anthropic's Messages that mean the same by every request that both of them take."""
_MASK = "\N{REPLACEMENT CHARACTER}masked\N{REPLACEMENT CHARACTER}"
_INSTRUCTING = (Role.SYSTEM, Role.DEVELOPER)
_SHORT_BYTES = 4_096
_NAMES = (
    *("namespace", "scope", "system", "earlier_turns", "context"),
    *("tools", "format", "sampling", "reasoning", "extra"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A request, divided.

    Attributes:
        partition: what must be equal.
        text: what is compared; empty when the last message is not the user's.
        is_comparable: the last message is the user's, so its text can have near-duplicates.
        fields: every field's name with a digest of its value, to name the cause when a partition
            changed; the digests live as long as the process.
    """

    partition: PartitionKey
    text: str
    is_comparable: bool
    fields: tuple[tuple[str, int], ...]


def split(request: ChatRequest, *, scope: Share, masks: Sequence[re.Pattern[str]] = ()) -> Split:
    """Divide a request into the key and the compared text.

    Args:
        request: as it came.
        scope: ``USER`` puts the user into the key, so that nothing is shared beyond it.
        masks: what they match in system prompts is volatile (a date, a name) and left out.
    """
    n_instructing = _n_leading_instructions(request.messages)
    last = request.messages[-1]
    is_comparable = last.role is Role.USER
    n_before = len(request.messages) - 1 if is_comparable else len(request.messages)
    n_instructing = min(n_instructing, n_before)
    user = request.attribution.user if scope is Share.USER else ""
    values = (
        request.namespace.encode(),
        _SHARED_BY_ALL if scope is Share.NAMESPACE else _strings((scope.value, user)),
        _messages(request.messages[:n_instructing], masks),
        _messages(request.messages[n_instructing:n_before], masks),
        _frame(last) if is_comparable else b"",
        _tools(request),
        _format(request),
        _sampling(request.sampling),
        _reasoning(request.reasoning),
        _extra(request),
    )
    is_short = sum(map(len, values)) <= _SHORT_BYTES
    partition, fields = _keyed_short(values) if is_short else _keyed(values)
    return Split(
        partition=partition,
        text=last.own_text if is_comparable else "",
        is_comparable=is_comparable,
        fields=fields,
    )


def _keyed(values: tuple[bytes, ...]) -> tuple[PartitionKey, tuple[tuple[str, int], ...]]:
    """Return the key of the fields' values, and every field's name with a digest of its value."""
    canonical = [_prefixed(VERSION)]
    for name, value in zip(_NAMES, values, strict=True):
        canonical += (_prefixed(name.encode()), _prefixed(value))
    digests = tuple([(name, hash(value)) for name, value in zip(_NAMES, values, strict=True)])
    return PartitionKey(sha256(b"".join(canonical)).digest()), digests


def _n_leading_instructions(messages: Sequence[Message]) -> int:
    for n, message in enumerate(messages):
        if message.role not in _INSTRUCTING:
            return n
    return len(messages)


def _prefixed(value: bytes) -> bytes:
    return len(value).to_bytes(8, "big") + value


def _list(items: Sequence[bytes]) -> bytes:
    return len(items).to_bytes(8, "big") + b"".join([_prefixed(item) for item in items])


def _strings(items: Sequence[str]) -> bytes:
    return _list([item.encode() for item in items])


def _part(part: Part, masks: Sequence[re.Pattern[str]]) -> bytes:
    text = part.text
    for mask in masks:
        text = mask.sub(_MASK, text)
    kind = "media" if part.media_type else "text"
    context = "context" if part.is_context else ""
    return _list(
        [
            _strings((kind, context, text, part.media_type, part.uri, part.detail)),
            part.data,
            *_further(part.extra_json),
        ]
    )


def _further(extra_json: str) -> tuple[bytes, ...]:
    """Return one more item where there are further fields; none keeps the key as it always was."""
    return (compact_json(extra_json).encode(),) if extra_json else ()


def _messages(messages: Sequence[Message], masks: Sequence[re.Pattern[str]]) -> bytes:
    if not messages:
        return _NOTHING
    return _list([_message(message, masks) for message in messages])


def _message(message: Message, masks: Sequence[re.Pattern[str]]) -> bytes:
    own_masks = masks if message.role in _INSTRUCTING else ()
    return _list(
        [
            _strings((message.role.value, message.name, message.tool_call_id)),
            _list([_part(part, own_masks) for part in message.parts]),
            _calls(message),
            *_further(message.extra_json),
        ]
    )


def _calls(message: Message) -> bytes:
    return _list(
        [
            _strings(
                (
                    call.id,
                    call.name,
                    call.arguments_json,
                    *((compact_json(call.extra_json),) if call.extra_json else ()),
                )
            )
            for call in message.tool_calls
        ]
    )


def _frame(message: Message) -> bytes:
    """The last user message without its compared text: how many such parts, and where."""
    has_more = message.name or message.tool_call_id or message.tool_calls or message.extra_json
    parts = message.parts
    if len(parts) == 1 and parts[0].is_own_text and not parts[0].extra_json and not has_more:
        return _ONE_TEXT
    return _list(
        [
            _strings((message.name, message.tool_call_id)),
            _list([_framed(part) for part in parts]),
            _calls(message),
            *_further(message.extra_json),
        ]
    )


def _framed(part: Part) -> bytes:
    if not part.is_own_text:
        return _part(part, ())
    return _list([b"text", *_further(part.extra_json)]) if part.extra_json else b"text"


def _tools(request: ChatRequest) -> bytes:
    if not request.tools and not request.tool_choice_json:
        return _NO_TOOLS
    tools = [
        _strings(
            (
                tool.name,
                tool.description,
                compact_json(tool.parameters_json),
                str(tool.is_strict),
                *((compact_json(tool.extra_json),) if tool.extra_json else ()),
            )
        )
        for tool in request.tools
    ]
    return _list([_list(tools), compact_json(request.tool_choice_json).encode()])


def _format(request: ChatRequest) -> bytes:
    form = request.response_format
    if form == _PLAIN:
        return _PLAIN_FORMAT
    return _strings((form.kind, compact_json(form.schema_json)))


@lru_cache(maxsize=256)
def _sampling(sampling: Sampling) -> bytes:
    # 0 asks for the one most likely answer; every other temperature, and the provider's default,
    # asks for some answer, so one drawn at .2 serves a request at .7.
    temperature = "0" if sampling.temperature == 0 else "above 0"
    return _list(
        [
            _strings((temperature, *map(_number, (sampling.top_p, sampling.seed, sampling.n)))),
            _strings(sampling.stop),
            _strings(tuple(map(_number, (sampling.presence_penalty, sampling.frequency_penalty)))),
            _strings((str(sampling.logprobs), _number(sampling.top_logprobs))),
            _list([_strings((token, _number(bias))) for token, bias in sampling.logit_bias]),
        ]
    )


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


@lru_cache(maxsize=256)
def _reasoning(reasoning: Reasoning) -> bytes:
    return _strings((reasoning.effort, _number(reasoning.budget_tokens)))


def _extra(request: ChatRequest) -> bytes:
    if not request.extra:
        return _NOTHING
    kept = sorted(
        name
        for name, value in request.extra.items()
        if name not in HARMLESS_EXTRA and (name, value) not in HARMLESS_VALUES
    )
    return _list([_strings((name, compact_json(request.extra[name]))) for name in kept])


def compact_json(text: str) -> str:
    """Return JSON without insignificant white space; the order of keys is kept, for models read it.

    Raises:
        ValueError: the text is not JSON.
    """
    return _compact_short(text) if len(text) <= 32_768 else _compact(text)


def _compact(text: str) -> str:
    return json.dumps(json.loads(text), separators=(",", ":")) if text else ""


# What most requests have, made once.
_NOTHING = _list([])
_SHARED_BY_ALL = _strings((Share.NAMESPACE.value, ""))
_NO_TOOLS = _list([_NOTHING, b""])
_PLAIN = ResponseFormat()
_PLAIN_FORMAT = _strings((_PLAIN.kind, _PLAIN.schema_json))
_ONE_TEXT = _list([_strings(("", "")), _list([b"text"]), _list([])])
_keyed_short = lru_cache(maxsize=1_024)(_keyed)  # many texts are asked in few contexts
_compact_short = lru_cache(maxsize=256)(_compact)  # an app sends the same tools again and again


def forget_texts() -> None:
    """Forget the texts that keys and JSON are remembered for."""
    for remembered in (_keyed_short, _compact_short, _sampling, _reasoning):
        remembered.cache_clear()
