"""What a stream of chunks says beside its text, gathered."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from router.providers import openai_reading
from router.providers.openai_reading import StreamedAnswer

N_CHUNKS = 50


class Counted(str):
    """A text that notes how much is copied when it grows."""

    __slots__ = ()
    n_copied = 0

    def __add__(self, other: str) -> Counted:
        Counted.n_copied += len(self) + len(other)
        return Counted(str(self) + other)


def of_message(text: str) -> dict[str, Any]:
    return {"reasoning_content": text}


def of_call(text: str) -> dict[str, Any]:
    called = {"name": "f", "arguments": ""}
    return {"tool_calls": [{"index": 0, "id": "c", "function": called, "thought_signature": text}]}


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


@pytest.mark.parametrize("delta", [of_message, of_call])
def test_a_text_that_comes_in_many_pieces_is_joined_once(
    monkeypatch: pytest.MonkeyPatch, delta: Callable[[str], dict[str, Any]]
) -> None:
    """Joined at each it would be copied as often: work that grows with the square of them."""
    monkeypatch.setattr(Counted, "n_copied", 0)
    monkeypatch.setattr(
        openai_reading,
        "json",
        SimpleNamespace(loads=lambda _: chunk(delta(Counted("abcd"))), dumps=json.dumps),
    )
    gathered = StreamedAnswer()

    for _ in range(N_CHUNKS):
        gathered.add(b"{}")

    assert Counted.n_copied == 0


def test_texts_and_lists_grow_and_anything_else_is_said_anew() -> None:
    """Also where a field is of another kind than before."""
    gathered = StreamedAnswer()
    for text, steps, n, mixed in (("a", [1], 1, "x"), ("b", [2, 3], 2, [4]), ("c", [], 3, [5])):
        own = {"reasoning_content": text, "steps": steps, "n": n, "mixed": mixed}
        gathered.add(json.dumps(chunk(own)).encode())
    gathered.add(json.dumps(chunk(of_call("s-"))).encode())
    gathered.add(json.dumps(chunk(of_call("t"), "stop")).encode())

    answer = gathered.completion().answer

    assert json.loads(answer.extra_json)["openai"]["message"] == {
        "reasoning_content": "abc",
        "steps": [1, 2, 3],
        "n": 3,
        "mixed": [4, 5],
    }
    assert json.loads(answer.tool_calls[0].extra_json)["thought_signature"] == "s-t"
