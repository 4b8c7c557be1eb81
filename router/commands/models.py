"""``scrimp models``: which models exist at which provider, and what they cost now. Calls no one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from router.prices import Tariff
from router.prices.known import KnownModel, known_models

_RATES = ("input", "output", "cache_read", "cache_write")


def models(word: str, provider: str, *, as_json: bool, now_s: float | None = None) -> int:
    """Print the models of the price data; returns the exit status.

    Args:
        word: only models whose id holds it; "" for all.
        provider: only this one's; "" for all.
        as_json: one JSON object instead of a table.
        now_s: prices of then; None: of now.
    """
    try:
        found = known_models(time.time() if now_s is None else now_s, provider=provider, word=word)
    except ValueError as error:
        print(f"scrimp models: {error}", file=sys.stderr)
        return 1
    if as_json:
        json.dump({"models": [_as_object(one) for one in found]}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        Console(highlight=False, soft_wrap=True).print(_table(found))
    return 0


def _as_object(one: KnownModel) -> dict[str, object]:
    usd = None if one.tariff is None else dict(zip(_RATES, _usd(one.tariff), strict=True))
    return {
        "provider": one.provider,
        "model": one.model,
        "context_window": one.context_window,
        "usd_per_mtok": None if usd is None else {name: float(rate) for name, rate in usd.items()},
    }


def _table(found: Sequence[KnownModel]) -> Table:
    table = Table(title=f"{len(found)} models, USD per million tokens")
    table.add_column("provider")
    table.add_column("model", overflow="fold")
    for name in ("input", "output", "cache read", "window"):
        table.add_column(name, justify="right")
    for one in found:
        rates = ("unknown",) * 3 if one.tariff is None else _usd(one.tariff)[:3]
        window = "unknown" if one.context_window is None else str(one.context_window)
        table.add_row(one.provider, one.model, *(f"{rate}" for rate in rates), window)
    return table


def _usd(tariff: Tariff) -> tuple[Decimal, ...]:
    """Return the base rates in dollars; longer inputs may cost more."""
    return tuple((Decimal(nanos) / 10**9).normalize() + 0 for nanos in tariff.base)
