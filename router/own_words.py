"""What an answer says beyond what we model, in the words of the wire it came by.

``Answer.extra_json`` is a JSON object with one name, the wire's, which holds:

- ``message``, ``choice``, ``body``: further fields where they stood, of chat completions; of
  Anthropic's Messages ``body`` alone;
- ``content``: of Messages, all blocks as they came, where they are more than one text and calls;
- ``usage``: further counts of tokens;
- ``call``: what is said of the call rather than of the answer (tier, price, times). It goes to
  whoever the call was made for, and is not kept.

A face that speaks this wire gives them back; the others leave them out, for they have no words for
them. Over gRPC they come as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from router.types import ANTHROPIC, OPENAI, Answer, Delta

Fields = Mapping[str, Any]

_NONE: Final[Fields] = {}
_CALL: Final = "call"
_OF_CALLS: Final = frozenset({"service_tier", "x_groq", "container", "context_management"})
"""Fields beside an answer that tell of the call."""
_CHARS_PER_PIECE: Final = 48


def written(wire: str, **sections: object) -> str:
    """Return what is kept of an answer's own words: ``extra_json``; empty where there are none."""
    found = {name: one for name, one in sections.items() if one}
    return json.dumps({wire: found}, ensure_ascii=False) if found else ""


def read(answer: Answer, wire: str) -> Mapping[str, Any]:
    """Return the sections in a wire's words; none where the answer came by another.

    Blocks that do not say what the answer says are left out: apps may hand anything back.
    """
    if not answer.extra_json:
        return _NONE
    found = json.loads(answer.extra_json)
    own = found.get(wire) if isinstance(found, dict) else None
    if not isinstance(own, dict):
        return _NONE
    if "content" in own and not _says(own["content"], answer.text):
        del own["content"]
    return own


def _says(blocks: object, text: str) -> bool:
    if not isinstance(blocks, list) or not all(isinstance(one, dict) for one in blocks):
        return False
    said = [one.get("text") for one in blocks if one.get("type") == "text"]
    is_typed = all(isinstance(one.get("type"), str) for one in blocks)
    is_cited = all(isinstance(one.get("citations") or [], list) for one in blocks)
    return (
        is_typed
        and is_cited
        and all(isinstance(one, str) for one in said)
        and ("".join(map(str, said)) == text)
    )


def section(own: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return one section that holds fields."""
    found = own.get(name)
    return found if isinstance(found, dict) else {}


def body_fields(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further fields beside an answer: its own, and those of the call."""
    return section(own, "body") | section(section(own, _CALL), "body")


def usage_fields(own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the further fields of a usage: counts, and what else is told of the call."""
    return section(own, "usage") | section(section(own, _CALL), "usage")


def told_apart(body: Fields, usage: Fields) -> dict[str, object]:
    """Return the sections ``body``, ``usage`` and ``call`` of further fields.

    Of a usage counts of tokens belong to the answer, as our own do; a price or a time was the
    call's.
    """
    of_call = {
        "body": {name: one for name, one in body.items() if name in _OF_CALLS},
        "usage": {name: one for name, one in usage.items() if not _is_count(name)},
    }
    return {
        "body": {name: one for name, one in body.items() if name not in _OF_CALLS},
        "usage": {name: one for name, one in usage.items() if _is_count(name)},
        _CALL: {name: one for name, one in of_call.items() if one},
    }


def _is_count(name: str) -> bool:
    return re.search(r"token|^cache_creation$|^server_tool_use$", name) is not None


def kept(extra_json: str) -> str:
    """Return what of an answer's own words is kept with it: all but what was said of the call."""
    if f'"{_CALL}"' not in extra_json:
        return extra_json
    found = json.loads(extra_json)
    return next(
        (
            written(wire, **{name: one for name, one in own.items() if name != _CALL})
            for wire, own in (found.items() if isinstance(found, dict) else ())
            if isinstance(own, dict)
        ),
        "",
    )


def joined(base: Fields, further: Fields) -> dict[str, Any]:
    """Return both, also within objects that both hold; where both say something, ``base`` wins."""
    both = {
        name: joined(one, further[name])
        for name, one in base.items()
        if isinstance(one, dict) and isinstance(further.get(name), dict)
    }
    return {**further, **base, **both}


# ---- replaying --------------------------------------------------------------------------------


def replayed(answer: Answer) -> Iterator[Delta]:
    """Yield what only an answer's own words say, as it would have come.

    Of Messages that are all blocks, with their text; of chat completions the further fields of the
    message, before its text.
    """
    if not answer.extra_json:
        return
    for index, block in enumerate(read(answer, ANTHROPIC).get("content") or ()):
        yield from _block(index, block)
    message = section(read(answer, OPENAI), "message")
    if message:
        yield Delta(own={OPENAI: message})


def _block(index: int, block: dict[str, Any]) -> Iterator[Delta]:
    empty, deltas = block, list[tuple[str, dict[str, Any]]]()
    kind = block.get("type")
    if kind == "text":
        empty = {**block, "text": ""}
        empty.pop("citations", None)
        deltas = [(one, {"type": "text_delta", "text": one}) for one in _cut(block["text"])]
        deltas += [
            ("", {"type": "citations_delta", "citation": one})
            for one in block.get("citations") or ()
        ]
    elif kind == "thinking":
        empty = {**block, "thinking": "", "signature": ""}
        deltas = [
            ("", {"type": "thinking_delta", "thinking": one})
            for one in _cut(str(block.get("thinking") or ""))
        ]
        deltas.append(("", {"type": "signature_delta", "signature": block.get("signature") or ""}))
    elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        empty = {**block, "input": {}}
        arguments = json.dumps(block.get("input") or {}, ensure_ascii=False)
        deltas = [("", {"type": "input_json_delta", "partial_json": arguments})]
    yield _event("", {"type": "content_block_start", "index": index, "content_block": empty})
    for text, delta in deltas:
        yield _event(text, {"type": "content_block_delta", "index": index, "delta": delta})
    yield _event("", {"type": "content_block_stop", "index": index})


def _event(text: str, event: dict[str, Any]) -> Delta:
    return Delta(text=text, own={ANTHROPIC: event})


def _cut(text: str) -> Iterator[str]:
    for start in range(0, len(text), _CHARS_PER_PIECE):
        yield text[start : start + _CHARS_PER_PIECE]
