"""Two calls race: whoever begins to answer first is heard, the other is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from router.errors import Overloaded, ProviderError

T = TypeVar("T")
Racer = AsyncGenerator[T, None]


async def raced(
    first: Racer[T],
    second: Callable[[], Racer[T] | None],
    timer: Awaitable[None],
    on_lost: Callable[[Racer[T]], None],
) -> Racer[T]:
    """Yield what the winner yields.

    Args:
        first: begins at once.
        second: makes the other one, when the timer has run out and ``first`` is still silent; None:
            there is none.
        timer: when to begin the second.
        on_lost: told which of them was stopped.

    Raises:
        ProviderError, Overloaded: the last one's, where both failed.
    """
    racers: dict[asyncio.Future[Any], Racer[T]] = {_begin(first): first}
    alarm: asyncio.Future[None] | None = asyncio.ensure_future(timer)
    try:
        while True:
            waiting = {*racers, alarm} if alarm else set(racers)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            begun = next((task for task in racers if task.done()), None)
            if begun is not None:
                racer = racers.pop(begun)
                try:
                    event = begun.result()
                except (ProviderError, Overloaded):
                    if not racers:
                        raise
                    continue  # the other one may still answer
                break
            alarm = None
            other = second()
            if other is not None:
                racers[_begin(other)] = other
        await _stop(racers, on_lost)
        async with aclosing(racer):
            yield event
            async for event in racer:
                yield event
    finally:
        if alarm is not None:
            alarm.cancel()
        await _stop(racers, on_lost)


def _begin(racer: Racer[T]) -> asyncio.Future[T]:
    return asyncio.ensure_future(anext(racer))


async def _stop(
    racers: dict[asyncio.Future[Any], Racer[T]], on_lost: Callable[[Racer[T]], None]
) -> None:
    while racers:
        task, racer = racers.popitem()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await racer.aclose()
        on_lost(racer)
