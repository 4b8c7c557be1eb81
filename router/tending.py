"""Work that is done again and again beside the requests, whatever befalls it once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn


async def tend(
    work: Callable[[], Awaitable[object]],
    *,
    every_s: float,
    log: logging.Logger,
    failed: str,
    degraded: Callable[[], object],
) -> NoReturn:
    """Do something every few seconds until cancelled; a failure is told, and tried again.

    Args:
        work: what is done.
        every_s: seconds between an end and the next beginning.
        log: gets a failure.
        failed: what to say of it.
        degraded: called after a failure.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception("%s; trying again", failed)
            degraded()
        await asyncio.sleep(every_s)
