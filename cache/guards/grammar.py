"""What stands under which preposition; polarity and roles both ask."""

from __future__ import annotations

from collections.abc import Sequence

from cache.facts import Facts, stem
from cache.lexicon import CONVERSIONS, FUNCTION_WORDS

DIRECTED = frozenset("to into from than by before after without over of".split())
GOVERNING = DIRECTED - {"of", "over"}


def governed(words: Sequence[str]) -> dict[str, set[str]]:
    """Return each directed preposition's objects: the next word that carries meaning."""
    objects: dict[str, set[str]] = {}
    for at, word in enumerate(words):
        if word in GOVERNING:
            for follower in words[at + 1 : at + 4]:
                if follower not in FUNCTION_WORDS:
                    objects.setdefault("to" if word == "into" else word, set()).add(stem(follower))
                    break
    return objects


def governed_swapped(a: Facts, b: Facts) -> bool:
    """Tell whether a preposition's object changed places with another word of both texts."""
    if GOVERNING.isdisjoint(a.vocabulary) or GOVERNING.isdisjoint(b.vocabulary):
        return False
    mine, theirs = governed(a.words), governed(b.words)
    is_conversion = converts(a, b)
    stems_a, stems_b = a.bag, b.bag
    for word in mine.keys() & theirs.keys():
        if (word == "to" and not is_conversion) or (word == "by" and stems_a != stems_b):
            continue
        only_a = (mine[word] - theirs[word]) & stems_b
        only_b = (theirs[word] - mine[word]) & stems_a
        if any(_is_inverted(a, b, x, y) for x in only_a for y in only_b):
            return True
    if is_conversion:  # "from A" against "to A"
        for one, other in ((mine, theirs), (theirs, mine)):
            to_from = one.get("to", set()) & other.get("from", set())
            if to_from - one.get("from", set()) - other.get("to", set()):
                return True
    return False


def converts(a: Facts, b: Facts) -> bool:
    """Tell whether a way from one thing to another is asked for."""
    return any(
        "from" in words or not CONVERSIONS.isdisjoint(words)
        for words in (a.vocabulary, b.vocabulary)
    )


def _is_inverted(a: Facts, b: Facts, x: str, y: str) -> bool:
    """Tell whether two stems changed order, unless they stand side by side: "airport in Denver"."""
    orders = []
    for facts in (a, b):
        stems = [stem(word) for word in facts.words]
        if x not in stems or y not in stems:
            return False
        distance = stems.index(y) - stems.index(x)
        if abs(distance) == 1:
            return False
        orders.append(distance > 0)
    return orders[0] != orders[1]
