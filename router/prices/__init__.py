"""Tokens to nano-dollars: integers, one rounding per call, and None where a price is unknown."""

from router.prices.packaged import price_providers
from router.prices.price_list import PriceList
from router.prices.tariffs import LocalPrices, Priced, PriceQuery, Rates, Span, Tariff

__all__ = [
    "LocalPrices",
    "PriceList",
    "PriceQuery",
    "Priced",
    "Rates",
    "Span",
    "Tariff",
    "price_providers",
]
