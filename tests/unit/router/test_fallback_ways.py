"""Several keys, circuits, budgets, deadlines, hedges: who is asked, and who is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeClock
from fakes_requests import chat

from router.errors import (
    NoModelAvailable,
    Overloaded,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from router.fallback import CircuitRule, Fallback, Patience, Upstream, Walk
from router.metrics import Metrics
from router.ports import ModelCall
from router.providers.scripted import Scripted, ScriptedProvider
from router.types import Answer, Attribution, Candidate, Completion, Delta, Routing, Usage

DOWN = ProviderUnavailable("down", kind="http_503")
BUSY = ProviderUnavailable("busy", kind="http_429", retry_after_s=3.0)
NO_CREDIT = ProviderUnavailable("pay first", kind="http_402", is_account_fault=True)
ABSENT = ProviderUnavailable("no such model", kind="http_404", is_repeatable=False)
SLOW = ProviderTimeout("slow", kind="timeout", is_billable=True)
REFUSED = ProviderRejected("policy", kind="http_451")
NO_WORDS = ProviderRejected("no words", kind="unsupported_reasoning")
USAGE = Usage(input_tokens=3, output_tokens=2)


@dataclass
class World:
    """A fallback over scripted keys, on a clock that sleeping moves.

    Attributes:
        keys: the adapters by ``model/key``.
        waits: seconds slept, in order.
    """

    script: Mapping[str, Scripted | Sequence[Scripted]]
    patience: dict[str, Any] = field(default_factory=dict)
    draws: list[float] = field(default_factory=lambda: [0.5])
    providers: dict[str, ScriptedProvider] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    waits: list[float] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)
    max_in_flight: int = 100

    def __post_init__(self) -> None:
        self.keys: dict[str, ScriptedProvider] = {}
        upstreams: dict[str, list[Upstream]] = {}
        for name, steps in self.script.items():
            model, _, key = name.partition("/")
            adapter = self.providers.get(name) or ScriptedProvider({model: steps})
            self.keys[name] = adapter
            way = Upstream(
                model=model,
                provider_name=f"of-{model}",
                provider=adapter,
                provider_model=model,
                key_name=key,
                weight=self.weights.get(name, 1.0),
                max_in_flight=self.max_in_flight,
                max_waiting=0,
            )
            upstreams.setdefault(model, []).append(way)
        self.tested = Fallback(
            upstreams,
            Patience(**self.patience),
            lambda _, usage: usage.input_tokens + usage.output_tokens,
            metrics=self.metrics,
            now_s=self.clock,
            monotonic_s=self.clock,
            draw=lambda: self.draws.pop(0) if len(self.draws) > 1 else self.draws[0],
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.advance(seconds)

    async def ask(self, *chain: str, walk: Walk | None = None, **request: Any) -> str:
        """Return the answer's text."""
        walk = Walk() if walk is None else walk
        events = self.tested.call(chain, chat(**request), walk, is_streamed=False)
        return [e.answer.text async for e in events if isinstance(e, Completion)][-1]

    def n_calls(self, name: str) -> int:
        return len(self.keys[name].calls)

    def shown(self, name: str) -> dict[tuple[str, ...], float]:
        return {
            tuple(sample.labels.values()): sample.value
            for family in self.metrics.collect()
            for sample in family.samples
            if sample.name == name
        }


class Slow(ScriptedProvider):
    """Answers when told to; remembers whether it was stopped."""

    def __init__(self, text: str, *, usage: Usage | None = USAGE) -> None:
        super().__init__()
        self.completion = Completion(answer=Answer(text=text), usage=usage)
        self.go = asyncio.Event()
        self.was_stopped = False

    async def complete(self, call: ModelCall) -> Completion:
        """Wait, then answer."""
        self.calls.append(call.model)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.was_stopped = True
            raise
        return self.completion

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | Completion]:
        """Wait, then answer in two events."""
        whole = await self.complete(call)
        yield Delta(text=whole.answer.text)
        yield whole


class Fails(ScriptedProvider):
    """Fails after a while."""

    def __init__(self, clock: FakeClock, *, after_s: float) -> None:
        super().__init__()
        self._clock = clock
        self._after_s = after_s

    async def complete(self, call: ModelCall) -> Completion:
        """Let time pass, then fail."""
        self.calls.append(call.model)
        self._clock.advance(self._after_s)
        raise DOWN


async def until(is_so: Callable[[], bool]) -> None:
    """Let others run until something is so."""
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  nothing tells when it is
            await asyncio.sleep(0)


# ---- keys -------------------------------------------------------------------------------------


async def test_keys_share_calls_by_their_weights() -> None:
    """Three of four draws fall on a key of weight 3."""
    world = World(
        {"a/one": "1", "a/two": "2"},
        weights={"a/one": 3.0},
        draws=[0.0, 0.3, 0.74, 0.76, 0.0],
    )

    answers = [await world.ask("a") for _ in range(4)]

    assert answers == ["1", "1", "1", "2"]


async def test_a_conversation_stays_with_its_key() -> None:
    """The provider's prompt cache is the account's."""
    world = World({"a/one": "1", "a/two": "2"}, draws=[0.1, 0.9, 0.1, 0.9, 0.1])
    of = Attribution(conversation="c-17")

    answers = {await world.ask("a", attribution=of) for _ in range(4)}

    assert len(answers) == 1


@pytest.mark.parametrize("error", [BUSY, NO_CREDIT])
async def test_another_account_is_asked_at_once(error: ProviderUnavailable) -> None:
    """A limit or a debt of one account is none of the other's: no wait, and no retry budget."""
    world = World({"a/one": error, "a/two": "2"}, draws=[0.0], patience={"retry_burst": 0})

    assert await world.ask("a") == "2"
    assert world.waits == []


async def test_an_account_that_is_refused_is_left_alone_by_everyone() -> None:
    """One request finds out, the others need not; metrics and decision say so."""
    world = World({"a/one": NO_CREDIT, "b": "from b"})
    await world.ask("a", "b")
    walk = Walk()

    assert await world.ask("a", "b", walk=walk) == "from b"

    assert world.n_calls("a/one") == 1
    assert world.shown("scrimp_circuit_state")["a", "of-a", "one"] == 2
    routing = Routing(
        chain=("a", "b"),
        candidates=tuple(
            Candidate(model=model, p_adequate=0.9, expected_cost_nanos=1) for model in ("a", "b")
        ),
        reason="",
        scorer="",
        quality_target=1.0,
    )
    explained = walk.explained(routing)
    assert explained is not None
    assert [one.rejection.partition(" until")[0] for one in explained.candidates] == [
        "circuit open",
        "",
    ]


# ---- circuits ---------------------------------------------------------------------------------


async def test_a_model_that_keeps_failing_is_passed_over() -> None:
    """After three failures in a row nobody waits for it, until its time is up."""
    world = World(
        {"a": [DOWN, DOWN, DOWN, "back"], "b": "from b"},
        patience={"tries_per_model": 1, "circuit": CircuitRule(failures=3, open_s=10.0)},
    )
    for _ in range(3):
        await world.ask("a", "b")

    assert await world.ask("a", "b") == "from b"
    assert world.n_calls("a") == 3
    world.clock.advance(10.0)
    assert await world.ask("a", "b") == "back"


async def test_an_open_circuit_alone_refuses_no_request() -> None:
    """It is a guess from others' failures: where nobody else answers, it is asked all the same."""
    world = World(
        {"a": [DOWN, "it works"], "b": DOWN},
        patience={"tries_per_model": 1, "circuit": CircuitRule(failures=1)},
    )
    with pytest.raises(NoModelAvailable):
        await world.ask("a", "b")

    assert await world.ask("a", "b") == "it works"


async def test_a_call_that_could_not_be_made_tells_nothing_of_its_way() -> None:
    """The wire had no words, so nobody was called: no attempt, and an open circuit stays open."""
    patience = {"tries_per_model": 1, "circuit": CircuitRule(failures=1)}
    world = World({"a": [DOWN, NO_WORDS]}, patience=patience)
    with pytest.raises(NoModelAvailable):
        await world.ask("a")
    walk = Walk()

    with pytest.raises(ProviderRejected, match="no words"):
        await world.ask("a", walk=walk)

    assert world.n_calls("a") == 2
    assert world.shown("scrimp_circuit_state")["a", "of-a", ""] == 2
    assert (walk.attempts, walk.running) == ([], {})


async def test_a_call_that_could_not_be_made_takes_no_turn() -> None:
    """Its model is done with; the bound on attempts is for calls."""
    world = World({"a": NO_WORDS, "b": "from b"}, patience={"max_attempts": 1})
    walk = Walk()

    assert await world.ask("a", "b", walk=walk) == "from b"

    assert world.n_calls("a") == 1
    assert [(attempt.model, attempt.status) for attempt in walk.attempts] == [("b", "ok")]


async def test_a_refused_account_is_not_asked_before_its_time() -> None:
    """There asking is vain; the error says until when nobody does."""
    world = World({"a": NO_CREDIT})
    with pytest.raises(NoModelAvailable):
        await world.ask("a")

    told = r"0 attempts \(a: not asked, circuit open until"
    with pytest.raises(NoModelAvailable, match=told) as caught:
        await world.ask("a")

    assert caught.value.retry_after_s == 10.0
    assert world.n_calls("a") == 1


async def test_what_is_not_to_be_had_here_is_not_asked_for_again() -> None:
    """An unknown model stays unknown: the next one, at once."""
    world = World({"a": ABSENT, "b": "from b"})

    assert await world.ask("a", "b") == "from b"
    assert world.n_calls("a") == 1


# ---- waits and budgets ------------------------------------------------------------------------


async def test_waits_are_drawn_from_nothing_to_twice_the_mean() -> None:
    """Full jitter: those who failed together do not come back together."""
    world = World(
        {"a": [DOWN, DOWN, DOWN, "done"]},
        draws=[0.0, 0.5, 0.999],
        patience={"tries_per_model": 4, "backoff_s": 1.0, "max_backoff_s": 60.0},
    )

    await world.ask("a")

    assert world.waits == [2.0, pytest.approx(7.992)]  # the first, drawn as 0, is no wait


async def test_retry_after_holds_for_every_request() -> None:
    """Others leave it alone for as long, too; each time it asks."""
    world = World({"a": [BUSY, BUSY, "done"]}, patience={"tries_per_model": 3})

    assert await world.ask("a") == "done"

    assert world.waits == [3.125, 3.125]  # and a little more, drawn: not all come back at once


async def test_a_retry_after_that_has_passed_is_not_waited_for_again() -> None:
    """While the others were asked, its time came: what is left is the usual pause."""
    clock = FakeClock()
    world = World(
        {"a": [BUSY, "back"], "b": ""},
        providers={"b": Fails(clock, after_s=3.0)},
        clock=clock,
        patience={"max_backoff_s": 2.0},
    )

    assert await world.ask("a", "b") == "back"
    assert world.waits == [0.25]


async def test_a_retry_after_beyond_the_deadline_means_the_next_model() -> None:
    """Nobody waits for what the caller will not see."""
    world = World({"a": BUSY, "b": "from b"})

    assert await world.ask("a", "b", deadline_at=world.clock() + 2.0) == "from b"
    assert world.waits == []


async def test_repeats_are_bounded_by_the_budget_and_the_next_model_is_not() -> None:
    """In an outage a provider gets few calls on top; its traffic goes elsewhere."""
    world = World(
        {"a": DOWN, "b": "from b"},
        patience={"retry_share": 0.0, "retry_burst": 2, "circuit": CircuitRule(failures=1_000)},
    )

    answers = {await world.ask("a", "b") for _ in range(10)}

    assert answers == {"from b"}
    assert world.n_calls("a") == 10 + 2
    assert world.shown("scrimp_retries_denied_total")["of-a",] == 8


# ---- places -----------------------------------------------------------------------------------


async def test_a_provider_without_a_place_is_passed_over() -> None:
    """The next one answers; it is no failure of anybody's, and it is counted."""
    slow = Slow("late")
    world = World({"a": "", "b": "from b"}, providers={"a": slow}, max_in_flight=1)
    first = asyncio.create_task(world.ask("a", "b"))
    await until(lambda: bool(slow.calls))
    walk = Walk()

    assert await world.ask("a", "b", walk=walk) == "from b"

    assert "1 calls in flight" in walk.passed_over["a"]
    assert world.shown("scrimp_shed_calls_total")["of-a",] == 1
    assert world.shown("scrimp_provider_calls")["of-a", "in_flight"] == 1
    slow.go.set()
    assert await first == "late"
    assert world.shown("scrimp_provider_calls")["of-a", "in_flight"] == 0


async def test_where_nobody_has_a_place_the_caller_is_told_to_come_back() -> None:
    """No call is made, and none is accounted."""
    slow = Slow("late")
    world = World({"a": ""}, providers={"a": slow}, max_in_flight=1)
    first = asyncio.create_task(world.ask("a"))
    await until(lambda: bool(slow.calls))
    walk = Walk()

    with pytest.raises(Overloaded, match="no model has a place") as caught:
        await world.ask("a", walk=walk)

    assert caught.value.retry_after_s
    assert walk.attempts == []
    slow.go.set()
    await first


# ---- hedges -----------------------------------------------------------------------------------


HEDGED = {"hedge_after_s": 1.0}


async def test_a_silent_call_gets_a_second_one_beside_it() -> None:
    """Whoever begins first is heard; the other is stopped, and both are accounted."""
    slow = Slow("late")
    world = World({"a": "", "b": "from b"}, providers={"a": slow}, patience=HEDGED)
    walk = Walk()

    assert await world.ask("a", "b", walk=walk) == "from b"

    assert slow.was_stopped
    assert sorted((a.model, a.status, a.cost_nanos is None) for a in walk.attempts) == [
        ("a", "hedged", True),
        ("b", "ok", False),
    ]
    assert walk.model == "b"
    assert world.shown("scrimp_hedged_calls_total")["b",] == 1


async def test_the_model_that_is_heard_is_known_with_its_first_piece() -> None:
    """After one that failed and one that was outrun: headers of a stream name whoever speaks."""
    world = World(
        {"a": DOWN, "b": "", "c": "from c"},
        providers={"b": Slow("late")},
        patience=HEDGED | {"tries_per_model": 1},
    )
    walk, heard = Walk(), []

    async for event in world.tested.call(("a", "b", "c"), chat(), walk, is_streamed=True):
        heard.append((type(event), walk.model))

    assert heard[0] == (Delta, "c")
    assert heard[-1] == (Completion, "c")


async def test_an_answer_in_time_needs_no_second_call() -> None:
    """The option costs nothing where nothing is slow."""
    world = World({"a": "quick", "b": "from b"}, patience=HEDGED)

    async def never(_: float) -> None:
        await asyncio.Event().wait()

    world.tested._sleep = never

    assert await world.ask("a", "b") == "quick"
    assert world.n_calls("b") == 0


async def test_a_hedge_that_fails_leaves_the_first_call_running() -> None:
    """Two chances, not one in exchange for the other."""
    slow = Slow("late")
    world = World({"a": "", "b": DOWN}, providers={"a": slow}, patience=HEDGED)
    asking = asyncio.create_task(world.ask("a", "b"))
    await until(lambda: bool(world.keys["b"].calls))

    slow.go.set()

    assert await asking == "late"


async def test_where_both_fail_the_walk_goes_on() -> None:
    """Both failures count, and the next model is asked."""
    world = World({"a": SLOW, "b": DOWN, "c": "from c"}, patience=HEDGED | {"tries_per_model": 1})

    assert await world.ask("a", "b", "c") == "from c"


async def test_a_caller_who_leaves_stops_both() -> None:
    """Nothing runs on for nobody; both calls are written off as unknown."""
    one, two = Slow("1"), Slow("2")
    world = World({"a": "", "b": ""}, providers={"a": one, "b": two}, patience=HEDGED)
    walk = Walk()
    asking = asyncio.create_task(world.ask("a", "b", walk=walk))
    await until(lambda: bool(two.calls))

    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    walk.close_running("cancelled")

    assert one.was_stopped
    assert two.was_stopped
    assert len(walk.attempts) == 2
    assert {attempt.cost_nanos for attempt in walk.attempts} == {None}


async def test_two_that_answer_together_are_both_paid_and_one_is_told() -> None:
    """The figures of the one that was outrun stay; it is just not the answer."""
    one, two = Slow("1"), Slow("2")
    world = World({"a": "", "b": ""}, providers={"a": one, "b": two}, patience=HEDGED)
    walk = Walk()
    asking = asyncio.create_task(world.ask("a", "b", walk=walk))
    await until(lambda: bool(two.calls))

    one.go.set()
    two.go.set()

    assert await asking == {"a": "1", "b": "2"}[walk.model]
    assert sorted(attempt.status for attempt in walk.attempts) == ["hedged", "ok"]
    assert [attempt.cost_nanos for attempt in walk.attempts] == [5, 5]


async def test_a_hedged_refusal_ends_the_walk() -> None:
    """What the provider refuses is refused, however many were asked."""
    world = World({"a": REFUSED, "b": "from b"}, patience=HEDGED)

    with pytest.raises(ProviderRejected):
        await world.ask("a", "b")
