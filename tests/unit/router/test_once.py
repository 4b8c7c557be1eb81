from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from router.errors import AlreadyExists
from router.ledger.types import KeptOutcome, RequestKey
from router.once import Once, Replayed, Retries

KEY = RequestKey(namespace="acme", caller="app", request_id="r1")


class Kept:
    """The ledger, as far as retries need it."""

    def __init__(self) -> None:
        self.outcomes: dict[RequestKey, KeptOutcome] = {}

    async def kept(self, key: RequestKey, now_ms: int) -> KeptOutcome | None:
        await asyncio.sleep(0)
        found = self.outcomes.get(key)
        return found if found and found.expires_at_ms > now_ms else None


class Work:
    """Counts how often a request is really worked on."""

    def __init__(self) -> None:
        self.n_begun = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> AsyncIterator[str]:
        self.n_begun += 1
        await self.gate.wait()
        yield "outcome"


def use(digest: bytes = b"body") -> Once[str]:
    return Once(key=KEY, body_digest=digest, encode=lambda text, _: text.encode())


def retries(ledger: Kept) -> Retries:
    return Retries(ledger, lambda: 1_000)  # type: ignore[arg-type]


async def run(tested: Retries, once: Once[str], work: Work) -> list[object]:
    return [event async for event in tested.run(once, work)]


async def test_a_retry_in_flight_joins() -> None:
    """The same request twice at once is worked on once."""
    tested, work = retries(Kept()), Work()
    both = asyncio.gather(run(tested, use(), work), run(tested, use(), work))
    await asyncio.sleep(0.01)

    work.gate.set()

    assert list(await both) == [["outcome"], ["outcome"]]
    assert work.n_begun == 1


async def test_a_later_retry_gets_the_kept_response() -> None:
    """Nothing is done again for a request that was done."""
    ledger, work = Kept(), Work()
    ledger.outcomes[KEY] = use().keep("done", without_answer=False, expires_at_ms=2_000)

    assert await run(retries(ledger), use(), work) == [Replayed(response=b"done")]
    assert work.n_begun == 0


async def test_an_outcome_is_kept_for_its_time_only() -> None:
    """After that the id may be used again."""
    ledger, work = Kept(), Work()
    work.gate.set()
    ledger.outcomes[KEY] = use().keep("done", without_answer=False, expires_at_ms=1_000)

    assert await run(retries(ledger), use(), work) == ["outcome"]


async def test_another_body_under_a_kept_id_is_refused() -> None:
    """An id names one request."""
    ledger = Kept()
    ledger.outcomes[KEY] = use().keep("done", without_answer=False, expires_at_ms=2_000)

    with pytest.raises(AlreadyExists, match="'r1' was used before"):
        await run(retries(ledger), use(b"other"), Work())


async def test_another_body_under_an_id_in_flight_is_refused() -> None:
    """Also while the first is still being worked on."""
    tested, work = retries(Kept()), Work()
    first = asyncio.create_task(run(tested, use(), work))
    await asyncio.sleep(0.01)

    with pytest.raises(AlreadyExists):
        await run(tested, use(b"other"), work)

    work.gate.set()
    await first
