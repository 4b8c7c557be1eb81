"""Whether one way to a model is worth asking now. It decides; it neither calls nor waits.

::

    closed     --failures in a row, or a fault of key or account-->  open
    open       --its time is up-->                                   half open
    half open  --one call tries it: an answer-->                     closed
               --a failure-->                                        open, for twice as long

Beside that a provider may ask to be left alone (Retry-After); that is honoured, and is no failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from router.errors import ProviderError

MAX_HOLD_S = 3_600.0
"""Longest Retry-After that keeps others from asking: a header may name any number."""


class CircuitState(StrEnum):
    """Of one way to a model."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitRule:
    """When a way is left alone.

    Attributes:
        failures: in a row, after which it opens.
        open_s: seconds it stays open the first time; doubles as long as trying it fails.
        max_open_s: at most.
    """

    failures: int = 5
    open_s: float = 10.0
    max_open_s: float = 300.0


@dataclass(frozen=True, slots=True)
class _Pause:
    """A time in which nobody asks. A clock that is set back ends it: better early than never."""

    since_s: float
    for_s: float

    def left_s(self, now_s: float) -> float:
        passed = now_s - self.since_s
        return self.for_s - passed if 0 <= passed < self.for_s else 0.0


_NO_PAUSE = _Pause(0.0, 0.0)


class Circuit:
    """The state of one way, told how every call ended.

    Args:
        rule: when it opens, and for how long.
        now_s: seconds since the epoch.
        on_change: told of every new state.
    """

    def __init__(
        self,
        rule: CircuitRule,
        now_s: Callable[[], float],
        on_change: Callable[[CircuitState], None] = lambda _: None,
    ) -> None:
        self._rule = rule
        self._now_s = now_s
        self._on_change = on_change
        self._n_failures = 0
        self._n_openings = 0
        self._opened: _Pause | None = None
        self._hold = _NO_PAUSE
        self._is_tried = False
        self._cause = ""
        self.is_account_fault = False
        """It is open since key or account were refused: asking again before its time is vain."""

    def __repr__(self) -> str:
        return f"Circuit({self.state}, failures={self._n_failures}, wait_s={self.wait_s():g})"

    def go_by(self, rule: CircuitRule) -> None:
        """Go by another rule from now on; what is open stays so for as long as it was told."""
        self._rule = rule

    def hush(self) -> None:
        """Tell nobody any more: the way has left the settings, and its last calls end."""
        self._on_change = lambda _: None

    @property
    def state(self) -> CircuitState:
        """Return the state as it is now."""
        if self._opened is None:
            return CircuitState.CLOSED
        is_open = self._opened.left_s(self._now_s()) > 0
        return CircuitState.OPEN if is_open else CircuitState.HALF_OPEN

    def may_ask(self) -> bool:
        """Tell whether a call may be made now; half open, only one at a time may."""
        return self.wait_s() == 0 and not (self._opened is not None and self._is_tried)

    def wait_s(self) -> float:
        """Return the seconds until a call may be made; 0: now."""
        now_s = self._now_s()
        opened = self._opened.left_s(now_s) if self._opened else 0.0
        return max(opened, self._hold.left_s(now_s))

    def is_held(self) -> bool:
        """Tell whether the provider asked to be left alone, and that time is not up."""
        return self._hold.left_s(self._now_s()) > 0

    def why(self) -> str:
        """Say why it may not be asked; empty where it may.

        No words of an upstream: they may quote another caller's prompt.
        """
        wait_s = self.wait_s()
        if wait_s == 0:
            return "" if self.may_ask() else "circuit half open: another call is trying it"
        until = datetime.fromtimestamp(self._now_s() + wait_s, UTC).strftime("%H:%M:%S UTC")
        if self.state is CircuitState.OPEN:
            return f"circuit open until {until}: {self._cause}"
        return f"left alone until {until}, as its provider asked"

    def asked(self) -> None:
        """Note that a call begins."""
        if self.state is CircuitState.HALF_OPEN and not self._is_tried:
            self._is_tried = True
            self._on_change(CircuitState.HALF_OPEN)

    def answered(self) -> None:
        """Note an answer, or a refusal of the request itself: whoever refuses is alive."""
        was_open = self._opened is not None
        self._n_failures = self._n_openings = 0
        self._opened = None
        self._is_tried = self.is_account_fault = False
        if was_open:
            self._on_change(CircuitState.CLOSED)

    def left(self) -> None:
        """Note a call that ended without a verdict: its caller went away."""
        self._is_tried = False

    def failed(self, error: ProviderError) -> None:
        """Note a failure."""
        if not error.is_retryable and not error.is_account_fault:
            self.answered()
            return
        state = self.state
        self._is_tried = False
        if error.retry_after_s:
            self._hold = _Pause(self._now_s(), min(error.retry_after_s, MAX_HOLD_S))
        if error.is_account_fault:
            if state is not CircuitState.OPEN or not self.is_account_fault:
                self._open(error, "key or account was refused")
        elif error.kind == "http_429" and error.retry_after_s is not None:
            return  # it said when to come back, and is well until then
        elif state is not CircuitState.OPEN:  # else: a call that began before it opened
            self._n_failures += 1
            if state is CircuitState.HALF_OPEN or self._n_failures >= self._rule.failures:
                self._open(error, f"{self._n_failures} failures in a row")

    def _open(self, error: ProviderError, cause: str) -> None:
        for_s = self._rule.open_s * 2.0 ** min(self._n_openings, 32)
        self._opened = _Pause(self._now_s(), min(for_s, self._rule.max_open_s))
        self._n_openings += 1
        self._cause = f"{cause} ({error.kind})"
        self.is_account_fault = error.is_account_fault
        self._on_change(CircuitState.OPEN)
