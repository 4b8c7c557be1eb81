"""What happened while a chain was walked."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from router.fallback.upstream import Upstream
from router.ledger.types import Attempt
from router.ports import Sending
from router.types import Routing, Usage

_HEDGED = "hedged"
_SET_ASIDE = "set_aside"


@dataclass(slots=True)
class Walk:
    """What has happened on the way; readable at any moment, also after a failure.

    Attributes:
        attempts: every finished call, in the order in which they ended.
        running: calls under way, when they began and whether they have left the house, so that
            cancelled ones are accounted too.
        passed_over: by model, why it was not asked: its circuit was open.
        set_aside: by model, what its answer lacked, so that another was asked.
    """

    attempts: list[Attempt] = field(default_factory=list)
    running: dict[Upstream, tuple[float, Sending]] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)
    set_aside: dict[str, str] = field(default_factory=dict)
    _ended: dict[Upstream, int] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """The model that answered; where none has, the one that is heard, or the last, or none.

        From the first piece on only one call runs, that of the model that is heard.
        """
        answered = (attempt.model for attempt in self.attempts if attempt.status == "ok")
        running = (upstream.model for upstream in self.running)
        last = self.attempts[-1].model if self.attempts else ""
        return next(answered, next(running, last))

    def begin(self, upstream: Upstream, sending: Sending) -> None:
        """Note that a call begins."""
        self.running[upstream] = (time.perf_counter(), sending)

    def unmade(self, upstream: Upstream) -> None:
        """Note that a call that has begun could not be made: it was none."""
        self.running.pop(upstream, None)

    def close_running(self, status: str) -> None:
        """Note the calls under way as ended."""
        for upstream in list(self.running):
            self.give_up(upstream, status)

    def give_up(self, upstream: Upstream, status: str) -> None:
        """Note a call as ended from our side, with unknown usage: it may be billed.

        One that has not left the house was none.
        """
        if upstream in self.running and not self.running[upstream][1].has_left:
            del self.running[upstream]
        self.end(upstream, status, None, None)

    def end(
        self, upstream: Upstream, status: str, usage: Usage | None, cost_nanos: int | None
    ) -> None:
        """Note a call as ended; one that has ended already stays as it is."""
        begun = self.running.pop(upstream, None)
        if begun is None:
            return
        started = begun[0]
        self._ended[upstream] = len(self.attempts)
        self.attempts.append(
            Attempt(
                model=upstream.model,
                provider=upstream.provider_name,
                status=status,
                usage=usage,
                cost_nanos=cost_nanos,
                wall_ms=(time.perf_counter() - started) * 1e3,
            )
        )

    def lost(self, upstream: Upstream) -> None:
        """Note a call that was outrun: stopped it may be billed, whole it was paid in vain."""
        self.give_up(upstream, _HEDGED)
        n = self._ended.get(upstream)
        if n is not None and self.attempts[n].status == "ok":
            self.attempts[n] = replace(self.attempts[n], status=_HEDGED)

    def put_aside(self, model: str, lack: str) -> None:
        """Note that a model's whole answer is not served: it was paid, and another is asked."""
        self._restate(model, "ok", _SET_ASIDE)
        self.set_aside[model] = lack

    def take_back(self, model: str) -> None:
        """Note that it is served after all, for nobody gave a better one."""
        self._restate(model, _SET_ASIDE, "ok")
        self.set_aside.pop(model, None)

    def _restate(self, model: str, status: str, instead: str) -> None:
        for n, attempt in enumerate(self.attempts):
            if attempt.model == model and attempt.status == status:
                self.attempts[n] = replace(attempt, status=instead)

    def explained(self, routing: Routing | None) -> Routing | None:
        """Return the decision with what became of it: who was not asked, or not served, and why."""
        aside = {name: f"its answer was {lack}: set aside" for name, lack in self.set_aside.items()}
        instead = {**self.passed_over, **aside}
        if routing is None or not instead:
            return routing
        return replace(
            routing,
            candidates=tuple(
                replace(one, rejection=one.rejection or instead.get(one.model, ""))
                for one in routing.candidates
            ),
        )
