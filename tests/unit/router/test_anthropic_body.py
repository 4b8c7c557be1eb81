"""Bodies of Anthropic's messages: what passes through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.anthropic_body import read_body
from router.partition import split
from router.providers import anthropic_words as anthropic
from router.providers import openai_words as openai
from router.types import Attribution, ChatRequest, Role, Share

DOCUMENT = {"type": "text", "media_type": "text/plain", "data": "Lava is molten rock."}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
IMAGE = {"type": "url", "url": "https://e.org/a.png"}


def read(kind: str, source: dict[str, Any]) -> ChatRequest:
    content = [{"type": kind, "source": source}, {"type": "text", "text": "What is it?"}]
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    return read_body(body, namespace="n", caller="c", attribution=Attribution())


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        pytest.param("document", DOCUMENT, id="text"),
        pytest.param("document", PDF, id="base64"),
        pytest.param("image", IMAGE, id="url"),
    ],
)
def test_unknown_fields_of_a_source_reach_anthropic_and_the_key(
    kind: str, source: dict[str, Any]
) -> None:
    """Untouched; and a request with one shares nothing with one without."""
    with_one, plain = read(kind, source | {"pages": [1, 2]}), read(kind, source)

    (turn,) = anthropic.request_body("m", with_one)["messages"]

    assert turn["content"][0]["source"] == source | {"pages": [1, 2]}
    key = split(with_one, scope=Share.NAMESPACE).partition
    assert key != split(plain, scope=Share.NAMESPACE).partition


def test_unknown_fields_of_a_source_are_left_out_elsewhere() -> None:
    """They are words of Anthropic's API."""
    with_one = read("image", IMAGE | {"pages": [1, 2]})

    assert openai.request_body("m", with_one) == openai.request_body("m", read("image", IMAGE))


TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "text", "text": "Hi.", "x_text": {"a": 1}}], "x_turn": 1},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "thinking", "thinking": "Hm.", "signature": "s", "x_thought": 1},
            {
                "type": "tool_use",
                "id": "c1",
                "name": "f",
                "input": {"q": 1},
                "caller": {"type": "x"},
            },
            {"type": "text", "text": "And again."},
            {"type": "tool_use", "id": "c2", "name": "f", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "c1", "x_result": [1], "is_error": True},
            {
                "type": "tool_result",
                "tool_use_id": "c2",
                "content": [{"type": "text", "text": "4", "x_text": 1}],
            },
            {"type": "text", "text": "So?"},
        ],
    },
]
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "Be brief.", "x_system": 1}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "x_tool": 1}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True, "x_choice": 1},
    "mcp_servers": [{"type": "url"}],
    "messages": TURNS,
}


def read_all(body: dict[str, Any]) -> ChatRequest:
    return read_body(body, namespace="n", caller="c", attribution=Attribution())


def test_every_unknown_field_reaches_anthropic_where_it_stood() -> None:
    """Of body, system, turns, blocks, calls, results, tools and the choice; blocks in their order.

    A failed tool's result without words gets some.
    """
    sent = anthropic.request_body("m", read_all(BODY))

    expected = json.loads(json.dumps(BODY))
    expected["messages"][2]["content"][0]["content"] = [
        {"type": "text", "text": "The tool failed."}
    ]
    assert sent == expected


def test_a_turn_of_results_ends_with_one_whatever_it_holds() -> None:
    """What is said of the turn makes no further message, and goes where it stood."""
    turn = {"role": "user", "content": TURNS[2]["content"][:2], "x_turn": 1}
    request = read_all(BODY | {"messages": [*TURNS[:2], turn]})

    assert request.messages[-1].role is Role.TOOL
    assert anthropic.request_body("m", request)["messages"][-1]["x_turn"] == 1


def _without(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _without(one, name) for key, one in value.items() if key != name}
    return [_without(one, name) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "name",
    [
        *("x_text", "x_turn", "x_thought", "caller", "x_result", "x_system", "x_tool", "x_choice"),
        "mcp_servers",
    ],
)
def test_every_unknown_field_is_part_of_the_key(name: str) -> None:
    """A request with one shares nothing with one without."""
    with_one, without = read_all(BODY), read_all(_without(BODY, name))

    assert (
        split(with_one, scope=Share.NAMESPACE).partition
        != split(without, scope=Share.NAMESPACE).partition
    )


def test_the_order_of_blocks_is_part_of_the_key() -> None:
    """Models read it."""
    other = json.loads(json.dumps(BODY))
    other["messages"][1]["content"][0:2] = reversed(other["messages"][1]["content"][0:2])

    assert (
        split(read_all(BODY), scope=Share.NAMESPACE).partition
        != split(read_all(other), scope=Share.NAMESPACE).partition
    )
