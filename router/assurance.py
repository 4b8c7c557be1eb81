"""How sure a namespace's near-duplicates are: evidence in, operating point out.

Evidence is taken on the event loop and kept in the ledger's file at once; what follows from it is
worked out aside, some seconds later, so that a lookup pays for one look into a dict.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from cache.calibration import (
    GRID,
    Observation,
    Twins,
    fair_sample,
    labels_missing,
    live_error_rate,
    operating_point,
    positives_drift,
)
from cache.traits import wordless
from cache.types import EXACT_ONLY, OperatingPoint, ReusePolicy
from router.ledger.evidence import KEEP_S, Kept, Twin, keepable
from router.ledger.types import AssuranceReport, AssuranceState
from router.metrics import Metrics
from router.ports import EvidenceStore
from router.tending import tend

WINDOW = 5_000
"""Observations per namespace that count, and so many twin calls; older ones are forgotten."""

INTERVAL_S = 2.0
MAX_NAMESPACES = 10_000

_NO_TARGET = -1.0  # evidence came, and no lookup yet that says what is wanted
_PER_ROUND = 20  # namespaces that one round works out, some 20 ms each with a full window
_FEWEST_TWINS = 20
_TRIM_AFTER = 1_000  # rows more than the window that a namespace may have in the file
_RECENT_SHARE = 5  # a fifth of the window, the latest, is compared with the rest
_RECENT_LEAST = 100
_WORDS_CHECKED_S = 60.0

_log = logging.getLogger(__name__)

Prior = Callable[[float], float | None]
"""What the shipped calibration says: the least P(right) for a target, None: none is enough."""


@dataclass(slots=True)
class _Namespace:
    """What is known of a namespace and what follows from it."""

    target: float
    point: OperatingPoint
    report: AssuranceReport | None = None
    observations: deque[Observation] = field(default_factory=lambda: deque(maxlen=WINDOW))
    twins: deque[Twin] = field(default_factory=lambda: deque(maxlen=WINDOW))
    is_stale: bool = False
    judged_round: int = 0
    n_untrimmed: int = 0
    words_checked_s: float = 0.0
    reported_at_s: float = 0.0

    def drop_older_than(self, at_s: float) -> None:
        """Forget what is too old to count."""
        for kept in (self.observations, self.twins):
            while kept and kept[0].at_s < at_s:
                kept.popleft()
                self.is_stale = True

    def drop_words_older_than(self, at_s: float) -> None:
        """Forget the words that came of texts so old; what was learned goes on to count."""
        kept = [_without_old_words(one, at_s) for one in self.observations]
        if any(one is not before for one, before in zip(kept, self.observations, strict=True)):
            self.observations = deque(kept, maxlen=WINDOW)
            self.is_stale = True
        self.drop_unfounded_words()

    def drop_unfounded_words(self) -> None:
        """Let no trait be barred by words that no observation has any more."""
        founded = {trait for one in self.observations for trait in one.traits}
        report = self.report
        if report is None:
            return
        plain = frozenset(wordless(report.barred))
        barred = tuple(trait for trait in report.barred if trait in plain or trait in founded)
        if barred != report.barred:
            self.report = replace(report, barred=barred)
            self.point = replace(self.point, barred=self.point.barred & frozenset(barred))
            self.reported_at_s = 0.0


class Assurance:
    """Holds the evidence and the operating point of every namespace.

    Args:
        store: where evidence survives.
        prior: the shipped calibration.
        verifier: id of what gives P(right); evidence under another id is on another scale and
            does not count.
        metrics: shows how namespaces stand.
        now_s: seconds since the epoch.
        words_s: how long words of texts are kept with what was learned of them, by namespace.
    """

    def __init__(
        self,
        *,
        store: EvidenceStore,
        prior: Prior,
        verifier: str,
        metrics: Metrics,
        now_s: Callable[[], float],
        words_s: Callable[[str], float] = lambda _: KEEP_S,
    ) -> None:
        self._words_s = words_s
        self._store = store
        self._prior = prior
        self._verifier = verifier
        self._metrics = metrics
        self._now_s = now_s
        self._namespaces: dict[str, _Namespace] = {}
        self._round = 0

    async def load(self) -> None:
        """Take up what was known before a restart, the last operating points included.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        for name, kept in (await self._store.evidence(self._verifier, self._now_s())).items():
            state = self._known(name)
            if state is None:
                break
            state.observations.extend(kept.observations)
            state.twins.extend(kept.twins)
            if kept.report is not None:
                state.report, state.is_stale = kept.report, True
                state.target = kept.report.target
                state.point = _point_of(kept.report)
                self._metrics.assured(kept.report)
            self._drop_words(name, state)

    async def relearn(self) -> None:
        """Take the evidence up anew from where it is kept, as words were erased there.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        known = await self._store.evidence(self._verifier, self._now_s())
        for name, state in self._namespaces.items():
            kept = known.get(name, Kept())
            state.observations = deque(kept.observations, maxlen=WINDOW)
            state.twins = deque(kept.twins, maxlen=WINDOW)
            state.is_stale = True
            state.drop_unfounded_words()
            self._report_again(state)

    def _drop_words(self, name: str, state: _Namespace) -> None:
        words_s, now_s = self._words_s(name), self._now_s()
        state.words_checked_s = now_s
        state.drop_words_older_than(now_s - words_s)
        has_words = state.report is not None and wordless(state.report.barred) != (
            state.report.barred
        )
        if state.reported_at_s == 0.0 or (has_words and now_s - state.reported_at_s > words_s / 2):
            self._report_again(state)

    def _report_again(self, state: _Namespace) -> None:
        """Write a report that still holds: words in one that was written long ago are taken out."""
        state.reported_at_s = self._now_s()
        if state.report is not None:
            self._store.note_assurance(self._verifier, state.report, state.reported_at_s)

    def point(self, namespace: str, policy: ReusePolicy) -> OperatingPoint:
        """Return the namespace's operating point for its target; a look into a dict."""
        state = self._namespaces.get(namespace)
        if state is not None and state.target == policy.max_error_rate:
            return state.point
        return self._first_point(namespace, policy.max_error_rate)

    def observe(self, namespace: str, observation: Observation) -> None:
        """Take an observation; the operating point follows within seconds."""
        observation = replace(observation, traits=keepable(observation.traits))
        state = self._known(namespace)
        if state is not None:
            state.observations.append(observation)
            self._store.note_observation(namespace, self._verifier, observation)
            self._grown(namespace, state)

    def twin(self, namespace: str, is_different: bool) -> None:
        """Take what the comparator said of two answers of one model to one prompt."""
        state = self._known(namespace)
        if state is not None:
            twin = Twin(is_different=is_different, at_s=self._now_s())
            state.twins.append(twin)
            self._store.note_twin(namespace, twin)
            self._grown(namespace, state)

    def report(self, namespace: str) -> AssuranceReport | None:
        """Return how a namespace stood when it was last worked out; None: never was."""
        state = self._namespaces.get(namespace)
        return None if state is None else state.report

    def false_alarms(self, namespace: str) -> float:
        """Return how often two right answers look different there; 0 until some are compared."""
        state = self._namespaces.get(namespace)
        if state is None or len(state.twins) < _FEWEST_TWINS:
            return 0.0
        return sum(twin.is_different for twin in state.twins) / len(state.twins)

    async def refresh(self) -> None:
        """Work out what follows from new evidence, for a bounded number of namespaces."""
        oldest_s = self._now_s() - KEEP_S
        for name, state in self._namespaces.items():
            state.drop_older_than(oldest_s)
            if self._now_s() - state.words_checked_s >= _WORDS_CHECKED_S:
                self._drop_words(name, state)
        stale = [
            (name, state)
            for name, state in self._namespaces.items()
            if state.is_stale and state.target != _NO_TARGET
        ]
        stale.sort(key=lambda found: found[1].judged_round)  # who waited longest comes first
        self._round += 1
        for name, state in stale[:_PER_ROUND]:
            state.is_stale = False
            state.judged_round = self._round
            target = state.target
            report, point = await asyncio.to_thread(
                judge,
                name,
                target,
                self._prior(target),
                list(state.observations),
                list(state.twins),
            )
            if self._namespaces.get(name) is state and state.target == target:
                self._take(state, report, point)

    async def keep_fresh(self) -> None:
        """Refresh every few seconds until cancelled."""
        await tend(
            self.refresh,
            every_s=INTERVAL_S,
            log=_log,
            failed="operating points could not be worked out",
            degraded=lambda: self._metrics.degraded("assurance"),
        )

    def _first_point(self, namespace: str, target: float) -> OperatingPoint:
        """Return the shipped calibration's point, until a target's own is worked out."""
        point = self._shipped(target)
        state = self._known(namespace)
        if state is not None:
            state.target, state.point, state.is_stale = target, point, True
            if state.report is not None:  # what errs too often does so at any target, until judged
                state.point = replace(point, barred=frozenset(state.report.barred))
        return point if state is None else state.point

    def _shipped(self, target: float) -> OperatingPoint:
        least = self._prior(target) if target > 0 else None
        return EXACT_ONLY if least is None else OperatingPoint(min_p_right=least)

    def _known(self, namespace: str) -> _Namespace | None:
        """Return the state of a namespace, a new one if need be; None where there are too many."""
        state = self._namespaces.get(namespace)
        if state is None:
            if len(self._namespaces) >= MAX_NAMESPACES:
                self._metrics.degraded("assurance")
                return None
            state = self._namespaces[namespace] = _Namespace(target=_NO_TARGET, point=EXACT_ONLY)
        return state

    def _grown(self, namespace: str, state: _Namespace) -> None:
        state.is_stale = True
        state.n_untrimmed += 1
        if state.n_untrimmed >= _TRIM_AFTER:
            state.n_untrimmed = 0
            self._store.trim_evidence(namespace, 2 * WINDOW)

    def _take(self, state: _Namespace, report: AssuranceReport, point: OperatingPoint) -> None:
        before, state.report, state.point = state.report, report, point
        if report == before:
            return
        state.reported_at_s = self._now_s()
        self._store.note_assurance(self._verifier, report, state.reported_at_s)
        self._metrics.assured(report)
        if report.drift is not None and (before is None or before.drift is None):
            _log.warning(
                "the share of right near-duplicates has changed in %s: %s",
                report.namespace,
                report.drift,
            )
            self._metrics.drifted(report.namespace)


def judge(
    namespace: str,
    target: float,
    prior_min_p_right: float | None,
    observations: Sequence[Observation],
    twins: Sequence[Twin],
) -> tuple[AssuranceReport, OperatingPoint]:
    """Return what follows from a namespace's evidence. Pure.

    Args:
        namespace: its name.
        target: accepted error rate.
        prior_min_p_right: what the shipped calibration says for it.
        observations: oldest first.
        twins: oldest first.
    """
    false_alarms = Twins(n=len(twins), n_different=sum(twin.is_different for twin in twins))
    point = operating_point(
        observations, target=target, prior_min_p_right=prior_min_p_right, twins=false_alarms
    )
    missing: int | None = 0
    if not point.is_certified:
        missing = (
            None
            if prior_min_p_right is None or target <= 0
            else labels_missing(
                observations,
                target=target,
                prior_min_p_right=prior_min_p_right,
                twins=false_alarms,
            )
        )
    sample = [o for o in fair_sample(observations) if o.p_right >= GRID[0]]
    n_recent = max(_RECENT_LEAST, len(sample) // _RECENT_SHARE)
    report = AssuranceReport(
        namespace=namespace,
        state=_state_of(point),
        target=target,
        min_p_right=point.min_p_right,
        n_observations=len(observations),
        labels_still_needed=missing,
        error_rate=live_error_rate(observations, false_alarms),
        barred=tuple(sorted(point.barred)),
        drift=positives_drift(sample[-n_recent:], sample[:-n_recent]),
    )
    return report, point


def _without_old_words(one: Observation, at_s: float) -> Observation:
    if (one.texts_at_s or one.at_s) > at_s:
        return one
    traits = wordless(one.traits)
    return one if traits == one.traits else replace(one, traits=traits)


def _state_of(point: OperatingPoint) -> AssuranceState:
    if point.min_p_right is None:
        return AssuranceState.THIN_EVIDENCE
    return AssuranceState.CERTIFIED if point.is_certified else AssuranceState.UNCERTIFIED


def _point_of(report: AssuranceReport) -> OperatingPoint:
    return OperatingPoint(
        min_p_right=report.min_p_right,
        is_certified=report.state is AssuranceState.CERTIFIED,
        barred=frozenset(report.barred),
    )
