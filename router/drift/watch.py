"""Watches every calibrated namespace; see ``evidence`` for what it goes by.

Requests are counted on the event loop as their lines are written; what follows is worked out some
seconds later, and kept in the ledger's file, so that a restart forgets at most the last seconds.
An alarm stands until the namespace is calibrated anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from router.drift.evidence import ALARM_LOG_E, Claim, Evidence, claims_of
from router.ledger.routing import DriftState
from router.ledger.types import DriftReport, LedgerLine, ModelDrift
from router.metrics import Metrics
from router.ports import RoutingStore
from router.settings import Calibrated
from router.tending import tend

INTERVAL_S: Final = 5.0
MAX_NAMESPACES: Final = 10_000
_PER_ROUND: Final = 20  # namespaces that one round works out, a few milliseconds each
_SET_ASIDE: Final = "set_aside"
_RULES: Final = "rules"  # scored while the classifier could not be had: not what was calibrated

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watched:
    """A namespace under watch.

    Attributes:
        basis: digest of the figures that its traffic is compared with.
        said: those figures.
        is_stale: something was counted since it was last worked out.
    """

    basis: str
    said: Calibrated
    evidence: Evidence
    report: DriftReport
    is_stale: bool = False


class Drift:
    """Compares traffic with what calibration said of it.

    Args:
        store: where counts survive.
        calibrated: the figures of a namespace, now; None: there are none, and it is not watched.
        metrics: shows how namespaces stand.
        now_s: seconds since the epoch.
    """

    def __init__(
        self,
        *,
        store: RoutingStore,
        calibrated: Callable[[str], Calibrated | None],
        metrics: Metrics,
        now_s: Callable[[], float],
    ) -> None:
        self._store = store
        self._calibrated = calibrated
        self._metrics = metrics
        self._now_s = now_s
        self._watched: dict[str, _Watched] = {}
        self._kept: dict[str, DriftState] = {}

    async def load(self) -> None:
        """Take up what was counted before a restart.

        Raises:
            LedgerUnavailable: the file cannot be read.
        """
        self._kept = await self._store.drift_states()
        for namespace in tuple(self._kept):
            self._of(namespace)

    def note(self, line: LedgerLine) -> None:
        """Count a request that the namespace's own rules routed."""
        choice = line.choice
        if choice is None or line.scorer.startswith(_RULES):
            return
        watched = self._of(line.namespace)
        if watched is None:
            return
        is_short = any(
            attempt.model == choice.chosen and attempt.status == _SET_ASIDE
            for attempt in line.attempts
        )
        watched.evidence.routed(choice.chosen, line.at_ms, is_short=is_short)
        watched.is_stale = True

    def fell_short(self, line: LedgerLine, chosen: str) -> None:
        """Count that a caller called an answer not adequate; ``chosen``: whom routing had sent."""
        watched = self._of(line.namespace) if chosen == line.model else None
        if watched is not None:
            watched.evidence.fell_short(chosen, line.at_ms)
            watched.is_stale = True

    def report(self, namespace: str) -> DriftReport | None:
        """Return how a namespace stood when it was last worked out; None: it is not watched."""
        watched = self._watched.get(namespace)
        return None if watched is None else watched.report

    async def refresh(self) -> None:
        """Work out what follows from what was counted, for a bounded number of namespaces."""
        stale = [name for name, watched in self._watched.items() if watched.is_stale]
        for name in stale[:_PER_ROUND]:
            watched = self._watched.pop(name)
            self._watched[name] = watched  # to the end: who waited longest comes first
            watched.is_stale = False
            self._take(watched, _judged(watched, int(self._now_s() * 1e3)))
            await asyncio.sleep(0)

    async def keep_fresh(self) -> None:
        """Refresh every few seconds until cancelled."""
        await tend(
            self.refresh,
            every_s=INTERVAL_S,
            log=_log,
            failed="drift of routing could not be worked out",
            degraded=lambda: self._metrics.degraded("drift"),
        )

    def _of(self, namespace: str) -> _Watched | None:
        """Return a namespace's counts; begun anew where its figures are others."""
        said = self._calibrated(namespace)
        watched = self._watched.get(namespace)
        if said is None:
            self._watched.pop(namespace, None)
            return None
        if watched is not None and watched.said is said:
            return watched
        basis = sha256(repr(said).encode()).hexdigest()[:16]
        if watched is not None and watched.basis == basis:
            watched.said = said
            return watched
        if watched is None and len(self._watched) >= MAX_NAMESPACES:
            self._metrics.degraded("drift")
            return None
        watched = self._watched[namespace] = self._begun(namespace, basis, said)
        return watched

    def _begun(self, namespace: str, basis: str, said: Calibrated) -> _Watched:
        claims = claims_of(said.n, said.chosen, said.adequate)
        kept = self._kept.pop(namespace, None)
        if kept is not None and kept.basis == basis:
            try:
                evidence = Evidence.of_object(claims, json.loads(kept.counts))
            except (KeyError, TypeError, ValueError):
                _log.exception("counts of %s cannot be read; they begin anew", namespace)
            else:
                self._metrics.routed_as(kept.report)
                return _Watched(basis, said, evidence, kept.report)
        evidence = Evidence(claims, int(self._now_s() * 1e3))
        return _Watched(basis, said, evidence, DriftReport(namespace=namespace))

    def _take(self, watched: _Watched, report: DriftReport) -> None:
        before, watched.report = watched.report, report
        self._metrics.routed_as(report)
        counts = json.dumps(watched.evidence.as_object(), ensure_ascii=False)
        self._store.note_drift(DriftState(basis=watched.basis, counts=counts, report=report))
        if report.alarm and not before.alarm:
            self._metrics.routing_drifted(report.namespace)
            _log.warning(
                "routing of namespace %s has drifted: %s; run scrimp calibrate on labelled prompts "
                "of today",
                report.namespace,
                report.alarm,
            )


def _judged(watched: _Watched, now_ms: int) -> DriftReport:
    counts, said = watched.evidence.counts, watched.said
    log_e = watched.evidence.log_e()
    worth = dict(said.adequate)
    report = replace(
        watched.report,
        n_requests=counts.n,
        log_evidence=round(log_e, 3),
        models=tuple(
            ModelDrift(
                model=model,
                share=counts.chosen[model] / counts.n if counts.n else None,
                calibrated_share=k / said.n,
                short=counts.short[model] / n if (n := counts.chosen[model]) else None,
                calibrated_short=1 - min(worth[model] / k, 1.0) if k and model in worth else None,
            )
            for model, k in said.chosen
        ),
    )
    if report.alarm or log_e < ALARM_LOG_E:
        return report
    claim = watched.evidence.strongest()
    words = "" if claim is None else _words(claim, report)
    return replace(report, alarm=words, alarm_at_ms=now_ms)


def _words(claim: Claim, report: DriftReport) -> str:
    of = next(one for one in report.models if one.model == claim.model)
    if claim.is_of_answers:
        return (
            f"{of.short or 0:.1%} of the answers of {claim.model} fell short, at most "
            f"{claim.bound:.1%} were to be expected"
        )
    side = "at most" if claim.is_upper else "at least"
    return (
        f"{of.share or 0:.1%} of the requests go to {claim.model}, {side} {claim.bound:.1%} were "
        "to be expected"
    )
