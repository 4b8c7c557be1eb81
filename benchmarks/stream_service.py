"""The service as a subject of ``stream``: built in process, empty.

``opened`` goes through the advisor's door, as it ships; ``opened_at`` asks its cache alone, at a
threshold that the benchmark chooses.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np

from benchmarks.encoding import shipped_encoder
from benchmarks.errors import UnusableInput
from benchmarks.shipped import NAMESPACE, complexity_card, plain_request, shipped_settings
from benchmarks.stream import Served, StreamSubject
from cache.normalize import canonical
from cache.policy import floor_of
from cache.types import Draft, EntryId, Hit, Miss, MissReason, Query, Vector
from router.advisor import LookedUp, Returned
from router.app import App, build
from router.ledger.types import FeedbackKind, Outcome
from router.reuse import Reuse, judge
from router.types import Answer, Usage

NOTE = (
    "--max-error-rate chooses the static thresholds only: the shipped reuse decision is a fixed "
    "cosine threshold with guards, and takes no target yet"
)
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
        max_error_rate: handed to the configuration as soon as that takes one; see ``NOTE``.

    Raises:
        UnusableInput: the service starts without its encoder: the figures would be of no use.
    """
    del max_error_rate
    async with _built({"limits.feedback_per_minute": 1_000_000}) as app:
        yield ServiceSubject(app)


class ThresholdSubject:
    """The service's cache by itself, with a threshold on P(right) of its own.

    Rules on texts, layers, index, store and decision are the service's; models, prices and ledger
    are left out, so that a stream can be replayed at many thresholds.

    Attributes:
        artifacts, degraded: see ``StreamSubject``.
    """

    def __init__(self, app: App, min_p_right: float, vector_of: Callable[[str], Vector]) -> None:
        policy = app.settings.default_policy
        # P(right) alone shall decide: what is near enough to be judged is near enough to be served.
        reuse = replace(policy.reuse, min_similarity=floor_of(policy.reuse))
        self._policy = replace(policy, reuse=reuse)
        self._cache = app.cache
        self._min_p_right = min_p_right
        self._vector_of = vector_of
        self._rows: dict[EntryId, int] = {}
        self._missed: tuple[Reuse, Vector] | None = None
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
            max_age_s=reuse.max_age_s,
            exact_only=reuse.exact_only,
        )
        exact = await self._cache.find_exact(query)
        if isinstance(exact, Hit):
            return Served(self._rows[exact.head.id], is_exact=True, p_right=1.0)
        vector = self._vector_of(canonical(reuse.split.text))
        # On the event loop: nothing else runs, and a change of threads costs more than the lookup.
        (near,) = self._cache.find_near([query], vector[np.newaxis, :])
        entry_id = entry_served(near, self._min_p_right)
        if entry_id is not None:
            return Served(self._rows[entry_id], is_exact=False, p_right=near.p_right or 0.0)
        self._missed = reuse, vector
        return None

    async def keep(self, row: int) -> None:
        """Store the answer of ``row``, unless a rule on texts forbids it."""
        if self._missed is None:
            return
        reuse, vector = self._missed
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
                vector=vector,
                exact_only=reuse.exact_only is not None,
            )
        )
        self._rows[head.id] = row

    async def learn(self, is_right: bool) -> None:
        """Learn nothing: the threshold is given."""


def entry_served(near: Hit | Miss, min_p_right: float) -> EntryId | None:
    """Return the entry that a threshold on P(right) serves, None for none.

    A threshold above the shipped one turns hits into misses; one below it serves the most similar
    candidate that was judged and to which nothing was objected but its probability.
    """
    if near.p_right is None or near.p_right < min_p_right:
        return None
    if isinstance(near, Hit):
        return near.head.id
    return near.nearest if near.reason is MissReason.BELOW_THRESHOLD else None


@asynccontextmanager
async def opened_at(
    min_p_right: float, vector_of: Callable[[str], Vector]
) -> AsyncIterator[StreamSubject]:
    """Open an empty cache that serves near-duplicates from a P(right) on; see ``opened``.

    Args:
        min_p_right: in [0, 1].
        vector_of: the shipped encoder's vector of a canonical text.

    Raises:
        UnusableInput: the service starts without its encoder.
    """
    async with _built({}) as app:
        yield ThresholdSubject(app, min_p_right, vector_of)


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
        "verifier": "cosine",
        "complexity": str(complexity_card().get("id", "rules")),
    }
