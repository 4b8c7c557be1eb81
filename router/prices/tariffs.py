"""Rates and the time they hold: the values of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DAY_S: Final = 86_400
_NEVER: Final = float("inf")

Rates = tuple[int, int, int, int]
"""Nano-dollars per million tokens: input, output, cache read, cache write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPrices:
    """The operator's own figures in USD per million tokens; None: nothing stated."""

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cache_read_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None

    def is_complete(self) -> bool:
        """Tell whether input and output are stated, so that no packaged price is needed."""
        return self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQuery:
    """One model whose price is sought.

    Attributes:
        name: the model's name in the settings.
        provider_model: what its provider calls it.
        base_url: its provider's address; tells whose prices hold.
        prices_from: id of a ``genai-prices`` provider; wins over ``base_url``.
        is_named_only: no address; whoever is known for a model of this name.
    """

    name: str
    provider_model: str
    base_url: str = ""
    prices_from: str = ""
    is_named_only: bool = False
    local: LocalPrices = LocalPrices()


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of one model at one time.

    Attributes:
        base: for inputs up to the first tier.
        tiers: (start, rates), longest first; they hold for inputs longer than start.
        fee: nano-dollars per million calls, on top of the tokens.
    """

    base: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()
    fee: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """When a tariff holds: from a moment on, or daily between two seconds of the UTC day."""

    since_s: float = -_NEVER
    daily: tuple[int, int] | None = None

    def holds(self, at_s: float) -> bool:
        """Tell whether it holds at a moment, in seconds since the epoch."""
        if self.daily is None:
            return at_s >= self.since_s
        start, end = self.daily
        second = at_s % _DAY_S
        return second >= start or second < end if end < start else start <= second < end

    def next_change_s(self, at_s: float) -> float:
        """Return the first moment after ``at_s`` at which the answer may change."""
        if self.daily is None:
            return self.since_s if self.since_s > at_s else _NEVER
        midnight = at_s - at_s % _DAY_S
        moments = (midnight + second + days for second in self.daily for days in (0, _DAY_S))
        return min(moment for moment in moments if moment > at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What is known of one model.

    Attributes:
        schedule: the first span that holds decides; a None tariff is an unknown price.
        source: where the prices come from, in words.
        context_window: tokens, as the price data tell it; None: they do not.
    """

    schedule: tuple[tuple[Span, Tariff | None], ...] = ()
    source: str = "unknown"
    context_window: int | None = None
