from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.facts import facts_of
from cache.wording import is_other_wording

SAME = [
    ("How do I cancel the plan?", "How can I cancel the plan"),
    ("what is the capital of France", "What's the capital of France?"),
    ("please tell me how to reset a router", "How do I reset the router?"),
    ("in Python, how do I sort a list?", "How do I sort a list in Python?"),
    ("refund for a damaged parcel", "refund for the damaged parcels please"),
]
OTHER = [
    ("jet lag tips, eastbound flight", "jet lag tips, westbound flight"),
    (
        "Starting in Paris, which train goes to Rome?",
        "Starting in Rome, which train goes to Paris?",
    ),
    ("flights Paris Rome", "flights Rome Paris"),
    ("contacts out of a CSV file into the app", "contacts out of the app into a CSV file"),
    ("i am away until 14 june", "i am away from 14 june"),
    ("notice period during probation", "notice period after probation"),
    ("mute notifications for one chat", "mute notifications for all chats"),
    ("undo a commit, keep the changes", "undo a commit, discard the changes"),
    ("merge my branch into main", "merge main into my branch"),
    ("How did Macedonia conquer Greece?", "Why did Macedonia conquer Greece?"),
    ("pro -> basic, how to change plan", "basic -> pro, how to change plan"),
]


@pytest.mark.parametrize(("a", "b"), SAME, ids=str)
def test_words_between_the_words_may_differ(a: str, b: str) -> None:
    """Politeness, articles and a phrase that moved change no answer."""
    assert not is_other_wording(facts_of(a), facts_of(b))


@pytest.mark.parametrize(("a", "b"), OTHER, ids=str)
def test_one_other_word_or_another_order_is_told(a: str, b: str) -> None:
    """What a cosine hardly sees: one word of content, a small telling word, who comes first."""
    assert is_other_wording(facts_of(a), facts_of(b))


@given(st.text(max_size=80), st.text(max_size=80))
def test_it_does_not_matter_which_came_first(a: str, b: str) -> None:
    """Symmetric, and a text has the wording of itself."""
    one, two = facts_of(a), facts_of(b)

    assert is_other_wording(one, two) == is_other_wording(two, one)
    assert not is_other_wording(one, one)
