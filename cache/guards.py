"""What makes two texts ask for different answers however near their vectors are.

An encoder puts "pause my plan" beside "cancel my plan" and "3 mg" beside "30 mg". The guards
compare what it blurs. They are symmetric and deterministic, and see differences of two kinds:

- a *veto*: the answers differ, and no probability overrides it. Each text has a number, a name or
  a quote of its own; a word is negated, or turned to its opposite, on one side only.
- a *doubt*: the answers often differ. A number or a name is in one text and merely missing in the
  other; a negation or an opposite stands among other new words, so that the rest may make up for
  it. Whoever judges the pair must be very sure to overlook it.

They are no judge of sameness: two texts without a difference here may still differ. Pairs of each
kind are held by ``tests/unit/cache/test_guards.py``. What became a doubt vetoed, among questions of
people that share most words, about as many paraphrases as other questions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from cache.facts import Facts, Negation, Number, facts_of, plain_letters, stem
from cache.lexicon import (
    CONVERSIONS,
    FUNCTION_WORDS,
    POLAR_GROUPS,
    SENSES,
    SOFT_NEGATORS,
    SYMMETRIC,
    UNITS,
    WEAK_OPPOSITES,
    Side,
)
from cache.types import MissReason

__all__ = [
    "Facts",
    "GuardFinding",
    "Objection",
    "compare",
    "compare_facts",
    "differences",
    "doubts",
    "facts_of",
    "findings",
    "objection",
    "other_entity",
]


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """One difference between two texts.

    Attributes:
        guard: the reason a lookup would miss for.
        query: what the query had, readable; empty when it had nothing to set against.
        candidate: the same for the candidate.
        is_veto: False for a doubt, which a very sure judge may overlook.
    """

    guard: MissReason
    query: str
    candidate: str
    is_veto: bool = True


def compare(query: str, candidate: str) -> MissReason | None:
    """Return the first guard that forbids one text's answer to serve the other, or None.

    Symmetric: the order of the two canonical texts does not change the result.
    """
    if query == candidate:
        return None
    return compare_facts(facts_of(query), facts_of(candidate))


def compare_facts(a: Facts, b: Facts) -> MissReason | None:
    """Do as ``compare`` does, for texts whose facts are known already."""
    if a.text == b.text and a.rest == b.rest:
        return None
    if a.rest != b.rest:
        return MissReason.BEYOND_WINDOW
    return next((guard for guard, found in _found(a, b, _GUARDS) if found.is_veto), None)


def doubts(a: Facts, b: Facts) -> MissReason | None:
    """Return the guard of the first doubt whether one answer serves both texts, or None.

    Symmetric, as ``compare`` is, and independent of it: a pair may have vetoes, doubts, or both.
    """
    if a.text == b.text:
        return None
    return next((guard for guard, found in _found(a, b, _DOUBTING) if not found.is_veto), None)


class Objection(NamedTuple):
    """Why an answer should not serve another text, and whether anything may overlook it."""

    guard: MissReason
    is_veto: bool


def objection(a: Facts, b: Facts) -> Objection | None:
    """Return what ``compare_facts`` says, else what ``doubts`` says, in one pass over the rules."""
    if a.text == b.text and a.rest == b.rest:
        return None
    if a.rest != b.rest:
        return Objection(MissReason.BEYOND_WINDOW, is_veto=True)
    doubt = None
    for guard, found in _found(a, b, _GUARDS):
        if found.is_veto:
            return Objection(guard, is_veto=True)
        doubt = doubt or Objection(guard, is_veto=False)
    return doubt


def _found(a: Facts, b: Facts, guards: Guards) -> Iterator[tuple[MissReason, Difference]]:
    """Yield what the rules find.

    Where one text says more than a few other words, most of what a rule finds is one difference
    among many and no longer tells that the question is another: a doubt. Numbers that stand for
    each other, strong opposites and known rivals tell it however the rest is said.
    """
    is_close = _n_other(a, b) <= _FEW_OTHER_WORDS
    for guard, rules in guards:
        for rule in rules:
            found = rule(a, b)
            if found is not None:
                is_veto = found.is_veto and (is_close or found.is_firm)
                yield guard, found._replace(is_veto=is_veto)


_FEW_OTHER_WORDS = 3


def differences(query: str, candidate: str) -> list[GuardFinding]:
    """Return everything the guards see between two canonical texts, vetoes first; to explain."""
    return findings(facts_of(query), facts_of(candidate))


def findings(a: Facts, b: Facts) -> list[GuardFinding]:
    """Do as ``differences`` does, for texts whose facts are known already."""
    if a.text == b.text and a.rest == b.rest:
        return []
    found = []
    if a.rest != b.rest:
        found.append(GuardFinding(MissReason.BEYOND_WINDOW, a.rest[:80], b.rest[:80]))
    found += [GuardFinding(guard, *difference[:3]) for guard, difference in _found(a, b, _GUARDS)]
    return sorted(found, key=lambda finding: not finding.is_veto)


def other_entity(a: Facts, b: Facts) -> bool:
    """Tell whether a name stands on one side only: known, or capitalised within a sentence."""
    return bool(_other_names(a, b) or _other_names(b, a))


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


def _listed(items: Iterable[str]) -> str:
    return ", ".join(sorted(items))


def _n_other(a: Facts, b: Facts) -> int:
    """Return how many words that carry meaning the text with more of its own has for itself."""
    return max(len(a.bag - b.bag), len(b.bag - a.bag))


# ------------------------------------------------------------------------------------- numbers


def _other_numbers(a: Facts, b: Facts) -> Difference | None:
    """Numbers that the other text lacks. Words that often are no number may be left out."""
    if not a.numbers and not b.numbers:
        return None
    mine, theirs = _unpaired(a.numbers, b.numbers)
    mine = [number for number in mine if not _is_article(number, b)]
    theirs = [number for number in theirs if not _is_article(number, a)]
    if not mine and not theirs:
        return None
    if mine and theirs:
        return Difference(_said(mine), _said(theirs), _are_rivals(mine, theirs), is_firm=True)
    missing, other = ([*mine, *theirs], b if mine else a)
    if all(number.is_soft for number in missing):
        return None
    return Difference(_said(mine), _said(theirs), _is_needed(missing, other))


def _are_rivals(mine: Sequence[Number], theirs: Sequence[Number]) -> bool:
    """Tell whether numbers stand for each other: a soft one only where both count one thing."""
    one, two = (sorted(number.value.lstrip("#") for number in side) for side in (mine, theirs))
    if one == two and {number.unit for number in mine} == {number.unit for number in theirs}:
        return False  # "class 12" and "12th class"
    if all(any(not number.is_soft for number in numbers) for numbers in (mine, theirs)):
        return True
    return not _counted(mine).isdisjoint(_counted(theirs))


def _counted(numbers: Sequence[Number]) -> set[str]:
    return {what for number in numbers for what in (stem(number.unit), number.what) if what}


def _is_needed(missing: Sequence[Number], other: Facts) -> bool:
    """Tell whether a text must have these numbers too: to be computed with, or as a name ("B12").

    Else one text may say more exactly what both ask ("in 2016", "for my 2-year-old", "top 5").
    """
    if any(number.value[0].isalpha() or _has_unit_alone(number, other) for number in missing):
        return True
    return sum(number.value.lstrip("#") != "1" for number in other.numbers) >= _PREMISES


_PREMISES = 2  # so many numbers in the text that has fewer make a sum to be worked out


def _unpaired(a: Sequence[Number], b: Sequence[Number]) -> tuple[list[Number], list[Number]]:
    """Pair equal numbers and return what is left of each side; linear in the numbers."""
    left = Counter((number.value, number.unit) for number in b)
    waiting: list[Number] = []
    for number in a:
        key = number.value, number.unit
        if left[key]:
            left[key] -= 1
        else:
            waiting.append(number)
    rest: list[Number] = []
    for number in reversed(b):
        key = number.value, number.unit
        if left[key]:
            left[key] -= 1
            rest.append(number)
    rest.reverse()
    if not waiting or not rest:
        return waiting, rest
    # A unit on one side only is no difference: "25 years old" and "25".
    by_value: dict[str, list[Number]] = {}
    for number in rest:
        by_value.setdefault(number.value, []).append(number)
    mine = []
    for number in waiting:
        others = by_value.get(number.value, [])
        match = next((o for o in others[:8] if not o.unit or not number.unit), None)
        if match is None:
            mine.append(number)
        else:
            others.remove(match)
    return mine, [number for others in by_value.values() for number in others]


_ONE_OF = frozenset({"a", "an", "per", "every", "each", "one"})


def _is_article(number: Number, other: Facts) -> bool:
    """Tell whether the other text says this "1 month" as "a month"."""
    return number.value == "1" and _has_unit_alone(number, other)


def _has_unit_alone(number: Number, other: Facts) -> bool:
    """Tell whether the other text has one of this number's unit: "a month"."""
    return number.unit != "" and any(
        word in _ONE_OF and UNITS.get(following) == number.unit
        for word, following in pairwise(other.words)
    )


def _said(numbers: Iterable[Number]) -> str:
    return ", ".join(f"{number.value} {number.unit}".strip() for number in numbers)


def _numbers_moved(a: Facts, b: Facts) -> Difference | None:
    """The same numbers of one kind in another order: Tom has 3 and Ann 5, Tom has 5 and Ann 3."""
    if len(a.numbers) < 2 or len(b.numbers) < 2 or _is_symmetric(a, b):
        return None
    mine, theirs = _by_kind(a.numbers), _by_kind(b.numbers)
    for kind in mine.keys() & theirs.keys():
        one, two = mine[kind], theirs[kind]
        if len(one) != len(two) or len(one) < 2 or _is_same_order(one, two):
            continue
        counted = sorted((number.value, number.what) for number in one)
        if counted == sorted((number.value, number.what) for number in two) and len(
            {what for _, what in counted}
        ) == len(counted):
            continue  # each counts a thing of its own, wherever it stands
        return Difference(_said(one), _said(two))
    return None


_UP_TO = "before|until|till|prior to|under|below|less than|fewer than|at most|up to|no more than"
_FROM = "after|since|over|above|more than|greater than|at least|no less than|exceeding"
_YEAR = re.compile(r"1[5-9]\d\d|20\d\d")
_BOUND = re.compile(rf"(?:\b({_UP_TO})|\b({_FROM})|\b(?:in|on|of|exactly))?[ $€£]+(\d[\d.,]*)")


def _other_bounds(a: Facts, b: Facts) -> Difference | None:
    """The same number as the other bound: "under 5", "over 5"; a year also as none: "in 2005".

    Beside other numbers a bound is said in too many ways ("5 or more", "larger than 5").
    """
    if not a.numbers or not b.numbers:
        return None
    mine, theirs = _bounds_of(a.text), _bounds_of(b.text)
    for number in mine.keys() & theirs.keys():
        are_bounds = mine[number] and theirs[number]
        if mine[number] != theirs[number] and (are_bounds or _YEAR.fullmatch(number)):
            return Difference(f"{mine[number]} {number}", f"{theirs[number]} {number}")
    return None


def _bounds_of(text: str) -> dict[str, str]:
    """Return how each number is a bound: "up to", "from", or neither."""
    found = {}
    for match in _BOUND.finditer(f" {text.lower()}"):
        up_to, since, number = match.groups()
        found[number.rstrip(".,")] = "up to" if up_to else "from" if since else ""
    return found


_JOINED = re.compile(r"\b([^\W\d_]{3,}) (and|or) ([^\W\d_]{3,})\b")


def _other_joiner(a: Facts, b: Facts) -> Difference | None:
    """The same two words joined by "and" and by "or"."""
    if " or " not in a.text and " or " not in b.text:
        return None
    mine, theirs = _joined_in(a.text), _joined_in(b.text)
    for pair in mine.keys() & theirs.keys():
        if mine[pair] != theirs[pair]:
            one, two = sorted(pair)
            return Difference(f"{one} {mine[pair]} {two}", f"{one} {theirs[pair]} {two}")
    return None


def _joined_in(text: str) -> dict[frozenset[str], str]:
    return {frozenset((m[1], m[3])): m[2] for m in _JOINED.finditer(text.lower())}


def _by_kind(numbers: Sequence[Number]) -> dict[str, list[Number]]:
    """Group numbers that could be taken for each other: by unit, years and ordinals apart."""
    kinds: dict[str, list[Number]] = {}
    for number in numbers:
        if number.is_soft:
            continue
        value = number.value
        kind = number.unit
        if not kind and value[0] == "#":
            kind = "#"
        elif not kind and len(value) == 4 and value[:2] in _CENTURIES and value.isdecimal():
            kind = "year of our Lord"
        kinds.setdefault(kind, []).append(number)
    return kinds


def _is_same_order(one: Sequence[Number], two: Sequence[Number]) -> bool:
    if [number.value for number in one] == [number.value for number in two]:
        return True
    return _in_order(one) == _in_order(two)


def _in_order(numbers: Sequence[Number]) -> list[str]:
    """Return the values as they stand, those of one list ("500 and 1000 notes") sorted."""
    values: list[str] = []
    listed: list[str] = []
    at = -1
    for number in numbers:
        if number.at == -1 or number.at != at or number.after in _ORDERED:
            values += sorted(listed)
            listed = []
        at = number.at
        listed.append(number.value)
    return values + sorted(listed)


_CENTURIES = frozenset({"15", "16", "17", "18", "19", "20"})
_ORDERED = frozenset("of to from by minus than over into divided times".split())


# ------------------------------------------------------------------------------------- polarity


def _other_polarity(a: Facts, b: Facts) -> Difference | None:
    """Another number of negations, a moved negation, or an opposite word."""
    flips = _flips(a, b)
    if not flips and not a.negations and not b.negations:
        return _affix_flip(a, b)
    flipped = {word for pair in flips for word in pair}
    mine = [negation for negation in a.negations if negation.word not in flipped]
    theirs = [negation for negation in b.negations if negation.word not in flipped]
    if flips:
        if _is_cancelled(a, b, flips, mine, theirs):
            return None
        is_veto = not flipped <= WEAK_OPPOSITES or _n_other(a, b) <= 1
        mine_said, theirs_said = ([pair[side] for pair in flips] for side in (0, 1))
        return Difference(_listed(mine_said), _listed(theirs_said), is_veto, is_firm=True)
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
    return "" in scopes and _n_other(a, b) <= 1


def _flips(a: Facts, b: Facts) -> list[tuple[str, str]]:
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
        return _is_comparison(a, b) and _governed_swapped(a, b)
    return False


def _is_lessened(a: Facts, b: Facts, flip: tuple[str, str]) -> bool:
    """Tell whether just one text turns its word by "less" or "least": "cheap", "less expensive"."""
    mine, theirs = (
        at > 0 and facts.words[at - 1] in ("less", "least")
        for facts, at in ((a, a.words.index(flip[0])), (b, b.words.index(flip[1])))
    )
    return mine != theirs


def _is_comparison(a: Facts, b: Facts) -> bool:
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
                    return Difference(word, other, _n_other(a, b) <= 1)
    for word in theirs:
        if _has_affix(word):
            for other in _stripped(word):
                if other in mine:
                    return Difference(other, word, _n_other(a, b) <= 1)
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


# ---------------------------------------------------------------------------------------- roles

_DIRECTED = frozenset("to into from than by before after without over of".split())
_GOVERNING = _DIRECTED - {"of", "over"}
_MAX_ROLE_WORDS = 64


def _roles_swapped(a: Facts, b: Facts) -> Difference | None:
    """The same words in other roles: "from A to B", "does A love B", "A before B"."""
    if not a.words or not b.words or _is_symmetric(a, b):
        return None
    if _is_comparison(a, b) and _flips(a, b):
        return None  # "A better than B" and "B worse than A": judged with the opposites
    is_swapped = _is_swapped(a, b)
    if not is_swapped and not _governed_swapped(a, b):
        return None
    is_veto = is_swapped or _is_conversion(a, b) or _n_other(a, b) <= 1
    return Difference(" ".join(a.stems[:24]), " ".join(b.stems[:24]), is_veto)


def _is_symmetric(a: Facts, b: Facts) -> bool:
    return not (SYMMETRIC.isdisjoint(a.vocabulary) and SYMMETRIC.isdisjoint(b.vocabulary))


def _is_conversion(a: Facts, b: Facts) -> bool:
    """Tell whether a way from one thing to another is asked for."""
    return any(
        "from" in words or not CONVERSIONS.isdisjoint(words)
        for words in (a.vocabulary, b.vocabulary)
    )


def _governed(words: Sequence[str]) -> dict[str, set[str]]:
    """Return each directed preposition's objects: the next word that carries meaning."""
    objects: dict[str, set[str]] = {}
    for at, word in enumerate(words):
        if word in _GOVERNING:
            for follower in words[at + 1 : at + 4]:
                if follower not in FUNCTION_WORDS:
                    objects.setdefault("to" if word == "into" else word, set()).add(stem(follower))
                    break
    return objects


def _governed_swapped(a: Facts, b: Facts) -> bool:
    """Tell whether a preposition's object changed places with another word of both texts."""
    if _GOVERNING.isdisjoint(a.vocabulary) or _GOVERNING.isdisjoint(b.vocabulary):
        return False
    mine, theirs = _governed(a.words), _governed(b.words)
    is_conversion = _is_conversion(a, b)
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


_NO_ORDER = frozenset(
    "a an the do does did is are was were be been has have had will would can could".split()
)
_SUBJECT = {"him": "he", "his": "he", "her": "she", "hers": "she", "me": "i", "my": "i"}


def _is_swapped(a: Facts, b: Facts) -> bool:
    """Tell whether the texts differ in two words or names that changed places, or in the voice."""
    if len(a.stems) != len(b.stems) or not 2 <= len(a.stems) <= _MAX_ROLE_WORDS:
        return False
    if sorted(_subjects(a.stems)) != sorted(_subjects(b.stems)):
        return False
    voice_a, voice_b = _agent(a), _agent(b)
    if bool(voice_a) != bool(voice_b):  # "did A hit B", "was A hit by B"
        active, agent = (b, voice_a) if voice_a else (a, voice_b)
        return a.stems == b.stems and len(a.stems) >= 3 and not _has_preposition(active, agent)
    raw = [word for word in a.words if word not in _NO_ORDER]
    one = _subjects(raw)
    two = _subjects(word for word in b.words if word not in _NO_ORDER)
    if len(one) != len(two) or one == two:
        return False
    start = 0
    while one[start] == two[start]:
        start += 1
    end = len(one)
    while one[end - 1] == two[end - 1]:
        end -= 1
    core, other = one[start:end], two[start:end]
    for size in (1, 2, 3):
        if len(core) <= 2 * size:
            return False
        if core[:size] == other[-size:] and core[-size:] == other[:size]:
            return core[size:-size] == other[size:-size] and not (
                _is_list(one, two, core[size:-size]) or _has_comma(a.text, raw[start], raw[end - 1])
            )
    return False


def _subjects(words: Iterable[str]) -> list[str]:
    return [_SUBJECT.get(word, word) for word in words]


def _agent(text: Facts) -> str:
    """Return the word after "by" in a passive ("was hit by John", "books written by"), if any."""
    words = text.words
    for at, word in enumerate(words[1:-1], start=1):
        if word == "by" and words[at - 1] not in FUNCTION_WORDS and _looks_past(words[at - 1]):
            follower = words[at + 1]
            return "" if follower in _NO_AGENT or not follower.isalpha() else follower
    return ""


_NO_AGENT = frozenset("itself himself herself themselves myself yourself".split())
_PREPOSITIONS = frozenset("at by for from in into of on to with".split())


def _has_preposition(text: Facts, word: str) -> bool:
    """Tell whether a word follows a preposition: "annoyed by Quora" is "annoyed on Quora"."""
    words = [other for other in text.words if other not in ("a", "an", "the")]
    return any(one in _PREPOSITIONS and other == word for one, other in pairwise(words))


def _looks_past(word: str) -> bool:
    return word.endswith(
        ("ed", "en", "wn", "ght", "nt", "ld", "ade", "ung", "it", "pt", "een", "ft")
    )


def _is_list(one: list[str], two: list[str], between: list[str]) -> bool:
    """Tell whether the swap only reorders a list: "A and B", "load current and load voltage"."""
    if all(word in FUNCTION_WORDS for word in between):
        return not _DIRECTED & set(between)
    for word in ("and", "or", "vs"):
        if word in between:
            at, to = one.index(word), two.index(word)
            for size in range(1, 5):
                left, right = one[max(0, at - size) : at], one[at + 1 : at + 1 + size]
                if left == two[to + 1 : to + 1 + size] and right == two[max(0, to - size) : to]:
                    return True
    return False


def _has_comma(text: str, first: str, last: str) -> bool:
    lowered = f" {' '.join(_WORDS_COMMAS.findall(text.lower()))} "
    start, end = lowered.find(f" {first} "), lowered.rfind(f" {last} ")
    return 0 <= start < end and "," in lowered[start:end]


# ------------------------------------------------------------------------- quotes, code, addresses

_WORDS = re.compile(r"\w+")
_NAME_ONLY = re.compile(r"[\w./@~ -]{1,100}\Z")  # `ls`, `setup.py`: may stand unmarked
_WORDS_COMMAS = re.compile(r"\w+|,")


def _spaced(text: str) -> str:
    return f" {' '.join(_WORDS.findall(text.lower()))} "


def _lacking(items: Iterable[str], others: Iterable[str], text: Facts) -> list[str]:
    """Return the items that the other text holds neither marked nor plain."""
    known = set(others)
    missing = [item for item in items if item not in known]
    if not missing:
        return []
    plain = _spaced(text.text)
    joined = plain.replace(" ", "")
    out = []
    for item in missing:
        spaced = _spaced(item)
        if spaced.strip() == "" or (spaced not in plain and not _joins(spaced, joined)):
            out.append(item)
    return out


def _joins(spaced: str, joined: str) -> bool:
    """Tell whether a longer name stands in the text in separate or joined words ("YouTube")."""
    name = spaced.replace(" ", "")
    return len(name) >= 6 and name in joined


def _other_quotes(a: Facts, b: Facts) -> Difference | None:
    if a.quotes == b.quotes:
        return None
    mine, theirs = _lacking(a.quotes, b.quotes, b), _lacking(b.quotes, a.quotes, a)
    if mine or theirs:
        is_veto = bool(mine and theirs) or not (_is_told(mine, b) and _is_told(theirs, a))
        return Difference(_listed(mine), _listed(theirs), is_veto)
    both = set(a.quotes) & set(b.quotes)
    if [q for q in a.quotes if q in both] != [q for q in b.quotes if q in both] and not (
        _is_symmetric(a, b)
    ):
        return Difference(", ".join(a.quotes), ", ".join(b.quotes))
    recased = {q for q in set(a.quotes) - both if " " not in q}
    if {q.lower() for q in recased} & {q.lower() for q in set(b.quotes) - both}:
        return Difference(_listed(a.quotes), _listed(b.quotes), is_veto=False)  # "Polish", "polish"
    return None


def _is_told(quotes: Sequence[str], other: Facts) -> bool:
    """Tell whether the other text has most words of what is quoted, in whatever form."""
    words = [stem(word) for quote in quotes for word in _WORDS.findall(quote.lower())]
    carrying = [word for word in words if word not in FUNCTION_WORDS]
    return 2 * sum(word in other.bag for word in carrying) >= len(carrying)


def _other_code(a: Facts, b: Facts) -> Difference | None:
    if a.codes == b.codes:
        return None
    mine, theirs = _lacking_code(a.codes, b), _lacking_code(b.codes, a)
    if mine or theirs:
        return Difference(_listed(mine), _listed(theirs))
    both = set(a.codes) & set(b.codes)
    if [code for code in a.codes if code in both] != [code for code in b.codes if code in both]:
        return Difference(", ".join(a.codes), ", ".join(b.codes))
    return None


def _lacking_code(codes: Sequence[str], other: Facts) -> list[str]:
    """Return the code that the other text does not hold; its signs count, not only its words."""
    missing = [code for code in codes if code not in other.codes]
    bare = [code for code in missing if _NAME_ONLY.match(code)]
    return [code for code in missing if code not in bare and code not in other.text] + _lacking(
        bare, other.codes, other
    )


def _other_identifiers(a: Facts, b: Facts) -> Difference | None:
    """Names in code style, where each text has one of its own."""
    if a.identifiers == b.identifiers:
        return None
    mine = _lacking(_unknown(a.identifiers), b.identifiers, b)
    theirs = _lacking(_unknown(b.identifiers), a.identifiers, a)
    return Difference(_listed(mine), _listed(theirs)) if mine and theirs else None


def _unknown(identifiers: Iterable[str]) -> list[str]:
    return [name for name in identifiers if name.lower() not in SENSES]  # those are entities


def _other_operators(a: Facts, b: Facts) -> Difference | None:
    if a.operators == b.operators:
        return None
    return Difference(" ".join(a.operators), " ".join(b.operators))


def _other_urls(a: Facts, b: Facts) -> Difference | None:
    if a.urls == b.urls:
        return None
    mine = _unnamed(set(a.urls) - set(b.urls), b)
    theirs = _unnamed(set(b.urls) - set(a.urls), a)
    return Difference(_listed(mine), _listed(theirs)) if mine or theirs else None


def _unnamed(urls: set[str], other: Facts) -> set[str]:
    """Drop bare hosts whose name the other text holds: "amazon.com" and "Amazon"."""
    return {url for url in urls if "/" in url or url.split(".")[0] not in other.vocabulary}


# ------------------------------------------------------------------------------------- entities


def _rival_entities(a: Facts, b: Facts) -> Difference | None:
    """Known names that exclude each other: each text has one that the other lacks."""
    mine, theirs = a.entities - b.entities, b.entities - a.entities
    if mine and theirs:
        return Difference(_listed(mine), _listed(theirs), is_firm=True)
    only_b = [side for side in b.sides - a.sides if side.group not in POLAR_GROUPS]
    groups = {side.group for side in only_b}
    only_a = [side for side in a.sides - b.sides if side.group in groups]
    if not only_a:
        return None
    sides_a = {(side.group, side.side) for side in a.sides}
    sides_b = {(side.group, side.side) for side in b.sides}
    for one in only_a:
        if (one.group, one.side) in sides_b:
            continue
        for other in only_b:
            if other.group == one.group and (other.group, other.side) not in sides_a:
                is_veto = not _is_of_whole_kind(a, b, one, other)
                return Difference(one.word, other.word, is_veto, is_firm=True)
    return None


def _is_of_whole_kind(a: Facts, b: Facts, mine: Side, theirs: Side) -> bool:
    """Tell whether both end in one question about the kind that two rivals belong to.

    "My dog drinks milk. Is that normal for animals?": the dog is told of, animals are asked about.
    """
    asked, other = (_SENTENCE_END.split(text.text.rstrip(".?! "))[-1].lower() for text in (a, b))
    words = set(re.findall(r"\w+", asked))
    return (
        asked == other and f"{mine.group}s" in words and words.isdisjoint((mine.word, theirs.word))
    )


_SENTENCE_END = re.compile(r"[.?!]\s+")


def _other_name(a: Facts, b: Facts) -> Difference | None:
    """Names, known or capitalised: a veto where each text has one that the other lacks.

    Or where one word alone stands for another, and one of them is a name ("in Jest", "in pytest").
    """
    if a.names == b.names and a.entities == b.entities:
        return None
    mine, theirs = _other_names(a, b), _other_names(b, a)
    if not mine and not theirs:
        return None
    if mine and theirs:
        is_veto = not (
            _are_misspelt(mine, theirs, a.entities | b.entities)
            or _are_initials(mine, theirs, b)
            or _are_initials(theirs, mine, a)
        )
    else:
        only_a, only_b = a.bag - b.bag, b.bag - a.bag
        is_veto = len(only_a) == 1 == len(only_b) and not _is_slip(*only_a, *only_b)
    return Difference(_listed(mine), _listed(theirs), is_veto)


def _are_initials(names: frozenset[str], written_out: frozenset[str], text: Facts) -> bool:
    """Tell whether all names of one side are initials of names of the other: "CS"."""
    if not all(len(name) <= _MAX_INITIALS for name in names):
        return False
    words = [word for word in text.words if word not in FUNCTION_WORDS]
    initials = "".join(word[0] for word in words)
    for name in names:
        at = initials.find(name)
        if at < 0 or len(name) < 2:
            return False
        if written_out.isdisjoint(stem(word) for word in words[at : at + len(name)]):
            return False
    return True


_MAX_INITIALS = 5


def _are_misspelt(mine: frozenset[str], theirs: frozenset[str], known: frozenset[str]) -> bool:
    """Tell whether all names of one side may be those of the other: "Hilary" and "Hillary"."""
    fewer, more = sorted((mine, theirs), key=lambda names: (len(names), sorted(names)))
    return len(more) <= _MAX_MISSPELT and all(
        any(_is_slip(name, other) and not {name, other} <= known for other in more)
        for name in fewer
    )


_MAX_MISSPELT = 8


def _is_slip(one: str, two: str) -> bool:
    """Tell whether two names differ by one slip inside: a letter too much, or two changed places.

    Not at the ends, where other names differ: "Maria" and "Marie", "Christian" and "Christina".
    """
    one, two = sorted((one, two), key=len)
    if len(one) < 5 or len(two) - len(one) > 1:
        return False
    start = 0
    while start < len(one) and one[start] == two[start]:
        start += 1
    if not 1 <= start < len(one) - 1:
        return False
    if len(one) < len(two):
        return one[start:] == two[start + 1 :]
    return one[start:] == two[start + 1] + two[start] + two[start + 2 :] and start < len(one) - 2


def _missing_names(a: Facts, b: Facts) -> set[str]:
    names = a.names - b.names
    if names:
        names -= b.bag
    if not names:
        return set()
    stems = {stem(plain_letters(word)) for word in b.words}
    joined = "".join(b.words)
    return {
        name
        for name in names
        if name not in stems
        and not _is_variant(name, stems)
        and not (len(name) >= _MIN_JOINED and name in joined)  # "StarWars" and "Star Wars"
    }


_MIN_JOINED = 6


def _is_variant(name: str, stems: set[str]) -> bool:
    """Tell whether a word of the other text is this name with an ending ("Russia", "Russian")."""
    if name + "s" in stems or (name[-1] == "s" and name[:-1] in stems):
        return True  # "DJ" and "DJs"
    if len(name) < 4:
        return False
    return any(
        len(other) >= 4 and (other.startswith(name) or name.startswith(other)) for other in stems
    )


def _other_names(a: Facts, b: Facts) -> frozenset[str]:
    return (a.entities - b.entities) | _missing_names(a, b)


_GUARDS: Guards = (
    (MissReason.GUARD_NUMBER, (_other_numbers, _numbers_moved, _other_bounds)),
    (MissReason.GUARD_NEGATION, (_other_polarity, _roles_swapped, _other_joiner)),
    (MissReason.GUARD_QUOTE, (_other_quotes,)),
    (MissReason.GUARD_CODE, (_other_code, _other_identifiers, _other_operators)),
    (MissReason.GUARD_URL, (_other_urls,)),
    (MissReason.GUARD_ENTITY, (_rival_entities, _other_name)),
)
# Of the guards, the rules that may be in doubt.
_DOUBTING: Guards = (
    (MissReason.GUARD_NUMBER, (_other_numbers,)),
    (MissReason.GUARD_NEGATION, (_other_polarity, _roles_swapped)),
    (MissReason.GUARD_QUOTE, (_other_quotes,)),
    (MissReason.GUARD_CODE, (_other_code, _other_operators)),
    (MissReason.GUARD_ENTITY, (_other_name,)),
)
