"""Rules on meaning turned round: negations, opposites, prefixes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from cache.facts import Facts, Negation, stem
from cache.guards.finding import Difference, listed, n_other
from cache.guards.grammar import governed_swapped
from cache.lexicon import POLAR_GROUPS, SOFT_NEGATORS, WEAK_OPPOSITES, Side


def other_polarity(a: Facts, b: Facts) -> Difference | None:
    """Another number of negations, a moved negation, or an opposite word."""
    flips = flips_between(a, b)
    if not flips and not a.negations and not b.negations:
        return _affix_flip(a, b)
    flipped = {word for pair in flips for word in pair}
    mine = [negation for negation in a.negations if negation.word not in flipped]
    theirs = [negation for negation in b.negations if negation.word not in flipped]
    if flips:
        if _is_cancelled(a, b, flips, mine, theirs):
            return None
        is_veto = not flipped <= WEAK_OPPOSITES or n_other(a, b) <= 1
        mine_said, theirs_said = ([pair[side] for pair in flips] for side in (0, 1))
        return Difference(listed(mine_said), listed(theirs_said), is_veto, is_firm=True)
    affix = _affix_flip(a, b)
    excess = len(mine) - len(theirs)
    if affix is not None:
        scopes = {negation.scope for negation in (*mine, *theirs)}
        if abs(excess) == 1 and scopes & {stem(affix.mine), stem(affix.theirs)}:
            return None  # "not happy" and "unhappy"
        return affix
    if excess == 0:
        return _negation_moved(a, b, mine, theirs)
    longer, shorter, other = (mine, a, b) if excess > 0 else (theirs, b, a)
    if abs(excess) == 1 and _is_balanced(longer, shorter, other):
        return None
    fewer = theirs if excess > 0 else mine
    return Difference(_negated(mine), _negated(theirs), _is_denied(a, b, longer, fewer, other))


def _is_denied(
    a: Facts, b: Facts, longer: list[Negation], fewer: list[Negation], other: Facts
) -> bool:
    """Tell whether one text denies what the other says.

    A negated word that the other lacks may be told there in other words: "not hot" and "cold".
    """
    left = Counter(negation.scope for negation in longer)
    left.subtract(negation.scope for negation in fewer)
    scopes = {scope for scope, n in left.items() if n > 0}
    if scopes & other.bag:
        return True
    return "" in scopes and n_other(a, b) <= 1


def flips_between(a: Facts, b: Facts) -> list[tuple[str, str]]:
    """Pairs of opposite words, one of each text, where neither stands in the other text."""
    theirs: dict[str, list[Side]] = {}
    for side in b.sides - a.sides:
        theirs.setdefault(side.group, []).append(side)
    only_a = [side for side in a.sides - b.sides if side.group in theirs]
    if not only_a:
        return []
    sides_a = {(side.group, side.side) for side in a.sides}
    sides_b = {(side.group, side.side) for side in b.sides}
    flips = set()
    for mine in only_a:
        if mine.group not in POLAR_GROUPS or mine.word in b.vocabulary:
            continue
        if (mine.group, mine.side) in sides_b:
            continue
        for other in theirs[mine.group]:
            if other.side == mine.side or (other.group, other.side) in sides_a:
                continue
            if other.word not in a.vocabulary and _is_opposed(a, b, mine, other):
                flips.add((mine.word, other.word))
    return sorted(flips)


def _is_opposed(a: Facts, b: Facts, mine: Side, other: Side) -> bool:
    """Tell whether two sides exclude each other where they stand."""
    are_measures = (
        mine.group.startswith("a:")
        and _is_measured(a.words, mine.word)
        and _is_measured(b.words, other.word)
    )
    return not are_measures and _is_aligned(a, b, mine.word, other.word)


_PARTICLES = frozenset("up down on off in out over under for against even must no".split())


def _is_aligned(a: Facts, b: Facts, mine: str, theirs: str) -> bool:
    """Small words are opposites only beside the same word: "scale up" and "scale down"."""
    if mine not in _PARTICLES and theirs not in _PARTICLES:
        return True
    return bool(_beside(a.words, mine) & _beside(b.words, theirs))


def _is_measured(words: Sequence[str], word: str) -> bool:
    """Tell whether a scale is asked for: "how hard is it" and "how easy is it" are one question."""
    at = words.index(word)
    return at > 0 and words[at - 1] == "how"


def _beside(words: Sequence[str], word: str) -> set[str]:
    at = words.index(word)
    near = set(words[max(0, at - 1) : at]) | set(words[at + 1 : at + 2])
    return {stem(other) for other in near - {"the", "a", "an", "my", "i", "to"}}


def _is_cancelled(
    a: Facts,
    b: Facts,
    flips: list[tuple[str, str]],
    mine: list[Negation],
    theirs: list[Negation],
) -> bool:
    """Tell whether two opposites make the same again: "not false" and "true"."""
    words = {word for pair in flips for word in pair}
    excess = abs(len(mine) - len(theirs))
    if excess == 0 and len(flips) == 1 and _is_lessened(a, b, flips[0]):
        return True
    if excess == 1 and len({pair[0] for pair in flips}) == 1:
        scopes = {negation.scope for negation in (mine if len(mine) > len(theirs) else theirs)}
        return bool(scopes & {stem(word) for word in words})
    if excess == 0 and len(flips) == 2:  # "more visible" and "less invisible"
        return _neighbours(a.words, [pair[0] for pair in flips]) and _neighbours(
            b.words, [pair[1] for pair in flips]
        )
    if excess == 0 and len(flips) == 1:
        affix = _affix_flip(a, b)
        if affix is not None and affix.mine != flips[0][0]:
            return _neighbours(a.words, [flips[0][0], affix.mine]) and _neighbours(
                b.words, [flips[0][1], affix.theirs]
            )
        # "is A better than B" and "is B worse than A"
        return is_comparison(a, b) and governed_swapped(a, b)
    return False


def _is_lessened(a: Facts, b: Facts, flip: tuple[str, str]) -> bool:
    """Tell whether just one text turns its word by "less" or "least": "cheap", "less expensive"."""
    mine, theirs = (
        at > 0 and facts.words[at - 1] in ("less", "least")
        for facts, at in ((a, a.words.index(flip[0])), (b, b.words.index(flip[1])))
    )
    return mine != theirs


def is_comparison(a: Facts, b: Facts) -> bool:
    """Tell whether both compare one thing with another."""
    return "than" in a.words and "than" in b.words


def _neighbours(words: Sequence[str], two: list[str]) -> bool:
    if len(two) != 2 or two[0] not in words or two[1] not in words:
        return False
    return abs(words.index(two[0]) - words.index(two[1])) == 1


_PREFIXES = ("un", "non", "in", "im", "ir", "il", "dis", "mis", "de", "anti")
_FALSE_PREFIX = frozenset(
    "invaluable inflammable inform inside into income install investment invest discover display "
    "discount disease dispatch dispose distance district unit union under until instead instance "
    "interest internal intern increase indeed individual infinite industry input "
    "inspire intend intention intense impress improve important import imply impact image "
    "immediate "
    "depart department depend deliver design desire detail develop determine demand decide degree "
    "delete default describe deserve despite desert debate invent involve infer infuse missing "
    "mission mister universe university uniform unique ironic illness intent interview antique "
    "impart impend deform inhabit inherent".split()
)


def _affix_flip(a: Facts, b: Facts) -> Difference | None:
    """A word against itself with "un-", "non-", "-less" and the like before or behind it."""
    mine, theirs = a.vocabulary - b.vocabulary, b.vocabulary - a.vocabulary
    if not mine or not theirs:
        return None
    for word in mine:
        if _has_affix(word):
            for other in _stripped(word):
                if other in theirs:
                    return Difference(word, other, n_other(a, b) <= 1)
    for word in theirs:
        if _has_affix(word):
            for other in _stripped(word):
                if other in mine:
                    return Difference(other, word, n_other(a, b) <= 1)
    return None


_has_affix = re.compile(rf"(?:{'|'.join(_PREFIXES)})|.*less\Z").match  # most words have none


def _stripped(word: str) -> list[str]:
    if len(word) < 6 or word in _FALSE_PREFIX:
        return []
    found = []
    if word.startswith(_PREFIXES):
        found = [
            word[len(prefix) :]
            for prefix in _PREFIXES
            if word.startswith(prefix) and len(word) - len(prefix) >= 4
        ]
    if word.endswith("less") and len(word) > 7:
        found += [word[:-4], word[:-4] + "ful", word[:-4] + "s"]
    return found


def _negation_moved(
    a: Facts, b: Facts, mine: list[Negation], theirs: list[Negation]
) -> Difference | None:
    """As many negations, of other words, while both texts hold both words: a doubt."""
    scopes_a = {negation.scope for negation in mine} - {""}
    scopes_b = {negation.scope for negation in theirs} - {""}
    moved_a, moved_b = scopes_a - scopes_b, scopes_b - scopes_a
    if (
        moved_a
        and moved_b
        and moved_a <= b.bag
        and moved_b <= a.bag
        and not ({"or", "nor"} & a.vocabulary & b.vocabulary)  # "not killed or poisoned"
    ):
        return Difference(_negated(mine), _negated(theirs), is_veto=False)
    return None


def _is_balanced(longer: list[Negation], text: Facts, other: Facts) -> bool:
    """Tell whether the text with fewer negations says the missing one in a softer word."""
    return not SOFT_NEGATORS.isdisjoint(other.vocabulary - text.vocabulary)


def _negated(negations: Iterable[Negation]) -> str:
    return ", ".join(f"{negation.word} {negation.scope}".strip() for negation in negations)
