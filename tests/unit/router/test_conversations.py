"""Whom a conversation is with, and how much of it that model's provider still has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeClock
from fakes_ledger import a_line
from fakes_requests import chat

from router.conversations import MOST_KEPT, Conversations, Held
from router.ledger.types import LedgerLine
from router.types import Answer, Attribution, ChatRequest, Message, Mode, Role, ToolCall, Usage

WHO = Attribution(user="ann", conversation="c1")
CALL = ToolCall(id="call_9", name="search", arguments_json="{}")
SAID = Answer(text="yes", finish_reason="stop")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def talks(clock: FakeClock) -> Conversations:
    return Conversations(clock)


def turn(n_input: int = 5_000, n_read: int = 0, **changes: Any) -> LedgerLine:
    usage = Usage(input_tokens=n_input, output_tokens=9, cache_read_tokens=n_read)
    line = a_line(namespace="acme", attribution=WHO, usage=usage, model="large")
    return replace(line, **changes)


def asked(**fields: Any) -> ChatRequest:
    return chat(**{"attribution": WHO} | fields)


def tool_result(tool_call_id: str = "call_9", **fields: Any) -> ChatRequest:
    result = Message(role=Role.TOOL, tool_call_id=tool_call_id)
    return chat(messages=(*chat().messages, result), **fields)


def test_a_conversation_is_with_the_model_that_answered_last(talks: Conversations) -> None:
    """What it read counts as cached, in whole blocks."""
    talks.note(turn(5_000), SAID)

    assert talks.of(asked()) == Held("large", 4_992)


@pytest.mark.parametrize(
    "other",
    [
        {"attribution": replace(WHO, user="bob")},
        {"attribution": replace(WHO, conversation="c2")},
        {"attribution": Attribution(user="ann")},
        {"namespace": "other"},
    ],
)
def test_another_conversation_knows_nothing_of_it(
    talks: Conversations, other: dict[str, Any]
) -> None:
    """Another user's of the same name, another namespace's, or none at all."""
    talks.note(turn(), SAID)

    assert talks.of(asked(**other)) is None


def test_what_is_too_short_is_not_cached(talks: Conversations) -> None:
    """Providers keep 1,024 tokens or nothing."""
    talks.note(turn(1_023), SAID)

    assert talks.of(asked()) == Held("large", 0)


def test_after_five_minutes_a_conversation_is_with_nobody(
    talks: Conversations, clock: FakeClock
) -> None:
    """What was cached is gone."""
    talks.note(turn(), SAID)
    clock.now_s += 300.1

    assert talks.of(asked()) is None


def test_a_provider_that_reads_nothing_again_is_believed(talks: Conversations) -> None:
    """For as long as the conversation is with its model."""
    for _ in range(3):
        talks.note(turn(5_000), SAID)

    assert talks.of(asked()) == Held("large", 0)

    talks.note(turn(6_000, model="small"), SAID)
    talks.note(turn(7_000, 5_888, model="small"), SAID)
    assert talks.of(asked()) == Held("small", 6_912)


def test_unknown_usage_counts_for_nothing(talks: Conversations) -> None:
    """And says nothing of the provider."""
    talks.note(turn(usage=None), SAID)
    assert talks.of(asked()) == Held("large", 0)

    talks.note(turn(5_000), SAID)
    assert talks.of(asked()) == Held("large", 4_992)


def test_a_tool_result_goes_to_the_model_that_called_the_tool(
    talks: Conversations, clock: FakeClock
) -> None:
    """Known by the call's id, so without a conversation's name too; for an hour."""
    talks.note(
        turn(attribution=Attribution()),
        Answer(text="", finish_reason="tool_calls", tool_calls=(CALL,)),
    )

    assert talks.of(tool_result()) == Held("large", 0, in_tool_loop=True)
    assert talks.of(tool_result("call_8")) is None
    assert talks.of(tool_result(namespace="other")) is None
    assert talks.of(tool_result(attribution=WHO)) is None  # ids of calls are often counted from 0
    clock.now_s += 3_601
    assert talks.of(tool_result()) is None


@pytest.mark.parametrize("mode", [Mode.OFF, Mode.SHADOW])
def test_where_nothing_was_chosen_nothing_is_held(talks: Conversations, mode: Mode) -> None:
    """The baseline's answers say nothing of what mode on would have done."""
    talks.note(turn(mode=mode), Answer(text="", tool_calls=(CALL,)))

    assert talks.of(asked()) is None
    assert talks.of(tool_result()) is None


def test_the_oldest_are_forgotten(talks: Conversations) -> None:
    """Memory is bounded."""
    for n in range(MOST_KEPT + 1):
        talks.note(turn(attribution=replace(WHO, conversation=str(n))), SAID)

    assert talks.of(asked(attribution=replace(WHO, conversation="0"))) is None
    assert talks.of(asked(attribution=replace(WHO, conversation="1"))) is not None
