"""Who is asked next, and after what wait. It decides for one walk; it calls nothing.

The chain's order holds; each model is asked up to so many times, with one of its keys that may be
asked. An open circuit and a Retry-After beyond our patience pass a model over. Where nothing else
is left, a model that was passed over is asked all the same: its circuit is a guess from other
requests' failures, and no reason to fail this one. Not so where key or account were refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from router.errors import Overloaded, ProviderError
from router.fallback.budget import RetryBudget
from router.fallback.circuit import Circuit
from router.fallback.upstream import Patience, Upstream


@dataclass(frozen=True, slots=True)
class Turn:
    """A call to be made, after a wait in seconds."""

    upstream: Upstream
    wait_s: float = 0.0


@dataclass(slots=True)
class _Model:
    """One model of the chain, as far as this walk has come.

    Attributes:
        ways: to it that may still be asked in this walk.
        n_tries: calls that were made.
        last: the last call's way and failure.
        is_done: it is not asked again in this walk.
    """

    name: str
    ways: list[Upstream]
    n_tries: int = 0
    last: tuple[Upstream, ProviderError] | None = None
    is_done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What all walks share.

    Attributes:
        circuits: of every way.
        budgets: by provider.
        on_denied: told the provider whose budget denied a repeated call.
    """

    circuits: Mapping[Upstream, Circuit]
    budgets: Mapping[str, RetryBudget]
    on_denied: Callable[[str], None] = field(default=lambda _: None)


class Plan:
    """The rest of one walk.

    Args:
        chain: the ways to each model, best model first.
        patience: limits of time and number.
        standing: what all walks share.
        draw: a number in [0, 1), to draw waits.
        key_draw: a number in [0, 1), to draw keys; the same for all of a conversation, since a
            provider's prompt cache is the account's.
        time_left_s: seconds until the caller stops waiting.
    """

    def __init__(
        self,
        chain: Sequence[Sequence[Upstream]],
        patience: Patience,
        standing: Standing,
        *,
        draw: Callable[[], float],
        key_draw: Callable[[], float],
        time_left_s: Callable[[], float],
    ) -> None:
        self._models = [_Model(ways[0].model, list(ways)) for ways in chain if ways]
        self._patience = patience
        self._standing = standing
        self._draw = draw
        self._key_draw = key_draw
        self._time_left_s = time_left_s
        self._earned: set[str] = set()
        self.failures: list[tuple[str, ProviderError]] = []
        self.n_failed = 0
        """Calls that were made and failed; ``failures`` also holds those that could not be made."""
        self.passed_over: dict[str, str] = {}
        self.is_crowded = False

    def next(self) -> Turn | None:
        """Return the next call; None: nobody is left to ask."""
        for model in self._models:
            turn = self._turn(model)
            if turn is not None:
                return turn
        return self._last_resort()

    def beside(self, upstream: Upstream) -> Upstream | None:
        """Return another way, asked while ``upstream`` is silent; None: there is none now."""
        for model in self._models:
            if model.is_done or model.n_tries >= self._patience.tries_per_model:
                continue
            others = [way for way in model.ways if way is not upstream and self._may_ask(way)]
            other = self._drawn(others)
            if other is not None:
                return other if self._may_spend(other) else None
        return None

    def asked(self, upstream: Upstream) -> None:
        """Note that a call begins."""
        self._standing.circuits[upstream].asked()
        self._model(upstream).n_tries += 1
        self.passed_over.pop(upstream.model, None)
        if upstream.provider_name not in self._earned:
            self._earned.add(upstream.provider_name)
            self._standing.budgets[upstream.provider_name].earn()

    def answered(self, upstream: Upstream) -> None:
        """Note that a call was answered."""
        self._standing.circuits[upstream].answered()

    def left(self, upstream: Upstream) -> None:
        """Note that a call was given up, without a verdict on it."""
        self._standing.circuits[upstream].left()

    def unmade(self, upstream: Upstream, error: ProviderError) -> None:
        """Note that a call could not be made: it tells nothing of the way, and the model is done.

        All ways to a model speak the same wire, so another has no words either.
        """
        self.failures.append((upstream.model, error))
        self.left(upstream)
        self._model(upstream).is_done = True

    def crowded(self, upstream: Upstream, error: Overloaded) -> None:
        """Note that a call found no place among its provider's; its other models have none, too."""
        self.is_crowded = True
        for model in self._models:
            if any(way.provider_name == upstream.provider_name for way in model.ways):
                model.is_done = True
                self.passed_over[model.name] = str(error)

    def free_in_s(self) -> float | None:
        """Return the seconds until the first of the models may be asked again; None: any may."""
        waits = [self._wait_s(way) for model in self._models for way in model.ways]
        soonest = min(waits, default=0.0)
        return soonest if soonest > 0 else None

    def failed(self, upstream: Upstream, error: ProviderError) -> None:
        """Note that a call failed."""
        self.failures.append((upstream.model, error))
        self.n_failed += 1
        self._standing.circuits[upstream].failed(error)
        model = self._model(upstream)
        model.last = (upstream, error)
        if error.is_account_fault:
            model.ways.remove(upstream)
        if not model.ways or not (error.is_repeatable or error.is_account_fault):
            model.is_done = True

    def _model(self, upstream: Upstream) -> _Model:
        return next(model for model in self._models if model.name == upstream.model)

    def _may_ask(self, way: Upstream) -> bool:
        return self._standing.circuits[way].may_ask()

    def _may_spend(self, upstream: Upstream) -> bool:
        if self._standing.budgets[upstream.provider_name].spend():
            return True
        self._standing.on_denied(upstream.provider_name)
        return False

    def _turn(self, model: _Model) -> Turn | None:
        if model.is_done or model.n_tries >= self._patience.tries_per_model:
            return None
        turn = self._free(model) or self._when_asked_to(model)
        if turn is None:
            why = self._standing.circuits[min(model.ways, key=self._wait_s)].why()
            if why:
                self.passed_over[model.name] = why
            return None
        return turn if self._is_affordable(model, turn.upstream) else None

    def _free(self, model: _Model) -> Turn | None:
        """A way that may be asked now; after a failure another key is preferred."""
        free = [way for way in model.ways if self._may_ask(way)]
        if model.last is not None:
            free = [way for way in free if way is not model.last[0]] or free
        way = self._drawn(free)
        if way is None:
            return None
        wait_s = self._backoff_s(model, way)
        return Turn(way, wait_s) if self._is_worth_waiting(wait_s) else None

    def _when_asked_to(self, model: _Model) -> Turn | None:
        """The way whose provider wants to be left alone for a moment that we can wait."""
        circuits = self._standing.circuits
        held = [way for way in model.ways if circuits[way].is_held()]
        if not held:
            return None
        soonest = min(held, key=self._wait_s)
        asked_s = self._wait_s(soonest)
        if not self._is_worth_waiting(asked_s):
            return None
        return Turn(soonest, asked_s + self._patience.backoff_s * self._draw())  # not all at once

    def _last_resort(self) -> Turn | None:
        for model in self._models:
            if model.is_done or model.n_tries >= self._patience.tries_per_model:
                continue
            way = min(model.ways, key=self._wait_s)
            circuit = self._standing.circuits[way]
            is_guess = not circuit.is_account_fault and not circuit.is_held()
            wait_s = 0.0 if is_guess else circuit.wait_s()
            if self._is_worth_waiting(wait_s) and self._is_affordable(model, way):
                return Turn(way, wait_s)
        return None

    def _is_affordable(self, model: _Model, way: Upstream) -> bool:
        """Tell whether the budget allows the call; one that burdens nobody twice needs none."""
        if model.last is None or _is_another_account(model.last, way) or self._may_spend(way):
            return True
        model.is_done = True
        return False

    def _is_worth_waiting(self, wait_s: float) -> bool:
        return wait_s == 0 or wait_s <= min(self._patience.max_backoff_s, self._time_left_s())

    def _backoff_s(self, model: _Model, way: Upstream) -> float:
        if model.last is None or _is_another_account(model.last, way):
            return 0.0
        mean_s: float = self._patience.backoff_s * 2 ** (model.n_tries - 1)
        return min(2 * mean_s * self._draw(), self._patience.max_backoff_s)

    def _wait_s(self, way: Upstream) -> float:
        return self._standing.circuits[way].wait_s()

    def _drawn(self, ways: Sequence[Upstream]) -> Upstream | None:
        if len(ways) < 2:
            return ways[0] if ways else None
        point = self._key_draw() * sum(way.weight for way in ways)
        for way in ways:
            point -= way.weight
            if point < 0:
                return way
        return ways[-1]


def _is_another_account(last: tuple[Upstream, ProviderError], way: Upstream) -> bool:
    """Tell whether the failure was one of an account, and the way is by another."""
    upstream, error = last
    is_of_account = error.is_account_fault or error.kind == "http_429"
    return is_of_account and way is not upstream
