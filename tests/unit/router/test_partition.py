from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes_requests import chat, message
from hypothesis import given
from hypothesis import strategies as st

from router.partition import compact_json, split
from router.types import (
    Attribution,
    CacheControl,
    ChatRequest,
    Message,
    Part,
    Reasoning,
    ResponseFormat,
    Role,
    Sampling,
    Share,
    Tool,
    ToolCall,
    Wishes,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "partition_keys.json"

USER = message("hello there")
EVERY_FIELD: dict[str, dict[str, Any]] = {
    "namespace": {"namespace": "other"},
    "system prompt": {"messages": (message("be long", Role.SYSTEM), USER)},
    "developer prompt": {"messages": (message("be brief", Role.DEVELOPER), USER)},
    "no system prompt": {"messages": (USER,)},
    "earlier turn": {
        "messages": (
            message("be brief", Role.SYSTEM),
            message("hi"),
            message("yes?", Role.ASSISTANT),
            USER,
        )
    },
    "speaker's name": {"messages": (message("be brief", Role.SYSTEM), replace(USER, name="ann"))},
    "context": {
        "messages": (
            message("be brief", Role.SYSTEM),
            Message(
                role=Role.USER,
                parts=(Part(text="a document", is_context=True), Part(text="hello there")),
            ),
        )
    },
    "image": {
        "messages": (
            message("be brief", Role.SYSTEM),
            Message(
                role=Role.USER,
                parts=(Part(text="hello there"), Part(media_type="image/png", data=b"x")),
            ),
        )
    },
    "tools": {"tools": (Tool(name="search", parameters_json='{"type":"object"}'),)},
    "further field of a tool": {"tools": (Tool(name="search", extra_json='{"a":1}'),)},
    "further field of an earlier message": {
        "messages": (replace(message("be brief", Role.SYSTEM), extra_json='{"a":1}'), USER)
    },
    "further field of the last message": {
        "messages": (message("be brief", Role.SYSTEM), replace(USER, extra_json='{"a":1}'))
    },
    "further field of the compared part": {
        "messages": (
            message("be brief", Role.SYSTEM),
            Message(role=Role.USER, parts=(Part(text="hello there", extra_json='{"a":1}'),)),
        )
    },
    "tool choice": {"tool_choice_json": '"required"'},
    "response format": {"response_format": ResponseFormat(kind="json_object")},
    "temperature 0": {"sampling": Sampling(temperature=0)},
    "top_p": {"sampling": Sampling(top_p=0.5)},
    "stop": {"sampling": Sampling(stop=("END",))},
    "seed": {"sampling": Sampling(seed=7)},
    "n": {"sampling": Sampling(n=2)},
    "presence penalty": {"sampling": Sampling(presence_penalty=0.5)},
    "frequency penalty": {"sampling": Sampling(frequency_penalty=0.5)},
    "logprobs": {"sampling": Sampling(logprobs=True)},
    "top logprobs": {"sampling": Sampling(top_logprobs=3)},
    "logit bias": {"sampling": Sampling(logit_bias=(("42", 5.0),))},
    "reasoning effort": {"reasoning": Reasoning(effort="high")},
    "reasoning budget": {"reasoning": Reasoning(budget_tokens=100)},
    "unknown field": {"extra": {"service_tier": '"flex"'}},
}


def key(request: ChatRequest, scope: Share = Share.NAMESPACE) -> bytes:
    return split(request, scope=scope).partition


@pytest.mark.parametrize("change", EVERY_FIELD, ids=str)
def test_what_reaches_the_provider_is_part_of_the_key(change: str) -> None:
    """Answers are shared only where everything that could change them is equal."""
    assert key(chat("hello there", **EVERY_FIELD[change])) != key(chat("hello there"))


def test_every_change_gives_a_key_of_its_own() -> None:
    """Two different changes never meet in one partition."""
    keys = {key(chat("hello there", **fields)) for fields in EVERY_FIELD.values()}

    assert len(keys) == len(EVERY_FIELD)


@pytest.mark.parametrize(
    "fields",
    [
        {"attribution": Attribution(user="u", feature="f", task="t", conversation="c")},
        {"tags": ("a",)},
        {"request_id": "r"},
        {"caller": "another"},
        {"cache_control": CacheControl(is_bypass=True, max_age_s=1.0)},
        {"wishes": Wishes(pinned_model="gpt-4o", quality_target=0.5)},
        {"sampling": Sampling(max_tokens=50)},
        {"sampling": Sampling(temperature=0.7)},
        {"extra": {"user": '"u"', "metadata": "{}", "stream": "true", "stream_options": "{}"}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_harmless_fields_stay_out_of_the_key(fields: dict[str, Any]) -> None:
    """Whom a request is accounted to, and how it is sent, does not change its answer."""
    assert key(chat(**fields)) == key(chat())


def test_the_compared_text_stays_out_of_the_key() -> None:
    """Near-duplicates meet in one partition."""
    assert key(chat("how do I cancel?")) == key(chat("how can I cancel?"))


def test_a_user_scope_keeps_users_apart() -> None:
    """Under share = user nothing is found that another user asked."""
    ann, bob = (chat(attribution=Attribution(user=user)) for user in ("ann", "bob"))

    assert key(ann, Share.USER) != key(bob, Share.USER)
    assert key(ann, Share.USER) != key(ann, Share.NAMESPACE)


def test_one_text_part_is_not_two() -> None:
    """Text that is divided otherwise reaches the provider otherwise."""
    one = Message(role=Role.USER, parts=(Part(text="a\nb"),))
    two = Message(role=Role.USER, parts=(Part(text="a"), Part(text="b")))

    assert key(chat(messages=(one,))) != key(chat(messages=(two,)))


def test_masked_spans_of_system_prompts_stay_out_of_the_key() -> None:
    """A date in the system prompt need not make every day a cache of its own."""
    masks = [re.compile(r"\d{4}-\d\d-\d\d")]
    days = [
        chat(messages=(message(f"Today is {day}.", Role.SYSTEM), message("hi")))
        for day in ("2026-01-01", "2026-01-02")
    ]

    first, second = (split(day, scope=Share.NAMESPACE, masks=masks).partition for day in days)

    assert first == second


def test_masks_leave_user_turns_alone() -> None:
    """What users wrote is never taken for volatile."""
    masks = [re.compile(r"\d+")]
    turns = [
        chat(messages=(message(f"I have {n}"), message("ok", Role.ASSISTANT), message("and?")))
        for n in (1, 2)
    ]

    first, second = (split(turn, scope=Share.NAMESPACE, masks=masks).partition for turn in turns)

    assert first != second


def test_a_conversation_that_ends_with_a_tool_result_is_compared_whole() -> None:
    """An agent's loop is never answered by what an earlier step of it got."""
    call = ToolCall(id="1", name="search", arguments_json="{}")
    asked = (message("find it"), Message(role=Role.ASSISTANT, tool_calls=(call,)))
    results = [
        chat(messages=(*asked, replace(message(text, Role.TOOL), tool_call_id="1")))
        for text in ("nothing", "found")
    ]

    first, second = (split(result, scope=Share.NAMESPACE) for result in results)

    assert first.partition != second.partition
    assert not first.is_comparable
    assert first.text == ""


@pytest.mark.parametrize("n_chars", [10, 100_000])
def test_short_and_long_contexts_have_keys_by_the_same_rule(n_chars: int) -> None:
    """What is remembered of short ones changes nothing: equal contexts agree, others do not."""

    def key(system: str, text: str) -> bytes:
        messages = (message(system, Role.SYSTEM), message(text))
        return split(chat(messages=messages), scope=Share.NAMESPACE).partition

    context = "x" * n_chars
    assert key(context, "a") == key(context, "b")
    assert key(context, "a") != key(context + "x", "a")


def test_fields_name_what_changed() -> None:
    """The cause of a new partition can be told."""
    before = split(chat(), scope=Share.NAMESPACE)
    after = split(chat(sampling=Sampling(seed=1)), scope=Share.NAMESPACE)

    changed = [a[0] for a, b in zip(before.fields, after.fields, strict=True) if a != b]

    assert changed == ["sampling"]


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.data())
def test_no_two_divisions_of_text_run_together(parts: list[str], data: st.DataObject) -> None:
    """Fields are prefixed by length: moving a border between parts changes the key."""
    where = data.draw(st.integers(0, len(parts) - 1))
    moved = [*parts[:where], parts[where] + "x", *parts[where + 1 :]]

    def keyed(texts: list[str]) -> bytes:
        context = tuple(Part(text=text, is_context=True) for text in texts)
        return key(chat(messages=(Message(role=Role.USER, parts=context),)))

    assert keyed(parts) != keyed(moved)
    assert keyed([*parts, ""]) != keyed(parts)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_seeds_never_run_together(a: int, b: int) -> None:
    """Large seeds that differ in their last digit stay apart."""
    keys = [key(chat(sampling=Sampling(seed=seed))) for seed in (a, b)]

    assert (keys[0] == keys[1]) == (a == b)


def test_json_is_compared_without_white_space_and_with_its_order() -> None:
    """Models read keys in order, so another order is another request."""
    assert compact_json('{ "a": 1, "b": [1,  2] }') == '{"a":1,"b":[1,2]}'
    assert compact_json('{"b":1,"a":1}') != compact_json('{"a":1,"b":1}')


def test_keys_are_those_of_version_1() -> None:
    """A changed key silently empties every cache: change the version, and this file, on purpose."""
    keys = {
        change: key(chat("hello there", **fields)).hex() for change, fields in EVERY_FIELD.items()
    }

    assert keys == json.loads(GOLDEN.read_text())
