from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from fakes_requests import chat

from router.errors import NoModelAvailable, ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.fallback import Fallback, Patience, Upstream, Walk
from router.ports import ModelCall
from router.providers.scripted import Scripted, ScriptedProvider
from router.types import Completion, Delta, Usage

DOWN = ProviderUnavailable("down", kind="http_503")
BUSY = ProviderUnavailable("busy", kind="http_429", retry_after_s=3.0)
SLOW = ProviderTimeout("slow", kind="timeout", is_billable=True)
REFUSED = ProviderRejected("policy", kind="http_400")


class Waits(list[float]):
    """Takes the place of sleeping."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def fallback(
    script: Mapping[str, Scripted | Sequence[Scripted]], **patience: float
) -> tuple[Fallback, ScriptedProvider, Waits]:
    provider = ScriptedProvider(script)
    waits = Waits()
    upstreams = {
        model: Upstream(model=model, provider_name="p", provider=provider, provider_model=model)
        for model in script
    }

    def price(_: str, usage: Usage) -> int:
        return usage.input_tokens + usage.output_tokens

    return (
        Fallback(upstreams, Patience(**patience), price, sleep=waits),  # type: ignore[arg-type]
        provider,
        waits,
    )


async def answer(
    tested: Fallback, chain: Sequence[str], walk: Walk | None = None, *, is_streamed: bool = False
) -> str:
    events = tested.call(chain, chat(), walk or Walk(), is_streamed=is_streamed)
    return [e.answer.text async for e in events if isinstance(e, Completion)][-1]


async def test_a_rejected_request_is_not_retried() -> None:
    """A request the provider refuses would be refused again: one call, no fallback."""
    tested, provider, _ = fallback({"small": REFUSED, "large": "answer"})

    with pytest.raises(ProviderRejected):
        await answer(tested, ["small", "large"])

    assert provider.calls == ["small"]


async def test_the_next_model_answers_when_one_stays_down() -> None:
    """A model is tried as often as allowed, then the next one is."""
    tested, provider, _ = fallback({"small": DOWN, "large": "answer"}, tries_per_model=2)

    assert await answer(tested, ["small", "large"]) == "answer"
    assert provider.calls == ["small", "small", "large"]


async def test_a_short_failure_is_waited_out() -> None:
    """A retry that works costs no change of model."""
    tested, provider, waits = fallback({"small": [DOWN, "answer"], "large": "other"})

    assert await answer(tested, ["small", "large"]) == "answer"
    assert provider.calls == ["small", "small"]
    assert len(waits) == 1
    assert waits[0] > 0


async def test_retry_after_is_honoured() -> None:
    """The provider says when to come back, and we come back then."""
    tested, _, waits = fallback({"small": [BUSY, "answer"]}, max_backoff_s=5)

    await answer(tested, ["small"])

    assert waits == [3.0]


async def test_a_retry_after_that_is_too_long_means_the_next_model() -> None:
    """Nobody waits longer than the settings allow."""
    tested, provider, waits = fallback({"small": BUSY, "large": "answer"}, max_backoff_s=2)

    assert await answer(tested, ["small", "large"]) == "answer"
    assert provider.calls == ["small", "large"]
    assert waits == []


async def test_when_nobody_answers_every_attempt_is_listed() -> None:
    """The caller learns what was tried and what went wrong each time."""
    tested, _, _ = fallback({"small": DOWN, "large": SLOW}, tries_per_model=1)

    with pytest.raises(NoModelAvailable, match=r"2 attempts \(small: down; large: slow\)"):
        await answer(tested, ["small", "large"])


async def test_attempts_are_bounded_over_all_models() -> None:
    """A long chain that is down does not multiply the outage."""
    tested, provider, _ = fallback(
        {"a": DOWN, "b": DOWN, "c": DOWN}, tries_per_model=2, max_attempts=3
    )

    with pytest.raises(NoModelAvailable):
        await answer(tested, ["a", "b", "c"])

    assert len(provider.calls) == 3


async def test_every_attempt_is_noted_with_what_it_cost() -> None:
    """What was refused costs nothing, what timed out costs nobody knows what."""
    tested, _, _ = fallback({"a": DOWN, "b": SLOW, "c": "answer"}, tries_per_model=1)
    walk = Walk()

    await answer(tested, ["a", "b", "c"], walk)

    assert [(a.model, a.status, a.cost_nanos is None) for a in walk.attempts] == [
        ("a", "http_503", False),
        ("b", "timeout", True),
        ("c", "ok", False),
    ]
    assert walk.attempts[0].cost_nanos == 0
    assert walk.model == "c"


async def test_after_the_first_piece_there_is_no_second_model() -> None:
    """Two models' words are never spliced."""

    class BreaksOff(ScriptedProvider):
        async def stream(self, call: ModelCall):  # type: ignore[no-untyped-def]  # noqa: ANN202
            self.calls.append(call.model)
            yield Delta(text="begun")
            raise ProviderUnavailable("cut", kind="cut_off", is_billable=True)

    provider = BreaksOff()
    upstreams = {
        model: Upstream(model=model, provider_name="p", provider=provider, provider_model=model)
        for model in ("a", "b")
    }
    tested = Fallback(upstreams, Patience(), lambda *_: 0)

    with pytest.raises(ProviderUnavailable, match="cut"):
        await answer(tested, ["a", "b"], is_streamed=True)

    assert provider.calls == ["a"]


async def test_a_call_cut_short_is_written_off_as_unknown() -> None:
    """Who leaves during a call may have to pay for it."""
    tested, _, _ = fallback({"a": "answer"})
    walk = Walk()
    events = tested.call(["a"], chat(), walk, is_streamed=True)
    await anext(events)

    walk.close_running("cancelled")
    await events.aclose()  # type: ignore[attr-defined]

    assert [(a.status, a.usage, a.cost_nanos) for a in walk.attempts] == [("cancelled", None, None)]
