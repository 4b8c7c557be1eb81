"""How long answers are: means for the cost to expect, upper figures for limits."""

from __future__ import annotations

import random

import pytest
from fakes_ledger import USAGE, a_hit, a_line

from router.ledger.types import Outcome
from router.lengths import FEWEST, HIGH, MAX_KEYS, WINDOW, Length, Lengths


def taught(n: int, seed: int = 0, model: str = "small", scale: float = 1.0) -> Lengths:
    lengths, draw = Lengths(), random.Random(seed)
    for _ in range(n):
        lengths.learn("shop", model, 100, round(scale * draw.lognormvariate(5, 0.8)))
    return lengths


def expected(lengths: Lengths, *models: str, n_input: int = 100) -> list[Length]:
    found = lengths.of("shop", models, n_input)
    assert found is not None
    return found


def test_until_enough_calls_were_seen_nothing_is_said() -> None:
    """The settings' figure holds for all models then."""
    assert taught(FEWEST - 1).of("shop", ["small"], 100) is None
    assert taught(FEWEST).of("elsewhere", ["small"], 100) is None
    assert taught(FEWEST).of("shop", ["small"], 100) is not None


def test_the_upper_figure_holds_nine_answers_in_ten() -> None:
    """And the mean is the mean; over 300 draws of a window and one answer more."""
    within, ratio, draw = 0, 0.0, random.Random(7)
    for seed in range(300):
        (length,) = expected(taught(WINDOW, seed), "small")
        answer = draw.lognormvariate(5, 0.8)
        within += answer <= length.high
        ratio += length.mean / 300

    assert within / 300 == pytest.approx(HIGH, abs=0.04)
    assert ratio == pytest.approx(204.4, rel=0.03)  # exp(5 + .8 ** 2 / 2)


def test_longer_prompts_have_longer_answers_where_that_was_seen() -> None:
    """A slope is learned, and shrunk."""
    lengths, draw = Lengths(), random.Random(0)
    for _ in range(WINDOW):
        n_input = draw.choice([50, 500, 5_000])
        lengths.learn("shop", "small", n_input, round(n_input * draw.uniform(0.5, 1.5)))

    (short,) = expected(lengths, "small", n_input=50)
    (long,) = expected(lengths, "small", n_input=5_000)
    assert 30 < short.mean < 120
    assert long.mean > 30 * short.mean


def test_a_model_that_was_hardly_called_is_taken_to_answer_as_the_others_do() -> None:
    """Else whoever was never tried would look cheap beside those that talk at length."""
    lengths = taught(40, model="talker", scale=10.0)
    talker, unknown = expected(lengths, "talker", "unknown")

    assert unknown == talker


def test_new_habits_replace_old_ones() -> None:
    """Only the latest calls count."""
    lengths = taught(500)
    for _ in range(WINDOW):
        lengths.learn("shop", "small", 100, 10)

    (length,) = expected(lengths, "small", n_input=100)
    assert length.mean == pytest.approx(10, rel=1e-3)


def test_only_calls_with_counted_tokens_teach() -> None:
    """A hit is no call, and unknown is not 0."""
    lengths = Lengths()
    for n in range(FEWEST):
        lengths.note(a_hit(n))
        lengths.note(a_line(n, usage=None))
        lengths.note(a_line(n, outcome=Outcome.FAILED))
    assert lengths.of("shop", ["small"], 900) is None

    for n in range(FEWEST):
        lengths.note(a_line(n))
    (length,) = expected(lengths, "small", n_input=900)
    assert length.mean == pytest.approx(USAGE.output_tokens, rel=1e-3)


def test_memory_is_bounded() -> None:
    """Whoever was not heard of for longest is forgotten."""
    lengths = Lengths()
    for n in range(MAX_KEYS):
        lengths.learn(f"n{n}", "small", 1, 1)

    assert len(lengths._calls) == MAX_KEYS
    assert ("n0", "small") not in lengths._calls
