"""The service under test: the real server on a free port, with a provider on strings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc
import pytest
from fakes import FakeClock

from router.errors import ProviderError
from router.ports import ModelCall
from router.serve import Running, start
from router.settings import Settings, parse
from router.types import Answer, Completion, Delta, Usage
from scrimp.client import Client
from scrimp.v1 import chat_pb2, gateway_pb2, savings_pb2

EXACT = chat_pb2.CACHE_OUTCOME_EXACT
NEAR = chat_pb2.CACHE_OUTCOME_NEAR
SHARED = chat_pb2.CACHE_OUTCOME_SHARED
MISS = chat_pb2.CACHE_OUTCOME_MISS
BYPASS = chat_pb2.CACHE_OUTCOME_BYPASS

USAGE = Usage(input_tokens=1_000, output_tokens=100)
WIRE_USAGE = chat_pb2.Usage(input_tokens=1_000, output_tokens=100)
SMALL_NANOS = 1_000 * 150 + 100 * 600
"""What ``USAGE`` costs at the model ``small``."""
LARGE_NANOS = 1_000 * 2_500 + 100 * 10_000
"""What ``USAGE`` costs at the model ``large``, the baseline."""

START_S = 1_700_000_000.0

SETTINGS = """
[service]
listen = "127.0.0.1:0"
metrics_listen = ""
drain_s = 1.0

[http]
listen = "127.0.0.1:0"

[routing]
baseline = "large"
quality_target = 1.0
backoff_s = 0.01
max_backoff_s = 0.05
circuit_failures = 10000  # one service for many tests: a failure is its test's own

[providers.puppet]
kind = "scripted"

# small is as able as large, so that it is chosen; weak never is, whatever scores the prompts.
[models.small]
provider = "puppet"
name = "puppet-small"
input_usd_per_mtok = 0.15
output_usd_per_mtok = 0.6
capabilities = ["tools", "vision", "json"]
ability = 50.0

[models.large]
provider = "puppet"
name = "puppet-large"
input_usd_per_mtok = 2.5
output_usd_per_mtok = 10.0
capabilities = ["tools", "vision", "json"]
ability = 50.0

[models.weak]
provider = "puppet"
name = "puppet-weak"
input_usd_per_mtok = 0.01
output_usd_per_mtok = 0.01
ability = -50.0

[models.unpriced]
provider = "puppet"
name = "puppet-unpriced"
ability = 50.0
"""


@dataclass(slots=True)
class Gate:
    """Where a call to the puppet waits.

    Attributes:
        reached: set when a call stands before it.
        opened: set to let calls through.
        after_pieces: pieces of a streamed answer that go out before.
        error: what the next call that is let through breaks off with.
    """

    after_pieces: int = 0
    error: ProviderError | None = None
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def passed(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        await self.opened.wait()
        error, self.error = self.error, None
        if error is not None:
            raise error

    def break_off(self, error: ProviderError) -> None:
        """Let everyone through, and one of them fail."""
        self.error = error
        self.open()

    def open(self) -> None:
        """Let everyone through."""
        self.opened.set()


Reply = str | Completion | ProviderError


class Puppet:
    """A provider that says what it is told to, by prompt, and waits where it is told to."""

    def __init__(self) -> None:
        self.calls: list[ModelCall] = []
        self.cancelled: list[str] = []
        self._replies: dict[str, list[Reply]] = {}
        self._gates: dict[str, Gate] = {}

    def says(self, prompt: str, *replies: Reply) -> None:
        """Set what calls with this prompt come to, in order; the last stays."""
        self._replies[prompt] = list(replies)

    def hold(self, prompt: str, *, after_pieces: int = 0) -> Gate:
        """Let calls with this prompt wait."""
        gate = self._gates[prompt] = Gate(after_pieces)
        return gate

    def models(self, prompt: str) -> list[str]:
        """Return the models that were called with this prompt, in order."""
        return [call.model for call in self.calls if _prompt(call) == prompt]

    def forget(self) -> None:
        """Forget what was said, held and cancelled; calls that wait go on waiting."""
        self.cancelled.clear()
        self._replies.clear()
        self._gates.clear()

    async def complete(self, call: ModelCall) -> Completion:
        """Return the whole answer."""
        self.calls.append(call)
        gate = self._gates.get(_prompt(call))
        if gate is not None:
            await self._wait(gate, call)
        return self._reply(call)

    async def stream(self, call: ModelCall) -> AsyncIterator[Delta | Completion]:
        """Yield the answer word by word, then whole."""
        self.calls.append(call)
        gate = self._gates.get(_prompt(call), Gate(after_pieces=-1))
        if gate.after_pieces == 0:
            await self._wait(gate, call)
        completion = self._reply(call)
        for n, word in enumerate(completion.answer.text.split(" ")):
            if gate.after_pieces == n > 0:
                await self._wait(gate, call)
            yield Delta(text=word if n == 0 else f" {word}")
        if completion.answer.tool_calls:
            yield Delta(tool_calls=completion.answer.tool_calls)
        yield completion

    async def close(self) -> None:
        """Do nothing."""

    async def _wait(self, gate: Gate, call: ModelCall) -> None:
        try:
            await gate.passed()
        except asyncio.CancelledError:
            self.cancelled.append(_prompt(call))
            raise

    def _reply(self, call: ModelCall) -> Completion:
        prompt = _prompt(call)
        replies = self._replies.get(prompt)
        if replies is None:
            return completion(f"An answer to: {prompt}", provider_model=f"{call.model}-2026")
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, ProviderError):
            raise reply
        if isinstance(reply, str):
            return completion(reply, provider_model=f"{call.model}-2026")
        return reply


def _prompt(call: ModelCall) -> str:
    return call.request.messages[-1].own_text


def completion(text: str, *, provider_model: str = "puppet", **answer: object) -> Completion:
    """Return a completion of the usual usage; further fields are the answer's."""
    return Completion(
        answer=replace(Answer(text=text), **answer),  # type: ignore[arg-type]
        usage=USAGE,
        provider_model=provider_model,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service with everything a test wants to reach."""

    running: Running
    puppet: Puppet
    clock: FakeClock
    folder: Path

    def client(self, namespace: str = "", caller: str = "") -> Client:
        """Return a client of it."""
        return Client(self.running.address, namespace=namespace, caller=caller, timeout_s=20)

    @property
    def url(self) -> str:
        """The base URL that OpenAI's clients want."""
        return f"http://{self.running.http_address}/v1"


def settings_for(
    folder: Path, *, more: str = "", overrides: Mapping[str, object] | None = None
) -> Settings:
    """Return the tests' settings on a data folder, with further tables and overridden keys."""
    return parse(
        SETTINGS + more, {}, overrides={"service.data_folder": str(folder), **(overrides or {})}
    )


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    more: str = "",
    overrides: Mapping[str, object] | None = None,
    clock: FakeClock | None = None,
    puppet: Puppet | None = None,
) -> AsyncIterator[Service]:
    """Run a service on a data folder."""
    clock, puppet = clock or FakeClock(START_S), puppet or Puppet()
    settings = settings_for(folder, more=more, overrides=overrides)
    running = await start(settings, {"puppet": puppet}, now_s=clock)
    try:
        yield Service(running=running, puppet=puppet, clock=clock, folder=folder)
    finally:
        await running.stop()


@contextmanager
def refused(code: grpc.StatusCode, *words: str) -> Iterator[None]:
    """Expect a status whose sentence holds all the words."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert caught.value.code() is code, caught.value.details()
    for word in words:
        assert word in (caught.value.details() or "")


async def eventually(is_so: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until something is so; for what ends in the background."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110  nothing tells when it is
            await asyncio.sleep(0.01)


async def totals(client: Client, namespace: str) -> savings_pb2.Totals:
    """Return the sums over a namespace."""
    return (await report(client, namespace)).totals


async def report(client: Client, namespace: str, *group_by: str) -> savings_pb2.SavingsReport:
    """Return the savings of a namespace."""
    wanted = savings_pb2.SavingsFilter(namespace=namespace, group_by=group_by)
    response = await client.savings.GetSavings(
        savings_pb2.GetSavingsRequest(filter=wanted), metadata=client.metadata
    )
    return response.report


async def streamed(
    client: Client, prompt: str | chat_pb2.ChatRequest
) -> tuple[list[str], gateway_pb2.CompleteResponse]:
    """Stream an answer; return its pieces and its end, which is the last event."""
    events = [event async for event in client.stream(prompt)]
    assert [event.WhichOneof("event") for event in events[:-1]] == ["delta"] * (len(events) - 1)
    assert events[-1].WhichOneof("event") == "done"
    return [event.delta.text for event in events[:-1]], events[-1].done
