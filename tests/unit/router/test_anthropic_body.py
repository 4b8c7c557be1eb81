"""Bodies of Anthropic's messages: what passes through."""

from __future__ import annotations

from typing import Any

import pytest

from router.anthropic_body import read_body
from router.partition import split
from router.providers import anthropic, openai
from router.types import Attribution, ChatRequest, Share

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
