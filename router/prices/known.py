"""Which models the packaged price data knows at which provider, and at what price now."""

from __future__ import annotations

from dataclasses import dataclass

from router.prices.packaged import Catalog, schedule_of
from router.prices.tariffs import LocalPrices, Tariff


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """One model at one provider.

    Attributes:
        provider: its id, as ``prices_from`` takes it.
        model: its id there.
        tariff: what holds now; None: the price is not known.
        context_window: tokens; None: not known.
    """

    provider: str
    model: str
    tariff: Tariff | None
    context_window: int | None


def known_models(now_s: float, *, provider: str = "", word: str = "") -> list[KnownModel]:
    """Return the models of the price data, by provider and id.

    Args:
        now_s: seconds since the epoch: prices change.
        provider: only this one's; "" for all.
        word: only ids that hold it, in any case.

    Raises:
        ValueError: there is no such provider; names those that there are.
    """
    providers = Catalog.read().providers
    if provider and provider not in {one.id for one in providers}:
        ids = ", ".join(sorted(one.id for one in providers))
        raise ValueError(f"no provider {provider!r} in the price data; there are {ids}")
    return sorted(
        (
            KnownModel(
                provider=one.id,
                model=model.id,
                tariff=next(
                    (t for span, t in schedule_of(model, LocalPrices()) if span.holds(now_s)), None
                ),
                context_window=model.context_window,
            )
            for one in providers
            if provider in ("", one.id)
            for model in one.models
            if word.lower() in model.id.lower()
        ),
        key=lambda found: (found.provider, found.model),
    )
