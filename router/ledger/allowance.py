"""What may be spent in a day. Pure but for the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """Money set aside for a call: the day it belongs to, since the epoch, and how much."""

    day: int
    nanos: int


class Allowance:
    """A sum per day (UTC). Set an estimate aside before a call, and settle it after.

    Args:
        nanos_per_day: nano-dollars; 0: nothing may be spent, not even on what is free.
        now_s: seconds since the epoch.
    """

    def __init__(self, nanos_per_day: int, now_s: Callable[[], float]) -> None:
        self._nanos_per_day = nanos_per_day
        self._now_s = now_s
        self._day = self.day()
        self._used = 0

    def __repr__(self) -> str:
        """Show what is used of today's sum."""
        return f"Allowance({self._used} of {self._nanos_per_day} nano-dollars)"

    def day(self) -> int:
        """Return today, in days since the epoch."""
        return int(self._now_s() // DAY_S)

    def go_by(self, nanos_per_day: int) -> None:
        """Go by another sum from now on; what is used stays used."""
        self._nanos_per_day = nanos_per_day

    def used_before(self, nanos: int) -> None:
        """Take what was spent today before this process began."""
        self._used += nanos

    def reserve(self, nanos: int) -> Reserved | None:
        """Set money aside; None when what is left today is less."""
        self._turn()
        if self._nanos_per_day == 0 or self._used + nanos > self._nanos_per_day:
            return None
        self._used += nanos
        return Reserved(day=self._day, nanos=nanos)

    def settle(self, reserved: Reserved, spent_nanos: int | None) -> None:
        """Replace an estimate by what was spent; None: unknown, the estimate stands."""
        self._turn()
        if spent_nanos is not None and reserved.day == self._day:
            self._used += spent_nanos - reserved.nanos

    def _turn(self) -> None:
        if (today := self.day()) != self._day:
            self._day, self._used = today, 0
