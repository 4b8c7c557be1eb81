"""Do two texts say the same words? For a judge that sees only how alike they are.

A cosine is blind to one word among ten ("eastbound" for "westbound") and to their order ("Paris to
Rome"). So where nothing better judges, a near-duplicate must say the same words that carry meaning,
in the same order or with one phrase moved; only the words between them may differ.
"""

from __future__ import annotations

from collections.abc import Sequence

from cache.facts import Facts

# Small words that change what is asked; the encoder hardly weighs them.
_TELLING = frozenset(
    "until till after before during since within without into onto out off over under above below "
    "up down against between among through per versus vs one two all both every each none only "
    "most least more less few many half first last same another other if unless except instead "
    "and or but not than then back again still yet already never always often why who whose when "
    "where".split()
)
# Words of asking; whether they stand there changes no answer.
_ASKING = frozenset(
    "pleas kindli want need know tell help wonder possibl way best good find show let give get "
    "explain question ask hi hello hey thank".split()
)


def is_other_wording(a: Facts, b: Facts) -> bool:
    """Tell whether a word that carries meaning is missing on one side, or stands elsewhere."""
    mine, theirs = _telling(a), _telling(b)
    if sorted(mine) != sorted(theirs):
        return True
    one = [stem for stem in a.stems if stem not in _ASKING]
    two = [stem for stem in b.stems if stem not in _ASKING]
    if sorted(one) != sorted(two):
        return True
    return not _is_moved(one, two)


def _telling(text: Facts) -> list[str]:
    return [word for word in text.words if word in _TELLING]


def _is_moved(one: Sequence[str], two: Sequence[str]) -> bool:
    """Tell whether two equal bags of words differ by one phrase moved to the other end, if at all.

    Two words alone are never taken for moved: "Paris Rome" is no "Rome Paris".
    """
    if one == two:
        return True
    if len(one) < 3:
        return False
    doubled = [*one, *one]
    return any(doubled[k : k + len(one)] == two for k in range(1, len(one)))
