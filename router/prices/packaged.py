"""Prices from the packaged ``genai-prices`` data, read once, without a network."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from router.prices.tariffs import LocalPrices, Priced, PriceQuery, Rates, Span, Tariff

if TYPE_CHECKING:
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice
    from genai_prices.types import Provider as PricedProvider

_DAY_S: Final = 86_400


def price_of(query: PriceQuery, catalog: Catalog | None) -> Priced:
    """Join the operator's prices with the packaged ones."""
    local = query.local
    found = catalog.find(query) if catalog is not None else None
    if found is None or catalog is None:
        tariff = _tariff(None, local)
        source = "settings" if tariff is not None else "unknown"
        return Priced(schedule=((Span(), tariff),), source=source)
    provider, model = found
    window = model.context_window
    if local.is_complete():
        return Priced(
            schedule=((Span(), _tariff(None, local)),), source="settings", context_window=window
        )
    schedule = schedule_of(model, local)
    if all(tariff is None for _, tariff in schedule):
        return Priced(context_window=window)
    origin = f"genai-prices {catalog.version} of {catalog.newest} ({provider.id}/{model.id})"
    source = origin if local == LocalPrices() else f"settings over {origin}"
    return Priced(schedule=schedule, source=source, context_window=window)


def schedule_of(model: ModelInfo, local: LocalPrices) -> tuple[tuple[Span, Tariff | None], ...]:
    """Lay out dated prices: the latest that holds wins, the first one where none does."""
    prices = model.prices
    if not isinstance(prices, list):
        return ((Span(), _tariff(prices, local)),)
    dated = [(_span(price), _tariff(price.prices, local)) for price in reversed(prices)]
    return (*dated, (Span(), dated[-1][1] if dated else None))


def _span(price: ConditionalPrice) -> Span:
    constraint = price.constraint
    if constraint is None:
        return Span()
    start_date = getattr(constraint, "start_date", None)
    if isinstance(start_date, date):
        midnight = datetime(start_date.year, start_date.month, start_date.day, tzinfo=UTC)
        return Span(since_s=midnight.timestamp())
    start, end = (getattr(constraint, name) for name in ("start_time", "end_time"))
    return Span(daily=(_second_of_day(start), _second_of_day(end)))


def _second_of_day(value: time_of_day) -> int:
    """The second of the UTC day; naive times are UTC."""
    offset = value.utcoffset()
    shift = int(offset.total_seconds()) if offset is not None else 0
    return (value.hour * 3600 + value.minute * 60 + value.second - shift) % _DAY_S


def _tariff(price: ModelPrice | None, local: LocalPrices) -> Tariff | None:
    """Build one tariff; None when input or output has no price."""
    starts = sorted(
        {tier.start for key in _KEYS for tier in getattr(_packaged(price, key), "tiers", ())},
        reverse=True,
    )
    base = _rates(price, local, 0)
    tiers = [(start, _rates(price, local, start + 1)) for start in starts]
    if base is None:
        return None
    fee = _packaged(price, "requests_kcount")
    per_million_calls = _nanos(fee) * 1000 if isinstance(fee, Decimal) else 0
    return Tariff(base, tuple((start, rates) for start, rates in tiers if rates), per_million_calls)


_KEYS: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


def _packaged(price: ModelPrice | None, key: str) -> object:
    """One packaged price as it is stored, without the data's own lookup machinery."""
    return None if price is None else price.__dict__.get(key)


def _rates(price: ModelPrice | None, local: LocalPrices, n_input: int) -> Rates | None:
    """The four rates for an input of ``n_input`` tokens."""

    def rate(stated: float | None, packaged: ModelPrice | None, key: str) -> int | None:
        if stated is not None:
            return _nanos(stated)
        stored = _packaged(packaged, key)
        if isinstance(stored, Decimal) or stored is None:
            return None if stored is None else _nanos(stored)
        reached = [tier.price for tier in getattr(stored, "tiers", ()) if n_input > tier.start]
        return _nanos(reached[-1] if reached else getattr(stored, "base"))  # noqa: B009

    per_input = rate(local.input_usd_per_mtok, price, "input_mtok")
    per_output = rate(local.output_usd_per_mtok, price, "output_mtok")
    if per_input is None or per_output is None:
        return None
    cached = price if local.input_usd_per_mtok is None else None
    per_read = rate(local.cache_read_usd_per_mtok, cached, "cache_read_mtok")
    per_write = rate(local.cache_write_usd_per_mtok, cached, "cache_write_mtok")
    return (
        per_input,
        per_output,
        per_input if per_read is None else per_read,
        per_input if per_write is None else per_write,
    )


def _nanos(usd: float | Decimal) -> int:
    """USD per unit as integer nano-dollars; floats as the operator wrote them."""
    exact = usd if isinstance(usd, Decimal) else Decimal(repr(usd))
    return int((exact * 10**9).to_integral_value())


@dataclass(frozen=True, slots=True)
class Catalog:
    """The packaged price data.

    Attributes:
        newest: date of the latest price change it knows to have happened; the data's age.
    """

    providers: list[PricedProvider]
    version: str
    newest: date

    @classmethod
    def read(cls) -> Catalog:
        """Import the data alone: the package's own ``__init__`` would bring an HTTP client."""
        providers = _import_data()
        today = datetime.now(tz=UTC).date()
        dates = (
            day
            for provider in providers
            for model in provider.models
            if isinstance(model.prices, list)
            for price in model.prices
            if isinstance(day := getattr(price.constraint, "start_date", None), date)
        )
        newest = max((day for day in dates if day <= today), default=date.min)
        return cls(providers, importlib.metadata.version("genai-prices"), newest)

    def find(self, query: PriceQuery) -> tuple[PricedProvider, ModelInfo] | None:
        """Find a model by its provider's id or address, or by name alone where that was asked."""
        for provider in self.providers:
            if query.prices_from:
                is_it = provider.id == query.prices_from
            elif query.base_url:
                is_it = re.match(provider.api_pattern, query.base_url) is not None
            else:
                match = provider.model_match
                is_it = match is not None and match.is_match(query.provider_model.lower())
            if is_it:
                model = provider.find_model(query.provider_model, all_providers=self.providers)
                return None if model is None else (provider, model)
        return None


def price_providers() -> frozenset[str]:
    """Return the ids that ``prices_from`` may name."""
    return frozenset(provider.id for provider in _import_data())


def _import_data() -> list[PricedProvider]:
    """Import ``genai_prices.data`` under a package object whose ``__init__`` never ran.

    The modules are forgotten again, so that memory holds the configured models only and a later
    ``import genai_prices`` gets the whole package.
    """
    if "genai_prices" in sys.modules:
        providers: list[PricedProvider] = importlib.import_module("genai_prices.data").providers
        return providers
    spec = importlib.util.find_spec("genai_prices")
    if spec is None:
        raise ModuleNotFoundError("genai-prices is not installed; run `pip install -e .` again")
    sys.modules["genai_prices"] = importlib.util.module_from_spec(spec)
    try:
        providers = importlib.import_module("genai_prices.data").providers
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "genai_prices"]:
            del sys.modules[name]
    return providers
