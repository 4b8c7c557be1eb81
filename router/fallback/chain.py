"""Walk the chain of models until one answers.

Every call is noted as an attempt, whether it worked or not; what a wire has no words for makes no
call. After the first piece of an answer has gone out there is no way back: a later failure is told
as it is, never spliced with another model's words.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, contextmanager
from typing import cast
from zlib import crc32

from router.errors import NoModelAvailable, Overloaded, ProviderError, RouterError
from router.fallback.budget import RetryBudget
from router.fallback.circuit import Circuit, CircuitState
from router.fallback.gate import Gate
from router.fallback.hedge import raced
from router.fallback.plan import Plan, Standing
from router.fallback.upstream import Patience, Upstream
from router.fallback.walk import Walk
from router.metrics import Metrics
from router.ports import ModelCall, Provider, Sending, StreamingProvider
from router.types import ChatRequest, Completion, Delta, Usage

_ANOTHER_MAY_TAKE = frozenset({"http_400", "http_413", "http_422"})
"""Refusals that may be the model's own: its context is too short, or it lacks a parameter."""
_NO_WORDS = "unsupported_"
"""How kinds begin where a wire has no words for what is asked; another provider's may."""

Events = AsyncGenerator[Delta | Completion, None]


class Fallback:
    """Calls models in order, with retries on what can be retried.

    Args:
        upstreams: the ways to each model, by the settings' name of the model.
        patience: limits of time and number.
        cost_nanos: price of a usage at a model, None when unknown.
        metrics: shows circuits, denied retries and hedges.
        now_s: seconds since the epoch.
        monotonic_s: the clock of ``ChatRequest.deadline_at``.
        draw: a number in [0, 1).
        sleep: replaced in tests.
        before: what this one succeeds: of a way that is the same, the circuit goes on as it is; of
            a provider that is, the retry budget and the gate.
    """

    def __init__(
        self,
        upstreams: Mapping[str, Sequence[Upstream]],
        patience: Patience,
        cost_nanos: Callable[[str, Usage], int | None],
        *,
        metrics: Metrics | None = None,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] | None = None,
        before: Fallback | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._patience = patience
        self._cost_nanos = cost_nanos
        self._metrics = metrics or Metrics()
        self._monotonic_s = monotonic_s
        self._draw = draw
        self._sleep = asyncio.sleep if sleep is None else sleep
        self._n_held = 0
        ways = [way for model in upstreams.values() for way in model]
        earlier = before._by_provider() if before else {}
        none = Standing(circuits={}, budgets={})
        known: Standing = before._standing if before else none
        circuits = {way.place: circuit for way, circuit in known.circuits.items()}
        self._gates: dict[str, Gate] = {}
        budgets: dict[str, RetryBudget] = {}
        for way in ways:
            name = way.provider_name
            if name in budgets:
                continue
            is_same = id(way.provider) in earlier.get(name, ())
            gate = before._gates[name] if before and is_same else None
            fits = gate is not None and gate.bounds == (way.max_in_flight, way.max_waiting)
            self._gates[name] = gate if gate and fits else self._gate(way)
            kept = known.budgets[name] if is_same else None
            budgets[name] = kept or RetryBudget(patience.retry_share, patience.retry_burst)
        self._standing: Standing = Standing(
            circuits={way: circuits.get(way.place) or self._circuit(way, now_s) for way in ways},
            budgets=budgets,
            on_denied=self._metrics.retry_denied,
        )
        if before:
            self._succeed(before)

    def _by_provider(self) -> dict[str, set[int]]:
        """Return the adapters of each provider."""
        found: dict[str, set[int]] = {}
        for way in self._standing.circuits:
            found.setdefault(way.provider_name, set()).add(id(way.provider))
        return found

    def _succeed(self, before: Fallback) -> None:
        """Let what goes on go by the new rules, and take what does not off the metrics."""
        patience = self._patience
        for circuit in self._standing.circuits.values():
            circuit.go_by(patience.circuit)
        for budget in self._standing.budgets.values():
            budget.go_by(patience.retry_share, patience.retry_burst)
        places = {way.place for way in self._standing.circuits}
        shown = {(way.model, way.provider_name, way.key_name) for way in self._standing.circuits}
        for way, circuit in before._standing.circuits.items():
            if way.place not in places:
                circuit.hush()
                if (way.model, way.provider_name, way.key_name) not in shown:
                    self._metrics.way_gone(way.model, way.provider_name, way.key_name)
        for name, gate in before._gates.items():
            if self._gates.get(name) is not gate:
                gate.hush()
                if name not in self._gates:
                    self._metrics.provider_gone(name)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the adapters open while the block runs, though others may have taken their place."""
        self._n_held += 1
        try:
            yield
        finally:
            self._n_held -= 1

    @property
    def is_held(self) -> bool:
        """Whether anybody may still call by it."""
        return self._n_held > 0

    @property
    def ways(self) -> Mapping[str, Sequence[Upstream]]:
        """The ways to each model, by the settings' name of the model."""
        return self._upstreams

    def place(self, way: Upstream) -> AbstractAsyncContextManager[None]:
        """Hold a place among the provider's calls while the block runs.

        Raises:
            Overloaded: there is none, or none soon enough.
        """
        return self._gates[way.provider_name].passed(self._patience.max_backoff_s)

    @property
    def adapters(self) -> list[Provider]:
        """The adapters that it calls."""
        return [way.provider for way in self._standing.circuits]

    def _gate(self, way: Upstream) -> Gate:
        metrics = self._metrics  # and not self: what goes on keeps no predecessor alive

        def changed(n_in: int, n_waiting: int) -> None:
            metrics.crowd(way.provider_name, n_in, n_waiting)

        return Gate(way.provider_name, way.max_in_flight, way.max_waiting, changed)

    def _circuit(self, way: Upstream, now_s: Callable[[], float]) -> Circuit:
        metrics = self._metrics

        def changed(state: CircuitState) -> None:
            metrics.circuit(way.model, way.provider_name, way.key_name, state)

        changed(CircuitState.CLOSED)
        return Circuit(self._patience.circuit, now_s, changed)

    async def call(
        self, chain: Sequence[str], request: ChatRequest, walk: Walk, *, is_streamed: bool
    ) -> Events:
        """Yield deltas (if streamed), then the completion of the first model that answers.

        Args:
            chain: settings' names, best first; names without an upstream are passed over.
            request: what is asked.
            walk: filled on the way.
            is_streamed: ask for the answer piece by piece, where the provider can.

        Raises:
            ProviderRejected: the request itself was refused; where that may be the model's own
                limit, by the next model as well.
            ProviderError: the answer broke off after its first piece.
            NoModelAvailable: nobody answered.
            Overloaded: nobody could be asked for want of a place among the providers' calls.
        """
        plan = self._plan(chain, request)
        walk.passed_over = plan.passed_over
        while plan.n_failed < self._patience.max_attempts:
            turn = plan.next()
            if turn is None:
                break
            if turn.wait_s:
                await self._sleep(turn.wait_s)
            has_begun = False
            try:
                events = self._tried(plan, turn.upstream, request, walk, is_streamed)
                async with aclosing(events):
                    async for event in events:
                        has_begun = True
                        yield event
            except ProviderError:
                if has_begun:
                    raise
                _raise_if_final(plan.failures)
            except Overloaded:
                pass  # the plan knows, and asks the next
            else:
                return
        raise _nobody(plan)

    def _plan(self, chain: Sequence[str], request: ChatRequest) -> Plan:
        ends_at = math.inf if request.deadline_at is None else request.deadline_at
        conversation = request.attribution.conversation
        steady = crc32(conversation.encode()) / 2**32 if conversation else None
        return Plan(
            [self._upstreams[model] for model in dict.fromkeys(chain) if model in self._upstreams],
            self._patience,
            self._standing,
            draw=self._draw,
            key_draw=self._draw if steady is None else lambda: steady,
            time_left_s=lambda: ends_at - self._monotonic_s(),
        )

    def _tried(
        self, plan: Plan, upstream: Upstream, request: ChatRequest, walk: Walk, is_streamed: bool
    ) -> Events:
        """Make one call; hedged, where that is wished, by a second one."""

        def attempt(way: Upstream) -> Events:
            return self._let_in(plan, way, request, walk, is_streamed)

        after_s = self._patience.hedge_after_s
        if after_s is None:
            return attempt(upstream)
        first = attempt(upstream)
        ways = {first: upstream}

        def second() -> Events | None:
            other = plan.beside(upstream)
            if other is None:
                return None
            self._metrics.hedged(other.model)
            events = attempt(other)
            ways[events] = other
            return events

        def lost(events: Events) -> None:
            walk.lost(ways[events])

        return raced(first, second, self._sleep(after_s), lost)

    async def _let_in(
        self, plan: Plan, upstream: Upstream, request: ChatRequest, walk: Walk, is_streamed: bool
    ) -> Events:
        """Wait for a place among the provider's calls, and make one."""
        async with AsyncExitStack() as place:
            try:
                await place.enter_async_context(self.place(upstream))
            except Overloaded as error:
                self._metrics.shed(upstream.provider_name)
                plan.crowded(upstream, error)
                raise
            attempt = self._attempt(plan, upstream, request, walk, is_streamed)
            async with aclosing(attempt) as events:
                async for event in events:
                    yield event

    async def _attempt(
        self, plan: Plan, upstream: Upstream, request: ChatRequest, walk: Walk, is_streamed: bool
    ) -> Events:
        """Make one call and note it; the completion comes last."""
        sending = Sending()
        plan.asked(upstream)
        walk.begin(upstream, sending)
        call = ModelCall(
            model=upstream.provider_model,
            request=request,
            connect_s=self._patience.connect_s,
            first_token_s=self._patience.first_token_s,
            between_tokens_s=self._patience.between_tokens_s,
            total_s=self._patience.total_s,
            max_output_tokens=upstream.longest_answer(request),
            sending=sending,
        )
        is_judged = False
        try:
            async with aclosing(_events(upstream.provider, call, is_streamed)) as events:
                async for event in events:
                    if isinstance(event, Completion):
                        usage = event.usage
                        cost = self._cost_nanos(upstream.model, usage) if usage else None
                        walk.end(upstream, "ok", usage, cost)
                        plan.answered(upstream)
                        is_judged = True
                    yield event
        except ProviderError as error:
            is_judged = True
            if _is_ours(error):
                walk.unmade(upstream)
                plan.unmade(upstream, error)
            else:
                walk.end(upstream, error.kind, None, None if error.is_billable else 0)
                plan.failed(upstream, error)
            raise
        finally:
            if not is_judged:
                plan.left(upstream)


def _nobody(plan: Plan) -> RouterError:
    """Return what to tell where nobody answered."""
    if not plan.failures and plan.is_crowded:
        listed = "; ".join(f"{model}: {why}" for model, why in plan.passed_over.items())
        return Overloaded(f"no model has a place for another call ({listed})")
    if plan.failures and not plan.failures[-1][1].is_retryable:
        return plan.failures[-1][1]
    return NoModelAvailable(plan.failures, plan.passed_over, plan.free_in_s())


def _raise_if_final(failures: Sequence[tuple[str, ProviderError]]) -> None:
    """Raise where no further model is asked: on a refusal that is no model's own, or a second one.

    Of two refusals the first is told: it is the one of the model that was chosen. A wire that has
    no words for what is asked refuses nothing in a provider's name: nobody was called, and whoever
    is next may still have them.
    """
    refusals = [error for _, error in failures if not error.is_retryable and not _is_ours(error)]
    if len(refusals) > 1:
        raise refusals[0] from refusals[1]
    if refusals and refusals[0].kind not in _ANOTHER_MAY_TAKE:
        raise refusals[0]


def _is_ours(error: ProviderError) -> bool:
    """Tell whether nobody was called, for want of words for what is asked."""
    return error.kind.startswith(_NO_WORDS)


async def _events(provider: Provider, call: ModelCall, is_streamed: bool) -> Events:
    if is_streamed and isinstance(provider, StreamingProvider):
        # A generator, as all adapters are: closed with us, so that its connection is, too.
        async with aclosing(cast("Events", provider.stream(call))) as events:
            async for event in events:
                yield event
    else:
        yield await provider.complete(call)
