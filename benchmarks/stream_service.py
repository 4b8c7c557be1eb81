"""The service as a subject of ``stream``: built in process, empty.

``opened`` goes through the advisor's door, as it ships; ``opened_at`` asks its cache alone, at a
threshold that the benchmark chooses.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from benchmarks.encoding import shipped_encoder, shipped_verifier
from benchmarks.errors import UnusableInput
from benchmarks.shipped import NAMESPACE, complexity_card, plain_request, shipped_settings
from benchmarks.stream import Served, StreamSubject
from cache.normalize import canonical
from cache.types import Draft, Embedding, EntryId, Hit, OperatingPoint, Query
from router.advisor import LookedUp, Returned
from router.app import App, build
from router.ledger.types import FeedbackKind, Outcome
from router.reuse import Reuse, judge
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
        self.artifacts = _artifacts()
        self.degraded: Sequence[str] = list(app.notices)

    async def ask(self, text: str) -> Served | None:
        """Look a text up; see ``StreamSubject``."""
        found = await self._app.advisor.look_up(plain_request(text), None)
        assert isinstance(found, LookedUp)  # only requests with an id are replayed
        self._last = found
        if found.hit is None:
            return None
        row = int(found.hit.answer.text.removeprefix(_ANSWER))
        is_exact = found.line.outcome is Outcome.EXACT
        return Served(row, is_exact=is_exact, p_right=found.line.p_right or 0.0)

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
    overrides = {"limits.feedback_per_minute": 1_000_000, "cache.max_error_rate": max_error_rate}
    async with _built(overrides) as app:
        yield ServiceSubject(app)


class ThresholdSubject:
    """The service's cache by itself, with a threshold on P(right) of its own.

    Rules on texts, layers, index, store and decision are the service's; models, prices and ledger
    are left out, so that a stream can be replayed at many thresholds.

    Attributes:
        artifacts, degraded: see ``StreamSubject``.
    """

    def __init__(
        self, app: App, min_p_right: float, embedding_of: Callable[[str], Embedding]
    ) -> None:
        self._policy = app.settings.default_policy
        self._cache = app.cache
        self._point = OperatingPoint(min_p_right=min_p_right)
        self._embedding_of = embedding_of
        self._rows: dict[EntryId, int] = {}
        self._missed: tuple[Reuse, Embedding] | None = None
        self.artifacts = _artifacts()
        self.degraded: Sequence[str] = list(app.notices)

    async def ask(self, text: str) -> Served | None:
        """Look a text up; see ``StreamSubject``."""
        self._missed = None
        reuse = judge(plain_request(text), self._policy)
        if reuse.barrier is not None:
            return None
        query = Query(
            partition=reuse.split.partition,
            text=reuse.split.text,
            policy=self._policy.reuse,
            permit=lambda _: None,
            point=self._point,
            max_age_s=reuse.max_age_s,
            exact_only=reuse.exact_only,
        )
        exact = await self._cache.find_exact(query)
        if isinstance(exact, Hit):
            return Served(self._rows[exact.head.id], is_exact=True, p_right=1.0)
        embedding = self._embedding_of(canonical(reuse.split.text))
        # On the event loop: nothing else runs, and a change of threads costs more than the lookup.
        (near,) = self._cache.find_near([query], [embedding])
        if isinstance(near, Hit):
            return Served(self._rows[near.head.id], is_exact=False, p_right=near.p_right)
        self._missed = reuse, embedding
        return None

    async def keep(self, row: int) -> None:
        """Store the answer of ``row``, unless a rule on texts forbids it."""
        if self._missed is None:
            return
        reuse, embedding = self._missed
        head = await self._cache.store(
            Draft(
                partition=reuse.split.partition,
                namespace=NAMESPACE,
                text=reuse.split.text,
                answer=f"{_ANSWER}{row}".encode(),
                model="",
                input_tokens=None,
                output_tokens=None,
                ttl_s=reuse.ttl_s,
                embedding=embedding,
                exact_only=reuse.exact_only is not None,
            )
        )
        self._rows[head.id] = row

    async def learn(self, is_right: bool) -> None:
        """Learn nothing: the threshold is given."""


@asynccontextmanager
async def opened_at(
    min_p_right: float, embedding_of: Callable[[str], Embedding]
) -> AsyncIterator[StreamSubject]:
    """Open an empty cache that serves near-duplicates from a P(right) on; see ``opened``.

    Args:
        min_p_right: in [0, 1].
        embedding_of: the shipped encoder's embedding of a canonical text.

    Raises:
        UnusableInput: the service starts without its encoder.
    """
    async with _built({}) as app:
        yield ThresholdSubject(app, min_p_right, embedding_of)


@asynccontextmanager
async def _built(overrides: Mapping[str, object]) -> AsyncIterator[App]:
    with tempfile.TemporaryDirectory(prefix="scrimp-stream-") as folder:
        settings = shipped_settings({"service.data_folder": folder, **overrides})
        async with build(settings) as app:
            if any(notice.startswith("encoder") for notice in app.notices):
                raise UnusableInput(f"the service is degraded: {'; '.join(app.notices)}")
            yield app


def _artifacts() -> Mapping[str, str]:
    return {
        "encoder": shipped_encoder().encoder_id,
        "verifier": shipped_verifier().verifier_id,
        "complexity": str(complexity_card().get("id", "rules")),
    }
