"""A provider without a network: for tests, and for trying scrimp without a key.

It answers every prompt with a sentence that says so, after a wait that looks like a model's, and
counts tokens by a stated rule: one for every four bytes, rounded up. Its answers carry no meaning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from hashlib import sha256

from router.errors import ProviderError
from router.ports import ModelCall
from router.types import Answer, ChatRequest, Completion, Delta, Usage

Scripted = str | Completion | ProviderError


class ScriptedProvider:
    """Answers by rote.

    Args:
        script: per model, what its calls come to, in order; the last stays. A model without a
            script gets the made-up sentence.
        wait_ms: how long every call takes.
        words_per_delta: length of the pieces of a streamed answer.
    """

    def __init__(
        self,
        script: Mapping[str, Scripted | Sequence[Scripted]] | None = None,
        *,
        wait_ms: float = 0.0,
        words_per_delta: int = 8,
    ) -> None:
        self._script = {model: _as_list(steps) for model, steps in (script or {}).items()}
        self._wait_s = wait_ms / 1e3
        self._words_per_delta = words_per_delta
        self.calls: list[str] = []
        """The model of every call, in order."""

    async def complete(self, call: ModelCall) -> Completion:
        """Return the scripted completion, or raise the scripted error."""
        self.calls.append(call.model)
        if self._wait_s:
            await asyncio.sleep(self._wait_s)
        step = self._next(call)
        if isinstance(step, ProviderError):
            raise step
        if isinstance(step, Completion):
            return step
        return Completion(
            answer=Answer(text=step),
            usage=Usage(
                input_tokens=n_tokens(_all_text(call.request)), output_tokens=n_tokens(step)
            ),
            provider_model=call.model,
        )

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | Completion]:
        """Yield the same answer in pieces."""
        completion = await self.complete(call)
        words = completion.answer.text.split(" ")
        for start in range(0, len(words), self._words_per_delta):
            piece = " ".join(words[start : start + self._words_per_delta])
            yield Delta(text=piece if start == 0 else " " + piece)
        if completion.answer.tool_calls:
            yield Delta(tool_calls=completion.answer.tool_calls)
        yield completion

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    def _next(self, call: ModelCall) -> Scripted:
        steps = self._script.get(call.model)
        if steps is None:
            return made_up(call.model, call.request.messages[-1].own_text)
        return steps.pop(0) if len(steps) > 1 else steps[0]


def _as_list(steps: Scripted | Sequence[Scripted]) -> list[Scripted]:
    if isinstance(steps, str | Completion | ProviderError):
        return [steps]
    return list(steps)


def made_up(model: str, text: str) -> str:
    """Return a meaningless answer of a plausible length, the same for the same text."""
    seed = sha256(text.encode()).digest()
    n_sentences = 2 + seed[0] % 12
    filler = " ".join("A real model would go on here." for _ in range(n_sentences))
    return f"[{model}, scripted] You asked: {text[:120]} {filler}"


def n_tokens(text: str) -> int:
    """Return the stated count: one token for every four bytes, rounded up."""
    return (len(text.encode()) + 3) // 4


def _all_text(request: ChatRequest) -> str:
    return "\n".join(part.text for message in request.messages for part in message.parts)
