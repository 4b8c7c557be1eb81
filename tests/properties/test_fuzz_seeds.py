"""The fuzzer's targets on a few hundred strange inputs each, the same every time.

``make fuzz`` looks for new ones; what it found stands here as an example.
"""

from __future__ import annotations

from random import Random

import pytest
from fuzz.mutations import mutated
from fuzz.targets import SEEDS, TARGETS, crashes

N_INPUTS = 300
_TYPED = b'data: {"type": {"index": -1}, "index": 0}\n\n'
_CHOICES = b'{"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}, null]}'
_SURROGATE = b'{"openai": {"message": {"annotations": "\\ud800"}}}'
_NUL = b'{"content": [{"type": "text", "text": "A"}], "stop_reason": "\\u0000"}'
_SERVER_TOOL = (
    b'data: {"type": "content_block_start", "index": 0, "content_block": '
    b'{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}}\n\n'
    b'data: {"type": "content_block_delta", "index": 0, "delta": '
    b'{"type": "input_json_delta", "partial_json": "{}"}}\n\n'
)
FOUND: tuple[tuple[str, bytes], ...] = (
    ("Anthropic's stream", _TYPED),
    ("Anthropic's stream", _SERVER_TOOL),
    ("OpenAI's answer", _CHOICES),
    ("an app's own words", _SURROGATE),
    ("an app's further choices", b"[null, 5]"),
    ("Anthropic's answer", _NUL),
    ("request over gRPC", b"\x12\x08\x08\x03\x12\x04\n\x02HiB\x03\n\x01x"),
    ("Gemini's stream", b'data: {"candidates": [{"finishReason": "STOP"}], "usageMetadata": 5}'),
)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_its_own_seeds(name: str) -> None:
    """Each holds what its part reads, so that strange inputs begin near good ones."""
    assert [crashes(TARGETS[name], seed) for seed in SEEDS[name]] == [None] * len(SEEDS[name])


@pytest.mark.parametrize("name", TARGETS)
def test_strange_bytes_are_read_or_refused(name: str) -> None:
    """No crash, and what is read can be kept, translated and told."""
    rng = Random(name)

    for _ in range(N_INPUTS):
        data = mutated(rng, rng.choice(SEEDS[name]))
        error = crashes(TARGETS[name], data)
        if error is not None:
            raise AssertionError(f"{name} fails on {data!r}") from error


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_the_fuzzer_found_stays_mended(name: str, data: bytes) -> None:
    """One input for each fault that it found."""
    assert crashes(TARGETS[name], data) is None
