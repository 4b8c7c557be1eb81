"""OpenAI's own client for Node, with nothing changed but its base URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from node.npm import seen_by
from service.harness import LARGE_NANOS, SMALL_NANOS, completion, serving

from router.types import ToolCall

PACKAGES = ("openai@7.57.0",)

pytestmark = pytest.mark.node


async def test_openai_for_node_works_unchanged(tmp_path: Path) -> None:
    """Whole, from the cache, streamed, tools, models, embeddings, and an error of its own kind."""
    call = ToolCall(id="call_1", name="weather", arguments_json='{"city":"Oslo"}')
    async with serving(tmp_path / "data") as service:
        asks = completion("", finish_reason="tool_calls", tool_calls=(call,))
        service.puppet.says("What is the weather?", asks)
        seen = await seen_by("openai.mjs", service.url, packages=PACKAGES, folder=tmp_path / "node")

    text = "An answer to: How do volcanoes form?"
    assert seen["miss"]["choices"][0]["message"]["content"] == text
    assert seen["headers"]["x-scrimp-cache"] == "miss"
    assert seen["headers"]["x-scrimp-saved-usd-nanos"] == str(LARGE_NANOS - SMALL_NANOS)
    assert seen["hit"] == "exact"
    *chunks, last = seen["chunks"]
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(pieces) == text
    assert last["usage"]["total_tokens"] == 1_100
    (told,) = seen["tools"]["choices"][0]["message"]["tool_calls"]
    assert told["function"] == {"name": "weather", "arguments": call.arguments_json}
    assert seen["models"][:3] == ["auto", "scrimp", "small"]
    assert seen["embedding"] == 384
    assert seen["refused"] == {"status": 404, "code": "model_not_found", "name": "NotFoundError"}
