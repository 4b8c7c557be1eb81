"""A request in the words of Anthropic's Messages.

Source: Anthropic's API reference, "Messages", "Streaming messages", "Prompt caching", "Tool use".

What differs from chat completions, and what is made of it:

- system and developer messages stand apart; consecutive turns of one role are one;
- tool results are blocks of a user turn; arguments and results of tools are objects;
- an answer must be bounded: ``max_tokens`` is always sent;
- there is no JSON mode: a tool that takes the answer is forced, and its input is the answer;
- prefixes are cached where they are marked: tools and system prompt, and in a conversation that
  goes on its end, each where it is long enough to be cached at all;
- thoughts are blocks before what was said, and only who came in these words has kept them;
- whoever came in these words (``ANTHROPIC``) is passed on in them: thinking, effort, formats;
- cached input is counted beside ``input_tokens``; ours holds all of it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

from router.providers.asking import (
    INSTRUCTING,
    allows_parallel_calls,
    arguments_object,
    extras,
    joined,
    refuse_what_changes_the_answers_form,
    schema_of,
    tool_choice,
    unsupported,
)
from router.types import (
    ANTHROPIC,
    ANTHROPIC_HEADERS,
    ChatRequest,
    Message,
    Part,
    Role,
    Tool,
    ToolCall,
)

_WIRE: Final = "Anthropic's Messages"
_DEFAULT_MAX_TOKENS: Final = 4_096
_CACHED_FROM_CHARS: Final = 4_096
"""About 1,024 tokens: of a shorter prefix no model of Anthropic's keeps anything."""

_JSON_TOOL: Final = "give_answer"
_BUDGETS: Final = {"low": 1_024, "medium": 4_096, "high": 16_384}
"""Tokens of thinking for the words that chat completions have for effort."""
_MIN_BUDGET: Final = 1_024
"""Fewer tokens of thinking are refused."""
_MIN_ANSWER_TOKENS: Final = 1_024
"""What thinking leaves of the caller's ``max_tokens``."""

_OF_ANSWERS: Final = frozenset(
    {"max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "service_tier", "container"}
    | {"inference_geo", "diagnostics"}
)
"""Fields of a request that bear on its answer alone; who counts tokens refuses them."""
THOUGHTS: Final = frozenset({"thinking", "redacted_thinking"})
_DOCUMENTS: Final = frozenset({"application/pdf"})

Block = dict[str, Any]


def request_body(model: str, request: ChatRequest, longest: int | None = None) -> dict[str, Any]:
    """Return the JSON body of a call; ``request.extra`` never overrides what we set.

    Args:
        model: the provider's own name of it.
        request: what is asked.
        longest: answer that the model gives, in tokens, which bounds one that the caller does not;
            None: unknown, and 4,096 do.

    Raises:
        ProviderRejected: Messages have no words for what is asked.
    """
    refuse_what_changes_the_answers_form(request, _WIRE)
    turns = _turns(request.messages)
    system = _instructions(request.messages)
    if not turns:  # there is no call without a turn: then the instructions are the question
        turns, system = [{"role": "user", "content": system}], []
    sampling = request.sampling
    tools, choice = _tools(request)
    own = _own_body(request)
    of_choice = own.pop("tool_choice", None)
    if choice is not None and isinstance(of_choice, dict):
        choice = of_choice | choice
    if not _may_think(request.messages):
        own.pop("thinking", None)
    bound = longest if sampling.max_tokens is None else sampling.max_tokens
    is_forced = choice is not None and choice["type"] in ("any", "tool")
    thinking = None if is_forced else _thinking(request, bound)
    budget = thinking["budget_tokens"] if thinking else 0
    max_tokens = _DEFAULT_MAX_TOKENS + budget if bound is None else bound
    optional: dict[str, Any] = {
        "system": system or None,
        "tools": tools or None,
        "tool_choice": choice,
        "temperature": None if sampling.temperature is None else min(sampling.temperature, 1.0),
        "top_p": None if sampling.top_p == 1.0 else sampling.top_p,  # some models take one of both
        "stop_sequences": list(sampling.stop) or None,
        "thinking": thinking,
    }
    if thinking is not None:
        optional |= {"temperature": None, "top_p": None}  # thinking takes neither
    body = extras(request) | own | {"model": model, "max_tokens": max_tokens, "messages": turns}
    body |= {name: value for name, value in optional.items() if value is not None}
    _mark_stable_prefixes(body)
    return body


def counted_body(model: str, request: ChatRequest) -> dict[str, Any]:
    """Return the JSON body that asks how many tokens a request would be."""
    body = request_body(model, request)
    return {name: value for name, value in body.items() if name not in _OF_ANSWERS}


def _instructions(messages: Iterable[Message]) -> list[Block]:
    return [
        joined(_own(part.extra_json), _text(part.text))
        for message in messages
        if message.role in INSTRUCTING
        for part in message.parts
        if part.text
    ]


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """Return the turns, consecutive ones of a role as one; what says nothing is left out."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in INSTRUCTING:
            continue
        role = "assistant" if message.role is Role.ASSISTANT else "user"
        blocks = _blocks(message)
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
        further = _own(message.extra_json).get("turn")
        if turns and isinstance(further, dict):
            turns[-1] = further | turns[-1]
    return turns


def _blocks(message: Message) -> list[Block]:
    blocks = [_block(part) for part in message.parts if part.media_type or part.text]
    if message.role is Role.TOOL:
        result: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
        own = {name: one for name, one in _own(message.extra_json).items() if name != "turn"}
        return [own | result | ({"content": blocks} if blocks else {})]
    calls = [_call(call) for call in message.tool_calls]
    return _in_order(message, (_thoughts(message), blocks, calls))


def _call(call: ToolCall) -> Block:
    asked = {"id": call.id, "name": call.name, "input": arguments_object(call.arguments_json)}
    return _own(call.extra_json) | {"type": "tool_use", **asked}


def _in_order(message: Message, kinds: tuple[list[Block], list[Block], list[Block]]) -> list[Block]:
    """Return thoughts, what is said and calls as they stood; in this order where nobody says so."""
    found = _own(message.extra_json).get("order")
    order = found if isinstance(found, list) else []
    expected = [n for n, blocks in enumerate(kinds) for _ in blocks]
    # 1.0 and true are equal to 1, and yet no places in a list, or not meant as such.
    if not all(type(n) is int for n in order) or sorted(order) != expected:
        return [block for blocks in kinds for block in blocks]
    left = [iter(blocks) for blocks in kinds]
    return [next(left[n]) for n in order]


def _thoughts(message: Message) -> list[Block]:
    """Return what an assistant thought before it spoke; it can be sent back only as it came."""
    if message.role is not Role.ASSISTANT:
        return []
    found = _own(message.extra_json).get("thinking_blocks")
    blocks = found if isinstance(found, list) else []
    return [one for one in blocks if isinstance(one, dict) and one.get("type") in THOUGHTS]


def _own(extra_json: str) -> dict[str, Any]:
    """Return further fields that came in Anthropic's own words; others are another wire's."""
    found = json.loads(extra_json) if extra_json else {}
    own = found.get(ANTHROPIC) if isinstance(found, dict) else None
    return own if isinstance(own, dict) else {}


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def headers_of(request: ChatRequest) -> dict[str, str]:
    """Return the headers that go to Anthropic as the caller sent them: version and betas."""
    named = {
        name: json.loads(request.extra[name]) for name in ANTHROPIC_HEADERS if name in request.extra
    }
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, str) and value.isascii() and value.isprintable()
    }


def _own_body(request: ChatRequest) -> dict[str, Any]:
    """The same of a request as a whole."""
    own = json.loads(request.extra.get(ANTHROPIC, "{}"))
    found = own if isinstance(own, dict) else {}
    return {name: value for name, value in found.items() if name != "stream"}  # ours to say


def _block(part: Part) -> Block:
    own = _own(part.extra_json)
    if own and part.is_context and not part.media_type:  # a document that has a title, or is cited
        source = {"type": "text", "media_type": "text/plain", "data": part.text}
        return joined(own, {"type": "document", "source": source})
    return joined(own, _known_block(part))


def _known_block(part: Part) -> Block:
    if not part.media_type:
        return _text(part.text)
    kind = "image" if part.media_type.startswith("image/") else "document"
    if kind == "document" and part.media_type not in _DOCUMENTS:
        raise unsupported(f"{_WIRE} take no {part.media_type}", "send text, images or PDF", "media")
    if part.data:
        data = b64encode(part.data).decode()
        source = {"type": "base64", "media_type": part.media_type, "data": data}
        return {"type": kind, "source": source}
    if not part.uri:
        raise unsupported(f"a part of type {part.media_type} is empty", "send its bytes", "media")
    return {"type": kind, "source": {"type": "url", "url": part.uri}}


def _tools(request: ChatRequest) -> tuple[list[Block], Block | None]:
    """Return the tools and the choice among them; for JSON, the one tool that takes the answer."""
    if wants_json(request):
        if request.tools:
            raise unsupported(
                f"{_WIRE} have no JSON mode beside tools", "leave one of them out", "json"
            )
        form = request.response_format
        schema = schema_of(form.schema_json) if form.kind == "json_schema" else {"type": "object"}
        taking = "Takes the answer, the whole of it. Call it once."
        tool = {"name": _JSON_TOOL, "description": taking, "input_schema": schema}
        return [tool], {"type": "tool", "name": _JSON_TOOL}
    tools = [_tool(tool) for tool in request.tools]
    asked = tool_choice(request)
    if not tools:
        return [], None
    parallel = {} if allows_parallel_calls(request) else {"disable_parallel_tool_use": True}
    if asked is None:
        return tools, {"type": "auto"} | parallel if parallel else None
    if asked.kind == "named":
        return tools, {"type": "tool", "name": asked.name} | parallel
    if asked.kind == "none":
        return tools, {"type": "none"}
    return tools, {"type": "any" if asked.kind == "required" else "auto"} | parallel


def _tool(tool: Tool) -> Block:
    schema = json.loads(tool.parameters_json) if tool.parameters_json else {"type": "object"}
    described = {"description": tool.description} if tool.description else {}
    return _own(tool.extra_json) | {"name": tool.name, **described, "input_schema": schema}


def _thinking(request: ChatRequest, bound: int | None) -> Block | None:
    """Return how much may be thought, where the caller has not said so in Anthropic's own words.

    The bound holds for all output, thoughts too: prices and limits rest on it.
    """
    if ANTHROPIC in request.extra or not _may_think(request.messages):
        return None
    reasoning = request.reasoning
    budget = reasoning.budget_tokens or _BUDGETS.get(reasoning.effort)
    if budget is None:
        return None
    if bound is not None:
        budget = min(budget, bound - _MIN_ANSWER_TOKENS)
    return {"type": "enabled", "budget_tokens": budget} if budget >= _MIN_BUDGET else None


def _may_think(messages: Sequence[Message]) -> bool:
    """Tell whether there may be thinking: on a tool's result only with the thoughts that called it.

    Chat completions do not keep them, and without them Anthropic refuses the request.
    """
    if messages[-1].role is not Role.TOOL:
        return True
    turns = (one for one in reversed(messages) if one.role is Role.ASSISTANT)
    asked = next(turns, None)
    return asked is None or bool(_thoughts(asked))


def _mark_stable_prefixes(body: dict[str, Any]) -> None:
    """Mark what the next request is likely to begin with; the order is tools, system, turns."""
    mark = {"cache_control": {"type": "ephemeral"}}
    tools, system, turns = body.get("tools", []), body.get("system", []), body["messages"]
    n_chars = len(json.dumps([tools, system]))
    if n_chars >= _CACHED_FROM_CHARS:
        (system or tools)[-1].update(mark)
    goes_on = any(turn["role"] == "assistant" for turn in turns)
    if goes_on and n_chars + len(json.dumps(turns)) >= _CACHED_FROM_CHARS:
        last = turns[-1]["content"][-1]
        if last["type"] not in THOUGHTS:
            last.update(mark)


def wants_json(request: ChatRequest) -> bool:
    """Tell whether a tool is forced for want of a JSON mode; whoever asks for a format has one."""
    config = _own_body(request).get("output_config")
    has_format = isinstance(config, dict) and bool(config.get("format"))
    return request.response_format.kind != "text" and not has_format
