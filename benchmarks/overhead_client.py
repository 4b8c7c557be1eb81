"""The client of ``overhead``, a process of its own: a job on stdin, one JSON object on stdout.

The same code asks every party, every text is used once, and the parties take turns: request by
request where latency is measured, one at a time; window by window where as many as fit are sent.
Whatever else the machine does meanwhile hits all of them alike. What a party goes on with after its
answers is waited for: it burdens nobody else's turn, and counts as its own work.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import uvloop

from benchmarks.load_texts import distinct_texts
from benchmarks.overhead_upstream import MODEL, PATH, sent_ns
from benchmarks.processes import is_at_work, tree, tree_cpu_s

_ONE_S: Final = 30.0
_OUTCOME: Final = "x-scrimp-cache"
_MOST_FAULTS: Final = 50
_LOOK_AGAIN_S: Final = 0.003
_QUIET_LOOKS: Final = 2
_MOST_SETTLING_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Whom to ask.

    Attributes:
        name: what its figures are called.
        address: ``host:port``.
        pid: of the process that stands between client and upstream, with its children; None: none
            does.
        headers: sent with every request.
        is_follow_up: every text is the second turn of a conversation of its own.
    """

    name: str
    address: str
    pid: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_follow_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What the client shall do.

    Attributes:
        parties: in the order of the first round; every round begins with the next one.
        upstream_pid: of the process that all are passed on to.
        requests: per party and kind, one at a time.
        rounds: windows per party.
        seconds: length of a window.
        concurrency: requests in flight within a window.
        warm_up_s: seconds per party before, with as many in flight.
        seed: of the texts.
    """

    parties: Sequence[Party]
    upstream_pid: int
    requests: int
    rounds: int
    seconds: float
    concurrency: int
    warm_up_s: float
    seed: int


@dataclass(slots=True, kw_only=True)
class Seen:
    """What came of one party.

    Attributes:
        unary_ms: from sending to the last byte.
        first_byte_ms: of streams, from sending to the first words.
        passed_on_ms: of streams, from the upstream's sending of its first words to their arrival.
        windows: requests, seconds, processor seconds of the party, the upstream and the client.
        outcomes: of scrimp's cache.
        faults: sentence to number; whatever is no whole answer to what was asked.
    """

    unary_ms: list[float] = field(default_factory=list)
    first_byte_ms: list[float] = field(default_factory=list)
    passed_on_ms: list[float] = field(default_factory=list)
    windows: list[tuple[int, float, float, float, float]] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Asker:
    """Asks one party, over connections that stay open."""

    def __init__(self, party: Party, session: aiohttp.ClientSession, seen: Seen) -> None:
        self.party = party
        self.seen = seen
        self._session = session
        self._url = f"http://{party.address}{PATH}"
        self._headers = {"Content-Type": "application/json", **party.headers}
        self._pids = [] if party.pid is None else tree(party.pid)

    async def whole(self, text: str) -> float | None:
        """Return the milliseconds of an answer that comes whole; None: it is none."""
        began = time.perf_counter()
        try:
            async with self._posted(text, is_streamed=False) as response:
                raw = await response.read()
                took_ms = (time.perf_counter() - began) * 1e3
                self._note(response)
            said = json.loads(raw)["choices"][0]["message"]["content"]
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
            self._failed(error)
            return None
        return took_ms if self._is_answer(said, text) else None

    async def streamed(self, text: str) -> tuple[float, float] | None:
        """Return the milliseconds to the first words of a stream, and those since they were sent.

        None: it is no answer.
        """
        began = time.perf_counter()
        first: tuple[float, float] | None = None
        said = ""
        try:
            async with self._posted(text, is_streamed=True) as response:
                async for words in _words(response):
                    if first is None:
                        now_ns = time.perf_counter_ns()
                        first = now_ns / 1e6 - began * 1e3, (now_ns - sent_ns(words)) / 1e6
                    said += words
                self._note(response)
        except (aiohttp.ClientError, TimeoutError, ValueError, LookupError, TypeError) as error:
            self._failed(error)
            return None
        return first if self._is_answer(said, text) else None

    async def settled(self) -> None:
        """Wait until the party does nothing any more."""
        ends_at = time.perf_counter() + _MOST_SETTLING_S
        n_quiet = 0
        while n_quiet < _QUIET_LOOKS and time.perf_counter() < ends_at:
            n_quiet = 0 if is_at_work(self._pids) else n_quiet + 1
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _posted(self, text: str, *, is_streamed: bool) -> Any:  # noqa: ANN401  aiohttp's own
        messages = _earlier(text) if self.party.is_follow_up else []
        messages.append({"role": "user", "content": text})
        body: dict[str, Any] = {"model": MODEL, "messages": messages}
        if is_streamed:
            body["stream"] = True
        return self._session.post(self._url, data=json.dumps(body), headers=self._headers)

    def _note(self, response: aiohttp.ClientResponse) -> None:
        if response.status != 200:
            raise ValueError(f"status {response.status}")
        outcome = response.headers.get(_OUTCOME)
        if outcome is not None:
            self.seen.outcomes[outcome] += 1

    def _is_answer(self, said: str, text: str) -> bool:
        if text in said:
            return True
        self._failed(ValueError("an answer to something else"))
        return False

    def _failed(self, error: Exception) -> None:
        self.seen.faults[f"{type(error).__name__}: {error}"] += 1
        if self.seen.faults.total() >= _MOST_FAULTS:
            listed = "; ".join(f"{n} x {what}" for what, n in self.seen.faults.most_common(3))
            sys.exit(f"{self.party.name} fails too often to be measured: {listed}")


def _earlier(text: str) -> list[dict[str, str]]:
    """Return the first turn of a conversation that nobody else has."""
    asked = f"I want to ask something about this: {text}"
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": "Go ahead."}]


async def _words(response: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Yield what a stream says, event by event."""
    async for line in response.content:
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            words = choices[0]["delta"].get("content") if choices else None
            if words:
                yield words


async def measured(job: Job) -> dict[str, Seen]:
    """Warm up, measure; return what was seen of each party."""
    texts = distinct_texts(job.seed)
    async with AsyncExitStack() as open_sessions:
        askers = [
            Asker(party, await open_sessions.enter_async_context(_session(job)), Seen())
            for party in job.parties
        ]
        for asker in askers:
            await _window(asker, texts, job, job.warm_up_s)
            await asker.streamed(next(texts))
            asker.seen.outcomes.clear()
        for n in range(job.requests):
            for asker in _in_turn(askers, n):
                await _one_of_each(asker, texts)
        for n in range(job.rounds):
            for asker in _in_turn(askers, n):
                asker.seen.windows.append(await _window(asker, texts, job, job.seconds))
    return {asker.party.name: asker.seen for asker in askers}


def _session(job: Job) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=job.concurrency),
        timeout=aiohttp.ClientTimeout(total=_ONE_S),
    )


def _in_turn(askers: Sequence[Asker], n: int) -> Sequence[Asker]:
    """Nobody always comes after the same one."""
    start = n % len(askers)
    return [*askers[start:], *askers[:start]]


async def _one_of_each(asker: Asker, texts: Iterator[str]) -> None:
    took_ms = await asker.whole(next(texts))
    if took_ms is not None:
        asker.seen.unary_ms.append(took_ms)
    await asker.settled()
    first = await asker.streamed(next(texts))
    if first is not None:
        asker.seen.first_byte_ms.append(first[0])
        asker.seen.passed_on_ms.append(first[1])
    await asker.settled()


async def _window(
    asker: Asker, texts: Iterator[str], job: Job, seconds: float
) -> tuple[int, float, float, float, float]:
    """Ask with so many in flight for so long; returns what ``Seen.windows`` holds.

    Counted are the answers to all that was sent until the end, and the time until the last of them.
    """
    pids = (asker.party.pid, job.upstream_pid, os.getpid())
    n_answered = 0

    async def work() -> None:
        nonlocal n_answered
        while time.perf_counter() < ends_at:
            took_ms = await asker.whole(next(texts))
            n_answered += took_ms is not None

    used_before = [_used_s(pid) for pid in pids]
    began = time.perf_counter()
    ends_at = began + seconds
    await asyncio.gather(*(work() for _ in range(job.concurrency)))
    wall_s = time.perf_counter() - began
    await asker.settled()
    party_s, upstream_s, client_s = (
        _used_s(pid) - before for pid, before in zip(pids, used_before, strict=True)
    )
    return n_answered, wall_s, party_s, upstream_s, client_s


def _used_s(pid: int | None) -> float:
    return 0.0 if pid is None else tree_cpu_s(pid)


def as_json(seen: Seen) -> dict[str, Any]:
    """Return what was seen as JSON has it."""
    return {name: getattr(seen, name) for name in Seen.__slots__}


def job_of(data: Mapping[str, Any]) -> Job:
    """Read a job."""
    parties = [Party(**party) for party in data["parties"]]
    return Job(**{**data, "parties": parties})


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measured(job_of(json.load(sys.stdin))))
    json.dump({name: as_json(seen) for name, seen in found.items()}, sys.stdout)
