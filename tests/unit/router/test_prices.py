import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers as packaged_providers
from hypothesis import given, settings
from hypothesis import strategies as st

from router.prices import LocalPrices, Priced, PriceList, PriceQuery, Span, Tariff
from router.types import Usage

NOON_S = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
TOKENS = st.integers(0, 3_000_000)


def at(moment_s: float) -> Callable[[], float]:
    return lambda: moment_s


def some_models() -> list[tuple[str, str]]:
    """Thirty models of known prices: tiered, dated, with fees, by time of day, and plain ones."""
    special: list[tuple[str, str]] = []
    plain: list[tuple[str, str]] = []
    for provider in packaged_providers:
        for model in provider.models:
            found = provider.find_model(model.id, all_providers=packaged_providers)
            prices = model.get_prices(datetime.fromtimestamp(NOON_S, tz=UTC)).__dict__
            if found is not model or not {"input_mtok", "output_mtok"} <= prices.keys():
                continue
            is_special = (
                isinstance(model.prices, list)
                or "requests_kcount" in prices
                or any(hasattr(price, "tiers") for price in prices.values())
            )
            (special if is_special else plain).append((provider.id, model.id))
    return special[:: max(1, len(special) // 20)][:20] + plain[:: max(1, len(plain) // 20)][:20]


MODELS = some_models()
PRICES = PriceList.load(
    [PriceQuery(name=f"{p}/{m}", provider_model=m, prices_from=p) for p, m in MODELS], at(NOON_S)
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    n_input = draw(TOKENS)
    n_read = draw(st.integers(0, n_input))
    return Usage(
        input_tokens=n_input,
        output_tokens=draw(TOKENS),
        cache_read_tokens=n_read,
        cache_write_tokens=draw(st.integers(0, n_input - n_read)),
    )


@pytest.mark.parametrize(("provider", "model"), MODELS, ids=lambda value: str(value))
def test_costs_agree_with_the_price_data_to_the_nano(provider: str, model: str) -> None:
    """Whatever the usage, we differ from genai-prices' own decimals by rounding alone."""

    @settings(max_examples=15, deadline=None)
    @given(usages())
    def agree(usage: Usage) -> None:
        theirs = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
            ),
            model,
            provider_id=provider,
            genai_request_timestamp=datetime.fromtimestamp(NOON_S, tz=UTC),
        ).total_price
        ours = PRICES.cost_nanos(f"{provider}/{model}", usage)

        assert ours is not None
        assert abs(ours - theirs * 10**9) <= Decimal(1)

    agree()


def stated(**prices: float) -> PriceList:
    return PriceList.of({"m": LocalPrices(**{f"{k}_usd_per_mtok": v for k, v in prices.items()})})


def test_cached_input_is_not_charged_twice() -> None:
    """input_tokens includes what was read from and written to the provider's cache."""
    prices = stated(input=10, output=0, cache_read=1, cache_write=20)

    cost = prices.cost_of("m", 1_000, 0, n_read=600, n_write=300)

    assert cost == 100 * 10_000 + 600 * 1_000 + 300 * 20_000


def test_without_a_cache_price_cached_input_costs_what_input_costs() -> None:
    """The stated rule; it never understates."""
    prices = stated(input=3, output=5)

    assert prices.cost_of("m", 900, 7, n_read=500, n_write=100) == prices.cost_of("m", 900, 7)


def test_more_cached_tokens_than_input_are_charged_as_reported() -> None:
    """A provider that counts wrongly never makes input negative."""
    prices = stated(input=10, output=0, cache_read=1)

    assert prices.cost_of("m", 10, 0, n_read=100) == 100 * 1_000


@pytest.mark.parametrize(
    ("n_input", "nanos"), [(0, 0), (4, 0), (5, 1), (14, 1), (15, 2), (1_000_000, 100_000)]
)
def test_a_call_is_rounded_once_half_up(n_input: int, nanos: int) -> None:
    """A tenth of a nano a token: five tokens are half a nano, and cost one."""
    assert stated(input=0.0001, output=0).cost_of("m", n_input, 0) == nanos


@given(st.floats(0, 1_000_000), st.floats(0, 1_000_000), TOKENS, TOKENS)
def test_a_stated_price_holds_as_it_is_written(
    per_input: float, per_output: float, n_input: int, n_output: int
) -> None:
    """Floats are taken by their shortest decimal form, so 0.1 means a tenth."""
    exact = Decimal(repr(per_input)) * n_input + Decimal(repr(per_output)) * n_output

    cost = stated(input=per_input, output=per_output).cost_of("m", n_input, n_output)

    assert cost is not None
    assert abs(cost - exact * 1000) <= 4  # prices below a nano per million tokens are rounded


def test_an_unknown_model_has_no_cost() -> None:
    """None, never 0: an unknown price must not look like a free model."""
    prices = stated(input=1, output=1)

    assert prices.cost_of("other", 1, 1) is None
    assert prices.source("other") == "unknown"


@pytest.mark.parametrize("known", ["input", "output"])
def test_half_a_price_is_no_price(known: str) -> None:
    """Both input and output must be known."""
    assert stated(**{known: 1.0}).cost_of("m", 1, 1) is None


def test_a_stated_zero_is_a_price() -> None:
    """A self-hosted model costs 0, which is known."""
    prices = stated(input=0, output=0)

    assert prices.cost_of("m", 10**6, 10**6) == 0
    assert prices.source("m") == "settings"


def openai(model: str, local: LocalPrices | None = None, clock_s: float = NOON_S) -> PriceList:
    query = PriceQuery(
        name="m",
        provider_model=model,
        base_url="https://api.openai.com/v1",
        local=local or LocalPrices(),
    )
    return PriceList.load([query], at(clock_s))


def test_the_source_names_package_version_and_date() -> None:
    """Whoever doubts a figure can look it up."""
    source = openai("gpt-4o").source("m")

    assert source.startswith(f"genai-prices {genai_prices.__version__} of 2026-")
    assert source.endswith("(openai/gpt-4o)")


def test_a_stated_price_wins_and_the_others_stay() -> None:
    """One override changes one price, and the source says so."""
    prices = openai("gpt-4o", LocalPrices(output_usd_per_mtok=1.0))
    tariff = prices.tariff("m")

    assert tariff is not None
    assert tariff.base == (2_500_000_000, 1_000_000_000, 1_250_000_000, 2_500_000_000)
    assert prices.source("m").startswith("settings over genai-prices")


def test_a_stated_input_price_retires_the_packaged_cache_prices() -> None:
    """They belong to another input price."""
    tariff = openai("gpt-4o", LocalPrices(input_usd_per_mtok=1.0)).tariff("m")

    assert tariff is not None
    assert tariff.base[2] == tariff.base[0] == 1_000_000_000


def test_an_address_that_is_nobodys_has_no_packaged_price() -> None:
    """A model served by ourselves is not billed at the price of its namesake."""
    query = PriceQuery(name="m", provider_model="gpt-4o", base_url="http://127.0.0.1:8000/v1")

    assert PriceList.load([query]).cost_of("m", 1, 1) is None


def test_a_proxy_may_name_whose_prices_hold() -> None:
    """prices_from wins over the address."""
    query = PriceQuery(
        name="m", provider_model="gpt-4o", base_url="http://proxy/v1", prices_from="openai"
    )

    assert PriceList.load([query]).tariff("m") == openai("gpt-4o").tariff("m")


def test_a_tier_holds_for_the_whole_call_above_its_start() -> None:
    """At the start the base price holds; one token more and all tokens cost the tier's."""
    tariff = Tariff((1_000_000, 0, 0, 0), ((1_000, (2_000_000, 0, 0, 0)),))
    prices = PriceList({"m": Priced(schedule=((Span(), tariff),))})

    assert prices.cost_of("m", 1_000, 0) == 1_000
    assert prices.cost_of("m", 1_001, 0) == 2_002


def test_a_running_service_passes_to_a_new_price_on_its_day() -> None:
    """No restart is needed, neither for a date nor for an hour."""
    now = [NOON_S]
    midnight = NOON_S + 12 * 3600
    rates = [Tariff((n * 1_000_000, 0, 0, 0)) for n in (1, 2, 3)]
    schedule = (
        (Span(since_s=midnight), rates[2]),
        (Span(daily=(20 * 3600, 8 * 3600)), rates[1]),
        (Span(), rates[0]),
    )
    prices = PriceList({"m": Priced(schedule=schedule)}, lambda: now[0])

    costs = []
    for hours in (0, 7.99, 8, 11.99, 12, 100):
        now[0] = NOON_S + hours * 3600
        costs.append(prices.cost_of("m", 1, 0))

    assert costs == [1, 1, 2, 2, 3, 3]


@given(st.integers(0, 86_399), st.integers(0, 86_399), st.floats(0, 4e9))
def test_a_span_changes_only_when_it_says(start: int, end: int, moment_s: float) -> None:
    """Between now and the next change the answer stays; so prices need no look at each call."""
    span = Span(daily=(start, end))
    change_s = span.next_change_s(moment_s)

    assert change_s > moment_s
    assert span.holds(moment_s) == span.holds(moment_s + (change_s - moment_s) * 0.5)


def test_loading_brings_no_http_client() -> None:
    """The price data are read alone, and forgotten again: no httpx2, no second-hand imports."""
    code = (
        "import sys; from router.settings import load; s = load(None, {});"
        "assert s.prices.cost_of('gpt-4o', 1000, 0) == 2500000;"
        "bad = {m for m in sys.modules if m.split('.')[0] in ('httpx2', 'httpx', 'genai_prices')};"
        "assert not bad, bad; import genai_prices; genai_prices.calc_price"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_cost_is_computed_at_once() -> None:
    """It is on every request's path: 2 us on an idle core, with room here for a busy one."""
    usage = Usage(input_tokens=1_000, output_tokens=300, cache_read_tokens=100)
    model = f"{MODELS[0][0]}/{MODELS[0][1]}"

    def block_s() -> float:
        started = time.thread_time()
        for _ in range(1_000):
            PRICES.cost_nanos(model, usage)
        return time.thread_time() - started

    assert min(block_s() for _ in range(20)) / 1_000 < 10e-6
