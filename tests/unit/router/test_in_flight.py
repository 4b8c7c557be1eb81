from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from router.errors import Stopping
from router.in_flight import InFlight


async def counted(gate: asyncio.Event, log: list[str]) -> AsyncIterator[int]:
    log.append("started")
    try:
        yield 1
        await gate.wait()
        yield 2
    except asyncio.CancelledError:
        log.append("cancelled")
        raise


async def heard(calls: InFlight[int], key: str) -> list[int]:
    running = calls.find(key)
    assert running is not None
    return [event async for event in running.listen()]


async def test_late_comers_hear_everything_from_the_start() -> None:
    """One producer; whoever joins gets what has come so far, then the rest."""
    calls: InFlight[int] = InFlight()
    gate, log = asyncio.Event(), list[str]()
    first = asyncio.create_task(_listen(calls, gate, log))
    await asyncio.sleep(0.01)

    late = asyncio.create_task(heard(calls, "k"))
    await asyncio.sleep(0)
    gate.set()

    assert await first == [1, 2]
    assert await late == [1, 2]
    assert log == ["started"]
    assert calls.find("k") is None


async def _listen(calls: InFlight[int], gate: asyncio.Event, log: list[str]) -> list[int]:
    return [event async for event in calls.start("k", counted(gate, log)).listen()]


async def test_the_first_listener_may_leave() -> None:
    """The others go on when the one that started the work goes away."""
    calls: InFlight[int] = InFlight()
    gate, log = asyncio.Event(), list[str]()
    first = asyncio.create_task(_listen(calls, gate, log))
    await asyncio.sleep(0.01)
    late = asyncio.create_task(heard(calls, "k"))
    await asyncio.sleep(0.01)

    first.cancel()
    await asyncio.sleep(0.01)
    gate.set()

    assert await late == [1, 2]
    assert log == ["started"]


async def test_work_that_nobody_waits_for_is_cancelled_and_cannot_be_joined() -> None:
    """When the last listener leaves, the producer stops, and the key is free at once."""
    calls: InFlight[int] = InFlight()
    gate, log = asyncio.Event(), list[str]()
    only = asyncio.create_task(_listen(calls, gate, log))
    await asyncio.sleep(0.01)

    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only

    assert calls.find("k") is None
    await asyncio.sleep(0.01)
    assert log == ["started", "cancelled"]


async def test_a_successor_outlives_the_end_of_the_abandoned() -> None:
    """The clean-up of abandoned work does not forget the work that took its place."""
    calls: InFlight[int] = InFlight()
    gate = asyncio.Event()
    only = asyncio.create_task(_listen(calls, gate, []))
    await asyncio.sleep(0.01)
    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only

    successor = asyncio.create_task(_listen(calls, gate, []))
    await asyncio.sleep(0.01)

    assert calls.find("k") is not None
    gate.set()
    assert await successor == [1, 2]


async def test_every_listener_gets_the_error() -> None:
    """A failure is everyone's failure."""

    async def failing() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.01)
        raise LookupError("gone")

    calls: InFlight[int] = InFlight()
    running = calls.start("k", failing())

    results = await asyncio.gather(
        *(_drain(running.listen()) for _ in range(3)), return_exceptions=True
    )

    assert [type(result) for result in results] == [LookupError] * 3


async def _drain(events: AsyncIterator[int]) -> list[int]:
    return [event async for event in events]


async def test_stopping_tells_the_listeners() -> None:
    """A shutdown is an answer, not a hang."""
    calls: InFlight[int] = InFlight()
    listener = asyncio.create_task(_listen(calls, asyncio.Event(), []))
    await asyncio.sleep(0.01)

    await calls.stop_all()

    with pytest.raises(Stopping):
        await listener
