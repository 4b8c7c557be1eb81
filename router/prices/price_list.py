"""Tokens to nano-dollars: integers, one rounding per call, and None where a price is unknown.

A model's prices come from the packaged ``genai-prices`` data (dated, tiered by input length, some
by time of day) and from the operator's own figures, which win. Nothing is fetched. Rules:

- ``input_tokens`` includes cached input, so cache reads and writes are taken out of it first;
- without a price for cache reads (or writes) they cost what other input costs; where the operator
  states the input price, the packaged cache prices no longer hold either;
- a tier's prices hold for the whole call once its input is longer than the tier's start;
- input and output price must both be known, else the cost is None; a stated 0 is a price.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from router.prices.packaged import Catalog, price_of
from router.prices.tariffs import LocalPrices, Priced, PriceQuery, Tariff
from router.types import Usage

_MILLION: Final = 1_000_000
_NEVER: Final = float("inf")
_MOST_GONE: Final = 1_000


class PriceList:
    """The prices of the configured models, always those in force now."""

    __slots__ = ("_changes_at_s", "_clock", "_now", "_priced")

    def __init__(
        self, priced: Mapping[str, Priced], clock: Callable[[], float] = time.time
    ) -> None:
        """Hold ``priced`` by model name; ``clock`` gives seconds since the epoch."""
        self._priced = dict(priced)
        self._clock = clock
        self._now: dict[str, Tariff] = {}
        self._changes_at_s = -_NEVER

    @classmethod
    def of(cls, prices: Mapping[str, LocalPrices]) -> PriceList:
        """Make a list from stated prices alone."""
        return cls.load(
            [
                PriceQuery(name=name, provider_model="", local=local)
                for name, local in prices.items()
            ]
        )

    @classmethod
    def load(
        cls, queries: Iterable[PriceQuery], clock: Callable[[], float] = time.time
    ) -> PriceList:
        """Find the prices of each model. The packaged data are read only where they are needed."""
        queries = tuple(queries)
        catalog: Catalog | None = None
        if any(_wants_data(query) for query in queries):
            catalog = Catalog.read()
        return cls({query.name: price_of(query, catalog) for query in queries}, clock)

    def cost_nanos(self, model: str, usage: Usage) -> int | None:
        """Return what a call cost, rounded once (half up); None when a price is unknown."""
        return self.cost_of(
            model,
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
        )

    def cost_of(
        self, model: str, n_input: int, n_output: int, n_read: int = 0, n_write: int = 0
    ) -> int | None:
        """As ``cost_nanos``, from counts of tokens; ``n_input`` includes ``n_read``, ``n_write``.

        Where a provider reports more cached tokens than input, those are charged and no others.
        """
        tariff = self._in_force().get(model)
        return None if tariff is None else _charge(tariff, n_input, n_output, n_read, n_write)

    def costs_of(self, models: Iterable[str], n_input: int, n_output: int) -> list[int | None]:
        """As ``cost_of`` for the same tokens at each of several models, in their order."""
        now = self._in_force()
        return [
            None if (tariff := now.get(model)) is None else _charge(tariff, n_input, n_output, 0, 0)
            for model in models
        ]

    def costs_each(
        self, models: Iterable[str], n_input: int, n_output: Iterable[int]
    ) -> list[int | None]:
        """As ``costs_of``, with an output of its own for each model."""
        now = self._in_force()
        return [
            None if (tariff := now.get(model)) is None else _charge(tariff, n_input, tokens, 0, 0)
            for model, tokens in zip(models, n_output, strict=True)
        ]

    def knows(self, model: str) -> bool:
        """Tell whether it is a model of the settings, whatever is known of its price."""
        return model in self._priced

    def tariff(self, model: str) -> Tariff | None:
        """Return the prices in force now; None when they are unknown."""
        return self._in_force().get(model)

    def input_usd_per_mtok(self, model: str) -> float | None:
        """Return the price of short inputs now, for guesses of a model's ability."""
        tariff = self.tariff(model)
        return None if tariff is None else tariff.base[0] / 1e9

    def output_usd_per_mtok(self, model: str) -> float | None:
        """Return the price of output after a short input now."""
        tariff = self.tariff(model)
        return None if tariff is None else tariff.base[1] / 1e9

    def context_window(self, model: str) -> int | None:
        """Return the context window in tokens as the price data tell it."""
        priced = self._priced.get(model)
        return None if priced is None else priced.context_window

    def priced(self, model: str) -> Priced | None:
        """Return all that is known of a model's prices, now and later."""
        return self._priced.get(model)

    def beside(self, earlier: PriceList) -> PriceList:
        """Return this list, with the prices of models that only an earlier one has.

        A ticket may name a model that has left the settings since, and its price is still known.
        """
        gone = {name: one for name, one in earlier._priced.items() if name not in self._priced}
        kept = dict(list(gone.items())[-_MOST_GONE:])
        return PriceList({**kept, **self._priced}, self._clock)

    def source(self, model: str) -> str:
        """Say where a model's prices come from; ``unknown`` when there are none."""
        priced = self._priced.get(model)
        return "unknown" if priced is None else priced.source

    def _in_force(self) -> dict[str, Tariff]:
        at_s = self._clock()
        if at_s >= self._changes_at_s:
            spans = (span for priced in self._priced.values() for span, _ in priced.schedule)
            now: dict[str, Tariff] = {}
            for name, priced in self._priced.items():
                held = next((tariff for span, tariff in priced.schedule if span.holds(at_s)), None)
                if held is not None:
                    now[name] = held
            self._now = now
            self._changes_at_s = min((span.next_change_s(at_s) for span in spans), default=_NEVER)
        return self._now


def _charge(tariff: Tariff, n_input: int, n_output: int, n_read: int, n_write: int) -> int:
    """Multiply tokens by rates; the one place where a cost is rounded."""
    rates = tariff.base
    for start, above in tariff.tiers:
        if n_input > start:
            rates = above
            break
    per_input, per_output, per_read, per_write = rates
    n_plain = n_input - n_read - n_write
    total = n_output * per_output + n_read * per_read + n_write * per_write + tariff.fee
    if n_plain > 0:
        total += n_plain * per_input
    return (total + 500_000) // _MILLION


def _wants_data(query: PriceQuery) -> bool:
    """Tell whether the packaged data may say more than the operator did."""
    return bool(query.prices_from or query.base_url or query.is_named_only)
