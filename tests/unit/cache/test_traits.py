from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.traits import traits_of_pair


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ("open the gate for Acme", "open the gate for Globex",
         ("slot:for", "words:acme|globex", "kind:name")),
        ("orders from 2019", "orders from 2020",
         ("slot:from", "words:2019|2020", "kind:number")),
        ("how to reset it", "how to reset it quickly", ("extra:word",)),
        ("does Ann love Bob", "does Bob love Ann", ("order",)),
        ("How do I reset it?", "how do i reset it", ("form",)),
        ("one two three", "wholly other words stand here today", ("far",)),
    ],
    ids=["name", "number", "extra", "order", "form", "far"],
)  # fmt: skip
def test_a_pair_is_named_by_how_it_differs(
    stored: str, asked: str, expected: tuple[str, ...]
) -> None:
    """Most telling first."""
    assert traits_of_pair(stored, asked) == expected


@given(st.text(max_size=80), st.text(max_size=80))
def test_the_order_of_the_two_does_not_matter(one: str, two: str) -> None:
    """And there is always a trait, of at most six."""
    traits = traits_of_pair(one, two)

    assert traits == traits_of_pair(two, one)
    assert 1 <= len(traits) <= 6
