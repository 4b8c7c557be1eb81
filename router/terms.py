"""The terms of a request: one reading of the settings, and everything that follows from it.

A request keeps those that it began with to its end. Other settings make other terms, which take the
place of these at one moment: nothing of ``Terms`` is changed, so that nobody sees half of each.

What lasts from one to the next is in ``Lasting``, and in ``Fallback``, which hands on circuits,
retry budgets and connections of whatever did not change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from cache.semantic_cache import SemanticCache
from cache.types import OperatingPoint
from router.accounts import Accountant
from router.advisor import Advisor, Embeddings
from router.audits import Audits
from router.behind import Behind
from router.choose import Chooser, Pool
from router.churn import Churn
from router.conversations import Conversations
from router.decision import Decider, Decision, Repeats
from router.erasure import Eraser
from router.exploring import Exploring
from router.fallback import Adapters, Fallback, patience_of
from router.gateway import Gateway
from router.learned import Learned
from router.ledger.types import FeedbackKind, FeedbackTaken, LedgerLine
from router.lengths import Lengths
from router.metrics import Metrics
from router.once import Retries
from router.operations import Operations, Spoken
from router.pipeline import Pipeline
from router.ports import Evidence, Ledger
from router.reuse import Reuse
from router.scales import Scale
from router.settings import NamespacePolicy, Settings
from router.token_counts import TokenCounts
from router.types import Mode
from router.understand import Ask, Scorer, Understanding


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What terms are joined to; see ``Decider``, ``Pipeline`` and ``Operations`` for each.

    Attributes:
        modes: set while it runs, by namespace; they win over every file.
        retries: requests with an id that are in flight: a retry joins under whatever terms.
    """

    cache: SemanticCache
    ledger: Ledger
    evidence: Evidence
    eraser: Eraser
    metrics: Metrics
    retries: Retries
    modes: dict[str, Mode]
    scorer: Scorer
    understand: Callable[[Ask], Awaitable[Understanding]]
    by_rules: Callable[[Ask], Understanding]
    point: Callable[[str, NamespacePolicy], OperatingPoint]
    churn: Churn
    conversations: Conversations
    learned: Learned
    exploring: Exploring
    on_routed: Callable[[Decision, LedgerLine], None]
    on_word: Callable[[FeedbackTaken, FeedbackKind], None]
    lengths: Lengths
    behind: Behind
    now_s: Callable[[], float]
    repeats: Repeats = field(default_factory=Repeats)
    ticketed: Embeddings = field(default_factory=OrderedDict)
    spoken: Spoken = field(default_factory=OrderedDict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Terms:
    """Attributes: the settings, and the parts that go by them."""

    settings: Settings
    pipeline: Pipeline
    fallback: Fallback
    gateway: Gateway
    advisor: Advisor
    operations: Operations
    token_counts: TokenCounts


def fallback_of(
    settings: Settings, adapters: Adapters, lasting: Lasting, before: Fallback | None = None
) -> Fallback:
    """Return what calls the models of the settings; see ``Fallback`` for what it takes over."""
    return Fallback(
        adapters.ways(settings),
        patience_of(settings),
        settings.prices.cost_nanos,
        metrics=lasting.metrics,
        now_s=lasting.now_s,
        before=before,
    )


def terms_of(settings: Settings, lasting: Lasting, fallback: Fallback, audits: Audits) -> Terms:
    """Join what follows from settings to what lasts."""
    price = settings.prices.cost_nanos
    pool = Pool.of(settings)
    scale = Scale(pool, lasting.scorer)

    def on_miss(namespace: str, reuse: Reuse) -> None:
        lasting.churn.note(namespace, reuse)

    decider = Decider(
        settings=settings,
        modes=lasting.modes,
        cache=lasting.cache,
        understand=lasting.understand,
        rules=lasting.by_rules,
        choice=Chooser(
            pool,
            scale.p_adequate,
            scale.typical(),
            lasting.lengths.of,
            lasting.learned.adjusted,
        ),
        point=lasting.point,
        now_s=lasting.now_s,
        on_degraded=lasting.metrics.degraded,
        on_miss=on_miss,
        held=lasting.conversations.of,
        repeats=lasting.repeats,
        since_s=lasting.behind.since_s,
    )
    pipeline = Pipeline(
        settings=settings,
        decider=decider,
        cache=lasting.cache,
        ledger=lasting.ledger,
        accountant=Accountant(settings.routing.baseline, price, lasting.now_s),
        audits=audits,
        conversations=lasting.conversations,
        metrics=lasting.metrics,
        now_s=lasting.now_s,
        exploring=lasting.exploring,
        on_routed=lasting.on_routed,
        on_called=lasting.lengths.note,
    )
    return Terms(
        settings=settings,
        pipeline=pipeline,
        fallback=fallback,
        gateway=Gateway(pipeline, fallback, lasting.retries),
        advisor=Advisor(pipeline, price, lasting.retries, lasting.ticketed),
        operations=Operations(
            settings=settings,
            modes=lasting.modes,
            cache=lasting.cache,
            ledger=lasting.ledger,
            churn=lasting.churn,
            evidence=lasting.evidence,
            eraser=lasting.eraser,
            metrics=lasting.metrics,
            now_s=lasting.now_s,
            spoken=lasting.spoken,
            on_word=lasting.on_word,
        ),
        token_counts=TokenCounts(fallback, settings.policy),
    )


class InUse:
    """The terms that requests begin with now, and those of requests that still run.

    Args:
        first: of the settings at the start.
        lasting: what all are joined to.
        adapters: the open connections.
        audits: what checks answers in the background, by the terms of now.
        keep_texts: told the settings of now, for how long texts are kept.
    """

    def __init__(
        self,
        first: Terms,
        lasting: Lasting,
        adapters: Adapters,
        audits: Audits,
        keep_texts: Callable[[Settings], None],
    ) -> None:
        self.now = first
        self._lasting = lasting
        self._adapters = adapters
        self._audits = audits
        self._keep_texts = keep_texts
        self._past: list[Terms] = []
        self._idle: list[Terms] = []
        self.go_by(first)

    def __repr__(self) -> str:
        return f"InUse(past={len(self._past)}, adapters={len(self._adapters)})"

    async def prepare(self, settings: Settings) -> Terms:
        """Return the terms that other settings come to; ``switch`` before the next ``await``.

        Args:
            settings: as ``settings.changes`` gives them: what needs a restart is as it was.

        Raises:
            LedgerUnavailable: what audits cost today cannot be read.
        """
        await self._audits.prepare(settings)
        fallback = fallback_of(settings, self._adapters, self._lasting, self.now.fallback)
        return terms_of(settings, self._lasting, fallback, self._audits)

    def go_by(self, terms: Terms) -> None:
        """Tell what works in the background which settings to go by."""
        settings = terms.settings
        changed = self._lasting.behind.go_by(settings.models)
        self._lasting.lengths.drop(changed)
        self._lasting.learned.drop(changed)
        scale = Scale(Pool.of(settings), self._lasting.scorer)
        self._lasting.learned.go_by(list(settings.models), scale.p_adequate)

    def switch(self, terms: Terms) -> None:
        """Put terms into use for whatever begins from now on; what runs ends as it began."""
        self._past.append(self.now)
        self.now = terms
        self._audits.go_by(terms.settings, terms.fallback)
        self.go_by(terms)
        self._keep_texts(terms.settings)

    async def let_go(self) -> None:
        """Close the connections that neither the terms of now nor a request in flight need.

        Called now and then. Terms go when nobody held them twice in a row: between two steps of one
        request there may be a moment in which nobody does.
        """
        await self._lasting.behind.keep()
        idle = [terms for terms in self._past if not terms.fallback.is_held]
        gone = [terms for terms in idle if terms in self._idle]
        self._idle = idle
        if gone:
            self._past = [terms for terms in self._past if terms not in gone]
            terms_left = (self.now, *self._past)
            await self._adapters.close_but(
                adapter for terms in terms_left for adapter in terms.fallback.adapters
            )

    async def stop(self) -> None:
        """Cancel the calls in flight under whatever terms, and wait for what is being stored."""
        async with AsyncExitStack() as last_first:  # a step that fails keeps none from running
            for terms in (*self._past, self.now):
                last_first.push_async_callback(terms.advisor.stop)
                last_first.push_async_callback(terms.gateway.stop)

    def mode_set(self, namespace: str) -> Mode | None:
        """Return the mode that a namespace was switched to while it ran; it wins over the file."""
        return self._lasting.modes.get(namespace)
