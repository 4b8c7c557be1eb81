"""How many calls may be repeated: a share of the traffic, so that an outage is not doubled."""

from __future__ import annotations


class RetryBudget:
    """A bucket of tokens: every request adds a share of one, every repeated call takes one.

    Args:
        share: tokens that a request adds.
        burst: tokens that the bucket holds, and begins with.
    """

    def __init__(self, share: float, burst: int) -> None:
        self._share = share
        self._burst = float(burst)
        self._tokens = self._burst

    def go_by(self, share: float, burst: int) -> None:
        """Go by another share and size from now on; what was saved up stays, as far as it fits."""
        self._share = share
        self._burst = float(burst)
        self._tokens = min(self._tokens, self._burst)

    def earn(self) -> None:
        """Note a request."""
        self._tokens = min(self._burst, self._tokens + self._share)

    def spend(self) -> bool:
        """Take a token; False: there is none, and nothing may be repeated now."""
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
