"""The service as a subject of ``stream``: built in process, empty, through the advisor's door."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from benchmarks.encoding import shipped_encoder, shipped_verifier
from benchmarks.errors import UnusableInput
from benchmarks.shipped import NAMESPACE, complexity_card, plain_request, shipped_settings
from benchmarks.stream import Served, StreamSubject
from router.advisor import LookedUp, Returned
from router.app import App, build
from router.ledger.types import FeedbackKind, Outcome
from router.types import Answer, Usage

_ANSWER = "This is the answer that was stored for row "
_USAGE = Usage(input_tokens=20, output_tokens=20)


class ServiceSubject:
    """An ``App`` that is asked by one user.

    Attributes:
        artifacts: ids of what it decides with.
        degraded: what the service said of itself at its start.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._last: LookedUp | None = None
        self.artifacts: Mapping[str, str] = {
            "encoder": shipped_encoder().encoder_id,
            "verifier": shipped_verifier().verifier_id,
            "complexity": str(complexity_card().get("id", "rules")),
        }
        self.degraded: Sequence[str] = list(app.notices)

    async def ask(self, text: str) -> Served | None:
        """Look a text up; see ``StreamSubject``."""
        found = await self._app.advisor.look_up(plain_request(text), None)
        assert isinstance(found, LookedUp)  # only requests with an id are replayed
        self._last = found
        if found.hit is None:
            return None
        row = int(found.hit.answer.text.removeprefix(_ANSWER))
        return Served(row, is_exact=found.line.outcome is Outcome.EXACT)

    async def keep(self, row: int) -> None:
        """Bring the row's answer back with the ticket, from the model that was advised."""
        if self._last is None or self._last.ticket is None:
            return
        answer = Answer(text=f"{_ANSWER}{row}", finish_reason="stop")
        await self._app.advisor.store(
            self._last.ticket.token,
            Returned(answer=answer, usage=_USAGE),
            namespace=NAMESPACE,
            caller=NAMESPACE,
        )

    async def learn(self, is_right: bool) -> None:
        """Report on the hit just served."""
        assert self._last is not None
        kind = FeedbackKind.HIT_RIGHT if is_right else FeedbackKind.HIT_WRONG
        await self._app.operations.feedback(
            self._last.line.line_id, kind, "", namespace=NAMESPACE, caller=NAMESPACE
        )


@asynccontextmanager
async def opened(max_error_rate: float) -> AsyncIterator[StreamSubject]:
    """Open an empty service on embedded defaults, in a folder that vanishes with it.

    Args:
        max_error_rate: the target, as in the configuration.

    Raises:
        UnusableInput: the service starts without its encoder: the figures would be of no use.
    """
    with tempfile.TemporaryDirectory(prefix="scrimp-stream-") as folder:
        settings = shipped_settings(
            {
                "service.data_folder": folder,
                "limits.feedback_per_minute": 1_000_000,
                "cache.max_error_rate": max_error_rate,
            }
        )
        async with build(settings) as app:
            if any(notice.startswith("encoder") for notice in app.notices):
                raise UnusableInput(f"the service is degraded: {'; '.join(app.notices)}")
            yield ServiceSubject(app)
