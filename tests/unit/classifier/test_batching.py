import asyncio
import threading
from collections.abc import Sequence

import pytest

from classifier.batching import Batcher
from classifier.errors import BatcherClosed, Overloaded


class Gate:
    """A batch function that waits for permission and remembers what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, requests: Sequence[int]) -> list[int]:
        self.batches.append(list(requests))
        self.entered.set()
        assert self.open.wait(5)
        return [10 * request for request in requests]


async def _wait_until_running(gate: Gate) -> None:
    await asyncio.to_thread(gate.entered.wait, 5)


async def test_each_caller_gets_its_own_result() -> None:
    """Results go back in order, whatever the batches were."""
    batcher: Batcher[int, int] = Batcher(
        lambda xs: [x + 1 for x in xs], max_batch=4, workers=2, max_waiting=99, name="t"
    )

    results = await asyncio.gather(*(batcher.submit(i) for i in range(50)))

    assert results == list(range(1, 51))
    await batcher.close()


async def test_calls_that_wait_together_share_a_run() -> None:
    """While one run is busy the others gather, up to the limit."""
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate, max_batch=3, workers=1, max_waiting=99, name="t")
    first = asyncio.create_task(batcher.submit(0))
    await _wait_until_running(gate)
    others = [asyncio.create_task(batcher.submit(i)) for i in range(1, 6)]
    await asyncio.sleep(0)

    gate.open.set()

    assert await asyncio.gather(first, *others) == [0, 10, 20, 30, 40, 50]
    assert gate.batches == [[0], [1, 2, 3], [4, 5]]
    await batcher.close()


async def test_a_full_queue_refuses_at_once() -> None:
    """Overload is an answer: the caller can shed load instead of waiting for ever."""
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(
        gate, max_batch=1, workers=1, max_waiting=1, name="encoder"
    )
    running = asyncio.create_task(batcher.submit(0))
    await _wait_until_running(gate)
    waiting = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)

    with pytest.raises(Overloaded, match="encoder holds 1 waiting"):
        await batcher.submit(2)

    gate.open.set()
    assert list(await asyncio.gather(running, waiting)) == [0, 10]
    await batcher.close()


async def test_a_cancelled_call_is_not_run() -> None:
    """Work nobody waits for is not done."""
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate, max_batch=9, workers=1, max_waiting=9, name="t")
    first = asyncio.create_task(batcher.submit(0))
    await _wait_until_running(gate)
    doomed = asyncio.create_task(batcher.submit(1))
    kept = asyncio.create_task(batcher.submit(2))
    await asyncio.sleep(0)

    doomed.cancel()
    await asyncio.sleep(0)
    gate.open.set()

    assert list(await asyncio.gather(first, kept)) == [0, 20]
    assert gate.batches == [[0], [2]]
    await batcher.close()


async def test_a_call_cancelled_while_it_runs_harms_no_neighbour() -> None:
    """The result of a cancelled call is dropped; the batch's other callers get theirs."""
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate, max_batch=9, workers=1, max_waiting=9, name="t")
    doomed = asyncio.create_task(batcher.submit(0))
    await _wait_until_running(gate)
    doomed.cancel()
    after = asyncio.create_task(batcher.submit(1))
    gate.open.set()

    assert await after == 10
    assert doomed.cancelled() or doomed.cancelling()
    await batcher.close()


async def test_one_poisoned_request_does_not_fail_its_neighbours() -> None:
    """A failed batch is retried one by one: only the culprit's caller sees the error."""

    def run(requests: Sequence[int]) -> list[int]:
        if 13 in requests:
            raise ValueError("13 is poison")
        return list(requests)

    batcher: Batcher[int, int] = Batcher(run, max_batch=50, workers=1, max_waiting=99, name="t")
    results = await asyncio.gather(*(batcher.submit(i) for i in range(20)), return_exceptions=True)

    assert [r for r in results if not isinstance(r, Exception)] == [i for i in range(20) if i != 13]
    assert isinstance(results[13], ValueError)
    await batcher.close()


async def test_a_run_that_loses_results_is_an_error() -> None:
    """Fewer results than requests would hand answers to the wrong callers."""
    batcher: Batcher[int, int] = Batcher(
        lambda xs: [], max_batch=5, workers=1, max_waiting=9, name="short"
    )

    with pytest.raises(RuntimeError, match="0 results for 1 requests"):
        await batcher.submit(1)
    await batcher.close()


async def test_closing_fails_those_that_wait_and_lets_the_running_end() -> None:
    """Shutdown leaves nobody hanging."""
    gate = Gate()
    batcher: Batcher[int, int] = Batcher(gate, max_batch=1, workers=1, max_waiting=9, name="t")
    running = asyncio.create_task(batcher.submit(0))
    await _wait_until_running(gate)
    waiting = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)

    closing = asyncio.create_task(batcher.close())
    with pytest.raises(BatcherClosed):
        await waiting
    gate.open.set()
    await closing

    assert await running == 0
    with pytest.raises(BatcherClosed):
        await batcher.submit(2)


@pytest.mark.parametrize("name", ["max_batch", "workers", "max_waiting"])
def test_numbers_below_one_are_refused(name: str) -> None:
    """A batcher that can never run anything is a mistake in the configuration."""
    numbers = {"max_batch": 1, "workers": 1, "max_waiting": 1, name: 0}

    with pytest.raises(ValueError, match=f"{name} is at least 1, got 0"):
        Batcher(list, name="t", **numbers)


def test_it_works_on_uvloop() -> None:
    """The service runs on uvloop; wake-ups from threads must reach it."""
    uvloop = pytest.importorskip("uvloop")

    async def main() -> list[int]:
        batcher: Batcher[int, int] = Batcher(
            lambda xs: list(xs), max_batch=4, workers=2, max_waiting=99, name="t"
        )
        results = await asyncio.gather(*(batcher.submit(i) for i in range(30)))
        await batcher.close()
        return results

    assert uvloop.run(main()) == list(range(30))
