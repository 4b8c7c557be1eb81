"""What an answer says in its own wire's words only."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router import own_words
from router.providers.anthropic_reading import StreamedMessage
from router.types import ANTHROPIC, OPENAI, Answer

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=120)
blocks = st.one_of(
    st.builds(lambda t: {"type": "text", "text": t}, texts),
    st.builds(
        lambda t, c: {"type": "text", "text": t, "citations": c},
        texts,
        st.lists(st.fixed_dictionaries({"cited_text": texts}), min_size=1, max_size=2),
    ),
    st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, texts, texts),
    st.builds(lambda t: {"type": "redacted_thinking", "data": t}, texts),
    st.builds(
        lambda i: {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": i},
        st.dictionaries(texts, texts, max_size=2),
    ),
    st.builds(lambda t: {"type": "web_search_tool_result", "content": [t]}, texts),
)


def answer_of(content: list[dict[str, Any]]) -> Answer:
    text = "".join(block["text"] for block in content if block["type"] == "text")
    return Answer(text=text, extra_json=own_words.written(ANTHROPIC, content=content))


@given(st.lists(blocks, min_size=1, max_size=5))
def test_replayed_blocks_make_the_same_message(content: list[dict[str, Any]]) -> None:
    """A reader of streams gathers from a replay what was kept; its texts are the text."""
    answer = answer_of(content)
    gathered = StreamedMessage(is_json=False)

    deltas = list(own_words.replayed(answer))
    for delta in deltas:
        assert delta.own is not None
        gathered.add(json.dumps(delta.own[ANTHROPIC]).encode())
    gathered.add(b'{"type": "message_delta", "delta": {"stop_reason": "end_turn"}}')

    assert "".join(delta.text for delta in deltas) == answer.text
    done = gathered.completion().answer
    kept = own_words.read(done, ANTHROPIC).get("content") or [{"type": "text", "text": done.text}]
    assert kept == content


@pytest.mark.parametrize(
    "content",
    [5, [5], [{"type": 5}], [{"type": "text"}], [{"type": "text", "text": "other"}]],
    ids=repr,
)
def test_blocks_that_do_not_say_the_answer_are_left_out(content: Any) -> None:
    """An app may hand back anything: others get the text."""
    answer = Answer(text="yes", extra_json=json.dumps({ANTHROPIC: {"content": content}}))

    assert "content" not in own_words.read(answer, ANTHROPIC)
    assert list(own_words.replayed(answer)) == []


@pytest.mark.parametrize("extra_json", ["5", "[]", '{"openai": 5}', '{"openai": {"message": 5}}'])
def test_strange_words_say_nothing(extra_json: str) -> None:
    """Neither to a caller nor to the store."""
    answer = Answer(text="yes", extra_json=extra_json)

    own = own_words.read(answer, OPENAI)

    assert own_words.section(own, "message") == {}
    assert list(own_words.replayed(answer)) == []
    own_words.kept(extra_json)


def test_of_a_usage_counts_are_the_answers_and_the_rest_is_the_calls() -> None:
    """A price or a time was paid once."""
    usage = {"cost": 1, "queue_time": 2, "completion_tokens_details": {"reasoning_tokens": 3}}

    told = own_words.told_apart({"system_fingerprint": "f", "service_tier": "flex"}, usage)

    assert told == {
        "body": {"system_fingerprint": "f"},
        "usage": {"completion_tokens_details": {"reasoning_tokens": 3}},
        "call": {"body": {"service_tier": "flex"}, "usage": {"cost": 1, "queue_time": 2}},
    }
