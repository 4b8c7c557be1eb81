"""Other settings while calls run: what goes on as it is, what begins anew, what is closed when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
from fakes import FakeClock
from fakes_requests import chat

from router.errors import NoModelAvailable, Overloaded, ProviderUnavailable
from router.fallback import Adapters, Fallback, Patience, Walk, patience_of
from router.metrics import Metrics
from router.ports import ModelCall, Provider
from router.settings import Key, Settings, parse
from router.types import Answer, Completion, Delta, Usage

DOWN = ProviderUnavailable("down", kind="http_503")
ENVIRON = {"ONE": "sk-one-0123456789", "TWO": "sk-two-0123456789"}
BASE = """
[routing]
baseline = "m"
circuit_failures = 1
tries_per_model = 1
backoff_s = 0.01
max_backoff_s = 0.05
retry_burst = 0
retry_share = 0.0
[providers.p]
base_url = "http://127.0.0.1:1/v1"
api_key_env = "ONE"
max_connections = 1
max_waiting = 0
[models.m]
provider = "p"
"""


@dataclass
class Adapter:
    """Answers, or fails while it is down, or waits while it is held."""

    name: str
    is_down: bool = False
    is_closed: bool = False
    held: asyncio.Event | None = None
    n_calls: int = 0

    async def complete(self, call: ModelCall) -> Completion:
        self.n_calls += 1
        if self.held is not None:
            await self.held.wait()
        assert not self.is_closed
        if self.is_down:
            raise DOWN
        usage = Usage(input_tokens=1, output_tokens=1)
        return Completion(answer=Answer(text=self.name), usage=usage)

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | Completion]:
        yield await self.complete(call)

    async def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True


@dataclass
class World:
    """Settings by turns, over adapters that are noted as they are opened."""

    opened: list[Adapter] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.adapters = Adapters(self._open)

    def _open(self, settings: Settings, name: str, key: Key) -> Provider:
        adapter = Adapter(f"{name}{len(self.opened)}")
        self.opened.append(adapter)
        return adapter

    def fallback(self, text: str, before: Fallback | None = None) -> Fallback:
        settings = parse(text, ENVIRON)
        return Fallback(
            self.adapters.ways(settings),
            patience_of(settings),
            lambda *_: 0,
            metrics=self.metrics,
            now_s=self.clock,
            before=before,
        )

    def labels(self, name: str) -> set[tuple[str, ...]]:
        return {
            tuple(sample.labels.values())
            for family in self.metrics.collect()
            for sample in family.samples
            if sample.name == name
        }


async def ask(fallback: Fallback, model: str = "m") -> str:
    events = fallback.call((model,), chat(), Walk(), is_streamed=False)
    async with aclosing(events):
        return [one.answer.text async for one in events if isinstance(one, Completion)][-1]


@pytest.mark.parametrize(
    "change",
    [
        ("retry_burst = 0", "retry_burst = 5"),
        ('baseline = "m"', 'baseline = "m"\nquality_target = 0.7'),
        ("max_waiting = 0", "max_waiting = 3"),
        ("[models.m]", "[models.other]\nprovider = 'p'\n[models.m]"),
        ("[models.m]", "[providers.q]\nbase_url = 'http://127.0.0.1:2/v1'\n[models.m]"),
        ("[models.m]", "[models.m]\ninput_usd_per_mtok = 1.0\noutput_usd_per_mtok = 1.0"),
        ('api_key_env = "ONE"', "[providers.p.api_key_envs]\nONE = 2.0\nTWO = 1.0\n"),
    ],
    ids=lambda change: change[1][:24].replace("\n", " "),
)
async def test_an_open_circuit_of_what_did_not_change_stays_open(change: tuple[str, str]) -> None:
    """Other settings are no reason to hammer a provider that is down, nor to connect anew."""
    world = World()
    first = world.fallback(BASE)
    world.opened[0].is_down = True
    with pytest.raises(NoModelAvailable):
        await ask(first)
    lines = BASE.replace("max_connections = 1\nmax_waiting = 0\n", "")
    if "api_key_envs" in change[1]:
        after = lines.replace(change[0], "max_connections = 1\n" + change[1])
    else:
        after = BASE.replace(*change)
    assert after != BASE

    second = world.fallback(after, first)

    way = second._upstreams["m"][0]
    assert world.opened[0] is way.provider
    assert second._standing.circuits[way].state == "open"


@pytest.mark.parametrize(
    "change",
    [(":1/v1", ":2/v1"), ('"ONE"', '"TWO"'), ("[models.m]", "[models.m]\nname = 'm-2'")],
    ids=["address", "key", "model"],
)
async def test_another_address_key_or_model_begins_with_a_closed_circuit(
    change: tuple[str, str],
) -> None:
    """What failed was not that one; so an operator gets out of an outage at once."""
    world = World()
    first = world.fallback(BASE)
    world.opened[0].is_down = True
    with pytest.raises(NoModelAvailable):
        await ask(first)

    second = world.fallback(BASE.replace(*change), first)

    (circuit,) = second._standing.circuits.values()
    assert circuit.state == "closed"
    assert world.labels("scrimp_circuit_state") == {
        ("m", "p", "TWO" if "TWO" in change[1] else "ONE")
    }


async def test_a_circuit_goes_by_the_new_rule_and_budgets_by_the_new_share() -> None:
    """They go on with what they know, and with what the operator wants now."""
    world = World()
    first = world.fallback(BASE)
    after = BASE.replace("circuit_failures = 1", "circuit_failures = 2").replace(
        "retry_burst = 0", "retry_burst = 9"
    )

    second = world.fallback(after, first)

    world.opened[0].is_down = True
    with pytest.raises(NoModelAvailable):
        await ask(second)
    (circuit,) = second._standing.circuits.values()
    assert circuit.state == "closed"
    assert second._standing.budgets["p"] is first._standing.budgets["p"]
    assert first._standing.budgets["p"]._burst == 9


async def test_a_gate_counts_the_calls_of_both() -> None:
    """So the provider gets no more calls at once because its operator changed something else."""
    world = World()
    first = world.fallback(BASE)
    world.opened[0].held = asyncio.Event()
    running = asyncio.create_task(ask(first))
    await asyncio.sleep(0)

    second = world.fallback(BASE.replace("tries_per_model = 1", "tries_per_model = 2"), first)
    with pytest.raises(Overloaded):
        await ask(second)

    world.opened[0].held.set()
    assert await running == "p0"


async def test_a_call_ends_where_it_began_and_then_its_connections_are_closed() -> None:
    """Not before: neither while it runs, nor while one that began before it has yet to call."""
    world = World()
    first = world.fallback(BASE)
    old = world.opened[0]
    with first.held():
        second = world.fallback(BASE.replace(":1/v1", ":2/v1"), first)
        assert first.is_held
        assert await ask(first) == "p0"
    assert await ask(second) == "p1"
    assert not first.is_held

    await world.adapters.close_but([*first.adapters, *second.adapters])
    assert not old.is_closed
    await world.adapters.close_but(second.adapters)

    assert old.is_closed
    assert not world.opened[1].is_closed
    assert len(world.adapters) == 1


async def test_what_left_the_settings_leaves_the_metrics() -> None:
    """Also when its last call ends after that."""
    world = World()
    first = world.fallback(BASE)
    world.opened[0].held, world.opened[0].is_down = asyncio.Event(), True
    running = asyncio.create_task(ask(first))
    await asyncio.sleep(0)
    assert world.labels("scrimp_provider_calls") == {("p", "in_flight"), ("p", "waiting")}
    after = BASE.replace("providers.p", "providers.q").replace('"p"', '"q"')

    world.fallback(after, first)
    world.opened[0].held.set()
    with pytest.raises(NoModelAvailable):
        await running

    assert world.labels("scrimp_circuit_state") == {("m", "q", "ONE")}
    assert world.labels("scrimp_provider_calls") == set()


async def test_two_keys_keep_a_circuit_each() -> None:
    """Also where one adapter stands in for both, as in tests."""
    two = BASE.replace('api_key_env = "ONE"', "").replace(
        "max_waiting = 0", "max_waiting = 0\n[providers.p.api_key_envs]\nONE = 1.0\nTWO = 1.0"
    )
    stand_in = Adapter("both")
    adapters = Adapters(lambda *_: stand_in, {"p": stand_in})
    settings = parse(two, ENVIRON)
    first = Fallback(adapters.ways(settings), Patience(), lambda *_: 0)

    second = Fallback(adapters.ways(settings), Patience(), lambda *_: 0, before=first)

    assert list(first._standing.circuits.values()) == list(second._standing.circuits.values())
    assert len(set(map(id, second._standing.circuits.values()))) == 2


def test_no_secret_is_shown() -> None:
    """Of what is open its name and variable are told."""
    world = World()
    world.fallback(BASE)

    assert "0123456789" not in repr(world.adapters._open)
