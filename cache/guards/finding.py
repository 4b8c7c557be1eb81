"""What a rule finds between two texts, and what rules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from cache.facts import Facts
from cache.lexicon import SYMMETRIC
from cache.types import MissReason


class Difference(NamedTuple):
    """What a rule found.

    Attributes:
        mine: what the first text had.
        theirs: what the second had.
        is_veto: whether it tells that the answers differ, in texts of mostly the same words.
        is_firm: whether it tells that in texts of other words too.
    """

    mine: str
    theirs: str
    is_veto: bool = True
    is_firm: bool = False


Rule = Callable[[Facts, Facts], Difference | None]
Guards = tuple[tuple[MissReason, tuple[Rule, ...]], ...]


def listed(items: Iterable[str]) -> str:
    """Return items for the eye, in order."""
    return ", ".join(sorted(items))


def n_other(a: Facts, b: Facts) -> int:
    """Return how many words that carry meaning the text with more of its own has for itself."""
    return max(len(a.bag - b.bag), len(b.bag - a.bag))


def is_symmetric(a: Facts, b: Facts) -> bool:
    """Tell whether a word of either may be turned round ("and", "married to")."""
    return not (SYMMETRIC.isdisjoint(a.vocabulary) and SYMMETRIC.isdisjoint(b.vocabulary))
