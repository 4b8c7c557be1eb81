"""Was the routing right? A random share of routed requests is also put to another model.

Of the requests that nothing but the namespace's rules and scores had routed, ``route_share`` are
drawn, and for each one model beside the baseline, all with the same probability, whoever answered
the caller: so the labels stand for the traffic without bias, and the propensity of each is on
record. Whoever of the two, that model and the baseline, has not answered already is asked in the
background, and the two answers are compared. Callers get what they get without it.

Opt-in (``[audits] route_share``, default 0), within the budget that audits of hits share, and what
it costs is accounted as they are. By the gateway alone: an advisor's app makes its own calls.
What is, or may be, personal is put to nobody else, and its vector is not kept: what is learned
stands for the rest of the traffic.

Two right answers may look different. How often is known where audits of hits ask one model twice
(``twin_share``), and is corrected for then; elsewhere a model looks worse than it is.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from classifier.local import Origin
from router.comparator import Comparator, Verdict, is_comparable, said
from router.decision import Decision
from router.errors import RouterError
from router.fallback import Fallback, Walk
from router.forgotten import Forgotten
from router.learned import Learned
from router.ledger.accounting import Price, audit_line, closed_audit
from router.ledger.allowance import Allowance, Reserved
from router.ledger.tickets import new_line_id
from router.ledger.types import LedgerLine
from router.ledger.verdicts import Verdict as Label
from router.metrics import Metrics
from router.ports import Ledger
from router.settings import Settings
from router.types import Answer, Completion, Mode

MAX_WAITING: Final = 100
_KIND: Final = "route"
_MOST_FALSE_ALARMS: Final = 0.5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """A request that was drawn.

    Attributes:
        decision: on it.
        line: of it.
        answer: what the caller got.
        model: which is judged.
        baseline: against which.
        p_baseline: P that the baseline's answer is adequate.
        propensity: of this draw.
        reserved: money set aside.
        fallback: that of the request's own terms, held from the draw on: settings that change
            meanwhile close nothing that it calls, and pay nothing twice.
        hold: keeps it.
        price: of the same terms.
    """

    decision: Decision
    line: LedgerLine
    answer: Answer
    model: str
    baseline: str
    p_baseline: float
    propensity: float
    reserved: Reserved
    fallback: Fallback
    hold: ExitStack
    price: Price


class Exploring:
    """Draws, asks, compares. ``await start()`` before, ``await stop()`` after.

    Args:
        learned: told what was found.
        allowance: what audits may cost in a day.
        comparator: compares answers, in a worker thread.
        false_alarms: namespace to the share of right answers that look different, 0 if unknown.
        ledger: where lines are kept.
        metrics: counts.
        now_s: seconds since the epoch.
        draw: uniform in [0, 1).
        forgotten: who was erased meanwhile; None: nobody.
    """

    def __init__(
        self,
        *,
        learned: Learned,
        allowance: Callable[[], Allowance],
        comparator: Comparator,
        false_alarms: Callable[[str], float],
        ledger: Ledger,
        metrics: Metrics,
        now_s: Callable[[], float],
        draw: Callable[[], float] = random.random,
        forgotten: Forgotten | None = None,
    ) -> None:
        self._forgotten = forgotten or Forgotten(now_s)
        self._learned = learned
        self._allowance = allowance
        self._comparator = comparator
        self._false_alarms = false_alarms
        self._ledger = ledger
        self._metrics = metrics
        self._now_s = now_s
        self._draw = draw
        self._waiting: asyncio.Queue[_Draw] = asyncio.Queue(MAX_WAITING)
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Break off; a call in flight is written off as cancelled."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until nothing waits or runs."""
        await self._waiting.join()

    def answered(
        self,
        decision: Decision,
        completion: Completion,
        line: LedgerLine,
        *,
        settings: Settings,
        fallback: Fallback,
    ) -> None:
        """Take an answer that the gateway served; perhaps another model is asked as well.

        Args:
            decision: on the request.
            completion: what the caller got.
            line: of the request.
            settings: that it was decided by.
            fallback: that it was answered by.
        """
        share = decision.policy.route_share
        if not share or self._draw() >= share:
            return
        drawn = self._drawn(decision, completion, line, share, settings, fallback)
        if drawn is None:
            return
        try:
            self._waiting.put_nowait(drawn)
        except asyncio.QueueFull:
            self._metrics.unchecked(_KIND, "queue_full")
            self._allowance().settle(drawn.reserved, 0)
        else:
            drawn.hold.enter_context(fallback.held())

    def _drawn(
        self,
        decision: Decision,
        completion: Completion,
        line: LedgerLine,
        share: float,
        settings: Settings,
        fallback: Fallback,
    ) -> _Draw | None:
        request, routing = decision.request, decision.routing
        baseline, price = settings.routing.baseline, settings.prices.cost_nanos
        is_fit = (
            decision.mode is Mode.ON
            and routing is not None
            and routing.is_plain
            and decision.embedding is not None
            and decision.reuse is not None
            and not decision.reuse.is_personal
            and decision.scores
            and not request.cache_control.is_no_store
            and not request.tools
            and (request.sampling.n or 1) == 1
        )
        if routing is None or not is_fit or line.model != routing.chain[0]:
            return None  # personal, calls of tools, or not what routing had chosen
        p = {one.model: one.p_adequate for one in routing.candidates if one.fits}
        others = sorted(model for model in p if model != baseline)
        if baseline not in p or not others:
            return None
        model = others[int(self._draw() * len(others))]
        usage = completion.usage
        asked = [one for one in (model, baseline) if one != line.model]
        costs = [None if usage is None else price(one, usage) for one in asked]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs):  # a budget in dollars cannot bound it
            self._metrics.unchecked(_KIND, "unpriced")
            return None
        reserved = self._allowance().reserve(sum(known))
        if reserved is None:
            self._metrics.unchecked(_KIND, "budget")
            return None
        return _Draw(
            decision=decision,
            line=line,
            answer=completion.answer,
            model=model,
            baseline=baseline,
            p_baseline=p[baseline],
            propensity=share / len(others),
            reserved=reserved,
            fallback=fallback,
            hold=ExitStack(),
            price=price,
        )

    async def _work(self) -> None:
        while True:
            drawn = await self._waiting.get()
            try:
                with drawn.hold:
                    await self._explore(drawn)
            except Exception:  # noqa: BLE001  the outermost edge of this task
                _log.exception("an audit of routing failed")
                self._metrics.degraded("audits")
            finally:
                self._waiting.task_done()

    async def _explore(self, drawn: _Draw) -> None:
        answers = {drawn.line.model: drawn.answer}
        spent: int | None = 0
        try:
            for model in (drawn.model, drawn.baseline):
                if model not in answers:
                    answer, cost = await self._ask(drawn, model)
                    spent = None if spent is None or cost is None else spent + cost
                    if answer is None:
                        self._metrics.unchecked(_KIND, "unanswered")
                        return
                    answers[model] = answer
        finally:
            self._allowance().settle(drawn.reserved, spent)
        one, other = answers[drawn.model], answers[drawn.baseline]
        if not is_comparable(other) or not other.text:
            self._metrics.unchecked(_KIND, "not_whole")
            return
        is_same = False
        if is_comparable(one):  # one that is cut off says less than the baseline's
            found = await asyncio.to_thread(self._comparator.compare, said(one), said(other))
            self._metrics.checked(drawn.line.namespace, _KIND, found.verdict)
            is_same = found.verdict is Verdict.SAME
        self._learn(drawn, is_same)

    def _learn(self, drawn: _Draw, is_same: bool) -> None:
        decision, line = drawn.decision, drawn.line
        user, at_ms = line.attribution.user, line.at_ms
        if decision.embedding is None or self._forgotten.holds(user, line.namespace, at_ms):
            return
        seen = 1 - min(self._false_alarms(line.namespace), _MOST_FALSE_ALARMS)
        self._learned.take(
            Label(
                line_id=line.line_id,
                namespace=line.namespace,
                model=drawn.model,
                at_s=line.at_ms / 1e3,
                origin=Origin.TRAFFIC,
                worth=drawn.p_baseline - 1 + is_same / seen,
                propensity=drawn.propensity,
                scores=decision.scores,
                vector=np.asarray(decision.embedding.vector),
            )
        )

    async def _ask(self, drawn: _Draw, model: str) -> tuple[Answer | None, int | None]:
        """Return a model's answer and what it cost; the line of the call is on record."""
        at_ms = int(self._now_s() * 1e3)
        line = audit_line(drawn.line, line_id=new_line_id(at_ms), at_ms=at_ms)
        line, walk, answer = replace(line, model=model, entry_id=0), Walk(), None
        request = replace(drawn.decision.request, deadline_at=None)  # nobody waits for this one
        try:
            async for event in drawn.fallback.call((model,), request, walk, is_streamed=False):
                if isinstance(event, Completion):
                    answer = event.answer
        except asyncio.CancelledError:
            walk.close_running("cancelled")
            self._ledger.note(self._closed(replace(line, status="Cancelled"), walk, drawn.price))
            raise
        except Exception as error:  # noqa: BLE001  whatever it was, what was paid is accounted
            if not isinstance(error, RouterError):
                _log.exception("an audit of routing failed")
            walk.close_running("internal")
            line = replace(line, status=type(error).__name__)
        line = self._closed(line, walk, drawn.price)
        self._ledger.note(line)
        return answer, line.cost_nanos

    def _closed(self, line: LedgerLine, walk: Walk, price: Price) -> LedgerLine:
        closed = closed_audit(line, walk.attempts, price)
        self._metrics.settled(closed)
        return closed
