"""The canonical form of a text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache.normalize import canonical


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("  hello \n\t world  ", "hello world"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b\u2003c", "a b c"),
        ("Polish", "Polish"),
        ("wait...  what?!", "wait... what?!"),
        ("\ud55c\uad6d", "\ud55c\uad6d"),
    ],
)
def test_only_composition_and_white_space_change(text: str, expected: str) -> None:
    """Case and punctuation may change the meaning and stay."""
    assert canonical(text) == expected


@given(st.text())
def test_a_canonical_text_stays_as_it_is(text: str) -> None:
    """Normalizing twice is normalizing once."""
    assert canonical(canonical(text)) == canonical(text)


@given(st.text())
def test_decomposed_and_composed_text_are_the_same(text: str) -> None:
    """The same characters typed in two ways are one prompt."""
    assert canonical(unicodedata.normalize("NFD", text)) == canonical(text)


@given(st.text(), st.sampled_from([" ", "\n", "\t \n", "\u00a0"]))
def test_white_space_around_a_text_changes_nothing(text: str, space: str) -> None:
    """A trailing line end makes no other prompt."""
    assert canonical(space + text + space) == canonical(text)
