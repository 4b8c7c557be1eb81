"""``scrimp models``: what the price data knows, and nothing made up."""

from __future__ import annotations

import json

import pytest

from router.__main__ import main
from router.prices import PriceList, PriceQuery
from router.prices.known import known_models

NOW_S = 1_780_000_000.0


def test_a_model_is_listed_with_the_price_that_it_is_charged_by() -> None:
    """The list and the ledger read the same data in the same way."""
    known = known_models(NOW_S, provider="openai", word="gpt-4o-mini")
    (found,) = (one for one in known if one.model == "gpt-4o-mini")
    query = PriceQuery(name="x", provider_model="gpt-4o-mini", prices_from="openai")
    priced = PriceList.load([query]).priced("x")

    assert priced is not None
    assert found.tariff == next(tariff for span, tariff in priced.schedule if span.holds(NOW_S))
    assert found.context_window == priced.context_window


def test_what_is_listed_holds_the_word_in_any_case() -> None:
    found = known_models(NOW_S, word="HAIKU")

    assert {one.provider for one in found} >= {"anthropic", "openrouter"}
    assert all("haiku" in one.model.lower() for one in found)


def test_an_unknown_price_is_no_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """Some providers sell by the seat: their models are listed, and their prices are null."""
    assert main(["models", "gpt-4o-mini", "--json", "--provider", "github-copilot"]) == 0

    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert row["usd_per_mtok"] is None


def test_an_unknown_provider_is_told_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "--provider", "nobody"]) == 1

    assert "no provider 'nobody' in the price data; there are anthropic," in capsys.readouterr().err
