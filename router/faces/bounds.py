"""What a request is held to, through whichever face it comes: sizes, counts, names, ranges.

Every check raises ``InvalidRequest`` with the field as its caller wrote it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sized
from typing import Final, Protocol

from router.errors import InvalidRequest
from router.json_fields import TooDeep, parse
from router.types import ChatRequest

DEFAULT_NAMESPACE: Final = "default"
MAX_EXTRA: Final = 64
MAX_FIELDS: Final = 256
MAX_PIECES: Final = 10_000
MAX_ALLOWED_MODELS: Final = 256
MAX_STOPS: Final = 64
MAX_BIASES: Final = 4096
MAX_NOTE_CHARS: Final = 2_000

_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may stand for half a character."""

RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "max_tokens": (1, 10_000_000),
    "n": (1, 128),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 128),
    "logit_bias": (-100, 100),
}
"""Least and most of the sampling settings, by the field's name."""


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


def read_names(values: Iterable[str], field: str, limits: Limits) -> tuple[str, ...]:
    """Check names; see ``read_name``."""
    return tuple([read_name(value, f"{field}[{n}]", limits) for n, value in enumerate(values)])


def read_note(value: str) -> str:
    """Check a caller's free words.

    Raises:
        InvalidRequest: they are too long, or hold NUL.
    """
    if len(value) > MAX_NOTE_CHARS or "\0" in value:
        raise InvalidRequest(
            f"note is at most {MAX_NOTE_CHARS} characters without NUL, got {len(value)}"
        )
    return value


def check_count(field: str, items: Sized, most: int) -> None:
    """Check how many there are."""
    if len(items) > most:
        raise InvalidRequest(f"{field} holds {len(items)} items, at most {most} are taken")


def check_pieces(n_pieces: int) -> None:
    """Check into how many pieces the messages fall; each costs time, however small it is."""
    if n_pieces > MAX_PIECES:
        raise InvalidRequest(
            f"the messages hold more than {MAX_PIECES} parts and tool calls, which is the most "
            f"that is taken; join or drop some"
        )


def check_size(n_bytes: int, limits: Limits) -> None:
    """Check how large a request is."""
    if n_bytes > limits.max_prompt_bytes:
        raise InvalidRequest(
            f"the request is {n_bytes} bytes, at most {limits.max_prompt_bytes} are taken; shorten "
            f"it, or raise limits.max_prompt_bytes"
        )


def without_nul(value: str, field: str, *at: int) -> str:
    """Return a text without NUL; ``field`` has a {} for each position, filled in when it is told.

    Raises:
        InvalidRequest: it holds one.
    """
    if "\0" in value:
        where = field.format(*at) if at else field  # a caller's own name may hold braces
        raise InvalidRequest(f"{where} holds a NUL character at {value.index(chr(0))}; remove it")
    return value


def json_text(value: str, field: str) -> str:
    """Return a text that is JSON, or empty.

    Raises:
        InvalidRequest: it is neither, nested too deep, or holds half a character.
    """
    if value:
        _parsed(value, field)
    return value


def json_object(value: str, field: str) -> str:
    """Return a text that is a JSON object, or empty; see ``json_text``.

    Raises:
        InvalidRequest: it is neither.
    """
    if value and not isinstance(_parsed(value, field), dict):
        raise InvalidRequest(f"{field} is {value[:40]!r}, expected a JSON object")
    return value


def _parsed(value: str, field: str) -> object:
    try:
        found: object = parse(without_nul(value, field), parse_constant=no_constant)
        if _HALF.search(value):
            json.dumps(found, ensure_ascii=False).encode()
    except TooDeep as error:
        raise InvalidRequest(f"{field} is {error}; flatten it") from error
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{field} holds half a character (a lone surrogate)") from error
    except ValueError as error:
        raise InvalidRequest(f"{field} is not JSON ({error}): {value[:60]!r}") from error
    return found


def no_constant(name: str) -> float:
    """Refuse NaN and infinities, which Python's parser takes and JSON does not know."""
    raise ValueError(f"{name} is no JSON number")


def between(value: float, field: str, least: float, most: float) -> float:
    """Return a number within its range.

    Raises:
        InvalidRequest: it is outside, or none.
    """
    if math.isnan(value) or not least <= value <= most:
        raise InvalidRequest(f"{field} is a number in [{least:g}, {most:g}], got {value:g}")
    return value


def seconds(value: float, field: str) -> float:
    """Return a time span.

    Raises:
        InvalidRequest: it is negative, infinite or none.
    """
    if not (math.isfinite(value) and value >= 0):
        raise InvalidRequest(f"{field} is a number of seconds >= 0, got {value:g}")
    return value


def target(value: float, field: str) -> float:
    """Return a quality target.

    Raises:
        InvalidRequest: it is no share in (0, 1].
    """
    if not 0 < value <= 1:
        raise InvalidRequest(f"{field} is a share in (0, 1], got {value:g}")
    return value


def check_chat(request: ChatRequest, limits: Limits) -> None:
    """Check the bounds of a request that was read with its types right, but without its limits.

    Raises:
        InvalidRequest: says which field, what was seen, what is expected.
    """
    check_count("messages", request.messages, limits.max_messages)
    check_count("tools", request.tools, limits.max_tools)
    check_count("tags", request.tags, limits.max_tags)
    check_count("further fields", request.extra, MAX_EXTRA)
    check_count("allowed models", request.wishes.allowed_models, MAX_ALLOWED_MODELS)
    sampling = request.sampling
    check_count("stop", sampling.stop, MAX_STOPS)
    check_count("logit_bias", sampling.logit_bias, MAX_BIASES)
    for field, (least, most) in RANGES.items():
        value = getattr(sampling, field)
        if isinstance(value, int | float):
            between(value, field, least, most)
    for _, bias in sampling.logit_bias:
        between(bias, "logit_bias", *RANGES["logit_bias"])
    read_names(request.extra, "the name of a further field", limits)
    who = request.attribution  # bodies name users as well, and the ledger keeps them
    for field in ("user", "feature", "task", "conversation"):
        read_name(getattr(who, field), field, limits)
    check_size(_n_bytes(request), limits)


def _n_bytes(request: ChatRequest) -> int:
    """Return the bytes of what reaches the provider, as far as it can be long."""
    texts = [request.tool_choice_json, request.response_format.schema_json]
    n_bytes = 0
    for message in request.messages:
        texts += [message.name, message.tool_call_id, message.extra_json]
        for part in message.parts:
            texts += [part.text, part.uri, part.extra_json]
            n_bytes += len(part.data)
        for call in message.tool_calls:
            texts += [call.name, call.arguments_json, call.extra_json]
    for tool in request.tools:
        texts += [tool.name, tool.description, tool.parameters_json, tool.extra_json]
    texts += [*request.extra, *request.extra.values(), *request.sampling.stop]
    return n_bytes + sum(
        len(text) if text.isascii() else len(text.encode("utf-8", "replace")) for text in texts
    )
