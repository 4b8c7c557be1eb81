"""What every call passes, whichever face it comes by: the bound on how many run, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from router.errors import Overloaded, Stopping
from router.settings.tables import Limits

DEFAULT_CALLER = "local"


class Edge:
    """Counts the calls in flight; one for all faces, so that the limit is the service's.

    Args:
        limits: from the settings.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._is_closed = False
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self.n_running = 0

    def go_by(self, limits: Limits) -> None:
        """Hold calls that come from now on to other limits."""
        self._limits = limits

    @property
    def is_closed(self) -> bool:
        """Whether new calls are refused."""
        return self._is_closed

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Count a call for as long as the block runs.

        Raises:
            Overloaded: as many as may be are in flight.
            Stopping: the service takes no more calls.
        """
        self.n_running += 1
        self._is_idle.clear()
        try:
            if self.n_running > self._limits.max_in_flight:
                raise Overloaded(
                    f"{self._limits.max_in_flight} requests are in flight, which is the limit; try "
                    f"again in a moment"
                )
            if self._is_closed:
                raise Stopping("the service is stopping; send the request to another instance")
            yield
        finally:
            self.n_running -= 1
            if self.n_running == 0:
                self._is_idle.set()

    def close(self) -> None:
        """Refuse new calls from now on; those that run go on."""
        self._is_closed = True

    async def drained(self, within_s: float) -> bool:
        """Wait until no call runs; return whether that came true in time."""
        try:
            await asyncio.wait_for(self._is_idle.wait(), within_s)
        except TimeoutError:
            return False
        return True
