"""The rule by which a label is called wrong: narrow enough that any reader agrees."""

from __future__ import annotations

import pytest

from benchmarks.label_noise import is_one_question


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("If you were a farmer what would you grow?", "If you were a farmer, what would you grow?"),
        ("Most mind-blowing facts?", "most mind blowing facts"),
        ("How can you make a robot?", "How do I make a robot?"),
        ("What's the capital of Peru", "What is the capital of Peru?"),
        ("Why can't I sleep?", "Why can not I sleep"),
        ("please list the flights to Rome on FRIDAY", "show me flights to Rome friday"),
        ("How many clients are there?", "How many clients do we have?"),
        ("I need a flight to Rome", "flights to rome"),
        ("would you tell me the fare to Rome", "get fares to Rome"),
        ("Are there evening classes offered for me?", "Are any evening classes being offered?"),
    ],
)
def test_two_spellings_are_one_question(one: str, two: str) -> None:
    """Case, marks, articles, contractions, plurals, and the ways of asking."""
    assert is_one_question(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("How do I pause a plan?", "How do I cancel a plan?"),
        ("What is 3.5 in binary?", "What is 35 in binary?"),
        ("Will Quora be blocked?", "Has Quora been blocked?"),
        ("Is it -5?", "Is it 5?"),
        ("Why do I fail?", "Why do I not fail?"),
        ("who is Ann", "who is Anne"),
        ("What is C?", "What is C++?"),
        ("flights to Rome on friday", "flights to Rome on monday"),
        ("list flights to Rome", "list flights from Rome"),
        ("show me flights to Rome", "show me the first flight to Rome"),
        ("how many flights are there", "flights"),
        ("the class", "the clas"),
        ("what is a human being", "what is a human"),
        ("how do I get there", "how do I get"),
    ],
)
def test_another_word_or_number_is_another_question(one: str, two: str) -> None:
    """Nothing that may carry meaning is dropped."""
    assert not is_one_question(one, two)
