import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.abilities import Abilities, normalize_model, p_adequate

ABILITIES = Abilities(
    known={"gpt-4o-mini": 0.95}, prior_intercept=0.5, prior_slope=0.7, low=-1.5, high=2.5
)


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-4o", "gpt-4o"),
        ("gpt-4-1106-preview", "gpt-4-turbo"),
        ("gpt-4-0613", "gpt-4"),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3.5-sonnet"),
        ("claude-3-5-sonnet-latest", "claude-3.5-sonnet"),
        ("claude-3-haiku@20240307", "claude-3-haiku"),
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("Meta-Llama-3_1-8B-Instruct", "llama-3.1-8b"),
        ("llama3.1:8b", "llama-3.1-8b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("open-mixtral-8x7b", "mixtral-8x7b"),
        ("models/gemini-1.5-flash-002", "gemini-1.5-flash"),
        ("mistral-large-latest", "mistral-large"),
    ],
)
def test_names_of_one_model_come_together(name: str, normal: str) -> None:
    """Providers, dates and hosts name one model in many ways; its ability is one."""
    assert normalize_model(name) == normal


@pytest.mark.parametrize(
    ("one", "other"),
    [("gpt-4o", "gpt-4o-mini"), ("gpt-4", "gpt-4-turbo"), ("llama-3-8b", "llama-3.1-8b")],
)
def test_different_models_stay_apart(one: str, other: str) -> None:
    """Sizes and versions are never dropped."""
    assert normalize_model(one) != normalize_model(other)


@given(st.text(st.sampled_from("abgpt-40123._:/@xinstruct"), max_size=30))
def test_normalizing_twice_changes_nothing(name: str) -> None:
    """A normalized name is a fixed point, whatever it began as."""
    once = normalize_model(name)

    assert normalize_model(once) == once


def test_an_unknown_model_has_no_ability() -> None:
    """None, so that the caller states a prior instead of inventing a measurement."""
    assert ABILITIES.of("openai/gpt-4o-mini-2024-07-18") == 0.95
    assert ABILITIES.of("acme-1") is None


@given(st.floats(0.001, 1000), st.floats(0.001, 1000), st.floats(1, 100))
def test_a_dearer_model_is_never_guessed_less_able(
    input_price: float, output_price: float, times: float
) -> None:
    """The prior rises with price and stays within what is known."""
    cheap = ABILITIES.prior(input_price, output_price)
    dear = ABILITIES.prior(input_price * times, output_price * times)

    assert -1.5 <= cheap <= dear <= 2.5


@pytest.mark.parametrize("prices", [(None, None), (0.0, 0.0), (None, 0.0)])
def test_without_a_price_the_guess_is_the_middle(
    prices: tuple[float | None, float | None],
) -> None:
    """A free or unpriced model is not called the weakest."""
    assert ABILITIES.prior(*prices) == 0.5


@given(st.lists(st.floats(0.001, 0.999), min_size=3, max_size=3).map(sorted), st.floats(-3, 3))
def test_between_tiers_the_probability_lies_between_theirs(
    scores: list[float], ability: float
) -> None:
    """Interpolation invents nothing beyond its neighbours, at any ability."""
    tiers = (-1.0, 0.0, 2.0)
    p = p_adequate(scores, tiers, ability)

    below = max((s for s, t in zip(scores, tiers, strict=True) if t <= ability), default=scores[0])
    above = min((s for s, t in zip(scores, tiers, strict=True) if t >= ability), default=scores[-1])
    assert below - 1e-9 <= p <= above + 1e-9


def test_interpolation_is_in_logits() -> None:
    """Half way between two tiers is half way between their logits."""
    p = p_adequate([0.5, 1 / (1 + math.exp(-2))], (0.0, 1.0), 0.5)

    assert p == pytest.approx(1 / (1 + math.exp(-1)))
