from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from fakes import FakeClock
from fakes_requests import chat

from router.errors import NoModelAvailable, ProviderRejected, ProviderTimeout, ProviderUnavailable
from router.fallback import Fallback, Patience, Upstream, Walk
from router.ports import ModelCall
from router.providers.scripted import Scripted, ScriptedProvider
from router.types import Completion, Delta, Usage

DOWN = ProviderUnavailable("down", kind="http_503")
BUSY = ProviderUnavailable("busy", kind="http_429", retry_after_s=3.0)
SLOW = ProviderTimeout("slow", kind="timeout", is_billable=True)
REFUSED = ProviderRejected("policy", kind="policy")
TOO_LONG = ProviderRejected("context is 4096 tokens", kind="http_400")


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
        model: [Upstream(model=model, provider_name="p", provider=provider, provider_model=model)]
        for model in script
    }

    def price(_: str, usage: Usage) -> int:
        return usage.input_tokens + usage.output_tokens

    return (
        Fallback(upstreams, Patience(**patience), price, now_s=FakeClock(), sleep=waits),  # type: ignore[arg-type]
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


@pytest.mark.parametrize("kind", ["http_400", "http_413", "http_422"])
async def test_what_may_be_the_models_own_limit_goes_to_the_next_model(kind: str) -> None:
    """A context too short or a parameter too new for the cheap model fails no request."""
    refused = ProviderRejected("too long", kind=kind)
    tested, provider, waits = fallback({"small": refused, "large": "answer"}, tries_per_model=2)

    assert await answer(tested, ["small", "small", "large"]) == "answer"
    assert provider.calls == ["small", "large"]
    assert waits == []


@pytest.mark.parametrize("second", [TOO_LONG, REFUSED])
async def test_a_second_refusal_ends_the_walk(second: ProviderRejected) -> None:
    """Two models agree: the first one's words are told, a third is not asked."""
    first = ProviderRejected("the first", kind="http_400")
    tested, provider, _ = fallback({"a": first, "b": second, "c": "answer"})

    with pytest.raises(ProviderRejected, match="the first"):
        await answer(tested, ["a", "b", "c"])

    assert provider.calls == ["a", "b"]


async def test_a_wire_without_words_is_no_providers_refusal() -> None:
    """Nobody was asked, so all are passed until one has the words, beside one real refusal too."""
    no_words = ProviderRejected("no words", kind="unsupported_reasoning")
    steps: dict[str, Scripted] = {
        "a": no_words,
        "b": no_words,
        "c": TOO_LONG,
        "d": no_words,
        "e": "answer",
    }
    tested, provider, _ = fallback(steps, tries_per_model=1)

    assert await answer(tested, list(steps)) == "answer"
    assert provider.calls == list(steps)


async def test_what_no_wire_has_words_for_is_refused() -> None:
    """In the words of the last."""
    no_words = ProviderRejected("no words", kind="unsupported_reasoning")
    tested, _, _ = fallback({"a": no_words, "b": no_words}, tries_per_model=1)

    with pytest.raises(ProviderRejected, match="no words"):
        await answer(tested, ["a", "b"])


async def test_the_last_models_refusal_is_told_as_such() -> None:
    """Where nobody else is left, it is the request, not an outage."""
    tested, provider, _ = fallback({"a": DOWN, "b": TOO_LONG}, tries_per_model=1)

    with pytest.raises(ProviderRejected, match="context is"):
        await answer(tested, ["a", "b"])

    assert provider.calls == ["a", "b"]


async def test_a_refusal_followed_by_an_outage_is_an_outage() -> None:
    """The model that would take the request is down: trying later helps."""
    tested, _, _ = fallback({"a": TOO_LONG, "b": DOWN}, tries_per_model=1)

    with pytest.raises(NoModelAvailable, match=r"a: context is 4096 tokens; b: down"):
        await answer(tested, ["a", "b"])


async def test_leaving_early_closes_the_upstream_at_once() -> None:
    """Not when the garbage collector comes by: a stream nobody reads costs money."""
    is_closed = False

    class Endless(ScriptedProvider):
        async def stream(self, call: ModelCall):  # type: ignore[no-untyped-def]  # noqa: ANN202
            nonlocal is_closed
            try:
                while True:
                    yield Delta(text="more")
            finally:
                is_closed = True

    upstream = Upstream(model="a", provider_name="p", provider=Endless(), provider_model="a")
    tested = Fallback({"a": [upstream]}, Patience(), lambda *_: 0)
    events = tested.call(["a"], chat(), Walk(), is_streamed=True)
    await anext(events)

    await events.aclose()

    assert is_closed


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

    assert len(waits) == 1
    assert 3.0 <= waits[0] < 3.3


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
    assert walk.attempts[-1].model == "c"


async def test_after_the_first_piece_there_is_no_second_model() -> None:
    """Two models' words are never spliced."""

    class BreaksOff(ScriptedProvider):
        async def stream(self, call: ModelCall):  # type: ignore[no-untyped-def]  # noqa: ANN202
            self.calls.append(call.model)
            yield Delta(text="begun")
            raise ProviderUnavailable("cut", kind="cut_off", is_billable=True)

    provider = BreaksOff()
    upstreams = {
        model: [Upstream(model=model, provider_name="p", provider=provider, provider_model=model)]
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
    await events.aclose()

    assert [(a.status, a.usage, a.cost_nanos) for a in walk.attempts] == [("cancelled", None, None)]


@pytest.mark.parametrize(
    ("most", "window", "longest"),
    [
        (None, 1_000, None),
        (500, None, 500),
        (500, 10_000, 500),
        (5_000, 2_000, 1_985),
        (9, 5, None),
    ],
)
def test_the_longest_answer_leaves_room_for_the_question(
    most: int | None, window: int | None, longest: int | None
) -> None:
    """What the model can say at most, less where its window would overflow; unknown is unknown."""
    way = Upstream(
        model="m",
        provider_name="p",
        provider=ScriptedProvider(),
        provider_model="m",
        max_output_tokens=most,
        context_window=window,
    )

    assert way.longest_answer(chat("Why?")) == longest
