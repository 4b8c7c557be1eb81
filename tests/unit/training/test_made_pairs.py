"""Pairs put together from words: drawn alike under a seed, and labelled as their rule says."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from training.grammar import grammar_pairs
from training.operations import operation_pairs
from training.searches import search_pairs

Maker = Callable[[int, random.Random], Iterator[tuple[str, str, bool]]]
MAKERS = [operation_pairs, grammar_pairs, search_pairs]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_seed_draws_the_same_pairs_of_both_labels(maker: Maker) -> None:
    """No label is rarer than one in five."""
    drawn = list(maker(500, random.Random(3)))

    assert drawn == list(maker(500, random.Random(3)))
    assert 100 < sum(is_same for _, _, is_same in drawn) < 400


def test_one_relation_turned_round_is_the_same_question_or_another() -> None:
    """By the relation, not by the words."""
    found = {one: is_same for one, _, is_same in grammar_pairs(4_000, random.Random(1))}

    married = {label for text, label in found.items() if "married to" in text}
    taller = {label for text, label in found.items() if "taller than" in text}
    assert (married, taller) == ({True}, {False})


@pytest.mark.parametrize("maker", MAKERS)
def test_no_pair_is_drawn_with_both_labels(maker: Maker) -> None:
    """Else the words of two operations mean the same, or a relation stands in two lists."""
    labels: dict[frozenset[str], set[bool]] = {}
    for one, two, is_same in maker(60_000, random.Random(4)):
        labels.setdefault(frozenset((one.lower(), two.lower())), set()).add(is_same)

    assert [sorted(pair) for pair, found in labels.items() if len(found) > 1] == []
