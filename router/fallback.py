"""Walk the chain of models until one answers.

Every call is noted as an attempt, whether it worked or not. After the first piece of an answer
has gone out there is no way back: a later failure is told as it is, never spliced with another
model's words.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import repeat
from typing import cast

from router.errors import NoModelAvailable, ProviderError
from router.ledger.types import Attempt
from router.ports import ModelCall, Provider, StreamingProvider
from router.types import ChatRequest, Completion, Delta, Usage

_ANOTHER_MAY_TAKE = frozenset({"http_400", "http_413", "http_422"})
"""Refusals that may be the model's own: its context is too short, or it lacks a parameter."""

Events = AsyncGenerator[Delta | Completion, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """Where a configured model lives.

    Attributes:
        model: its name in the settings.
        provider_name: its provider's name in the settings.
        provider: the adapter.
        provider_model: the provider's own name of the model.
    """

    model: str
    provider_name: str
    provider: Provider
    provider_model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often.

    Attributes:
        connect_s: seconds to connect.
        first_token_s: seconds to the first byte of a stream, and between its pieces.
        total_s: seconds for one call, to its last byte.
        max_attempts: upstream calls per request, over all models.
        tries_per_model: calls to one model before the next is asked.
        backoff_s: mean wait before the same model is asked again; doubles each time, with jitter.
        max_backoff_s: longest wait, and the longest Retry-After that is waited for; above it the
            next model is asked at once.
    """

    connect_s: float = 5.0
    first_token_s: float = 60.0
    total_s: float = 600.0
    max_attempts: int = 5
    tries_per_model: int = 2
    backoff_s: float = 0.25
    max_backoff_s: float = 5.0


@dataclass(slots=True)
class Walk:
    """What has happened on the way; readable at any moment, also after a failure.

    Attributes:
        attempts: every finished call, in order.
        running: the call under way, so that a cancelled one is accounted too.
    """

    attempts: list[Attempt] = field(default_factory=list)
    running: tuple[Upstream, float] | None = None

    def close_running(self, status: str) -> None:
        """Note the call under way as ended, with unknown usage: it may be billed."""
        if self.running is not None:
            upstream, started = self.running
            self.note(upstream, started, status, None, None)

    def note(
        self,
        upstream: Upstream,
        started: float,
        status: str,
        usage: Usage | None,
        cost_nanos: int | None,
    ) -> None:
        """Note a call as ended."""
        self.running = None
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


class Fallback:
    """Calls models in order, with retries on what can be retried.

    Args:
        upstreams: by the settings' name of the model.
        patience: limits of time and number.
        cost_nanos: price of a usage at a model, None when unknown.
        sleep: replaced in tests.
    """

    def __init__(
        self,
        upstreams: Mapping[str, Upstream],
        patience: Patience,
        cost_nanos: Callable[[str, Usage], int | None],
        *,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._patience = patience
        self._cost_nanos = cost_nanos
        self._sleep = asyncio.sleep if sleep is None else sleep

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
        """
        failures: list[tuple[str, ProviderError]] = []
        for upstream in self._plan(chain):
            wait_s = self._wait_s(upstream, failures)
            if wait_s is None:
                continue
            if wait_s:
                await self._sleep(wait_s)
            has_begun = False
            try:
                async with aclosing(self._attempt(upstream, request, walk, is_streamed)) as events:
                    async for event in events:
                        has_begun = True
                        yield event
            except ProviderError as error:
                if has_begun:
                    raise
                _raise_if_final(error, failures)
                failures.append((upstream.model, error))
                if len(failures) >= self._patience.max_attempts:
                    break
            else:
                return
        if failures and not failures[-1][1].is_retryable:
            raise failures[-1][1]
        raise NoModelAvailable(failures)

    def _plan(self, chain: Sequence[str]) -> Iterator[Upstream]:
        """Each model as often as it may be tried, one after the other."""
        for model in chain:
            if model in self._upstreams:
                yield from repeat(self._upstreams[model], self._patience.tries_per_model)

    def _wait_s(
        self, upstream: Upstream, failures: Sequence[tuple[str, ProviderError]]
    ) -> float | None:
        """Seconds to wait before this call; None: do not ask this model again."""
        own = [error for model, error in failures if model == upstream.model]
        if not own:
            return 0.0
        if not own[-1].is_retryable:
            return None
        asked = own[-1].retry_after_s
        if asked is not None:
            return asked if asked <= self._patience.max_backoff_s else None
        mean: float = self._patience.backoff_s * 2 ** (len(own) - 1)
        jittered: float = mean * random.uniform(0.5, 1.5)
        return min(jittered, self._patience.max_backoff_s)

    async def _attempt(
        self, upstream: Upstream, request: ChatRequest, walk: Walk, is_streamed: bool
    ) -> Events:
        """Make one call and note it; the completion comes last."""
        started = time.perf_counter()
        walk.running = (upstream, started)
        call = ModelCall(
            model=upstream.provider_model,
            request=request,
            connect_s=self._patience.connect_s,
            first_token_s=self._patience.first_token_s,
            total_s=self._patience.total_s,
        )
        try:
            async with aclosing(_events(upstream.provider, call, is_streamed)) as events:
                async for event in events:
                    if isinstance(event, Completion):
                        usage = event.usage
                        cost = self._cost_nanos(upstream.model, usage) if usage else None
                        walk.note(upstream, started, "ok", usage, cost)
                    yield event
        except ProviderError as error:
            walk.note(upstream, started, error.kind, None, None if error.is_billable else 0)
            raise


def _raise_if_final(error: ProviderError, failures: Sequence[tuple[str, ProviderError]]) -> None:
    """Raise where no further model is asked: on a refusal that is no model's own, or a second one.

    Of two refusals the first is told: it is the one of the model that was chosen.
    """
    if error.is_retryable:
        return
    earlier = next((one for _, one in failures if not one.is_retryable), None)
    if earlier is not None:
        raise earlier from error
    if error.kind not in _ANOTHER_MAY_TAKE:
        raise error


async def _events(provider: Provider, call: ModelCall, is_streamed: bool) -> Events:
    if is_streamed and isinstance(provider, StreamingProvider):
        # A generator, as all adapters are: closed with us, so that its connection is, too.
        async with aclosing(cast("Events", provider.stream(call))) as events:
            async for event in events:
                yield event
    else:
        yield await provider.complete(call)
