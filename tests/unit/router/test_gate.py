from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from router.errors import Overloaded
from router.fallback.gate import Gate


async def test_so_many_are_let_in_and_the_next_waits_for_its_turn() -> None:
    """In the order in which they came."""
    gate = Gate("p", 1, 2)
    seen: list[int] = []

    async def visit(number: int) -> None:
        async with gate.passed(5.0):
            seen.append(number)

    async with gate.passed(5.0):
        waiting = [asyncio.create_task(visit(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        assert repr(gate) == "Gate(p, in=1, waiting=2)"
    await asyncio.gather(*waiting)

    assert seen == [1, 2]
    assert repr(gate) == "Gate(p, in=0, waiting=0)"


async def test_one_more_than_may_wait_is_sent_away() -> None:
    """At once, with a hint when to come back."""
    gate = Gate("p", 1, 0)

    async with gate.passed(5.0):
        with pytest.raises(Overloaded, match="p has 1 calls in flight and 0 waiting") as caught:
            async with gate.passed(5.0):
                pass

    assert caught.value.retry_after_s == 1.0


async def test_nobody_waits_longer_than_he_can() -> None:
    """Whose time is up goes away, and leaves the queue."""
    gate = Gate("p", 1, 5)

    async with gate.passed(5.0):
        with pytest.raises(Overloaded, match="none ended within 0 s"):
            async with gate.passed(0.0):
                pass

    assert repr(gate) == "Gate(p, in=0, waiting=0)"


async def test_whoever_leaves_frees_the_place() -> None:
    """However he leaves: by an error, or cancelled while he waited."""
    gate = Gate("p", 1, 5)

    with pytest.raises(ValueError, match="within"):
        async with gate.passed(5.0):
            raise ValueError("within")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(gate.passed(5.0))
        waiting = asyncio.create_task(stack.enter_async_context(gate.passed(5.0)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    assert repr(gate) == "Gate(p, in=0, waiting=0)"
