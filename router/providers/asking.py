"""What adapters of other wires than chat completions share when they word a request.

Requests keep tools, tool choices and formats as chat completions have them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from router.errors import ProviderRejected
from router.json_fields import parse
from router.types import ANTHROPIC, ANTHROPIC_HEADERS, ChatRequest, Message, Part, Role

ANOTHERS_WORDS = frozenset(
    {"audio", "function_call", "functions", "metadata", "modalities", "model", "messages",
     "parallel_tool_calls", "prediction", "prompt_cache_key", "prompt_cache_retention",
     "request_id", "response_format", "safety_identifier", "service_tier", "store", "stream",
     "stream_options", "user", "verbosity", "web_search_options", ANTHROPIC, *ANTHROPIC_HEADERS}
)  # fmt: skip
"""Fields of chat completions that other wires have no word for; other unknown ones pass."""

INSTRUCTING = (Role.SYSTEM, Role.DEVELOPER)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """``auto``, ``none``, ``required``, or ``named``: then with the tool's name."""

    kind: str = "auto"
    name: str = ""


def unsupported(what: str, instead: str, kind: str) -> ProviderRejected:
    """Return the refusal of what a wire has no words for; another provider's may have."""
    return ProviderRejected(f"{what}; {instead}", kind=f"unsupported_{kind}")


def refuse_what_changes_the_answers_form(request: ChatRequest, wire: str) -> None:
    """Refuse what the caller would miss: several choices, log probabilities, forced tokens.

    Wishes that only lean on the drawing (seed, penalties) are passed where there are words for
    them, and dropped where there are none.

    Raises:
        ProviderRejected: says what.
    """
    sampling = request.sampling
    asked = {
        "n": (sampling.n or 1) > 1,
        "logprobs": bool(sampling.logprobs),
        "logit_bias": bool(sampling.logit_bias),
    }
    for name, is_asked in asked.items():
        if is_asked:
            raise unsupported(f"{wire} has no {name}", "ask a model that has it", name)


def tool_choice(request: ChatRequest) -> ToolChoice | None:
    """Return the choice in a form of its own; None where nothing was said.

    Raises:
        ProviderRejected: it is none that chat completions know.
    """
    if not request.tool_choice_json:
        return None
    value = json.loads(request.tool_choice_json)
    if value in ("auto", "none", "required"):
        return ToolChoice(str(value))
    try:
        return ToolChoice("named", str(value["function"]["name"]))
    except (KeyError, TypeError) as error:
        raise unsupported(
            f"tool_choice {request.tool_choice_json[:80]} is not known",
            "use auto, none, required or a function's name",
            "tool_choice",
        ) from error


def allows_parallel_calls(request: ChatRequest) -> bool:
    """Tell whether the model may call several tools at once."""
    return request.extra.get("parallel_tool_calls") != "false"


def extras(request: ChatRequest) -> dict[str, Any]:
    """Return the unknown fields that are passed on."""
    return {
        name: json.loads(value)
        for name, value in request.extra.items()
        if name not in ANOTHERS_WORDS
    }


def joined(further: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return further fields and our own, also within an object that both hold; ours win."""
    both = {
        name: further[name] | one
        for name, one in own.items()
        if isinstance(one, dict) and isinstance(further.get(name), dict)
    }
    return {**further, **own, **both}


def instructions(messages: Iterable[Message]) -> list[str]:
    """Return the texts of all system and developer messages, in order; empty ones left out."""
    return [
        part.text
        for message in messages
        if message.role in INSTRUCTING
        for part in message.parts
        if part.text
    ]


def arguments_object(arguments_json: str) -> dict[str, Any]:
    """Return a tool call's arguments as the object that other wires want.

    Raises:
        ProviderRejected: they are none.
    """
    try:
        value = parse(arguments_json or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise unsupported(
            f"a tool call's arguments {arguments_json[:80]!r} are no JSON object",
            "send them as the model gave them",
            "arguments",
        )
    return value


def schema_of(schema_json: str) -> dict[str, Any]:
    """Return the bare schema of a ``json_schema`` response format."""
    value = json.loads(schema_json)
    found = value.get("schema", value) if isinstance(value, dict) else {}
    return found if isinstance(found, dict) else {}


def text_of(parts: Iterable[Part]) -> str:
    """Return the text of a message that can be text only."""
    return "\n".join(part.text for part in parts if not part.media_type)
