"""OpenAI request bodies: what is read, what passes through, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from router.errors import InvalidRequest
from router.openai_body import read_body
from router.partition import split
from router.providers.openai_words import request_body
from router.types import Attribution, ChatRequest, Share

USER = {"role": "user", "content": "How do volcanoes form?"}


def read(**fields: Any) -> ChatRequest:
    body = {"model": "m", "messages": [USER], **fields}
    return read_body(body, namespace="n", caller="c", attribution=Attribution())


def sent(**fields: Any) -> dict[str, Any]:
    """What a provider would be sent for a body."""
    return dict(json.loads(json.dumps(request_body("m", read(**fields)))))


def parted(kind: str, inner: dict[str, Any]) -> dict[str, Any]:
    """A message of one part."""
    return {"messages": [{"role": "user", "content": [{"type": kind, kind: inner}]}]}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"verbosity": "low"}, id="of the body"),
        pytest.param({"messages": [USER | {"cache_control": {"type": "ephemeral"}}]}, id="message"),
        pytest.param(
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi", "cited": True}]}
                ]
            },
            id="of a part",
        ),
        pytest.param(
            {"tools": [{"type": "function", "function": {"name": "f"}, "cached": True}]},
            id="of a tool",
        ),
        pytest.param({"messages": [{"role": "assistant", "refusal": "No."}, USER]}, id="refusal"),
        pytest.param(
            parted("image_url", {"url": "https://e.org/a.png", "detail": "low", "cited": 1}),
            id="within an image",
        ),
        pytest.param(
            parted("input_audio", {"data": "AAAA", "format": "wav", "cited": 1}),
            id="within a sound",
        ),
        pytest.param(
            parted(
                "file", {"file_data": "data:text/csv;base64,AAAA", "filename": "a", "cited": {}}
            ),
            id="within a file",
        ),
        pytest.param(
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "cached": True}, "cited": 1}
                ]
            },
            id="within a function",
        ),
        pytest.param(
            {
                "messages": [
                    {
                        "role": "assistant",
                        "tool_calls": [
                            {
                                "id": "c1",
                                "type": "function",
                                "function": {"name": "f", "arguments": "{}", "cited": 1},
                                "cached": {"google": {}},
                            }
                        ],
                    },
                    USER,
                ]
            },
            id="of a call, and within its function",
        ),
        pytest.param({"response_format": {"type": "json_object", "cited": 1}}, id="of a format"),
    ],
)
def test_unknown_fields_reach_the_provider_and_the_key(fields: dict[str, Any]) -> None:
    """Untouched, wherever they stand; and a request with one shares nothing with one without."""
    body = sent(**fields)

    for name, value in fields.items():
        found = body[name]
        if isinstance(value, list):
            pairs = zip(value, found, strict=True)
            assert all(_holds(theirs, mine) for mine, theirs in pairs)
        else:
            assert found == value
    plain = json.loads(json.dumps(fields), object_hook=_without_further)
    key = split(read(**fields), scope=Share.NAMESPACE).partition
    assert key != split(read(**plain), scope=Share.NAMESPACE).partition


def _holds(found: object, wanted: object) -> bool:
    """Whether all that is wanted is there, whatever stands beside it."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(_holds(found.get(name), one) for name, one in wanted.items())
    return found == wanted


def _without_further(value: dict[str, Any]) -> dict[str, Any]:
    further = ("verbosity", "cache_control", "cited", "cached", "refusal")
    return {name: one for name, one in value.items() if name not in further}


def test_a_tool_without_its_wrapper_keeps_what_is_unknown() -> None:
    """It goes to the provider wrapped."""
    (tool,) = sent(tools=[{"type": "function", "name": "f", "cached": True}])["tools"]

    assert tool == {"type": "function", "function": {"name": "f", "cached": True}}


def test_an_answer_sent_back_as_it_came_is_a_plain_turn() -> None:
    """Clients echo messages with fields that are null or empty; these say nothing."""
    echoed: dict[str, Any] = {
        "role": "assistant",
        "content": "Magma.",
        "refusal": None,
        "annotations": [],
    }
    plain = {"role": "assistant", "content": "Magma."}

    assert read(messages=[USER, echoed, USER]) == read(messages=[USER, plain, USER])


@pytest.mark.parametrize("name", ["prompt_cache_key", "safety_identifier"])
def test_identifiers_for_the_provider_split_nothing(name: str) -> None:
    """They are passed on, and change no answer, so they are outside of the key."""
    with_one = read(**{name: "u-1"})

    assert sent(**{name: "u-1"})[name] == "u-1"
    key = split(with_one, scope=Share.NAMESPACE).partition
    assert key == split(read(), scope=Share.NAMESPACE).partition


def test_either_name_of_the_longest_answer_is_read() -> None:
    """A null says nothing: clients send the one they do not use as null."""
    assert read(max_completion_tokens=None, max_tokens=7).sampling.max_tokens == 7
    assert read(max_completion_tokens=9, max_tokens=7).sampling.max_tokens == 9


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"n": 1.5}, "n is 1.5, expected a whole number"),
        ({"temperature": "warm"}, "temperature is 'warm', expected a number"),
        ({"seed": 10**400}, "seed is 1000000"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"temperature": True}, "temperature is True"),
        ({"logprobs": 3}, "logprobs is 3, expected true or false"),
        ({"stop": [1]}, "stop is int"),
        ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type is 'custom'"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].name is empty"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_object", "schema": {}}},
            "response_format.schema is not known; a schema goes into response_format.json_schema",
        ),
        ({"tools": [{"function": {"name": "f", "strict": "y"}}]}, "tools[0].strict is 'y'"),
        ({"metadata": None, "x": float("inf")}, "beyond what JSON holds"),
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role is 'narrator'"),
        ({"messages": [USER | {"content": "a\0b"}]}, "holds a NUL character"),
        ({"messages": [USER | {"content": [{"type": "video"}]}]}, "part of type 'video'"),
    ],
)
def test_what_cannot_be_kept_is_refused(fields: dict[str, Any], words: str) -> None:
    """With a sentence that names the field and what was seen."""
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)

    assert words in str(caught.value)
