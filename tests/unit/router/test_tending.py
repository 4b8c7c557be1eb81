from __future__ import annotations

import asyncio
import logging

import pytest

from router.tending import tend


async def test_work_that_fails_once_is_told_and_done_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    n_done, n_degraded, again = 0, 0, asyncio.Event()

    async def work() -> None:
        nonlocal n_done
        n_done += 1
        if n_done == 1:
            raise OSError("no room")
        again.set()

    def degraded() -> None:
        nonlocal n_degraded
        n_degraded += 1

    log = logging.getLogger("test")
    task = asyncio.create_task(
        tend(work, every_s=0, log=log, failed="it could not be done", degraded=degraded)
    )
    await asyncio.wait_for(again.wait(), 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert n_degraded == 1
    assert "it could not be done; trying again" in caplog.text
    assert task.cancelled()
