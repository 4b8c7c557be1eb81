"""A request id makes retries the same request: one outcome, one ledger line.

In flight, a retry joins; afterwards it gets the kept response, for as long as the settings say.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from router.errors import AlreadyExists
from router.in_flight import InFlight
from router.ledger.types import KeptOutcome, RequestKey
from router.ports import Ledger

E = TypeVar("E")
"""What a request comes to: a gateway's answer or an advisor's look-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The kept response to an earlier request of the same id and body."""

    response: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Once(Generic[E]):
    """One use of a request id.

    Attributes:
        key: the scope of the id.
        body_digest: SHA-256 of the request's canonical bytes.
        encode: the response as the face will repeat it; the flag asks to leave the answer out.
    """

    key: RequestKey
    body_digest: bytes
    encode: Callable[[E, bool], bytes]

    def keep(
        self, ended: E, *, without_answer: bool, expires_at_ms: int, since_ms: int = 0
    ) -> KeptOutcome:
        """Return what a retry shall get; ``since_ms``: when its oldest text came."""
        return KeptOutcome(
            body_digest=self.body_digest,
            response=self.encode(ended, without_answer),
            expires_at_ms=expires_at_ms,
            since_ms=since_ms,
        )


class Retries:
    """Joins requests of the same id.

    Args:
        ledger: keeps outcomes.
        now_ms: milliseconds since the epoch.
    """

    def __init__(self, ledger: Ledger, now_ms: Callable[[], int]) -> None:
        self._ledger = ledger
        self._now_ms = now_ms
        self._running: InFlight[object] = InFlight()

    def __len__(self) -> int:
        """Return how many requests with an id are in flight."""
        return len(self._running)

    async def run(
        self, once: Once[E], begin: Callable[[], AsyncIterator[object]]
    ) -> AsyncIterator[object]:
        """Yield the events of the request: begun now, joined in flight, or replayed.

        Raises:
            AlreadyExists: the id is in use, or was used, for another body.
        """
        if self._running.find(once.key) is None:
            kept = await self._ledger.kept(once.key, self._now_ms())
            if kept is not None:
                _check(once, kept.body_digest)
                yield Replayed(response=kept.response)
                return
        running = self._running.find(once.key)  # another may have begun while the ledger was read
        if running is None:
            running = self._running.start(once.key, begin(), mark=once.body_digest)
        else:
            _check(once, running.mark)
        async for event in running.listen():
            yield event

    async def stop(self) -> None:
        """Cancel what is in flight."""
        await self._running.stop_all()


def _check(once: Once[E], digest: bytes) -> None:
    if digest != once.body_digest:
        raise AlreadyExists(
            f"request_id {once.key.request_id!r} was used before for another request; send the "
            f"same body to get its outcome, or a new id"
        )
